"""Price of grinding: how many private registrations, and seconds, a wished-for verdict on a null effect takes.

    python benchmarks/grind.py --tries 100

An author registers and runs in folders that nobody sees, and shows the one that pleased. The question is whether an
accuracy lies above a number that is its true mean, measured over many seeds first: "better" comes by chance, out of 1
in 20 registrations.

First without a beacon: only a comment is varied. Then with a recorded round of drand, for which registrations are dated
back: comments, which draw the same seeds every time; then real variants (the last digits of a weight decay), which draw
others. What audits say of the one that is shown is printed with each.

Last, one registration and one draw, trained with other vector instructions of the same processor: what whoever trains
may still choose after the round.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness.ledger import Ledger, find_in_force
from harness.ledger.event import Event
from harness.pipeline.audit import audit_trail
from harness.pipeline.draw import draw_seeds
from harness.pipeline.project import Settings
from harness.pipeline.register import register_hypothesis
from harness.pipeline.run import run_hypothesis
from harness.pipeline.session import Session

REPOSITORY = Path(__file__).parents[1]
ROUND = json.loads((REPOSITORY / "tests/corpus/beacons/drand.json").read_text())["rounds"]["quicknet-657413"]["answer"]
BEFORE = datetime.fromtimestamp(1692803367 + 3 * (ROUND["round"] - 1), UTC) - timedelta(seconds=61)
MANY = 600
FILE = """\
schema_version: 1
id: grind
title: The accuracy lies above the cut
question: Does it?
prediction: {outcome: better, why: It pleases.}
prior_data_seen: {level: none}
setup:
  dataset: {name: digits}
  model: {name: residual_mlp, width: 8, blocks: 1}
  optimizer: {name: adamw, lr: 1.0e-2, weight_decay: DECAY}
  epochs: 1
  batch_size: 128
  evaluation: {probe_samples: 64, every_epochs: 1}
arms:
  bp: {label: BP, rule: {name: bp}}
seeds: {count: COUNTBEACON}
estimands:
  accuracy: {metric: test_accuracy, arm: bp}
decisions:
  accuracy: {estimand: accuracy, criterion: {name: t}, bands: {worse: "(-inf, CUT]", better: "(CUT, inf)"}}
implications:
  better: {says: It helps.}
  worse: {says: It hurts.}
  inconclusive: {says: Nothing moves.}
  invalid: {says: Nothing can be said.}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train is not None:
        print(train_longer(given.train))
        return
    tries = given.tries
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cut = measure(root / "mean")

        def write(number: int, *, words: bool, beacon: str = "") -> str:
            decay = 0.01 if words else 0.01 + 1e-8 * (number + 1)
            told = {"DECAY": f"{decay:.8f}", "COUNT": "10", "BEACON": beacon, "CUT": f"{cut:.6f}"}
            return f"{fill(told)}# {number if words else ''}\n"

        drand = ", beacon: {name: drand}"
        grind("no beacon, comments", root / "a", tries, lambda number: write(number, words=True))
        grind("drand, comments", root / "b", tries, lambda number: write(number, words=True, beacon=drand))
        real = root / "c"
        grind("drand, real variants, dated back", real, tries, lambda number: write(number, words=False, beacon=drand))
        for instructions in ("default", "avx2", "avx512"):
            command = [sys.executable, __file__, "--train", str(root / instructions)]
            environment = os.environ | {"ATEN_CPU_CAPABILITY": instructions}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            print(f"the same 10 seeds with instructions {instructions}: mean accuracy {done.stdout.splitlines()[-1]}")


def fill(told: dict[str, str]) -> str:
    text = FILE
    for name, value in told.items():
        text = text.replace(name, value)
    return text


def measure(folder: Path) -> float:
    """Return the mean accuracy over many seeds."""
    told = {"DECAY": "0.01", "COUNT": str(MANY), "BEACON": "", "CUT": "0.5"}
    (folder / "hypotheses").mkdir(parents=True)
    (folder / "hypotheses" / "claims.yaml").write_text("claims: {}\n")
    file = folder / "hypotheses" / "grind.yaml"
    file.write_text(fill(told))
    done = run_hypothesis(file, Session.open(file, Settings(device="cpu", verdicts=folder / "verdicts")))
    mean = done.decision.decisions[0].estimand.mean
    assert mean is not None
    print(f"the mean over {MANY} seeds: {mean:.4f}", flush=True)
    return mean


def train_longer(folder: Path) -> str:
    """Return the mean accuracy over ten fixed seeds of 20 epochs in small batches, in which rounding errors grow."""
    (folder / "hypotheses").mkdir(parents=True)
    (folder / "hypotheses" / "claims.yaml").write_text("claims: {}\n")
    file = folder / "hypotheses" / "grind.yaml"
    text = fill({"DECAY": "0.01", "BEACON": "", "CUT": "0.5"}).replace("{count: COUNT}", f"{{list: {[*range(10)]}}}")
    longer = {"width: 8, blocks: 1": "width: 32, blocks: 4", "lr: 1.0e-2": "lr: 1.0e-2, schedule: constant"}
    longer |= {"epochs: 1\n  batch_size: 128": "epochs: 20\n  batch_size: 32"}
    for old, new in longer.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    done = run_hypothesis(file, Session.open(file, Settings(device="cpu", verdicts=folder / "verdicts")))
    return f"{done.decision.decisions[0].estimand.mean:.4f}"


def grind(what: str, root: Path, tries: int, write: Callable[[int], str]) -> None:
    """Register and run until it pleases; print the tries, the different draws of seeds and the time."""
    begun, draws = time.monotonic(), set()
    for number in range(tries):
        folder = root / str(number)
        (folder / "hypotheses").mkdir(parents=True)
        (folder / "hypotheses" / "claims.yaml").write_text("claims: {}\n")
        file = folder / "hypotheses" / "grind.yaml"
        file.write_text(write(number))
        session = Session.open(file, Settings(device="cpu", verdicts=folder / "verdicts"))
        if "beacon" in write(number):
            register_before(file, session)
        done = run_hypothesis(file, session)
        registered = find_in_force(Ledger(folder / "verdicts"), "grind")
        draws.add(registered.seeds if registered is not None else ())
        if done.decision.outcome == "better":
            break
    seconds = time.monotonic() - begun
    end = "better" if done.decision.outcome == "better" else "in vain"
    print(f"{what}: {end} after {number + 1} tries, {len(draws)} draws of seeds, {seconds:.0f} s", flush=True)
    report = audit_trail(folder / "verdicts", folder / "hypotheses")
    said = [finding.what for finding in report.findings if finding.code in ("choosable", "authors-word")]
    print(f"    the audit of the one that is shown: {'; '.join(said)}", flush=True)


def register_before(file: Path, session: Session) -> None:
    """Register as if it had been before the recorded round, and draw the seeds from it."""
    event = register_hypothesis(file, session).event
    told = event.model_dump(mode="json") | {"claimed_time": f"{BEFORE:%Y-%m-%dT%H:%M:%SZ}"}
    data = Event.model_validate(told).to_bytes()
    (session.trail.folder / f"{event.digest}.json").unlink()
    (session.trail.folder / f"{hashlib.sha256(data).hexdigest()}.json").write_bytes(data)
    answer = file.with_name("answer")
    answer.write_text(json.dumps(ROUND))
    draw_seeds(file, Session.open(file, Settings(device="cpu", verdicts=session.trail.root, round_file=answer)))


if __name__ == "__main__":
    main()
