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
    from dataclasses import replace

    from harness.errors import Interrupted
    from harness.ledger import Ledger
    from harness.pipeline.pilot import run_pilot
    from harness.pipeline.project import Settings
    from harness.pipeline.register import amend_registration, close_attempt, register_hypothesis
    from harness.pipeline.replicate import replicate_run
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Reporter, Session

    write_files(root)
    settings = Settings(device="cpu", verdicts=root / "verdicts", data=root / "data")
    session = Session.open(root / "hypotheses", settings)
    first, second = root / "hypotheses" / "first.yaml", root / "hypotheses" / "second.yaml"
    run_pilot(first, session, seeds=2, epochs=1)
    register_hypothesis(first, session)
    first.write_text(first.read_text().replace("-90", "-80"))
    amend_registration(first, session, "The pilot showed that 80 is far enough.")
    run_hypothesis(first, session)
    with contextlib.suppress(Interrupted):
        run_hypothesis(first, replace(session, reporter=Reporter(stop=lambda: True)))
    (left_open,) = [a.run for a in _attempts(Ledger(root / "verdicts"), "first") if a.status == "open"]
    close_attempt(left_open, session.trail, "It was started by mistake.")
    run_hypothesis(second, session)
    replicate_run("second", session)


def _attempts(trail: object, hypothesis: str) -> tuple:
    from harness import ledger

    return ledger.list_attempts(trail, hypothesis)  # type: ignore[arg-type]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    build(Path(sys.argv[1]))
