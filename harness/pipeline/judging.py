"""From measurements to a verdict's files, the first time and again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import claims, inference, ledger, verdict
from harness.ledger import Ledger
from harness.pipeline.project import refuse_altered, registered_for, run_folder, stored
from harness.records import (
    Consequences,
    Decision,
    Measurements,
    Provenance,
    Registered,
)
from harness.storage import write_atomic

ROUNDING = 1e-9  # relative difference of statistics that two machines may have


def judge(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    templates: Path | None = None,
) -> dict[str, bytes]:
    """The verdict's files: a pure function of what was registered, measured, and noted about the run.

    ``templates`` is the folder of another version's templates, for a verdict that was written with them.
    """
    consequences: dict[str, Consequences] = {
        outcome: claims.consequences(registered.claims, implication)
        for outcome, implication in registered.hypothesis.implications.items()
    }
    return verdict.render(registered, measurements, decision, provenance, consequences, templates)


@dataclass(frozen=True)
class Recomputed:
    """A verdict computed again from what is stored."""

    folder: Path
    outcome: str
    differing: tuple[str, ...]
    """Files that came out otherwise than stored."""
    rounded: tuple[str, ...]
    """Files with the same content whose numbers differ in their last digits: another machine adds in another order."""
    redrawn: tuple[str, ...]
    """Figures with other bytes: another version of matplotlib draws the same numbers otherwise."""


def reverdict(run: str, verdicts: Path) -> Recomputed:
    """Judge a stored run again from its registration, results.json and env.json: no torch, no data, no training.

    The verdict is a pure function of these and of the run's template, so its text must come out to the same bytes, and
    its numbers too but for a last digit on another machine.

    Raises:
        UsageError: nothing of that name was judged, or a file is missing.
        Tampered: the registered files are not those that the ledger names.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, run)
    folder = run_folder(trail, started)
    refuse_altered(folder, ledger.recorded_files(trail, started.digest))
    measurements = Measurements.model_validate_json(stored(folder / "results.json"))
    provenance = Provenance.model_validate_json(stored(folder / "env.json"))
    registered = registered_for(trail, started)
    decision = inference.decide(registered.hypothesis, measurements)
    with TemporaryDirectory() as templates:
        for name, digest in started.body["pins"]["templates"].items():
            write_atomic(Path(templates) / name, trail.read_object(digest))
        files = judge(registered, measurements, decision, provenance, Path(templates))
    differing, rounded, redrawn = [], [], []
    for file, data in sorted(files.items()):
        before = stored(folder / file)
        if before != data:
            if file.endswith(".svg"):
                redrawn.append(file)
            elif file.endswith(".json") and close(json.loads(before), json.loads(data)):
                rounded.append(file)
            else:
                differing.append(file)
    return Recomputed(folder, decision.outcome, tuple(differing), tuple(rounded), tuple(redrawn))


def close(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same up to 1e-9 of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)
    return type(one) is type(other) and bool(one == other)
