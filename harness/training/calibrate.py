"""Time a cohort's steps on this device once, on random images, and remember the result."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from harness.datasets import Images, Selected
from harness.errors import StorageFailed
from harness.records import Cohort, Plan
from harness.system.storage import find_cache_folder, write_atomic
from harness.system.without import do_without
from harness.training.device import Device, use_one_thread
from harness.training.program import build_program
from harness.training.steps.choose import choose_step_kind

SOURCES = Path(__file__).parents[1]
BATCHES = 8  # per timed epoch
LEAST_EPOCHS, MOST_EPOCHS = 3, 20  # epochs that are timed
ENOUGH_SECONDS = 0.5


def estimate_training_seconds(plan: Plan, device: Device, *, measure: bool) -> float | None:
    """Return the seconds that all of the plan's steps take, from remembered times per step.

    Args:
        plan: the plan to be trained; its cohorts go to ``device.workers`` processes.
        device: the device to train on.
        measure: time cohorts that were never timed on this device; otherwise return None if there is such a cohort.
    """
    times = load_times(device)
    for cohort in plan.cohorts:
        if compute_timing_key(cohort) not in times:
            if not measure:
                return None
            times[compute_timing_key(cohort)] = measure_step_seconds(cohort, device, plan.steps(cohort))
            save_times(device, times)
    each = [plan.steps(cohort) * times[compute_timing_key(cohort)] for cohort in plan.cohorts]
    return max(sum(each) / min(device.workers, len(each)), max(each))


def measure_step_seconds(cohort: Cohort, device: Device, steps: int) -> float:
    """Return the median seconds per step of the whole cohort, on random bytes, after one warm-up epoch."""
    setup = cohort.setup
    with use_one_thread(device):
        program = build_program(
            cohort, make_random_images(cohort), device, kind=choose_step_kind(cohort, device, steps)
        )
        schedule = program.draw(0)
        times: list[float] = []
        while len(times) <= LEAST_EPOCHS or (sum(times[1:]) < ENOUGH_SECONDS and len(times) <= MOST_EPOCHS):
            start = time.perf_counter()
            program.begin_epoch(0, schedule)
            program.run_epoch()
            program.find_finite()  # waits for the device
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / (program.state.count // setup.batch_size)


def make_random_images(cohort: Cohort) -> Images:
    """Return random images of the data set's size, enough for eight batches."""
    setup, generator = cohort.setup, np.random.default_rng(0)
    dataset = setup.dataset

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(0, 256, (count, dataset.channels, dataset.size, dataset.size), dtype=np.uint8)
        return pixels, generator.integers(0, setup.classes, count)

    train, test = split(BATCHES * cohort.setup.batch_size), split(cohort.setup.evaluation.probe_samples)
    names = tuple(str(number) for number in setup.class_numbers)
    selected = Selected(np.arange(len(train[1])), len(train[1]), *test)  # so that these images are taken as they are
    return Images(*train, *test, names, "made up", False, selected)


def compute_timing_key(cohort: Cohort) -> str:
    """Return a digest of everything that a step's time depends on: neither seeds nor labels nor penalties."""
    arms = [cohort.arms[replica.arm] for replica in cohort.replicas]
    plain = [arm.model_dump(mode="json", exclude={"label", "penalty"}) for arm in arms]
    seeds = len({replica.seed for replica in cohort.replicas})
    return hashlib.sha256(json.dumps([plain, seeds], sort_keys=True).encode()).hexdigest()[:16]


def find_times_file(device: Device) -> Path | None:
    """Return the file of this device's times under the current training code; None if there is no cache folder."""
    if (folder := find_cache_folder()) is None:
        return None
    code = hashlib.sha256()
    for path in sorted(file for part in ("training", "batched") for file in (SOURCES / part).rglob("*.py")):
        code.update(path.read_bytes())
    name = "".join(
        letter if letter.isalnum() else "-"
        for letter in f"{device.name} torch {torch.__version__} {code.hexdigest()[:8]}"
    )
    return folder / "speed" / f"{name}.json"


def load_times(device: Device) -> dict[str, float]:
    """Return timing key → seconds per step; empty if nothing readable was kept."""
    try:
        path = find_times_file(device)
        text = "{}" if path is None else path.read_text(encoding="utf-8")
        return {key: float(value) for key, value in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save_times(device: Device, times: dict[str, float]) -> None:
    """Keep timing key → seconds per step if possible; otherwise they will be measured again."""
    path = find_times_file(device)
    try:
        if path is not None:
            write_atomic(path, json.dumps(times, indent=1, sort_keys=True).encode())
            return
        why = "there is no cache folder: set HARNESS_CACHE"
    except StorageFailed as error:
        why = f"{error.where}: {error.message}"
    do_without(f"the measured times are not kept, and will be measured again ({why})")
