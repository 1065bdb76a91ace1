"""Where hypotheses stand: every file and every registration, with what became of each attempt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import ledger, spec
from harness.errors import Finding
from harness.ledger import Event, Ledger
from harness.pipeline.absent import a_file, fixed_in, folder_report, form_of
from harness.pipeline.project import Settings, named_trail, open_ledger, project_of
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
    report, absent = folder_report(paths, settings)
    missing = {one.hypothesis for one in absent}
    twins = {one.twin for one in report.seen}
    trails: dict[Path, Ledger] = {}
    of_folder: dict[Path, Ledger] = {}  # whose project is looked up once
    fixed: dict[Path, dict[str, tuple[Event, ...]]] = {}

    def row(name: str, form: Hypothesis | None, path: Path | None, trail: Ledger, note: str | None) -> Standing:
        if trail.root not in fixed:
            fixed[trail.root] = fixed_in(trail)
        return _standing(name, form, path, trail, fixed[trail.root].get(name, ()), note)

    rows = []
    for one in report.seen:
        if one.id is None or (not one.checked and one.id not in missing):
            continue  # what is wrong with them is among the findings
        missing.discard(one.id)
        folder = Path(os.path.realpath(a_file(one.path))).parent  # resolve() raises on links in a circle
        if folder not in of_folder:
            own = open_ledger(a_file(one.path), settings)
            of_folder[folder] = trails.setdefault(own.root, own)
        form = one.loaded.hypothesis if one.loaded is not None else None
        note = _note(one) or ("its id is also that of another file" if one.path in twins else None)
        rows.append(row(one.id, form, one.path, of_folder[folder], note))
    rows += [
        row(one.hypothesis, None, one.ruined, one.trail, "file missing" if one.ruined is None else "file unreadable")
        for one in absent
        if one.hypothesis in missing
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
