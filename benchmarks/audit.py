"""Time an audit of a large trail.

    python benchmarks/audit.py [EVENTS]

The trail is a chain of events as harness writes them, with a run folder for every judged run; training is left out.
Both wall-clock and processor time are printed: other programs prolong the former, and the latter less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rfc8785
from judge import ENVIRONMENT

from harness.ledger import Event, Ledger, name_run
from harness.ledger.bodies import BODIES
from harness.ledger.registration import derive_seeds
from harness.pipeline.audit import audit_trail

PER_HYPOTHESIS = 4  # registered, run_started, run_finished, verdict
REPOSITORY = Path(__file__).parents[1] / "verdicts"
VARIED, LEVELS = ("lr", "weight_decay", "branch_std", "strength", "eps", "width"), 37


class Chain(Ledger):
    """A ledger that appends without reading its trail or waiting for the disk, as when a clone is copied."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.folder.mkdir(parents=True)
        self.head: tuple[str, ...] = ()

    def append(self, type: str, body: Any, actor: str | None = None) -> Event:  # noqa: A002
        time = "2026-01-01T00:00:00Z"
        content = BODIES[type].model_validate(body).model_dump(mode="json")
        event = Event(type=type, parents=self.head, claimed_time=time, actor=actor or "A", body=content)
        self._path(event.digest).write_bytes(event.to_bytes())
        self.head = (event.digest,)
        return event


def build(root: Path, events: int, make: Callable[..., dict[str, bytes]] | None = None) -> None:
    """Append hypotheses of four events each, modelled on the repository's own protocols; ``make``: a run's files."""
    make = run_files if make is None else make
    model = Ledger(REPOSITORY).events()
    registered = next(event for event in model if event.type == "registered").body
    started = next(event for event in model if event.type == "run_started").body
    ledger, own = Chain(root), Ledger(REPOSITORY)
    form = json.loads(own.read_object(registered["canonical"]))
    for kept in (registered["claims"], *registered["pins"]["templates"].values()):
        ledger.store_object(own.read_object(kept))
    for number in range(events // PER_HYPOTHESIS):
        name = f"hypothesis-{number}"
        own_form = varied(form, number) | {"id": name}
        body = registered | {
            "hypothesis": name,
            "raw": ledger.store_object(json.dumps(own_form, indent=1).encode()),  # which is YAML, and means the same
            "canonical": ledger.store_object(rfc8785.dumps(own_form)),
        }
        registration = ledger.append("registered", body).digest
        seeds = derive_seeds(registration, body["seeds"])
        kept = {key: body[key] for key in ("raw", "canonical", "pins", "data")}
        new = {"hypothesis": name, "registration": registration, "seeds": seeds, "deviations": []}
        run = ledger.append("run_started", started | kept | new)
        files = make(name, registration, name_run(run.digest), seeds, list(form["arms"]))
        for file, data in files.items():
            path = root / name / name_run(run.digest) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        ledger.append("run_finished", {"run": run.digest, "results": digests["results.json"]})
        ledger.append("verdict", {"run": run.digest, "outcome": "partial", "files": digests})


def varied(value: Any, number: int) -> Any:
    """Vary the settings of a form, so that it stays valid and no two hypotheses of 1,369 are near-copies.

    Each takes one of 37 values, a seventh apart. Those of two hypotheses agree in one setting at most.
    """
    if isinstance(value, list):
        return [varied(child, number) for child in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, child in value.items():
        if key in VARIED and isinstance(child, int | float):
            level = (number + VARIED.index(key) * (number // LEVELS)) % LEVELS
            found[key] = round(child * 1.15**level) if isinstance(child, int) else child * 1.15**-level
        else:
            found[key] = varied(child, number)
    return found


def run_files(name: str, registration: str, run: str, seeds: tuple[int, ...], arms: list[str]) -> dict[str, bytes]:
    """Return results.json and env.json in the right form, and a page and figures of the usual size."""
    (folder, *_) = sorted(REPOSITORY.glob("bp-penalty-control/*"))
    page = json.loads((folder / "env.json").read_bytes())
    attempt = {
        "run": run,
        "status": "finished",
        "started": "2026-01-01T00:00:00Z",
        "outcome": "partial",
        "reason": None,
    }
    moment = "2026-01-01T00:00:00Z"
    page |= {"run": run, "attempts": [attempt], "deviations": [], "weights": {}, "started": moment, "finished": moment}
    curve = {"epochs": [10, 20], "values": {"value": [[0.4], [0.5]]}}
    results = {
        "hypothesis": name,
        "registration": registration,
        "seeds": list(seeds),
        "epochs": dict.fromkeys(arms, 20),
        "data": {},
        "replicas": [
            {
                "arm": arm,
                "seed_index": index,
                "seed": seed,
                "status": "finished",
                "weights_sha256": "0" * 64,
                "metrics": {"test_accuracy": curve},
            }
            for arm in arms
            for index, seed in enumerate(seeds)
        ],
    }
    return {
        "env.json": json.dumps(page).encode(),
        "results.json": json.dumps(results).encode(),
        "verdict.json": (folder / "verdict.json").read_bytes(),
        "verdict.md": (folder / "verdict.md").read_bytes(),
        "figures/margin.svg": (folder / "figures" / "margin.svg").read_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", nargs="?", type=int, default=5000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "verdicts"
        begun = time.monotonic()
        build(root, events)
        print(f"written in {time.monotonic() - begun:.1f} s")
        command = [sys.executable, "-m", "harness.cli", "audit", "--verdicts", str(root)]
        for _ in range(6):
            begun = time.monotonic()
            subprocess.run(
                command, env=ENVIRONMENT, cwd=REPOSITORY.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            print(f"`harness audit`, from the shell to its end: {time.monotonic() - begun:.2f} s")
        for _ in range(3):
            begun, used = time.monotonic(), time.process_time()
            report = audit_trail(root, Path("none"))
            seconds, cpu = time.monotonic() - begun, time.process_time() - used
            files = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
            print(
                f"{report.events} events, {len(files):,} files, {sum(files) / 2**20:.0f} MiB: {seconds:.2f} s, ", end=""
            )
            print(f"{cpu:.2f} s of them on the processor")
            against = {finding.code for finding in report.findings if finding.severity not in ("note", "unchecked")}
            assert against == {"no-history"}, against
        ledger = Ledger(root)
        ledger.heads()
        begun, used = time.monotonic(), time.process_time()
        for _ in range(50):
            ledger.append("pilot", {"hypothesis": "hypothesis-0", "settings": {}}, actor="A")
        each, cpu = (time.monotonic() - begun) / 50, (time.process_time() - used) / 50
        print(f"one more event, durably: {1000 * each:.0f} ms, {1000 * cpu:.0f} ms of them on the processor")


if __name__ == "__main__":
    main()
