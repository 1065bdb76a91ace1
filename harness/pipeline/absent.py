"""Registered hypotheses without a file among the project's hypotheses: they stay in every list, and are marked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from pydantic import ValidationError

from harness import spec
from harness.errors import Finding, UsageError
from harness.ledger import Event, Ledger
from harness.pipeline.places import HYPOTHESES
from harness.pipeline.project import Settings, open_ledger, project_root
from harness.records import Hypothesis

FIXING = ("registered", "amended")
"""Events that say what a hypothesis means; the last one counts."""


@dataclass(frozen=True)
class Absent:
    """A registered hypothesis that no checked file is about."""

    hypothesis: str
    folder: Path
    """Where its file should be."""
    trail: Ledger
    fixed: tuple[Event, ...]
    """Its registration and amendments, in ledger order."""
    lies: Path | None
    """A file of its id that is not checked, because of its place or name."""
    ruined: Path | None = None
    """A file of its name that can't be read, or says no id."""

    def finding(self) -> Finding:
        """What is wrong, with the command that brings the file back from the trail."""
        kept = quote(str(_here(self.trail.object_path(self.fixed[-1].body["raw"]))))
        if self.ruined is not None and not self.ruined.is_dir():
            file = self.ruined
            message = f"{self.hypothesis!r} is registered, and this file, which has its name, says no id"
            remedy = f"mend it, or put what is registered in its place: cat {kept} > {quote(str(_here(file)))}"
            return Finding(str(file), 1, 1, message, remedy, rule="amendment")
        file = self.folder / f"{self.hypothesis.replace('-', '_')}.yaml"
        if os.path.lexists(file):  # it holds something else by now
            file = self.folder / f"{self.hypothesis}-registered.yaml"
        message = f"{self.hypothesis!r} is registered, and no file here has its id: its file is missing"
        remedy = f"bring it back: cat {kept} > {quote(str(_here(file)))}; a registered hypothesis keeps its file"
        return Finding(str(file), 1, 1, message, remedy, rule="amendment")


def folder_report(
    paths: Sequence[Path], settings: Settings, known: Sequence[spec.Known] = ()
) -> tuple[spec.FolderReport, tuple[Absent, ...]]:
    """Check files as ``spec.load_folder`` does, and tell which registered hypotheses have none among them.

    Only where the project's own folder of hypotheses is looked at: no other says that a file is missing.

    Raises:
        UsageError: as ``spec.load_folder``, unless a hypothesis is registered whose file should be there.
        Tampered: the trail is not what was written.
    """
    try:
        report = spec.load_folder(paths, known)
    except UsageError:
        report = spec.FolderReport((), ())
        if not (found := absent(paths, settings, report)):
            raise
        return report, found
    return report, absent(paths, settings, report)


def absent(paths: Sequence[Path], settings: Settings, report: spec.FolderReport) -> tuple[Absent, ...]:
    """Registered hypotheses of which no file was seen, in the order of their registration.

    Raises:
        Tampered: the trail is not what was written.
    """
    there = {one.id for one in report.seen if one.checked}
    elsewhere = {one.id: one.path for one in report.seen if not one.checked}
    unread = {one.path.stem: one.path for one in report.seen if one.id is None}
    found: dict[str, Absent] = {}
    for path in paths:
        file = a_file(path)
        root, trail = project_root(file), open_ledger(file, settings)
        own = trail.root.resolve().is_relative_to(root)  # else other projects may share it
        if not own or os.path.realpath(path) != os.path.realpath(root / HYPOTHESES):
            continue
        for name, fixed in fixed_in(trail).items():
            if name not in there:
                ruined = unread.get(name) or unread.get(name.replace("-", "_"))
                found[name] = Absent(name, path, trail, fixed, elsewhere.get(name), ruined)
    return tuple(found.values())


def a_file(path: Path) -> Path:
    """A file in a folder, or the file itself: what tells the project that a path belongs to."""
    return path / "any.yaml" if path.is_dir() or path.name == HYPOTHESES else path


def form_of(trail: Ledger, fixed: Sequence[Event]) -> Hypothesis | None:
    """What is registered, as last amended; None if this version can't read the form.

    Raises:
        Tampered: the registered form is not what was written.
    """
    try:
        return Hypothesis.model_validate_json(trail.read_object(fixed[-1].body["canonical"]))
    except ValidationError:
        return None


def fixed_in(trail: Ledger) -> dict[str, tuple[Event, ...]]:
    """Hypothesis → what fixes it, in ledger order."""
    found: dict[str, tuple[Event, ...]] = {}
    for event in trail.events():
        if event.type in FIXING:
            name = str(event.body["hypothesis"])
            found[name] = (*found.get(name, ()), event)
    return found


def _here(path: Path) -> Path:
    """A path as it is typed in this folder."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own name)
    try:
        return whole.relative_to(Path.cwd())
    except (ValueError, OSError):
        return whole
