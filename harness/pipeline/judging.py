"""From measurements to a verdict's files, the first time and again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import claims, inference, ledger, spec, verdict
from harness.errors import UsageError
from harness.ledger import Ledger
from harness.pipeline.project import refuse_altered, run_folder, stored
from harness.records import (
    Consequences,
    Decision,
    Hypothesis,
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
    *,
    version: int = verdict.VERSION,
) -> dict[str, bytes]:
    """The verdict's files: a pure function of what was registered, measured, and noted about the run.

    ``templates`` is the folder of another version's templates, for a verdict that was written with them; ``version``
    is that of ``verdict.render``.
    """
    consequences: dict[str, Consequences] = {
        outcome: claims.consequences(registered.claims, implication)
        for outcome, implication in registered.hypothesis.implications.items()
    }
    return verdict.render(registered, measurements, decision, provenance, consequences, templates, version=version)


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
    registration = ledger.find_registration(trail, measurements.hypothesis)
    if registration is None:
        raise UsageError("its hypothesis is not registered in this trail", where=str(folder))
    raw, claims_raw = trail.read_object(started.body["raw"]), trail.read_object(registration.claims)
    loaded = spec.parse(raw, claims_raw, measurements.hypothesis)
    hypothesis = loaded.hypothesis
    registered = Registered(
        hypothesis=hypothesis,
        claims=loaded.claims,
        registration=registration.digest,
        seeds=registration.seeds,
    )
    decision = inference.decide(hypothesis, measurements)
    differing = other_looks(ledger.looks(trail, started.digest), hypothesis, measurements, decision)
    with TemporaryDirectory() as templates:
        for name, digest in started.body["pins"]["templates"].items():
            write_atomic(Path(templates) / name, trail.read_object(digest))
        version = json.loads(stored(folder / "verdict.json"))["v"]
        files = judge(registered, measurements, decision, provenance, Path(templates), version=version)
    rounded, redrawn = [], []
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


def other_looks(
    recorded: Sequence[ledger.LookBody], hypothesis: Hypothesis, measurements: Measurements, decision: Decision
) -> list[str]:
    """Looks that the ledger tells otherwise than they follow from the results: ``ledger: the look at 5 seeds``."""
    entered = {look.seeds: look for look in recorded}
    wrong = [seeds for seeds in entered if seeds not in {look.seeds for look in decision.looks}]
    for look in decision.looks:
        before = entered.get(look.seeds)
        last = look.outcome != "inconclusive" or look.seeds == hypothesis.looks[-1]
        results = hashlib.sha256(measurements.first(look.seeds).to_json().encode()).hexdigest()
        if (
            before is None
            or (before.outcome, before.results) != (look.outcome if last else None, results)
            or not close(before.p, look.p)
        ):
            wrong.append(look.seeds)
    return [f"ledger: the look at {seeds} seeds" for seeds in sorted(wrong)]


def close(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same up to 1e-9 of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)
    return type(one) is type(other) and bool(one == other)
