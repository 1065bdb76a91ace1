"""Growth of training cost with replicas, width and blocks: a table, a figure, and peak memory against its model.

    python benchmarks/growth.py --data data --out growth.json --figure benchmarks/growth.svg     (needs CUDA)

Around protocol 1's penalised DFA: one number is varied at a time. Training only, as in ``compare.py``.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from compare import HERE, engine_times, say

from harness import plan, spec
from harness.records import Cohort, Replica
from harness.training import open_device, takes_kernels

VARIED = {
    "replicas": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "width": (128, 256, 512, 1024),
    "blocks": (2, 4, 8, 12),
}
STANDARD = {"replicas": 16, "width": 256, "blocks": 4}


def measure(changed: dict[str, int], options: Any) -> dict[str, Any]:
    """Return milliseconds per step and per replica and epoch of one shape, and its peak memory."""
    shape = STANDARD | changed
    arm = spec.load(HERE.parent / "hypotheses/mode2_direction.yaml").hypothesis.arms["penalized"]
    model = arm.setup.model.model_copy(update={"width": shape["width"], "blocks": shape["blocks"]})
    arm = arm.model_copy(update={"setup": arm.setup.model_copy(update={"model": model})})
    replicas = tuple(Replica(arm="penalized", seed_index=i, seed=i) for i in range(shape["replicas"]))
    cohort = Cohort(arms={"penalized": arm}, replicas=replicas, memory_bytes=0)
    device = open_device("cuda", options.compile)
    images = arm.setup.dataset.load(options.data, say)
    times = engine_times(cohort, images, device, options.epochs)
    steps = math.ceil(len(images.train_labels) / arm.setup.batch_size)
    predicted = plan.estimate_cohort_bytes(cohort, kernels=takes_kernels(device)(cohort))
    return shape | {
        "step_ms": 1e3 * times["median"] / steps,
        "replica_epoch_ms": 1e3 * times["median"] / shape["replicas"],
        "measuring_share": times["measuring"] / (arm.setup.evaluation.every_epochs * times["median"]),
        "peak_bytes": times["peak_bytes"],
        "predicted_bytes": predicted,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    heads = "replicas | width | blocks | ms per step | ms per replica and epoch | measuring | peak GB | predicted GB"
    lines = [f"| {heads} |", "|" + " --- |" * 8]
    for row in rows:
        times = [f"{row[name]:.3g}" for name in ("step_ms", "replica_epoch_ms")]
        memory = [f"{row[name] / 1e9:.3g}" for name in ("peak_bytes", "predicted_bytes")]
        cells = [row["replicas"], row["width"], row["blocks"], *times, f"{row['measuring_share']:.1%}", *memory]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw milliseconds per replica and epoch over each of the three dimensions, on logarithmic axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "growth", "font.size": 9}):
        figure = Figure(figsize=(9, 3), layout="constrained")
        panels = figure.subplots(1, len(VARIED), sharey=True)
        for panel, (name, values) in zip(panels, VARIED.items(), strict=True):
            others = {key: value for key, value in STANDARD.items() if key != name}
            line = [row for row in rows if all(row[key] == value for key, value in others.items())]
            line = sorted({row[name]: row["replica_epoch_ms"] for row in line if row[name] in values}.items())
            panel.plot(*zip(*line, strict=True), marker="o", color="black", linewidth=1)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(values, [str(value) for value in values])
            panel.set_xlabel(name + "".join(f", {key} {value}" for key, value in others.items()))
            panel.grid(alpha=0.3)
        panels[0].set_ylabel("ms per replica and epoch")
        figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description="How the engine's cost grows with replicas, width and blocks.")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, help="JSON, written anew after every shape")
    parser.add_argument("--figure", type=Path, help="SVG")
    parser.add_argument("--epochs", type=int, default=2, help="timed after one that warms up")
    parser.add_argument("--compile", default="auto", help="as for harness run")
    parser.add_argument("--read", type=Path, help="draw and print what --out wrote, measure nothing")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(options.read.read_text()) if options.read else []
    if not options.read:
        for name, values in VARIED.items():
            for value in values:
                if STANDARD | {name: value} in [{key: row[key] for key in STANDARD} for row in rows]:
                    continue
                say(f"{name} {value}")
                rows.append(measure({name: value}, options))
                if options.out:
                    options.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))
    if options.figure:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
