"""Families of hypotheses: what still holds of their verdicts when they are read together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import inference, ledger, spec
from harness.ledger import Ledger
from harness.pipeline.places import Settings, project_of
from harness.pipeline.project import refuse_altered, run_folder, stored
from harness.records import RESERVED_OUTCOMES


@dataclass(frozen=True)
class Verdict:
    """What was concluded, and the p of it."""

    run: str
    outcome: str
    p: float | None


@dataclass(frozen=True)
class Row:
    """A member of a family."""

    hypothesis: str
    registered: str
    verdict: Verdict | None
    """Its last one."""
    p: float
    """What Holm takes: the outcome's p; 1 where there is no verdict yet or it gives none of the file's outcomes."""
    adjusted: float
    holds: bool
    """Whether the outcome stands at the family's α."""


@dataclass(frozen=True)
class Family:
    """A family, with its members in ledger order."""

    name: str
    alpha: float
    """The smallest of its members'."""
    rows: tuple[Row, ...]
    unregistered: tuple[str, ...]
    """Hypotheses whose files declare the family; they count as soon as they are registered."""


def families(verdicts: Path, loaded: Sequence[spec.Loaded]) -> tuple[Family, ...]:
    """All families of a trail (the folder ``verdicts``), with Holm over their members' verdicts.

    Every registered member counts, judged or not, whether or not its file is still there: a family cannot be made
    smaller. ``loaded``: files that may declare a family without being registered.

    Raises:
        Tampered, UsageError: a verdict is not the one in the ledger, or cannot be read.
    """
    trail = Ledger(verdicts)
    registered = ledger.families(trail)
    declared: dict[str, list[str]] = {}
    for hypothesis in (one.hypothesis for one in loaded):
        members = registered.get(hypothesis.family or "", ())
        if hypothesis.family is not None and hypothesis.id not in {member.hypothesis for member in members}:
            declared.setdefault(hypothesis.family, []).append(hypothesis.id)
    judged = last_verdicts(trail, {member.hypothesis for members in registered.values() for member in members})
    found = []
    for name in sorted({*registered, *declared}):
        members = registered.get(name, ())
        alpha = min((member.alpha for member in members), default=0.05)
        p = [_decided(judged.get(member.hypothesis)) for member in members]
        rows = []
        for member, raw, adjusted in zip(members, p, inference.holm(p), strict=True):
            verdict = judged.get(member.hypothesis)
            holds = verdict is not None and verdict.outcome not in RESERVED_OUTCOMES and adjusted <= alpha
            rows.append(Row(member.hypothesis, member.registered, verdict, raw, adjusted, holds))
        found.append(Family(name, alpha, tuple(rows), tuple(declared.get(name, ()))))
    return tuple(found)


def families_of(paths: Sequence[Path], loaded: Sequence[spec.Loaded], settings: Settings) -> tuple[Family, ...]:
    """The families of every trail that these files and folders belong to."""
    trails: dict[Path, tuple[Path, list[spec.Loaded]]] = {}
    for path in paths:
        root = project_of(path / "any.yaml" if path.is_dir() else path, settings).verdicts
        trails.setdefault(root.resolve(), (root, []))
    for one in loaded:
        root = project_of(one.path, settings).verdicts
        trails.setdefault(root.resolve(), (root, []))[1].append(one)
    return tuple(family for root, members in trails.values() for family in families(root, members))


def _decided(verdict: Verdict | None) -> float:
    if verdict is None or verdict.p is None or verdict.outcome in RESERVED_OUTCOMES:
        return 1.0
    return verdict.p


def last_verdicts(trail: Ledger, hypotheses: set[str]) -> dict[str, Verdict]:
    """Hypothesis → its last verdict, for those that have one; read from verdict.json, which must be the ledger's."""
    found = {}
    events = trail.events()
    runs = {event.digest: event for event in events if event.type == "run_started"}
    for event in events:
        started = runs.get(event.body["run"]) if event.type == "verdict" else None
        if started is not None and started.body["hypothesis"] in hypotheses:
            found[str(started.body["hypothesis"])] = (started, event)
    verdicts = {}
    for hypothesis, (started, event) in found.items():
        folder = run_folder(trail, started)
        refuse_altered(folder, {"verdict.json": event.body["files"]["verdict.json"]})
        decision = json.loads(stored(folder / "verdict.json"))["decision"]
        verdicts[hypothesis] = Verdict(ledger.run_name(started.digest), decision["outcome"], decision["p"])
    return verdicts
