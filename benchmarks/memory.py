"""Peak memory of every model on a card beside what ``plan/cost.py`` predicts: a table.

    python benchmarks/memory.py --out memory.jsonl --seconds 120     (needs CUDA)
    python benchmarks/memory.py --models mlp tiny_vit --rules bp --replicas 16

Some steps of a captured epoch and one evaluation of the models below, in strict float32, with images that are made up
in CIFAR-10's shape and number. Asked: within 15% of the prediction. Every row is written as soon as it is there.
"""

from __future__ import annotations

import argparse
import gc
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


def measure(cohort: Cohort, device: Device, images: Any) -> dict[str, Any]:
    """Return the predicted and the measured peak of some steps and an evaluation, in bytes."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kind = choose_step_kind(cohort, device, cohort.steps)
    found = {"step": kind, "predicted_bytes": estimate_cohort_bytes(cohort, kernels=takes_kernels(device)(cohort))}
    program = build_program(cohort, images, device, kind=kind)
    program.begin_epoch(0, program.draw(0))
    program.run_epoch(lambda: True)
    Diagnostics(program, select_metrics(cohort.setup)).evaluate()
    torch.cuda.synchronize()
    reserved = torch.cuda.max_memory_reserved()
    return found | {"peak_bytes": torch.cuda.max_memory_allocated() - before, "reserved_bytes": reserved}


def main() -> None:
    """Measure row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--rules", nargs="+", default=["bp", "dfa"])
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--compile", default="auto", help="as for harness run")
    parser.add_argument("--seconds", type=float, default=120.0, help="begin no row after so long")
    parser.add_argument("--out", type=Path, help="JSON, a line per row")
    options = parser.parse_args()
    device, images, began = open_device("cuda", options.compile), make_images(options.images), time.monotonic()
    print(f"{device.name}, PyTorch {torch.__version__}, {options.replicas} replicas, batch {options.batch}\n")
    print("| model | rule | step | predicted GB | peak GB | peak / predicted | reserved GB | seconds |")
    print("| -- | -- | -- | -- | -- | -- | -- | -- |")
    for model in options.models:
        for rule in options.rules:
            here = time.monotonic()
            if here - began > options.seconds:
                sys.exit(f"no time for {model} under {rule}, and what follows")
            try:
                row = measure(make_cohort(model, rule, options.replicas, options.batch), device, images)
            except torch.OutOfMemoryError as error:
                print(f"| {model} | {rule} | out of memory: {str(error)[:60]} | | | | | |", flush=True)
                continue
            row |= {"model": model, "rule": rule, "seconds": time.monotonic() - here, "replicas": options.replicas}
            sizes = [row["predicted_bytes"] / 1e9, row["peak_bytes"] / 1e9, row["peak_bytes"] / row["predicted_bytes"]]
            cells = [model, rule, row["step"], *(f"{size:.3g}" for size in (*sizes, row["reserved_bytes"] / 1e9))]
            print(f"| {' | '.join(cells)} | {row['seconds']:.0f} |", flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
