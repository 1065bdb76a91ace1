"""How long a cohort's steps take on this device: measured once on made-up images, and remembered."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from harness.datasets import Images
from harness.errors import StorageFailed
from harness.records import Cohort, Plan
from harness.system.storage import cache_folder, write_atomic
from harness.system.without import do_without
from harness.training.device import Device, one_thread
from harness.training.program import build_program
from harness.training.steps.choose import choose_step_kind

SOURCES = Path(__file__).parents[1]
BATCHES = 8  # of one made-up epoch
LEAST, MOST = 3, 20  # such epochs that are timed
ENOUGH_SECONDS = 0.5


def training_seconds(plan: Plan, device: Device, *, measure: bool) -> float | None:
    """Return the seconds that the plan's steps take in all, from remembered times per step.

    Args:
        plan: what will be trained; its cohorts go to ``device.workers`` processes.
        device: where.
        measure: time the shapes that nobody timed here before; otherwise the answer is None if there is one.
    """
    known = remembered(device)
    for cohort in plan.cohorts:
        if shape(cohort) not in known:
            if not measure:
                return None
            known[shape(cohort)] = step_seconds(cohort, device, plan.steps(cohort))
            remember(device, known)
    each = [plan.steps(cohort) * known[shape(cohort)] for cohort in plan.cohorts]
    return max(sum(each) / min(device.workers, len(each)), max(each))


def step_seconds(cohort: Cohort, device: Device, steps: int) -> float:
    """Return the median seconds of a step of the whole cohort, on random bytes, after an epoch that warms up."""
    setup = cohort.setup
    with one_thread(device):
        program = build_program(cohort, random_images(cohort), device, kind=choose_step_kind(cohort, device, steps))
        schedule = program.draw(0)
        times: list[float] = []
        while len(times) <= LEAST or (sum(times[1:]) < ENOUGH_SECONDS and len(times) <= MOST):
            start = time.perf_counter()
            program.begin_epoch(0, schedule)
            program.run_epoch()
            program.finite()  # waits for the device
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / (program.state.count // setup.batch_size)


def random_images(cohort: Cohort) -> Images:
    """Make up as many images as fill eight batches, of the data set's size."""
    dataset, generator = cohort.setup.dataset, np.random.default_rng(0)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        pixels = generator.integers(0, 256, (count, dataset.channels, dataset.size, dataset.size), dtype=np.uint8)
        return pixels, generator.integers(0, dataset.classes, count)

    train, test = split(BATCHES * cohort.setup.batch_size), split(cohort.setup.evaluation.probe_samples)
    names = tuple(str(number) for number in range(dataset.classes))
    return Images(*train, *test, names, "made up", False)


def shape(cohort: Cohort) -> str:
    """Return a digest of what a step's time follows from: how all is trained and how often; neither seeds nor names."""
    arms = [cohort.arms[replica.arm] for replica in cohort.replicas]
    plain = [arm.model_dump(mode="json", exclude={"label", "penalty"}) for arm in arms]
    seeds = len({replica.seed for replica in cohort.replicas})
    return hashlib.sha256(json.dumps([plain, seeds], sort_keys=True).encode()).hexdigest()[:16]


def place(device: Device) -> Path | None:
    """Return where this device's times are kept, for the code that trains as it is now; None if there is no place."""
    if (folder := cache_folder()) is None:
        return None
    code = hashlib.sha256()
    for path in sorted(file for part in ("training", "batched") for file in (SOURCES / part).rglob("*.py")):
        code.update(path.read_bytes())
    name = "".join(
        letter if letter.isalnum() else "-"
        for letter in f"{device.name} torch {torch.__version__} {code.hexdigest()[:8]}"
    )
    return folder / "speed" / f"{name}.json"


def remembered(device: Device) -> dict[str, float]:
    """Return shape → seconds per step; empty where nothing, or nothing that can be read, was kept."""
    try:
        path = place(device)
        text = "{}" if path is None else path.read_text(encoding="utf-8")
        return {key: float(value) for key, value in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(device: Device, known: dict[str, float]) -> None:
    """Keep shape → seconds per step, if they can be kept: else they are measured again."""
    path = place(device)
    try:
        if path is not None:
            write_atomic(path, json.dumps(known, indent=1, sort_keys=True).encode())
            return
        why = "there is no cache folder: set HARNESS_CACHE"
    except StorageFailed as error:
        why = f"{error.where}: {error.message}"
    do_without(f"the measured times are not kept, and will be measured again ({why})")
