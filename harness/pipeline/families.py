"""Families of hypotheses: what still holds of their verdicts when they are read together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import inference, ledger, spec
from harness.ledger import Ledger
from harness.ledger.bodies import VerdictBody
from harness.pipeline.project import Projects
from harness.pipeline.run_files import read_file, refuse_altered
from harness.records import RESERVED_OUTCOMES


@dataclass(frozen=True)
class Verdict:
    """A conclusion, and the p of it."""

    run: str
    """The run's short name."""
    outcome: str
    """The outcome that was concluded."""
    p: float | None
    """The p of it; None where it has none."""


@dataclass(frozen=True)
class Row:
    """A member of a family."""

    hypothesis: str
    """The hypothesis's id."""
    registered: str
    """Claimed time of the event that made it a member."""
    verdict: Verdict | None
    """The hypothesis's last verdict; None if there is none yet."""
    p: float
    """The p that Holm takes: the outcome's; 1 where there is no verdict yet or it gives none of the file's outcomes."""
    adjusted: float
    """The p after Holm's correction."""
    holds: bool
    """True if the outcome stands at the family's α."""


@dataclass(frozen=True)
class Family:
    """A family, with its members in ledger order."""

    name: str
    """The family's name."""
    alpha: float
    """The smallest of its members'."""
    rows: tuple[Row, ...]
    """One row per registered member."""
    unregistered: tuple[str, ...]
    """Hypotheses whose files declare the family; they count as soon as they are registered."""


def read_families(trail: Ledger, loaded: Sequence[spec.Loaded]) -> tuple[Family, ...]:
    """Read all families of a trail, with Holm over their members' verdicts.

    Every registered member counts, judged or not, whether or not its file is still there: a family cannot be made
    smaller. ``loaded``: files that may declare a family without being registered.

    Raises:
        Tampered, UsageError: a verdict is not the one in the ledger, or cannot be read.
    """
    registered = ledger.list_families(trail)
    declared: dict[str, list[str]] = {}
    for hypothesis in (one.hypothesis for one in loaded):
        members = registered.get(hypothesis.family or "", ())
        if hypothesis.family is not None and hypothesis.id not in {member.hypothesis for member in members}:
            declared.setdefault(hypothesis.family, []).append(hypothesis.id)
    judged = read_last_verdicts(trail, {member.hypothesis for members in registered.values() for member in members})
    found = []
    for name in sorted({*registered, *declared}):
        members = registered.get(name, ())
        alpha = min((member.alpha for member in members), default=0.05)
        p = [_p_counted(judged.get(member.hypothesis)) for member in members]
        rows = []
        for member, raw, adjusted in zip(members, p, inference.holm(p), strict=True):
            verdict = judged.get(member.hypothesis)
            holds = verdict is not None and verdict.outcome not in RESERVED_OUTCOMES and adjusted <= alpha
            rows.append(Row(member.hypothesis, member.registered, verdict, raw, adjusted, holds))
        found.append(Family(name, alpha, tuple(rows), tuple(declared.get(name, ()))))
    return tuple(found)


def list_families(paths: Sequence[Path], loaded: Sequence[spec.Loaded], projects: Projects) -> tuple[Family, ...]:
    """List the families of every trail that these files and folders belong to.

    Raises:
        Tampered, UsageError: as ``read_families``.
    """
    trails: dict[Path, tuple[Ledger, list[spec.Loaded]]] = {}
    for path in paths:
        trails.setdefault(projects.key(path), (projects.trail(path), []))
    for one in loaded:
        trails.setdefault(projects.key(one.path), (projects.trail(one.path), []))[1].append(one)
    return tuple(family for trail, members in trails.values() for family in read_families(trail, members))


def _p_counted(verdict: Verdict | None) -> float:
    if verdict is None or verdict.p is None or verdict.outcome in RESERVED_OUTCOMES:
        return 1.0
    return verdict.p


def read_last_verdicts(trail: Ledger, hypotheses: set[str]) -> dict[str, Verdict]:
    """Read hypothesis → its last verdict, if it has one, from verdict.json, which must be the ledger's."""
    index = trail.index()
    found = {}
    for verdict in index.entries(VerdictBody):
        run = index.start(verdict.body.run)
        if run is not None and run.hypothesis in hypotheses:
            found[run.hypothesis] = (run, verdict)
    verdicts = {}
    for hypothesis, (run, verdict) in found.items():
        folder = trail.root / run.folder
        refuse_altered(folder, {"verdict.json": verdict.body.files["verdict.json"]})
        decision = json.loads(read_file(folder / "verdict.json"))["decision"]
        verdicts[hypothesis] = Verdict(run.name, decision["outcome"], decision["p"])
    return verdicts
