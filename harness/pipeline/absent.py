"""Registered hypotheses without a file among the project's hypotheses: they stay in every list, and are marked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
Key = tuple[Path, str]
"""A trail's folder, links followed, and a hypothesis: several trails may hold the same id."""


class Trails:
    """The trails that files belong to: a project is looked up once per folder, and a trail is read once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._of_folder: dict[Path, tuple[Path, Ledger]] = {}
        self._trails: dict[Path, Ledger] = {}
        self._fixed: dict[Path, dict[str, tuple[Event, ...]]] = {}

    def of(self, path: Path) -> Ledger:
        """Return the trail that a file, or the files of a folder, belong to."""
        return self._look_up(path)[1]

    def key(self, path: Path) -> Path:
        """Return the folder of that trail, links followed: what one trail has in common for all its files."""
        return self._look_up(path)[0]

    def fixed(self, path: Path) -> Mapping[str, tuple[Event, ...]]:
        """Return what is registered in that trail: hypothesis → what fixes it, in ledger order."""
        key, trail = self._look_up(path)
        if key not in self._fixed:
            self._fixed[key] = fixed_in(trail)
        return self._fixed[key]

    def _look_up(self, path: Path) -> tuple[Path, Ledger]:
        file = a_file(path)
        folder = Path(os.path.realpath(file)).parent  # resolve() raises on links in a circle
        if folder not in self._of_folder:
            trail = open_ledger(file, self._settings)
            key = Path(os.path.realpath(trail.root))
            self._of_folder[folder] = key, self._trails.setdefault(key, trail)
        return self._of_folder[folder]


@dataclass(frozen=True)
class Absent:
    """A registered hypothesis that no checked file is about."""

    hypothesis: str
    folder: Path
    """Where its file should be."""
    trail: Ledger
    key: Path
    """The trail's folder, links followed."""
    fixed: tuple[Event, ...]
    """Its registration and amendments, in ledger order."""
    shared: bool
    """Whether the trail lies outside the project, so that the file may be another project's."""
    lies: Path | None
    """A file of its id that is not checked, because of its place or name."""
    ruined: Path | None = None
    """A file of its name that can't be read, or says no id."""

    @property
    def note(self) -> str:
        """What a list says of it, in a few words."""
        if self.ruined is not None:
            return "file unreadable"
        return "no file here" if self.shared else "file missing"

    def finding(self) -> Finding:
        """What is wrong, with the command that brings the file back from the trail: it ends the line."""
        if self.ruined is not None and not self.ruined.is_dir():
            message = f"{self.hypothesis!r} is registered, and this file, which has its name, says no id"
            remedy = f"mend it, or put what is registered in its place: {self._restoring(self.ruined)}"
            return Finding(str(self.ruined), 1, 1, message, remedy, rule="amendment")
        file = self.folder / f"{self.hypothesis.replace('-', '_')}.yaml"
        number = 1
        while os.path.lexists(file):  # it holds something else by now
            file = self.folder / f"{self.hypothesis}-registered{'' if number == 1 else f'-{number}'}.yaml"
            number += 1
        message = f"{self.hypothesis!r} is registered, and no file here has its id: its file is missing"
        remedy = f"a registered hypothesis keeps its file; bring it back: {self._restoring(file)}"
        if self.shared:
            message += f", unless it is another project's: the trail {self.trail.root} lies outside this one"
        severity = "warning" if self.shared else "error"
        return Finding(str(file), 1, 1, message, remedy, severity=severity, rule="amendment")

    def _restoring(self, file: Path) -> str:
        """The command for a shell that writes what is registered to ``file``, and the claims if there are none."""
        last = self.fixed[-1].body
        copies = [(last["raw"], file)]
        claims = file.with_name("claims.yaml")
        if not os.path.lexists(claims) and self.trail.read_object(last["claims"]):  # an empty one: there was none
            copies.append((last["claims"], claims))
        named = _as_typed([*(self.trail.object_path(kept) for kept, _ in copies), *(to for _, to in copies)])
        steps = [f"mkdir -p {quote(str(Path(named[len(copies)]).parent))}"] if not file.parent.is_dir() else []
        for source, target, (_, to) in zip(named, named[len(copies) :], copies, strict=False):
            if os.path.lexists(to):  # a link would be written through
                steps.append(f"rm -f {quote(target)}")
            steps.append(f"cat {quote(source)} > {quote(target)}")
        return " && ".join(steps)


def folder_report(
    paths: Sequence[Path], trails: Trails, known: Sequence[spec.Known] = ()
) -> tuple[spec.FolderReport, tuple[Absent, ...]]:
    """Check files as ``spec.load_folder`` does, and tell which registered hypotheses have none among them.

    Of a project's own folder of hypotheses this tells all of them; of a single file, that of its name.

    Raises:
        UsageError: as ``spec.load_folder``, unless a hypothesis is registered whose file should be there.
        Tampered: the trail is not what was written.
    """
    try:
        report = spec.load_folder(paths, known, trails.key)
    except UsageError as error:
        (path,) = paths
        findings = (spec.report_unread(path, error),) if os.path.lexists(path) and not path.is_dir() else ()
        report = spec.FolderReport(findings, (), (spec.Seen(path, None),) if findings else ())
        if not (found := absent(paths, trails, report)):
            raise
        return report, found
    return report, absent(paths, trails, report)


def absent(paths: Sequence[Path], trails: Trails, report: spec.FolderReport) -> tuple[Absent, ...]:
    """Registered hypotheses of which no file was seen, in the order of their registration.

    Raises:
        Tampered: the trail is not what was written.
    """
    seen = {(trails.key(one.path), one.id): one for one in report.seen if one.id is not None and one.checked}
    elsewhere = {(trails.key(one.path), one.id): one.path for one in report.seen if one.id is not None}
    unread = {(trails.key(one.path), one.path.stem): one.path for one in report.seen if one.id is None}
    found: dict[Key, Absent] = {}
    for path in paths:
        root, key, fixed = project_root(a_file(path)), trails.key(path), trails.fixed(path)
        whole = os.path.realpath(path) == os.path.realpath(root / HYPOTHESES)
        for name, events in fixed.items():
            if (key, name) in seen or (not whole and not _alone(path, name)):
                continue
            ruined = unread.get((key, name)) or unread.get((key, name.replace("-", "_")))
            found[key, name] = Absent(
                hypothesis=name,
                folder=path if whole else path.parent,
                trail=trails.of(path),
                key=key,
                fixed=events,
                shared=not key.is_relative_to(root),
                lies=elsewhere.get((key, name)),
                ruined=ruined if ruined is not None and os.path.lexists(ruined) else None,
            )
    return tuple(found.values())


def _alone(path: Path, name: str) -> bool:
    """Tell whether a single file is named as a hypothesis's is, says no id, and no other file beside it has the id."""
    if path.stem not in (name, name.replace("-", "_")) or path.suffix != ".yaml" or _id_in(path) is not None:
        return False
    try:
        beside = spec.list_folder(path.parent).files
    except UsageError:
        return True
    return all(_id_in(file) != name for file in beside)


def _id_in(file: Path) -> str | None:
    try:
        return spec.read_id(spec.read_bytes(file))
    except UsageError:
        return None


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


def _as_typed(paths: Sequence[Path]) -> list[str]:
    """Paths as they are typed in this folder if all of them are below it, else in full: either kind, and not both."""
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 (a link keeps its own name)
    try:
        here = Path.cwd()
        return [str(path.relative_to(here)) for path in whole]
    except (ValueError, OSError):
        return [str(path) for path in whole]
