"""A project folder with a small real hypothesis, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e import commands

if TYPE_CHECKING:
    from harness.pipeline.session import Report, Reporter

REPOSITORY = Path(__file__).parents[2]
TINY = """\
schema_version: 1
id: tiny
title: BP beats frozen blocks on a few digits
question: Does it?
prediction: {outcome: better, why: It trains more.}
prior_data_seen: {level: none}
setup:
  dataset: {name: digits}
  model: {name: residual_mlp, width: 16, blocks: 2}
  optimizer: {name: adamw, lr: 3.0e-3}
  epochs: 8
  batch_size: 128
  evaluation: {probe_samples: 64, every_epochs: 2, metrics: [test_accuracy, gradient_norm, credit_cosine]}
  save: [weights]
arms:
  bp: {label: BP, rule: {name: bp}}
  dfa: {label: DFA, rule: {name: dfa}}
  shallow: {label: Frozen, rule: {name: dfa}, freeze: [blocks]}
seeds: {count: 6}
estimands:
  margin: {metric: test_accuracy, contrast: bp - shallow, unit: pp}
  reference: {metric: gradient_norm, arm: dfa, layer: 1, samples: median, seeds: median}
guards:
  healthy: {estimand: reference, above: 1.0e-9, otherwise: No reference.}
decisions:
  margin:
    estimand: margin
    criterion: {name: t}
    bands: {worse: "(-inf, 0]", better: "(0, inf)"}
implications:
  better: {says: Depth helps., supports: [depth-helps]}
  worse: {says: Depth hurts., walks_back: [depth-helps]}
  inconclusive: {says: Nothing moves.}
  invalid: {says: Nothing can be said.}
exploratory:
  direction: {metric: credit_cosine, arm: dfa, layer: 1, samples: mean}
"""
CLAIMS = "claims:\n  depth-helps: {statement: Training the blocks helps.}\n"


@dataclass
class Project:
    """A folder with hypotheses/, as a user has it."""

    root: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "harness.cli", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
        return inherited | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"} | more

    def harness(
        self, *arguments: str, timeout: float = commands.PATIENCE, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return commands.run(arguments, self.root, self.environment(**more), timeout)

    def start(self, *arguments: str, **options: Any) -> commands.Forked | subprocess.Popen[str]:
        return commands.start(arguments, self.root, self.environment(), **options)

    def start_until(self, beginning: str, *arguments: str) -> commands.Forked | subprocess.Popen[str]:
        """Start a command and wait for a line on stderr that begins so."""
        process = self.start(*arguments)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(beginning):
                return process
        raise AssertionError(f"it never said {beginning!r}")

    def edit(self, old: str, new: str, file: str = "tiny.yaml") -> None:
        path = self.root / "hypotheses" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in (self.root / "verdicts/ledger/events").glob("*.json")]
        return [event for event in found if kind is None or event["type"] == kind]

    def runs(self) -> list[Path]:
        return sorted(path.parent for path in self.root.glob("verdicts/tiny/*/results.json"))


def make_project(root: Path, tiny: str = TINY) -> Project:
    (root / "hypotheses").mkdir(parents=True)
    (root / "verdicts").mkdir()
    (root / "hypotheses" / "tiny.yaml").write_text(tiny)
    (root / "hypotheses" / "claims.yaml").write_text(CLAIMS)
    return Project(root)


def run_file(file: Path, reporter: Reporter | None = None) -> Report:
    """Run a hypothesis in this process, on the CPU."""
    from harness.pipeline.project import Settings
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Session

    return run_hypothesis(file, Session.open(file, Settings(device="cpu"), reporter))
