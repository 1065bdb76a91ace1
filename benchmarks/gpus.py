"""Comparison of the same cohorts on one card and on several: speed-up, what a cohort costs on top, equality of bits.

    python benchmarks/gpus.py            (needs at least two CUDA devices; two H200 take less than 150 s)

The replicas of protocol 1's DFA arms, two cohorts of 64 per card, in the cohorts that ``harness run`` plans for them.
CIFAR-10 is read from ``--data`` or $HARNESS_DATA; where it is not, noise of its size takes its place, since neither
time nor equality depends on what is seen. The network is never asked.

A card's start (processes, drivers, compiling, capturing, the first epoch of its first cohort) is left out of "under
way", which holds all that comes after: later cohorts begin in a process that has begun one. A cohort's own cost is the
time between the last epoch of one and the first epoch of the next that is not an epoch. Exit code 1: the ratio is below
``--at-least``, or the bits differ.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import HERE, say

from harness import spec
from harness.datasets import Dataset, Images
from harness.pipeline.run_steps import make_plan
from harness.records import Plan
from harness.training import Device, Progress, Run, open_device, train

PER_CARD = 2
"""Cohorts per card: the second one shows what a cohort costs on top of its epochs."""


@dataclass
class Trained:
    """A plan that was trained, and when each of its epochs ended."""

    whole: float
    """Seconds of all of it."""
    notes: dict[int, list[float]]
    """Cohort → seconds at which its epochs ended."""
    lanes: list[list[int]]
    """The cohorts of each card, in their order."""
    replicas: Any

    def rate(self) -> float:
        """Epochs of a cohort per second, over all cards, each from the end of its first epoch on."""
        rates = []
        for lane in self.lanes:
            epochs = sum(len(self.notes[cohort]) for cohort in lane) - 1
            rates.append(epochs / (self.notes[lane[-1]][-1] - self.notes[lane[0]][0]))
        return sum(rates)

    def costs(self) -> list[float]:
        """Seconds that each later cohort of a card took beside its epochs."""
        found = []
        for lane in self.lanes:
            for before, cohort in itertools.pairwise(lane):
                times = self.notes[cohort]
                epoch = statistics.median(np.diff(times))
                found.append(times[0] - self.notes[before][-1] - float(epoch))
        return found


def measure(plan: Plan, images: dict[str, Images], device: Device) -> Trained:
    """Train a plan and note when epochs end."""
    notes: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()

        def note(at: Progress) -> None:
            if at.message is None:
                notes.setdefault(at.cohort, []).append(time.perf_counter() - start)

        result = train(plan, Run(images, device, Path(folder), checkpoint_seconds=1e9, report=note))
        whole = time.perf_counter() - start
    lanes: list[list[int]] = [[] for _ in range(device.workers)]
    for cohort in sorted(notes):  # the next cohort goes to the card that is free first
        lane = min(lanes, key=lambda lane: notes[lane[-1]][-1] if lane else 0.0)
        lane.append(cohort)
    return Trained(whole, notes, lanes, result.replicas)


def load(dataset: Dataset, folder: Path) -> Images:
    """Read a data set, or draw noise of its size and classes if it isn't there."""
    if dataset.present(folder):
        return dataset.load(folder, say)
    draw = np.random.Generator(np.random.PCG64(1))
    arrays: list[Any] = []
    for count in (dataset.train_count, dataset.test_count):
        arrays.append(draw.integers(0, 256, (count, dataset.channels, dataset.size, dataset.size), dtype=np.uint8))
        arrays.append(np.arange(count, dtype=np.int64) % dataset.classes)
    names = tuple(f"class {number}" for number in range(dataset.classes))
    return Images(*arrays, classes=names, origin=f"noise of {dataset.name}'s size", canonical=False)


def plan_cohorts(options: argparse.Namespace, device: Device, epochs: int) -> Plan:
    """Plan ``PER_CARD`` full cohorts per card of the chosen arms."""
    hypothesis = spec.load(HERE.parent / "hypotheses" / options.file).hypothesis
    arms = {}
    for name in options.arms:
        arm = hypothesis.arms[name]
        arms[name] = arm.model_copy(update={"setup": arm.setup.model_copy(update={"epochs": epochs})})
    seeds = tuple(range(device.largest_cohort * device.workers * PER_CARD // len(arms)))
    number = hypothesis.seeds.model_copy(update={"count": len(seeds)})
    plan = make_plan(device, hypothesis.model_copy(update={"arms": arms, "seeds": number}), seeds)
    if len({len(cohort.replicas) for cohort in plan.cohorts}) > 1 or len(plan.cohorts) != PER_CARD * device.workers:
        raise SystemExit(f"choose other arms: each device should have {PER_CARD} cohorts, all of one size")
    return plan


def main() -> int:
    parser = argparse.ArgumentParser(description="Several cards beside one.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HARNESS_DATA") or "data"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--file", default="mode2_direction.yaml", help="of hypotheses/")
    parser.add_argument("--arms", nargs="+", default=["vanilla", "penalized"])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--at-least", type=float, help="ratio that is asked for; by default, 0.95 per card")
    options = parser.parse_args()
    device = open_device(options.device)
    cards = device.workers
    if cards < 2:
        raise SystemExit("this compares several devices with one, and there is only one")
    plan = plan_cohorts(options, device, options.epochs)
    dataset = plan.cohorts[0].setup.dataset
    images = {dataset.name: load(dataset, options.data)}
    one = replace(device, workers=1)
    brief = plan_cohorts(options, device, 1)
    measure(brief.model_copy(update={"cohorts": brief.cohorts[:1]}), images, one)  # fills the cache of kernels
    say("one")
    alone = measure(plan, images, one)
    say("all")
    beside = measure(plan, images, device)
    sizes = ", ".join(str(len(cohort.replicas)) for cohort in plan.cohorts)
    print(f"{cards} × {device.name}, PyTorch {torch.__version__}; {images[dataset.name].origin}")
    print(f"cohorts of {sizes} replicas, {options.epochs} epochs each\n")
    ratio = beside.rate() / alone.rate()
    print("| | one | all | ratio |\n| -- | -- | -- | -- |")
    print(f"| epochs of a cohort per second, under way | {alone.rate():.3f} | {beside.rate():.3f} | {ratio:.3f} |")
    print(f"| whole | {alone.whole:.1f} s | {beside.whole:.1f} s | {alone.whole / beside.whole:.2f} |")
    costs = [statistics.median(one.costs()) for one in (alone, beside)]
    print(f"| a cohort beside its epochs, median | {costs[0]:.3f} s | {costs[1]:.3f} s | |")
    same = alone.replicas == beside.replicas
    print("\nresults: the same bits" if same else "\nresults: DIFFERENT")
    asked = 0.95 * cards if options.at_least is None else options.at_least
    print(f"asked for: {asked:.2f}, {'reached' if ratio >= asked else 'NOT reached'}")
    return 0 if same and ratio >= asked else 1


if __name__ == "__main__":
    raise SystemExit(main())
