"""Time of a set of hypotheses on digits: each by itself, and with shared cohorts (harness run --together).

    python benchmarks/together.py --files 4 --seeds 5

The files compare BP with DFA at learning rates of their own, so that all arms fit one program. They are registered once
in a temporary project, of which every run has a copy: both ways train the same seeds. Nothing of it is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
HYPOTHESIS = """\
schema_version: 1
id: rate-{number}
title: BP beats DFA at rate {number}
question: Does it?
prediction: {{outcome: better, why: It descends the gradient.}}
prior_data_seen: {{level: none}}
setup:
  dataset: {{name: digits}}
  model: {{name: residual_mlp, width: 64, blocks: 4}}
  optimizer: {{name: adamw, lr: {rate}}}
  epochs: {epochs}
  batch_size: 128
  evaluation: {{probe_samples: 64}}
arms:
  bp: {{label: BP, rule: {{name: bp}}}}
  dfa: {{label: DFA, rule: {{name: dfa}}}}
seeds: {{count: {seeds}}}
estimands:
  margin: {{metric: test_accuracy, contrast: bp - dfa, unit: pp}}
decisions:
  margin:
    estimand: margin
    criterion: {{name: t}}
    bands: {{worse: "(-inf, 0]", better: "(0, inf)"}}
implications:
  better: {{says: BP is better.}}
  worse: {{says: BP is not better.}}
  inconclusive: {{says: Nothing can be said.}}
  invalid: {{says: Nothing can be said.}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        first = Path(name) / "registered"
        write_project(first, options)
        command("plan", "hypotheses", "--device", options.device, folder=first, show=True)
        found: dict[str, list[tuple[float, float]]] = {"separate": [], "together": []}
        values: dict[str, list[float]] = {}
        for repeat in range(options.repeats):
            for way in found:  # turn by turn, because a machine's speed moves
                folder = Path(name) / f"{way}-{repeat}"
                shutil.copytree(first, folder)
                shared = ["--together"] if way == "together" else []
                begun = time.perf_counter()
                command("run", *shared, "hypotheses", "--device", options.device, folder=folder)
                seconds = time.perf_counter() - begun
                found[way].append((seconds, sum_training(folder)))
                values[way] = list_values(folder)
    for way, times in found.items():
        whole, training = (statistics.median(column) for column in zip(*times, strict=True))
        listed = ", ".join(f"{one:.1f} ({part:.2f})" for one, part in times)
        print(
            f"{way}: {whole:.1f} s from the shell to the last verdict, {training:.2f} s of it training; all: {listed}"
        )
    ratio = statistics.median(t for _, t in found["separate"]) / statistics.median(t for _, t in found["together"])
    print(f"training: {ratio:.2f} times as long apart as together")
    apart = np.abs(np.array(values["separate"]) - np.array(values["together"])).max()
    print(f"largest difference of a final accuracy: {apart:.3g}")


def write_project(folder: Path, options: argparse.Namespace) -> None:
    """Write and register the hypotheses."""
    (folder / "hypotheses").mkdir(parents=True)
    (folder / "verdicts").mkdir()
    (folder / "hypotheses" / "claims.yaml").write_text("claims: {}\n")
    for number in range(1, options.files + 1):
        file = folder / "hypotheses" / f"rate_{number}.yaml"
        numbers = {"number": number, "rate": f"{1e-3 * number:.4f}", "epochs": options.epochs, "seeds": options.seeds}
        file.write_text(HYPOTHESIS.format(**numbers))
        command("register", str(file), folder=folder)


def command(*arguments: str, folder: Path, show: bool = False) -> None:
    """Run harness as from a shell."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    if show:
        print(done.stdout)


def sum_training(folder: Path) -> float:
    """Return the seconds of training of all runs of a project, as their env.json have them."""
    files = folder.glob("verdicts/*/*/env.json")
    return sum(json.loads(file.read_text())["durations"]["training"] for file in files)


def list_values(folder: Path) -> list[float]:
    """Return the last test accuracy of every replica, in a fixed order."""
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("verdicts/*/*/results.json"))]
    return [
        replica["metrics"]["test_accuracy"]["values"]["value"][-1][0]
        for one in results
        for replica in sorted(one["replicas"], key=lambda replica: (replica["arm"], replica["seed_index"]))
    ]


if __name__ == "__main__":
    main()
