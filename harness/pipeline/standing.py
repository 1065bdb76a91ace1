"""Where hypotheses stand: every file and every registration, with what became of each attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import ledger, spec
from harness.errors import Finding
from harness.ledger import Event, Ledger
from harness.pipeline.absent import Trails, a_file, folder_report, form_of
from harness.pipeline.project import Settings, named_trail, project_of
from harness.records import Attempt, Hypothesis


@dataclass(frozen=True)
class Standing:
    """Where a hypothesis stands in the trail."""

    hypothesis: str
    title: str | None
    """None where neither a valid file nor a registration says it; so with what is predicted."""
    predicted: str | None
    path: Path | None
    """Its file; None if that is missing."""
    registered: str | None
    """Claimed time of the registration."""
    attempts: tuple[Attempt, ...]
    deviating: frozenset[str]
    """Attempts that deviate from what was registered."""
    note: str | None
    """What is wrong with its file, in a few words."""

    @property
    def judged(self) -> Attempt | None:
        """The last judged attempt."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.outcome is not None), None)


@dataclass(frozen=True)
class Standings:
    """All hypotheses of some files and of the trails that they belong to."""

    rows: tuple[Standing, ...]
    loaded: tuple[spec.Loaded, ...]
    findings: tuple[Finding, ...]
    """What ``harness check`` says about the files on their own."""


def standings(paths: Sequence[Path], settings: Settings) -> Standings:
    """Registration and attempts of all hypotheses of files and folders, those whose file is invalid or missing too.

    Raises:
        UsageError: as ``spec.load_folder``, unless a hypothesis is registered whose file should be there; or as
            ``named_trail``.
        Tampered: a trail is not what was written.
    """
    for path in paths:
        named_trail(project_of(a_file(path), settings))
    trails = Trails(settings)
    report, absent = folder_report(paths, trails)
    missing = {(one.key, one.hypothesis) for one in absent}
    twins = {one.twin for one in report.seen}
    rows = []
    for one in report.seen:
        if one.id is None:
            continue  # what is wrong with it is among the findings
        key = trails.key(one.path), one.id
        if not one.checked and key not in missing:
            continue
        missing.discard(key)
        form = one.loaded.hypothesis if one.loaded is not None else None
        note = _note(one) or ("its id is also that of another file" if one.path in twins else None)
        fixed = trails.fixed(one.path).get(one.id, ())
        rows.append(_standing(one.id, form, one.path, trails.of(one.path), fixed, note))
    rows += [
        _standing(one.hypothesis, None, one.ruined, one.trail, one.fixed, one.note)
        for one in absent
        if (one.key, one.hypothesis) in missing
    ]
    return Standings(tuple(rows), report.loaded, report.findings)


def _note(seen: spec.Seen) -> str | None:
    if not seen.checked:
        return f"file not checked: {seen.path}"
    if seen.twin is not None:
        return f"its id is also that of {seen.twin}"
    return "file has errors" if seen.loaded is None else None


def _standing(
    name: str, form: Hypothesis | None, path: Path | None, trail: Ledger, fixed: tuple[Event, ...], note: str | None
) -> Standing:
    if form is None and fixed:
        form = form_of(trail, fixed)
    return Standing(
        hypothesis=name,
        title=form.title if form is not None else str(fixed[0].body["title"]) if fixed else None,
        predicted=form.prediction.outcome if form is not None else None,
        path=path,
        registered=fixed[0].claimed_time if fixed else None,
        attempts=ledger.attempts(trail, name),
        deviating=ledger.deviating(trail, name),
        note=note,
    )
