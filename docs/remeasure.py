"""Measure kept weights again and compare with what the run recorded: ``python -m docs.remeasure DATA WEIGHTS``.

DATA is the data folder, WEIGHTS the run's own weights folder, with the files <arm>/<seed index>.safetensors in it. Two
measurements are made: the engine's, and that of the independent loop in tests/oracles (same probe batch, other code).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from harness import plan, spec
from harness.training import open_device
from harness.training.evaluate import evaluate
from harness.training.program import build_program
from harness.training.results import select_metrics
from tests.oracles import reference_loop

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "verdicts/mode2-direction/76d31344c971"

LOOP_NAMES = {"credit_cosine": "cosine", "gradient_norm": "g_norm", "credit_norm": "a_norm", "hidden_norm": "h_norm"}


def apart(new: np.ndarray, recorded: list[float]) -> float:
    """Return the largest relative difference."""
    return float(np.max(np.abs(new / np.array(recorded) - 1.0)))


def main(data: Path, weights: Path) -> None:
    """Print, per replica, whether the digests are the recorded ones and the largest relative differences."""
    results = json.loads((FOLDER / "results.json").read_text())
    kept = json.loads((FOLDER / "env.json").read_text())["weights"]
    recorded = {(entry["arm"], entry["seed_index"]): entry for entry in results["replicas"]}
    hypothesis = spec.load(ROOT / "hypotheses/mode2_direction.yaml").hypothesis
    dataset = next(iter(hypothesis.arms.values())).setup.dataset
    images = dataset.load(data, print)
    print("same data:", images.fingerprint == results["data"][dataset.name]["fingerprint"])
    for cohort in plan.expand(hypothesis, tuple(results["seeds"])).cohorts:
        there = tuple(r for r in cohort.replicas if (weights / f"{r.arm}/{r.seed_index}.safetensors").exists())
        if not there:
            continue
        arms = {r.arm: cohort.arms[r.arm] for r in there}
        program = build_program(cohort.model_copy(update={"arms": arms, "replicas": there}), images, open_device("cpu"))
        for i, replica in enumerate(there):
            name = f"{replica.arm}/{replica.seed_index}.safetensors"
            tensors = load_file(weights / name)
            with torch.no_grad():
                for key, target in program.state.params.items():
                    target[i] = tensors[f"weights/{key}"]
                group = program.state.group_of_replica(i)
                for key, target in group.feedback.items():
                    target[i - group.replicas.start] = tensors[f"feedback/{key}"]
            same = hashlib.sha256((weights / name).read_bytes()).hexdigest() == kept[name]
            print(f"{name}: digest as recorded: {same}")
        metrics = [metric for metric in select_metrics(cohort.setup) if metric.name != "train_loss"]
        measured = evaluate(program, metrics)
        x, y = (tensor[0].numpy() for tensor in program.probe)
        for i, replica in enumerate(there):
            series = recorded[replica.arm, replica.seed_index]["metrics"]
            values = {name: tensor[i].detach().numpy() for name, tensor in program.state.params.items()}
            # BP has no feedback; the loop then gets zeros, whose cosines are not looked at.
            state = program.state
            group = state.group_of_replica(i)
            own = i - group.replicas.start
            feedback = [tensor[own].numpy() for _, tensor in sorted(group.feedback.items())]
            feedback = feedback or [np.zeros((state.dataset.classes, state.model.width))] * state.model.depth
            loop = reference_loop.direction(values, feedback, x, y)
            for metric, summaries in measured.items():
                if metric not in series:
                    continue
                last = {summary: series[metric]["values"][summary][-1] for summary in summaries}
                engine = max(apart(summaries[summary][i], last[summary]) for summary in summaries)
                line = f"{replica.arm} {replica.seed_index}, {metric}: engine {engine:.1e}"
                if metric in LOOP_NAMES:
                    samples = loop[LOOP_NAMES[metric]]
                    others = {"mean": samples.mean(1), "std": samples.std(1, ddof=1), "median": np.median(samples, 1)}
                    line += f", independent loop {max(apart(others[s], last[s]) for s in others):.1e}"
                print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
