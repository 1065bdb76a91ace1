"""Comparison of the same cohorts on one card and on several: speed-up, and equality of bits.

    python benchmarks/gpus.py --data data            (needs at least two CUDA devices)

The replicas of protocol 1's DFA arms, 64 per card, in the cohorts that ``harness run`` plans for them. "Under way"
leaves out what happens once: starting processes, compiling, capturing, and each cohort's first epoch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from compare import HERE, say

from harness import spec
from harness.pipeline.run_steps import make_plan
from harness.training import Device, Progress, open_device, train


def trained(plan: Any, images: Any, device: Device) -> dict[str, Any]:
    """Return total seconds, seconds after startup, and the results."""
    begun: dict[int, float] = {}
    ended: dict[int, float] = {}

    def note(at: Progress) -> None:
        now = time.perf_counter()
        begun.setdefault(at.cohort, now)
        ended[at.cohort] = now

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = train(plan, images, device, Path(folder), checkpoint_seconds=1e9, report=note)
        whole = time.perf_counter() - start
    spans = [ended[cohort] - begun[cohort] for cohort in begun]
    return {"whole": whole, "under_way": max(spans) if device.workers > 1 else sum(spans), "replicas": result.replicas}


def main() -> None:
    parser = argparse.ArgumentParser(description="Several cards beside one.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--file", default="mode2_direction.yaml", help="of hypotheses/")
    parser.add_argument("--arms", nargs="+", default=["vanilla", "penalized"])
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    device = open_device(options.device)
    cards = device.workers
    if cards < 2:
        raise SystemExit("this compares several devices with one, and there is only one")
    hypothesis = spec.load(HERE.parent / "hypotheses" / options.file).hypothesis
    arms = {}
    for name in options.arms:
        arm = hypothesis.arms[name]
        arms[name] = arm.model_copy(update={"setup": arm.setup.model_copy(update={"epochs": options.epochs})})
    seeds = tuple(range(device.largest_cohort * cards // len(arms)))
    number = hypothesis.seeds.model_copy(update={"count": len(seeds)})
    plan = make_plan(device, hypothesis.model_copy(update={"arms": arms, "seeds": number}), seeds)
    if len({len(cohort.replicas) for cohort in plan.cohorts}) > 1 or len(plan.cohorts) != cards:
        raise SystemExit("choose other arms: each device should have one cohort, all of one size")
    data = next(iter(arms.values())).setup.dataset
    images = {data.name: data.load(options.data, say)}
    one = replace(device, workers=1)
    trained(plan.model_copy(update={"cohorts": plan.cohorts[:1]}), images, one)  # fills the cache of kernels
    alone, beside = trained(plan, images, one), trained(plan, images, device)
    same = alone["replicas"] == beside["replicas"]
    sizes = ", ".join(str(len(cohort.replicas)) for cohort in plan.cohorts)
    print(f"{cards} × {device.name}, PyTorch {torch.__version__}; cohorts of {sizes} replicas, {options.epochs} epochs")
    print("| | one | all | ratio |\n| --- | --- | --- | --- |")
    for name in ("under_way", "whole"):
        print(f"| {name.replace('_', ' ')} | {alone[name]:.2f} s | {beside[name]:.2f} s |", end=" ")
        print(f"{alone[name] / beside[name]:.2f} |")
    print("results: the same bits" if same else "results: DIFFERENT")


if __name__ == "__main__":
    main()
