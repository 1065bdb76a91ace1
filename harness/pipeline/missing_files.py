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
from harness.ledger import Entry, Ledger
from harness.ledger.index import Fixing
from harness.pipeline.project import Projects
from harness.pipeline.roots import HYPOTHESES
from harness.records import Hypothesis

Key = tuple[Path, str]
"""A trail's folder, links followed, and a hypothesis: several trails may hold the same id."""


@dataclass(frozen=True)
class MissingFile:
    """A registered hypothesis that no checked file is about."""

    hypothesis: str
    folder: Path
    """The folder that its file should be in."""
    trail: Ledger
    key: Path
    """The trail's folder, links followed."""
    fixed: tuple[Entry[Fixing], ...]
    """Registration and amendments of the hypothesis, in ledger order."""
    shared: bool
    """True if the trail lies outside the project, so that the file may be another project's."""
    lies: Path | None
    """A file of its id that is not checked, because of its place or name."""
    ruined: Path | None = None
    """A file of its name that can't be read, or says no id."""

    @property
    def note(self) -> str:
        """Return what a list says of it, in a few words."""
        if self.ruined is not None:
            return "file unreadable"
        return "no file here" if self.shared else "file missing"

    def finding(self) -> Finding:
        """Return what is wrong, with the command that brings the file back from the trail: it ends the line."""
        if self.ruined is not None and not self.ruined.is_dir():
            message = f"{self.hypothesis!r} is registered, and this file, which has its name, says no id"
            remedy = f"mend it, or put what is registered in its place: {self._write_restoring(self.ruined)}"
            return Finding(str(self.ruined), 1, 1, message, remedy, rule="amendment")
        file = self.folder / f"{self.hypothesis.replace('-', '_')}.yaml"
        number = 1
        while os.path.lexists(file):  # it holds something else by now
            file = self.folder / f"{self.hypothesis}-registered{'' if number == 1 else f'-{number}'}.yaml"
            number += 1
        message = f"{self.hypothesis!r} is registered, and no file here has its id: its file is missing"
        remedy = f"a registered hypothesis keeps its file; bring it back: {self._write_restoring(file)}"
        if self.shared:
            message += f", unless it is another project's: the trail {self.trail.root} lies outside this one"
        severity = "warning" if self.shared else "error"
        return Finding(str(file), 1, 1, message, remedy, severity=severity, rule="amendment")

    def _write_restoring(self, file: Path) -> str:
        """Write the shell command that puts what is registered into ``file``, and the claims if there are none."""
        last = self.fixed[-1].body
        copies = [(last.raw, file)]
        claims = file.with_name(spec.CLAIMS)
        if not os.path.lexists(claims) and self.trail.read_object(last.claims):  # an empty one: there was none
            copies.append((last.claims, claims))
        named = _as_typed([*(self.trail.object_path(kept) for kept, _ in copies), *(to for _, to in copies)])
        steps = [f"mkdir -p {quote(str(Path(named[len(copies)]).parent))}"] if not file.parent.is_dir() else []
        for source, target, (_, to) in zip(named, named[len(copies) :], copies, strict=False):
            if os.path.lexists(to):  # a link would be written through
                steps.append(f"rm -f {quote(target)}")
            steps.append(f"cat {quote(source)} > {quote(target)}")
        return " && ".join(steps)


def check_folder(
    paths: Sequence[Path], projects: Projects, known: Sequence[spec.Known] = ()
) -> tuple[spec.FolderReport, tuple[MissingFile, ...]]:
    """Check files as ``spec.load_folder`` does, and tell which registered hypotheses have none among them.

    Of a project's own folder of hypotheses this tells all of them; of a single file, that of its name.

    Raises:
        UsageError: as ``spec.load_folder``, unless a hypothesis is registered whose file should be there.
        Tampered: the trail is not what was written.
    """
    try:
        report = spec.load_folder(paths, known, projects.key)
    except UsageError as error:
        (path,) = paths
        findings = (spec.report_unread(path, error),) if os.path.lexists(path) and not path.is_dir() else ()
        report = spec.FolderReport(findings, (), (spec.Seen(path, None),) if findings else ())
        if not (found := find_missing(paths, projects, report)):
            raise
        return report, found
    return report, find_missing(paths, projects, report)


def find_missing(paths: Sequence[Path], projects: Projects, report: spec.FolderReport) -> tuple[MissingFile, ...]:
    """List the registered hypotheses of which no file was seen, in the order of their registration.

    Raises:
        Tampered: the trail is not what was written.
    """
    seen = {(projects.key(one.path), one.id): one for one in report.seen if one.id is not None and one.checked}
    elsewhere = {(projects.key(one.path), one.id): one.path for one in report.seen if one.id is not None}
    unread = {(projects.key(one.path), one.path.stem): one.path for one in report.seen if one.id is None}
    found: dict[Key, MissingFile] = {}
    for path in paths:
        root, key, fixed = projects.find(path).root, projects.key(path), projects.fixed(path)
        whole = os.path.realpath(path) == os.path.realpath(root / HYPOTHESES)
        for name, events in fixed.items():
            if (key, name) in seen or (not whole and not _is_alone(path, name)):
                continue
            ruined = unread.get((key, name)) or unread.get((key, name.replace("-", "_")))
            found[key, name] = MissingFile(
                hypothesis=name,
                folder=path if whole else path.parent,
                trail=projects.trail(path),
                key=key,
                fixed=events,
                shared=not key.is_relative_to(root),
                lies=elsewhere.get((key, name)),
                ruined=ruined if ruined is not None and os.path.lexists(ruined) else None,
            )
    return tuple(found.values())


def _is_alone(path: Path, name: str) -> bool:
    """Tell whether a single file is named as a hypothesis's is, says no id, and no other file beside it has the id."""
    if path.stem not in (name, name.replace("-", "_")) or path.suffix != ".yaml" or _read_id(path) is not None:
        return False
    try:
        beside = spec.list_folder(path.parent).files
    except UsageError:
        return True
    return all(_read_id(file) != name for file in beside)


def _read_id(file: Path) -> str | None:
    try:
        return spec.read_id(spec.read_bytes(file))
    except UsageError:
        return None


def read_form(trail: Ledger, fixed: Sequence[Entry[Fixing]]) -> Hypothesis | None:
    """Read what is registered, as last amended; None if this version can't read the form.

    Raises:
        Tampered: the registered form is not what was written.
    """
    try:
        return Hypothesis.model_validate_json(trail.read_object(fixed[-1].body.canonical))
    except ValidationError:
        return None


def _as_typed(paths: Sequence[Path]) -> list[str]:
    """Write paths as they are typed in this folder if all of them are below it, else all of them in full."""
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 (a link keeps its own name)
    try:
        here = Path.cwd()
        return [str(path.relative_to(here)) for path in whole]
    except (ValueError, OSError):
        return [str(path) for path in whole]
