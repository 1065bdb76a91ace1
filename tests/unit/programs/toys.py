"""Programs to run in tests: small ones, of which most misbehave in one way."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from harness import plan
from harness.domain.trained import Result
from harness.programs import Work, run_replicas
from harness.records import Hypothesis, Plan
from harness.spec import load

BASE = """\
schema_version: 1
id: toy
title: One setting is worse than the other
question: Is it?
prediction: {outcome: worse, why: It was.}
prior_data_seen: {level: none}
program: {command: [], lock: none, timeout: 1 min}
metrics: {test_accuracy: {bounds: [0, 1], unit: fraction}}
results: {form: json, file: metrics.json}
arms:
  strong: {label: Strong, parameters: {alpha: 0.5}}
  weak: {label: Weak, parameters: {alpha: 0.25}}
seeds: {count: 3}
estimands:
  margin: {metric: test_accuracy, contrast: strong - weak, unit: pp}
decisions:
  margin:
    estimand: margin
    criterion: {name: t, alpha: 0.1}
    bands: {worse: "(-inf, -1)", similar: "[-1, 1]", better: "(1, inf)"}
implications:
  worse: {says: It harms.}
  similar: {says: It changes little.}
  better: {says: It helps.}
  inconclusive: {says: Nothing is known.}
  invalid: {says: Nothing can be said.}
"""
GOOD = """\
import json, os, random, sys
alpha, seed = float(sys.argv[1]), int(os.environ["HARNESS_SEED"])
accuracy = 0.9 - 0.2 * alpha + 0.02 * random.Random(seed).random() + 0.001 * random.Random(seed + 1).random() * alpha
with open(os.path.join(os.environ["HARNESS_OUT"], "metrics.json"), "w") as file:
    json.dump({"metrics": {"test_accuracy": accuracy}}, file)
"""
SEEDS = (11, 12, 13)


def write_hypothesis(folder: Path, **changes: object) -> Path:
    """Write the toy's hypothesis, with keys changed, and return its path."""
    told = yaml.safe_load(BASE) | changes
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    return path


def make(folder: Path, script: str = GOOD, of_arms: int = 2, of_seeds: int = 3, **changes: object) -> Toy:
    """Return a toy whose replicas run a Python script, or a command in ``program``."""
    program = {"command": [sys.executable, "toy.py", "{alpha}"], "lock": "none", "timeout": "1 min"}
    program |= changes.pop("program", {})  # type: ignore[arg-type, call-overload]
    folder.mkdir(parents=True, exist_ok=True)
    return Toy(
        folder, load(write_hypothesis(folder, program=program, **changes)).hypothesis, script, (of_arms, of_seeds)
    )


class Toy:
    """A hypothesis with its program, and a folder to run it in."""

    def __init__(self, folder: Path, hypothesis: Hypothesis, script: str, part: tuple[int, int]) -> None:
        self.folder, self.hypothesis = folder / "run", hypothesis
        assert hypothesis.program is not None
        assert hypothesis.results is not None
        self.work = Work(
            program=hypothesis.program,
            results=hypothesis.results,
            frozen={"toy.py": (0o100644, script.encode()), "run.sh": (0o100755, script.encode())},
            inputs={},
            root=folder,
            environment=dict(os.environ),
            parallel=2,
        )
        whole, names = plan.expand_replicas(hypothesis, SEEDS[: part[1]]), list(hypothesis.arms)[: part[0]]
        cohorts = tuple(cohort for cohort in whole.cohorts if cohort.replicas[0].arm in names)
        self.plan: Plan = whole.model_copy(update={"cohorts": cohorts})

    def run(self, **options: object) -> Result:
        """Run all replicas, or what is left of them."""
        return run_replicas(self.plan, self.work, self.folder, **options)  # type: ignore[arg-type]

    def run_other(self, script: str) -> Result:
        """Run with another script from here on."""
        self.work = replace(self.work, frozen={"toy.py": (0o100644, script.encode())})
        return self.run()
