"""From measurements to a verdict's files, the first time and again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import claims, inference, ledger, verdict
from harness.errors import UsageError
from harness.ledger import Event, Ledger
from harness.pipeline.project import refuse_altered, registered_for, run_folder, stored, uncollected
from harness.records import (
    Consequences,
    Decision,
    Hypothesis,
    Measurements,
    Provenance,
    Registered,
)
from harness.system.storage import write_atomic
from harness.wording import exact

ROUNDING = 1e-9  # relative difference of statistics that two machines may have


def judge(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    templates: Mapping[str, bytes] | None = None,
    *,
    version: int = verdict.VERSION,
    figures: bool = True,
) -> dict[str, bytes]:
    """The verdict's files: a pure function of what was registered, measured, and noted about the run.

    ``templates`` are those of another version (name → bytes), for a verdict that was written with them;
    ``version`` and ``figures`` are those of ``verdict.Form``.
    """
    consequences: dict[str, Consequences] = {
        outcome: claims.find_consequences(registered.claims, implication)
        for outcome, implication in registered.hypothesis.implications.items()
    }
    form = verdict.Form(templates, version, figures)
    return verdict.render(registered, measurements, decision, provenance, consequences, form)


def first_judged(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    say: Callable[[str], None],
    templates: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The verdict's files and env.json, where it is written for the first time.

    A figure that cannot be drawn here withholds nothing: env.json names it, so that the page follows from what is
    stored.
    """
    drawn, failed = verdict.draw(registered.hypothesis, measurements, decision)
    for why in dict.fromkeys(error.message for error in failed.values()):
        names = ", ".join(name for name, error in failed.items() if error.message == why)
        say(f"the verdict is written without {names}: {why}")
    provenance = provenance.model_copy(update={"undrawn": tuple(failed)})
    pages = judge(registered, measurements, decision, provenance, templates, figures=False)
    return {**pages, **drawn, "env.json": provenance.to_json().encode()}


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
    drawn: bool
    """Whether the figures were drawn again."""
    added: tuple[str, ...] = ()
    """Figures that the run did without, and that are in its folder now."""


@dataclass(frozen=True)
class Stored:
    """A judged run as it is stored, its files compared with the digests in the ledger."""

    folder: Path
    registered: Registered
    measurements: Measurements
    provenance: Provenance
    templates: Mapping[str, bytes]
    """Of the run, by name."""
    looks: tuple[ledger.LookBody, ...]
    """As the ledger tells them."""


def read_run(run: str, verdicts: Path) -> Stored:
    """A judged run, by its first digits or by its hypothesis's id.

    Raises:
        UsageError: nothing of that name was judged, or a file is missing.
        Tampered: the files are not those that the ledger names.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, run)
    folder = run_folder(trail, started)
    refuse_altered(folder, ledger.recorded_files(trail, started.digest))
    measurements = Measurements.model_validate_json(stored(folder / "results.json"))
    provenance = Provenance.model_validate_json(stored(folder / "env.json"))
    registered = registered_for(trail, started)
    looks = ledger.looks(trail, started.digest)
    return Stored(folder, registered, measurements, provenance, templates_of(trail, started), looks)


def templates_of(trail: Ledger, started: Event) -> dict[str, bytes]:
    """Return the templates that an attempt was started with, by name.

    Raises:
        Tampered: one of them is missing from the ledger's objects, or was changed there.
    """
    return {name: trail.read_object(digest) for name, digest in started.body["pins"]["templates"].items()}


@uncollected()
def reverdict(run: str, verdicts: Path, *, figures: bool = False) -> Recomputed:
    """Judge a stored run again from its registration, results.json and env.json: no torch, no data, no training.

    The verdict is a pure function of these and of the run's template, so its text must come out to the same bytes, and
    its numbers too but for a last digit on another machine. Figures are drawn again only if asked for: it takes longer
    than all else, and another matplotlib draws otherwise, so that nothing rests on it. Those that could not be drawn
    when the verdict was written are put into the run's folder then; the ledger names them nowhere.

    Raises:
        UsageError, Tampered: as ``read_run``.
    """
    found = read_run(run, verdicts)
    folder, hypothesis = found.folder, found.registered.hypothesis
    version = json.loads(stored(folder / "verdict.json"))["v"]
    decision = verdict.worded(hypothesis, inference.decide(hypothesis, found.measurements), version)
    files = judge(
        found.registered,
        found.measurements,
        decision,
        found.provenance,
        found.templates,
        version=version,
        figures=figures,
    )
    differing = other_looks(found.looks, hypothesis, found.measurements, decision)
    rounded, redrawn, added = [], [], []
    for file, data in sorted(files.items()):
        if file in found.provenance.undrawn:
            write_atomic(folder / file, data)
            added.append(file)
            continue
        before = stored(folder / file)
        if before != data:
            if file.endswith(".svg"):
                redrawn.append(file)
            elif file.endswith(".json") and close(json.loads(before), json.loads(data)):
                rounded.append(file)
            else:
                differing.append(file)
    return Recomputed(folder, decision.outcome, tuple(differing), tuple(rounded), tuple(redrawn), figures, tuple(added))


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


@dataclass(frozen=True)
class Sensitivity:
    """What other criteria and levels say of a stored run's seeds; nothing of it is kept."""

    folder: Path
    registered: Registered
    alternatives: tuple[inference.Alternative, ...]


def sensitivity(run: str, verdicts: Path, criteria: Sequence[str] = (), alphas: Sequence[float] = ()) -> Sensitivity:
    """The outcome of a stored run under other criteria (all of them, if none is named) and other levels.

    Raises:
        UsageError: a criterion or a level that does not exist, or as ``read_run``.
        Tampered: as ``read_run``.
    """
    known = inference.list_criteria()
    if unknown := [name for name in criteria if name not in known]:
        remedy = f"criteria: {', '.join(known)}"
        raise UsageError(f"there is no criterion {unknown[0]!r}", where="--criterion", remedy=remedy)
    if odd := [alpha for alpha in alphas if not 0 < alpha < 0.5]:
        raise UsageError(f"{exact(odd[0])} is no level", where="--alpha", remedy="give a number above 0 and below .5")
    found = read_run(run, verdicts)
    made = inference.sensitivity(found.registered.hypothesis, found.measurements, criteria or known, alphas)
    return Sensitivity(found.folder, found.registered, made)
