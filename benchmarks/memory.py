"""Peak memory of every model on a card beside what ``plan/cost.py`` predicts: a table.

    python benchmarks/memory.py --out memory.jsonl --seconds 120     (needs CUDA)
    python benchmarks/memory.py --models mlp tiny_vit --rules bp --replicas 16 64

Some steps of a captured epoch and one evaluation of the models below, in strict float32, with images that are made up
in CIFAR-10's shape and number. Captured steps keep what they took, so that what a cohort needs is the peak of its steps
and that of its evaluation above what is held between them. Asked: a ratio of peak to prediction within 15%. Each row is
trained again with no more than the prediction and 15%, which tells if it fits, and written as soon as it is there.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rules import make_images

from harness.plan import estimate_cohort_bytes
from harness.records import Arm, Cohort, Replica
from harness.training import Device, open_device, takes_kernels
from harness.training.diagnostics import Diagnostics
from harness.training.program import build_program
from harness.training.results import select_metrics
from harness.training.steps.choose import choose_step_kind

MODELS: dict[str, dict[str, Any]] = {
    "residual_mlp": {"name": "residual_mlp", "width": 256, "blocks": 4},
    "mlp": {"name": "mlp"},
    "conv": {"name": "conv"},
    "residual_conv, group": {"name": "residual_conv", "norm": "group"},
    "residual_conv, batch": {"name": "residual_conv", "norm": "batch"},
    "patch_mixer": {"name": "patch_mixer"},
    "tiny_vit": {"name": "tiny_vit"},
}
"""The registered models, as they are by default."""


def make_cohort(model: str, rule: str, replicas: int, batch: int) -> Cohort:
    """Return replicas of one of ``MODELS`` under a rule."""
    setup = {
        "dataset": {"name": "cifar10", "augment": ["random_crop", "horizontal_flip"]},
        "model": MODELS[model],
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01, "schedule": "cosine"},
        "epochs": 20,
        "batch_size": batch,
        "evaluation": {"metrics": ["test_accuracy", "train_loss", "site_cosine", "gradient_norm", "hidden_norm"]},
    }
    arm = Arm.model_validate({"label": model, "rule": {"name": rule}, "setup": setup})
    stacked = tuple(Replica(arm="a", seed_index=i, seed=i) for i in range(replicas))
    return Cohort(arms={"a": arm}, replicas=stacked, memory_bytes=0)


def measure(cohort: Cohort, device: Device, images: Any) -> dict[str, int]:
    """Return the measured peaks of some steps and of an evaluation, and what the two need together, in bytes."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    program = build_program(cohort, images, device, kind=choose_step_kind(cohort, device, cohort.steps))
    program.begin_epoch(0, program.draw(0))
    program.run_epoch(lambda: True)
    torch.cuda.synchronize()
    held, stepping = torch.cuda.memory_allocated() - before, torch.cuda.max_memory_allocated() - before
    torch.cuda.reset_peak_memory_stats()
    Diagnostics(program, select_metrics(cohort.setup)).evaluate()
    torch.cuda.synchronize()
    evaluating = torch.cuda.max_memory_allocated() - before
    return {
        "held_bytes": held,
        "stepping_bytes": stepping - held,
        "evaluating_bytes": evaluating - held,
        "peak_bytes": stepping + evaluating - held,
        "reserved_bytes": torch.cuda.memory_reserved(),
    }


def fits(cohort: Cohort, device: Device, images: Any, most: float) -> bool:
    """Tell whether a cohort is trained and measured with so many bytes beside what is taken already."""
    gc.collect()
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + most) / whole))
    try:
        measure(cohort, device, images)
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return True


def main() -> None:
    """Measure row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--rules", nargs="+", default=["bp", "dfa"])
    parser.add_argument("--replicas", type=int, nargs="+", default=[8, 40])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--compile", default="auto", help="as for harness run")
    parser.add_argument("--seconds", type=float, default=120.0, help="begin no row after so long")
    parser.add_argument("--out", type=Path, help="JSON, a line per row")
    options = parser.parse_args()
    device, images, began = open_device("cuda", options.compile), make_images(options.images), time.monotonic()
    print(f"{device.name}, PyTorch {torch.__version__}, batch {options.batch}; sizes in GB\n")
    print("| model | rule | replicas | step | predicted | held | steps | evaluation | peak | ratio | fits | seconds |")
    print(f"|{' -- |' * 12}")
    for replicas, model, rule in itertools.product(options.replicas, options.models, options.rules):
        here = time.monotonic()
        if here - began > options.seconds:
            sys.exit(f"no time for {replicas} replicas of {model} under {rule}, and what follows")
        cohort = make_cohort(model, rule, replicas, options.batch)
        predicted = estimate_cohort_bytes(cohort, kernels=takes_kernels(device)(cohort))
        row: dict[str, Any] = {"model": model, "rule": rule, "replicas": replicas, "predicted_bytes": predicted}
        row["step"] = choose_step_kind(cohort, device, cohort.steps)
        try:
            row |= measure(cohort, device, images)
        except torch.OutOfMemoryError as error:
            print(f"| {model} | {rule} | {replicas} | out of memory: {str(error)[:60]} |{' |' * 8}", flush=True)
            continue
        row["ratio"] = row["peak_bytes"] / predicted
        row["fits"] = fits(cohort, device, images, 1.15 * predicted)
        row["seconds"] = time.monotonic() - here
        sizes = [row[f"{name}_bytes"] / 1e9 for name in ("predicted", "held", "stepping", "evaluating", "peak")]
        cells = [model, rule, str(replicas), row["step"], *(f"{size:.3g}" for size in sizes), f"{row['ratio']:.2f}"]
        print(f"| {' | '.join(cells)} | {'yes' if row['fits'] else 'no'} | {row['seconds']:.0f} |", flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
