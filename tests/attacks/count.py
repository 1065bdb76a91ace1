"""Try all attacks in full and print how many were found: python -m tests.attacks.count [--every N] [--histories N]

Some 200,000 of them take a quarter of an hour on one core; --every 10 flips every tenth byte only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from harness.pipeline.audit import AuditRequest, audit_trail
from tests.attacks import good
from tests.attacks.corpus import CORPUS
from tests.attacks.draws import make_beacon
from tests.attacks.histories import TRIED, Histories
from tests.attacks.sweeps import bytes_flipped, events_deleted, events_spliced_out, leaves_amended, leaves_changed
from tests.attacks.trails import Trail, audited, sorts


def corpus(trail: Trail) -> Iterable[tuple[str, bool]]:
    """The attacks of the corpus, on the disk where they need it."""
    for attack in CORPUS.values():
        spoiled = trail.copy()
        attack.spoil(spoiled)
        if not attack.recompute:
            yield attack.name, attack.finds in sorts(audited(spoiled))
            continue
        with tempfile.TemporaryDirectory() as folder:
            spoiled.write(Path(folder) / "verdicts")
            asked = AuditRequest(recompute=True)
            report = audit_trail(Path(folder) / "verdicts", Path("none"), asked)
        yield attack.name, attack.finds in sorts(report)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--every", type=int, default=1)
    options.add_argument("--histories", type=int, default=100)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        good.build(Path(folder) / "good")
        trail = Trail.read(Path(folder) / "good" / "verdicts")
    sweeps = {
        "corpus": corpus(trail),
        "events and pairs of events deleted": events_deleted(trail),
        "events and pairs spliced out": events_spliced_out(trail),
        "leaves of the first form changed": leaves_changed(trail, "first"),
        "leaves of the second form changed": leaves_changed(trail, "second"),
        "leaves changed by a comment": leaves_amended(trail),
        "bytes flipped": bytes_flipped(trail, chosen.every),
    }
    tried = found = 0
    for name, sweep in sweeps.items():
        begun = time.monotonic()
        results = list(sweep)
        missed = [what for what, hit in results if not hit]
        print(f"{name}: {len(results)} tried, {len(results) - len(missed)} found", end="")
        print(f" ({time.monotonic() - begun:.0f} s)", *(f"\n    missed: {what}" for what in missed[:20]), flush=True)
        tried, found = tried + len(results), found + len(results) - len(missed)
    Histories.good = trail
    plan = settings(
        max_examples=chosen.histories, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with tempfile.TemporaryDirectory() as folder:
        Histories.key, Histories.beacon = make_beacon(Path(folder))
        run_state_machine_as_test(Histories, settings=plan)  # raises where one is missed
    print(f"random histories: {sum(TRIED.values())} attacks tried, all found: {dict(TRIED)}")
    tried, found = tried + sum(TRIED.values()), found + sum(TRIED.values())
    print(f"{tried} attacks tried, {found} found")
    return 0 if tried == found else 1


if __name__ == "__main__":
    sys.exit(main())
