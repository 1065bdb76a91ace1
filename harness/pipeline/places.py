"""Which project a file belongs to, and which device, data and trail hold there: every verb asks here.

A setting comes from the option, else the ``HARNESS_*`` variable, else ``[tool.harness]``, else the default. All but
the option belong to the project of the file, wherever one stands: a relative path in pyproject.toml starts at that
file, one in a variable at the project's folder, and one in an option, as in any shell, at the current folder.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError

SETTINGS = ("device", "data", "verdicts")
MARKS = ("verdicts", "pyproject.toml", ".git")
TABLE = "[tool.harness]"
HYPOTHESES = "hypotheses"
"""The folder of a project that hypothesis files lie in unless somebody names others."""


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
    require_registered: bool = False
    checkpoint_seconds: float = 60.0
    variables: Mapping[str, str] = field(default_factory=dict)
    """The user's environment, or the part of it that is to count."""
    typed: frozenset[str] = frozenset()
    """Which of data, compile, pilot_seeds and pilot_epochs somebody gave with this very command: refused where they
    have no effect."""


@dataclass(frozen=True)
class Project:
    """A project, and what holds in it."""

    root: Path
    device: str
    data: Path
    """Data folder."""
    verdicts: Path
    """Folder of the trail."""
    origins: Mapping[str, str]
    """Setting → where it comes from: "from --data", "from HARNESS_DATA", "from [tool.harness]", "default"."""
    hypotheses: Path
    """Where hypothesis files lie unless somebody names others."""

    def settled(self, settings: Settings) -> Settings:
        """The settings with device, data and trail as they hold in this project."""
        return replace(settings, device=self.device, data=self.data, verdicts=self.verdicts)


def project_root(path: Path) -> Path:
    """The project that a file belongs to: the nearest folder above it that looks like one.

    Links are followed first: by whichever name a file is called, it belongs where it lies.
    """
    folder = Path(os.path.realpath(path)).parent  # resolve() raises on links in a circle
    for candidate in (folder, *folder.parents):
        # os.path.exists(): that of paths raises below a closed folder
        if any(os.path.exists(candidate / mark) for mark in MARKS) and not _part(candidate):  # noqa: PTH110
            return candidate
    return folder.parent if folder.name == HYPOTHESES else folder


def _part(folder: Path) -> bool:
    """Tell whether a folder is the hypotheses/ of the project around it although it is a repository of its own, as a
    submodule is.
    """
    if folder.name != HYPOTHESES or any((folder / mark).exists() for mark in MARKS if mark != ".git"):
        return False
    with suppress(OSError, UnicodeDecodeError):  # a repository on its own has a folder there
        if "/modules/" in (folder / ".git").read_text(encoding="utf-8"):
            return True
    return any((folder.parent / mark).exists() for mark in MARKS)


def project_at(folder: Path, settings: Settings) -> Project:
    """The project of verbs that are given no file: that of the hypothesis files of the project that a folder lies in.

    The two differ where hypotheses/ is a link: what is registered of its files belongs where they lie.

    Raises:
        UsageError: as ``project_of``.
    """
    own = project_root(folder / "any.yaml") / HYPOTHESES
    return replace(project_of((own if own.is_dir() else folder) / "any.yaml", settings), hypotheses=own)


def project_of(path: Path, settings: Settings) -> Project:
    """The project that a file belongs to, with the settings that hold there.

    Raises:
        UsageError: a setting is empty or cannot be read.
    """
    root = project_root(path)
    home, own = _own_settings(root)
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


def _without_dots(path: Path) -> Path:
    """The path without ``..``, where that leads to the same folder: behind a link it would not."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def _own_settings(root: Path) -> tuple[Path, dict[str, str]]:
    """``[tool.harness]`` of the project's pyproject.toml, and the folder of that file.

    It may lie above the project's folder: that of a trail, ``study/verdicts/``, is part of what lies around it.
    """
    for folder in (root, *root.parents):
        if (folder / "pyproject.toml").exists():
            return folder, _table(folder / "pyproject.toml")
        if (folder / ".git").exists():
            break
    return root, {}


def _table(file: Path) -> dict[str, str]:
    try:
        tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        remedy = "mend the file: the project's settings may stand in it"
        raise UsageError(f"cannot be read: {error}", where=str(file), remedy=remedy) from error
    own = tool.get("harness", {}) if isinstance(tool, dict) else {}
    if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
        raise UsageError(f"{TABLE} takes texts", where=str(file), remedy='write device = "cpu"')
    if unknown := sorted(set(own) - set(SETTINGS)):
        remedy = f"known keys: {', '.join(sorted(SETTINGS))}"
        raise UsageError(f"unknown key {unknown[0]!r}", where=f"{file} {TABLE}", remedy=remedy)
    return own
