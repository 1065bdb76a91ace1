"""A good trail by real runs on digits: two hypotheses, an amendment, a pilot, a walk-back, an abort, a rerun."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

FILE = """\
schema_version: 1
id: {id}
title: {title}
question: Does it?
prediction: {{outcome: better, why: It trains more.}}
prior_data_seen: {{level: none}}
setup:
  dataset: {{name: digits}}
  model: {{name: residual_mlp, width: {width}, blocks: 1}}
  optimizer: {{name: adamw, lr: {lr}}}
  epochs: {epochs}
  batch_size: {batch}
  evaluation: {{probe_samples: {batch}, every_epochs: {epochs}, metrics: [train_loss]}}
  save: [weights]
arms:
  bp: {{label: BP, rule: {{name: bp}}}}
  frozen: {{label: Frozen, rule: {{name: bp}}, freeze: [blocks]}}
seeds: {{count: 3}}
estimands:
  margin: {{metric: train_loss, contrast: bp - frozen}}
decisions:
  margin:
    estimand: margin
    criterion: {{name: t}}
    bands: {{worse: "(-inf, {cut}]", better: "({cut}, inf)"}}
implications:
  better: {{says: It helps., {moves}}}
  worse: {{says: It hurts., walks_back: [it-helps]}}
  inconclusive: {{says: Nothing moves.}}
  invalid: {{says: Nothing can be said.}}
"""
CLAIMS = "claims:\n  it-helps: {statement: Training the block helps.}\n"


def write_files(root: Path) -> None:
    """The hypothesis files. Their outcomes are certain: cuts are far off, and no two losses are ever equal."""
    (root / "hypotheses").mkdir(parents=True)
    (root / "hypotheses" / "claims.yaml").write_text(CLAIMS)
    moves = "supports: [it-helps]"
    first = FILE.format(id="first", title="First", lr="3.0e-3", width=4, epochs=2, batch=256, cut="-90", moves=moves)
    second = FILE.format(id="second", title="Second", lr="1.0e-2", width=5, epochs=3, batch=128, cut="90", moves=moves)
    (root / "hypotheses" / "first.yaml").write_text(first)
    (root / "hypotheses" / "second.yaml").write_text(second)


def build(root: Path) -> None:
    """Make the project and its trail in an empty folder."""
    from harness import pipeline
    from harness.errors import Interrupted
    from harness.ledger import Ledger

    write_files(root)
    settings = pipeline.Settings(device="cpu", verdicts=root / "verdicts", data=root / "data")
    quiet = pipeline.Reporter()
    first, second = root / "hypotheses" / "first.yaml", root / "hypotheses" / "second.yaml"
    pipeline.pilot(first, settings, quiet, seeds=2, epochs=1)
    pipeline.register(first, settings, quiet)
    first.write_text(first.read_text().replace("-90", "-80"))
    pipeline.amend(first, settings, quiet, "The pilot showed that 80 is far enough.")
    pipeline.run(first, settings, quiet)
    with contextlib.suppress(Interrupted):
        pipeline.run(first, settings, pipeline.Reporter(stop=lambda: True))
    (left_open,) = [a.run for a in _attempts(Ledger(root / "verdicts"), "first") if a.status == "open"]
    pipeline.close(left_open, root / "verdicts", "It was started by mistake.")
    pipeline.run(second, settings, quiet)
    pipeline.replicate("second", root / "verdicts", settings, quiet)


def _attempts(trail: object, hypothesis: str) -> tuple:
    from harness import ledger

    return ledger.attempts(trail, hypothesis)  # type: ignore[arg-type]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    build(Path(sys.argv[1]))
