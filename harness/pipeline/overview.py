"""An overview of hypotheses: every file and every registration, with what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import ledger, spec
from harness.errors import Finding
from harness.ledger import Entry, Ledger
from harness.ledger.bodies import RegisteredBody
from harness.ledger.index import Fixing
from harness.pipeline.missing_files import check_folder, read_form
from harness.pipeline.project import Projects
from harness.records import Attempt, Hypothesis


@dataclass(frozen=True)
class Standing:
    """A hypothesis as it stands in the trail."""

    hypothesis: str
    """The hypothesis's id."""
    title: str | None
    """None where neither a valid file nor a registration says it; so with what is predicted."""
    predicted: str | None
    path: Path | None
    """Path of its file; None if that is missing."""
    registered: str | None
    """Claimed time of the registration."""
    attempts: tuple[Attempt, ...]
    """All attempts, pilots among them, in ledger order."""
    deviating: Mapping[str, str]
    """Attempts that deviate from what was registered, with a word or two about it."""
    measured: int
    """Number of times that stored weights of its runs were measured again."""
    explored: int
    """Number of times that earlier results were explored, before it was registered."""
    note: str | None
    """A fault of its file, in a few words."""

    @property
    def judged(self) -> Attempt | None:
        """Return the last judged attempt; None if there is none."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.outcome is not None), None)


@dataclass(frozen=True)
class Overview:
    """All hypotheses of some files and of the trails that they belong to."""

    rows: tuple[Standing, ...]
    """One row per hypothesis."""
    loaded: tuple[spec.Loaded, ...]
    """The valid files."""
    findings: tuple[Finding, ...]
    """Findings of ``harness check`` about the files on their own."""


def list_hypotheses(paths: Sequence[Path], projects: Projects) -> Overview:
    """List registration and attempts of all hypotheses of files and folders, invalid and missing files included.

    Raises:
        UsageError: as ``spec.load_folder``, unless a hypothesis is registered whose file should be there; or as
            ``Project.open_named_trail``.
        Tampered: a trail is not what was written.
    """
    for path in paths:
        projects.find(path).open_named_trail()
    report, absent = check_folder(paths, projects)
    missing = {(one.key, one.hypothesis) for one in absent}
    twins = {one.twin for one in report.seen}
    rows = []
    for one in report.seen:
        if one.id is None:
            continue  # what is wrong with it is among the findings
        key = projects.key(one.path), one.id
        if not one.checked and key not in missing:
            continue
        missing.discard(key)
        form = one.loaded.hypothesis if one.loaded is not None else None
        note = _write_note(one) or ("its id is also that of another file" if one.path in twins else None)
        fixed = projects.fixed(one.path).get(one.id, ())
        rows.append(_describe(one.id, form, one.path, projects.trail(one.path), fixed, note))
    rows += [
        _describe(one.hypothesis, None, one.ruined, one.trail, one.fixed, one.note)
        for one in absent
        if (one.key, one.hypothesis) in missing
    ]
    return Overview(tuple(rows), report.loaded, report.findings)


def _write_note(seen: spec.Seen) -> str | None:
    if not seen.checked:
        return f"file not checked: {seen.path}"
    if seen.twin is not None:
        return f"its id is also that of {seen.twin}"
    return "file has errors" if seen.loaded is None else None


def _find_registered_title(fixed: Sequence[Entry[Fixing]]) -> str | None:
    """Return the title that a registration gave; None if there is none."""
    titles = (entry.body.title for entry in fixed if isinstance(entry.body, RegisteredBody))
    return next(titles, None)


def _describe(
    name: str,
    form: Hypothesis | None,
    path: Path | None,
    trail: Ledger,
    fixed: tuple[Entry[Fixing], ...],
    note: str | None,
) -> Standing:
    if form is None and fixed:
        form = read_form(trail, fixed)
    return Standing(
        hypothesis=name,
        title=form.title if form is not None else _find_registered_title(fixed),
        predicted=form.prediction.outcome if form is not None else None,
        path=path,
        registered=fixed[0].claimed_time if fixed else None,
        attempts=ledger.list_attempts(trail, name),
        deviating=ledger.find_deviating(trail, name),
        measured=sum(trail.index().subject(one.digest) == name for one in ledger.list_measurements(trail)),
        explored=len(ledger.list_explorations(trail, name)),
        note=note,
    )
