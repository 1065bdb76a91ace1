"""What a run is told, where a project keeps things, and how their files are read and written."""

from __future__ import annotations

import difflib
import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger, spec
from harness.errors import Tampered, UsageError
from harness.ledger import Event, Ledger, mending
from harness.ledger.nearby import OWN_MARKS, base_of, outside
from harness.pipeline.places import TABLE, Project, Settings, project_of, project_root
from harness.records import (
    Decision,
    Hypothesis,
    Registered,
)
from harness.system.storage import write_atomic

if TYPE_CHECKING:
    from harness.training import Progress

__all__ = [
    "Project",
    "Report",
    "Reporter",
    "Settings",
    "around",
    "command",
    "named_trail",
    "open_ledger",
    "project_of",
    "project_root",
    "refuse_altered",
    "registered_for",
    "run_folder",
    "save",
    "stored",
    "surroundings",
    "trail_at",
    "uncollected",
]


@dataclass(frozen=True)
class Reporter:
    """Where progress goes, and who may stop a run."""

    say: Callable[[str], None] = lambda _: None
    progress: Callable[[Progress], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    training: Callable[[], AbstractContextManager[None]] = nullcontext
    """What surrounds training: there, whoever asks to stop waits for a checkpoint."""
    heed: Callable[[], None] = lambda: None
    """Called between stages: raises if somebody asked to stop and that was lost, as Python drops it in a callback."""


@dataclass(frozen=True)
class Report:
    """What a run came to."""

    hypothesis: Hypothesis
    decision: Decision
    folder: Path
    head: str
    """The ledger's head: who keeps it can later show that nothing before it was changed."""


def command(path: Path, *options: str) -> str:
    """The command as another person could give it: the file's place in the project, and no folder of this machine."""
    try:
        file = path.resolve().relative_to(project_root(path)).as_posix()
    except ValueError:
        file = path.name
    return " ".join(["harness run", file, *options])


def open_ledger(path: Path, settings: Settings) -> Ledger:
    """The trail that a hypothesis file belongs to."""
    return trail_at(project_of(path, settings).verdicts)


def trail_at(root: Path) -> Ledger:
    """The trail in a folder, which need not be there yet.

    Raises:
        UsageError: it is not there because git was told to leave it out: it must not pass for an empty one.
    """
    if not (root / "ledger").is_dir() and (lacking := ledger.left_out(root)) is not None:
        raise UsageError(f"the trail is not here: {lacking.what}", where=str(root), remedy=lacking.remedy)
    return Ledger(root)


def named_trail(project: Project) -> Ledger:
    """The trail of a project for those who only read it.

    Raises:
        UsageError: as ``trail_at``; or an option or a variable names a folder that is not there: what nobody entered
            anything in must not pass for a trail in which nothing was found.
    """
    trail = trail_at(project.verdicts)
    origin = project.origins["verdicts"].removeprefix("from ")
    if origin in ("default", TABLE) or project.verdicts.is_dir():
        return trail
    there = [path for path in _folders(project.verdicts.parent) if (path / "ledger").is_dir()]
    close = difflib.get_close_matches(project.verdicts.name, [path.name for path in there], n=1)
    meant = f", did you mean {close[0]}?" if close else ": nothing was registered there"
    remedy = "check the name; harness plan FILE says which trail a file has"
    raise UsageError(f"there is no folder {project.verdicts}{meant}", where=origin, remedy=remedy)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def run_folder(trail: Ledger, started: Event) -> Path:
    """Where the files of an attempt are."""
    return trail.root / str(started.body["hypothesis"]) / ledger.run_name(started.digest)


def surroundings(path: Path, trail: Path, settings: Settings) -> ledger.Surroundings:
    """Return where trails of a file's project may lie, around the trail that is in use."""
    project = project_of(path, settings)
    unnamed = replace(settings, verdicts=None)
    own = project_of(path, replace(unnamed, variables={})).verdicts
    named = (project_of(path, unnamed).verdicts, project.root / "verdicts")
    return ledger.Surroundings(trail, project.root, project.data, own, named)


def around(path: Path, trail: Path, settings: Settings) -> ledger.Surroundings | None:
    """Return where other trails may lie for those who read a trail that is there: in the project of a file, or in that
    of a trail that lies in another; None for a trail in none, which is there for trying things out.
    """
    if not outside(base_of(project_root(path)), trail):
        return surroundings(path, trail, settings)
    folder = Path(os.path.realpath(trail)).parent
    if any((above / mark).exists() for above in (folder, *folder.parents) for mark in OWN_MARKS):
        with suppress(UsageError):  # its settings can't be read
            return surroundings(folder / "any.yaml", trail, Settings())
    return None


def registered_for(trail: Ledger, started: Event) -> Registered:
    """The hypothesis and the claims that an attempt was started under, whatever was amended since.

    Raises:
        UsageError: its registration is not in this trail.
        Tampered: the registered files are not those that the ledger names.
    """
    registration = ledger.registration_of(trail, started)
    raw, claims_raw = trail.read_object(started.body["raw"]), trail.read_object(registration.claims)
    loaded = spec.parse(raw, claims_raw, str(started.body["hypothesis"]))
    return Registered(
        hypothesis=loaded.hypothesis,
        claims=loaded.claims,
        registration=registration.digest,
        seeds=registration.seeds,
    )


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a run's files, each whole."""
    for name, data in files.items():
        write_atomic(folder / name, data)


def stored(path: Path) -> bytes:
    """A file of a run.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the ledger names this file, but it cannot be read: {error.strerror}",
            where=str(path),
            remedy="get the run's folder back from git or from whoever ran it",
        ) from error


def refuse_altered(folder: Path, recorded: Mapping[str, str]) -> None:
    """Refuse a run's files that are not, to the byte, those that its verdict event names.

    Raises:
        Tampered: a file has another digest.
        UsageError: a file cannot be read.
    """
    for name, expected in recorded.items():
        data = stored(folder / name)
        got = hashlib.sha256(data).hexdigest()
        if got != expected:
            if (command := mending.advice(folder / name, folder.parent.parent, data, expected)) is not None:
                raise Tampered(mending.CHANGED, where=str(folder / name), remedy=command)
            raise Tampered(
                "this file is not the one that the ledger's verdict names",
                where=str(folder / name),
                expected=expected,
                got=got,
                remedy="get the file back from git; a verdict is never edited",
            )


@contextmanager
def uncollected(wanted: bool = True) -> Iterator[None]:
    """While records are read that live to the end: looking for garbage among thousands takes a quarter of the time."""
    collecting = wanted and gc.isenabled()
    if collecting:
        gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
