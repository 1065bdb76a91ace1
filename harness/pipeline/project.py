"""Projects: which one a file belongs to, and which device, data and trail hold there. Every use case asks here.

A setting comes from the option, else the ``HARNESS_*`` variable, else ``[tool.harness]``, else the default. All but
the option belong to the project of the file, wherever one stands: a relative path in pyproject.toml starts at that
file, one in a variable at the project's folder, and one in an option, as in any shell, at the current folder.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import ledger
from harness.errors import UsageError
from harness.ledger import Entry, Ledger
from harness.ledger.index import Fixing
from harness.ledger.nearby import OWN_MARKS, find_base, is_outside
from harness.pipeline.roots import (
    HYPOTHESES,
    SETTINGS,
    TABLE,
    find_root,
    find_settings,
    get_folder,
    list_own_trails,
    list_trails_around,
)


@dataclass(frozen=True)
class Settings:
    """Operational settings. Device and compilation may change last bits; nothing here decides what is concluded."""

    device: str | None = None
    """auto, cpu, cuda or cuda:<number>; None: as the project says, else auto."""
    compile: str = "auto"
    """auto, on or off: whether a card's programs are compiled."""
    data: Path | None = None
    """Data folder; None: as the project says, else ``data/`` in it."""
    verdicts: Path | None = None
    """Folder of the trail; None: as the project says, else ``verdicts/`` in it."""
    resume: bool = True
    """True if an attempt that was left open goes on; if not, it is closed and another one started."""
    require_registered: bool = False
    """True if a hypothesis that was not registered before is refused."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints."""
    on: str | None = None
    """Name of a place to train at, in ``[tool.harness.on]``; None: here."""
    together: bool = False
    """True if hypotheses that are run with one command share cohorts where they match."""
    round_file: Path | None = None
    """File with a beacon's round, for seeds that are to be drawn from it; None: it is fetched."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The user's environment, or the part of it that is to count."""
    parallel: int | None = None
    """Number of replicas of a program that run at a time, in each job if there are jobs; None: one for each core here,
    and one in a job."""
    gpus: int | None = None
    """Number of cards that each replica of a program has for itself; None: all see those of the user's environment."""
    yes: bool = False
    """True if a program's commands may run on this machine without anybody being asked."""
    typed: frozenset[str] = frozenset()
    """Names of those of data, compile, pilot_seeds and pilot_epochs that this very command was given: refused where
    they have no effect."""


@dataclass(frozen=True)
class Project:
    """A project, and what holds in it."""

    root: Path
    """The project's folder."""
    device: str
    """auto, cpu, cuda or cuda:<number>."""
    data: Path
    """Data folder."""
    verdicts: Path
    """Folder of the trail."""
    origins: Mapping[str, str]
    """Setting → where it comes from: "from --data", "from HARNESS_DATA", "from [tool.harness]", "default"."""
    hypotheses: Path
    """Folder of the hypothesis files unless somebody names others."""

    def open_trail(self) -> Ledger:
        """Open the project's trail, which need not be there yet.

        Raises:
            UsageError: it is not there because git was told to leave it out: it must not pass for an empty one.
        """
        root = self.verdicts
        # os.path: is_dir() raises below a closed folder, which whoever reads the trail tells
        there = os.path.isdir(root / "ledger")  # noqa: PTH112
        if not there and (lacking := ledger.find_left_out(root)) is not None:
            raise UsageError(f"the trail is not here: {lacking.what}", where=str(root), remedy=lacking.remedy)
        return Ledger(root)

    def open_named_trail(self) -> Ledger:
        """Open the project's trail for those who only read it.

        Raises:
            UsageError: as ``open_trail``; or an option or a variable names a folder that is not there: what nobody
                entered anything in must not pass for a trail in which nothing was found.
        """
        trail = self.open_trail()
        origin = self.origins["verdicts"].removeprefix("from ")
        if origin in ("default", TABLE) or self.verdicts.is_dir():
            return trail
        there = [path for path in _list_folder(self.verdicts.parent) if (path / "ledger").is_dir()]
        close = difflib.get_close_matches(self.verdicts.name, [path.name for path in there], n=1)
        meant = f", did you mean {close[0]}?" if close else ": nothing was registered there"
        remedy = "check the name; harness plan FILE says which trail a file has"
        raise UsageError(f"there is no folder {self.verdicts}{meant}", where=origin, remedy=remedy)

    def write_command(self, path: Path, *options: str, verb: str = "run") -> str:
        """Write ``harness run``, or another verb, as another person could give it.

        It names the file's place in the project, and no folder of this machine.
        """
        try:
            file = path.resolve().relative_to(self.root).as_posix()
        except ValueError:
            file = path.name
        return " ".join([f"harness {verb}", file, *options])


Fixed = Mapping[str, tuple[Entry[Fixing], ...]]
"""Hypothesis → its registration and amendments, in ledger order: what it means; the last one counts."""


class Projects:
    """The projects that files belong to: each is looked up once per folder, and its trail is read once."""

    def __init__(self, settings: Settings) -> None:
        """Look projects up with these settings."""
        self.settings = settings
        self._projects: dict[Path, Project] = {}
        self._trails: dict[Path, Ledger] = {}
        self._fixed: dict[Path, Fixed] = {}

    def find(self, path: Path) -> Project:
        """Find the project that a file or a folder belongs to.

        Raises:
            UsageError: as ``find_project``.
        """
        folder = get_folder(path)
        if folder not in self._projects:
            self._projects[folder] = find_project(path, self.settings)
        return self._projects[folder]

    def key(self, path: Path) -> Path:
        """Return the folder of the trail that a file belongs to, links followed: the same for all files of a trail."""
        return Path(os.path.realpath(self.find(path).verdicts))

    def trail(self, path: Path) -> Ledger:
        """Return the trail that a file, or the files of a folder, belong to.

        Raises:
            UsageError: as ``Project.open_trail``.
        """
        key = self.key(path)
        if key not in self._trails:
            self._trails[key] = self.find(path).open_trail()
        return self._trails[key]

    def fixed(self, path: Path) -> Fixed:
        """Return what is registered in that trail.

        Raises:
            Tampered: the trail is not what was written.
        """
        key = self.key(path)
        if key not in self._fixed:
            found: dict[str, tuple[Entry[Fixing], ...]] = {}
            for entry in self.trail(path).index().fixing():
                name = entry.body.hypothesis
                found[name] = (*found.get(name, ()), entry)
            self._fixed[key] = found
        return self._fixed[key]


def find_surroundings(path: Path, trail: Path, settings: Settings) -> ledger.Surroundings:
    """Find where trails of a file's project may lie, around the trail that is in use."""
    project = find_project(path, settings)
    unnamed = replace(settings, verdicts=None)
    own = find_project(path, replace(unnamed, variables={})).verdicts
    named = (find_project(path, unnamed).verdicts, project.root / "verdicts")
    outer = list_trails_around(project.root)
    return ledger.Surroundings(trail, project.root, project.data, own, named, outer, list_own_trails)


def find_around(path: Path, trail: Path, settings: Settings) -> ledger.Surroundings | None:
    """Find where other trails may lie, for those who read a trail that is there.

    That is in the project of a file or folder, or in that of a trail that lies in another; None for a trail in none,
    which is there for trying things out.
    """
    if not is_outside(find_base(find_root(path)), trail):
        return find_surroundings(path, trail, settings)
    folder = Path(os.path.realpath(trail)).parent
    if any((above / mark).exists() for above in (folder, *folder.parents) for mark in OWN_MARKS):
        with suppress(UsageError):  # its settings can't be read
            return find_surroundings(folder, trail, Settings())
    return None


def find_project_around(folder: Path, settings: Settings) -> Project:
    """Find the project of verbs that are given no file: that of the hypothesis files of the project around a folder.

    The two differ where hypotheses/ is a link: what is registered of its files belongs where they lie.

    Raises:
        UsageError: as ``find_project``.
    """
    own = find_root(folder) / HYPOTHESES
    return replace(find_project(own if own.is_dir() else folder, settings), hypotheses=own)


def find_project(path: Path, settings: Settings) -> Project:
    """Find the project that a file or folder belongs to, with the settings that hold there.

    Raises:
        UsageError: a setting is empty or cannot be read.
    """
    root = find_root(path)
    home, own = find_settings(root)
    found: dict[str, Any] = {"device": "auto", "data": root / "data", "verdicts": root / "verdicts"}
    origins = dict.fromkeys(SETTINGS, "default")
    for name in SETTINGS:
        variable = f"HARNESS_{name.upper()}"
        given = getattr(settings, name)
        if given is not None:
            value, start, origin = str(given), Path(), f"--{name}"
        elif settings.variables.get(variable):  # an empty one is as good as none
            value, start, origin = settings.variables[variable], root, variable
        elif name in own:
            value, start, origin = own[name], home, TABLE
        else:
            continue
        found[name] = value if name == "device" else _path(value, start, origin)
        origins[name] = f"from {origin}"
    return Project(root=root, origins=origins, hypotheses=root / HYPOTHESES, **found)


def _path(text: str, start: Path, origin: str) -> Path:
    if not text.strip():
        raise UsageError("the folder's name is empty", where=origin, remedy="name a folder, or leave the setting out")
    try:
        given = start / Path(text).expanduser()
    except RuntimeError as error:  # ~somebody who is not here
        raise UsageError(f"{text!r}: {error}", where=origin, remedy="write the folder's name in full") from error
    return _without_dots(given)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _without_dots(path: Path) -> Path:
    """Return the path without ``..``, where that leads to the same folder: behind a link it would not."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path
