"""Roots: which folder is that of a project, what its pyproject.toml says, and which projects lie around it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import ledger
from harness.errors import UsageError
from harness.system.reading import LARGEST_SETTINGS, read_regular

SETTINGS = ("device", "data", "verdicts")
MARKS = ("verdicts", "pyproject.toml", ".git")
TABLE = "[tool.harness]"
ON = "tool.harness.on"
"""Table of the places to train at, one table each."""
HYPOTHESES = "hypotheses"
"""The folder of a project that hypothesis files lie in unless somebody names others."""


def get_folder(path: Path) -> Path:
    """Return the folder that decides to which project a path belongs: a folder itself, or that of a file.

    Links are followed: by whichever name a file is called, it belongs where it lies.
    """
    real = Path(os.path.realpath(path))  # resolve() raises on links in a circle
    return real if path.is_dir() or path.name == HYPOTHESES else real.parent


def find_root(path: Path) -> Path:
    """Find the folder of the project that a file or folder belongs to: the nearest above it that looks like one.

    What makes nothing but the look of one, and could come later to hide a trail, makes no project below a folder that
    holds one: an empty ``verdicts/``, or a pyproject.toml without ``[tool.harness]``.
    """
    folder = get_folder(path)
    found = [one for one in (folder, *folder.parents) if _is_marked(one) and not _is_part(one)]
    if not found:
        return folder.parent if folder.name == HYPOTHESES else folder
    for candidate in found:
        if _is_certain(candidate):
            return candidate if candidate == found[0] or _holds_trail(candidate) else found[0]
        if _holds_trail(candidate):
            return candidate
    return found[0]


def list_trails_around(root: Path) -> tuple[Path, ...]:
    """List the trails of the projects around a project: those that their settings name, and their default places."""
    return tuple(trail for folder in root.parents if _is_marked(folder) for trail in list_own_trails(folder))


def list_own_trails(folder: Path) -> tuple[Path, ...]:
    """List the trails of the project in a folder that are there: the one that its settings name, and the default."""
    return tuple(dict.fromkeys(_name_trails(folder)))


def find_settings(root: Path) -> tuple[Path, dict[str, str]]:
    """Return ``[tool.harness]`` of the project's pyproject.toml, and the folder of that file.

    It may lie above the project's folder: that of a trail, ``study/verdicts/``, is part of what lies around it.

    Raises:
        UsageError: the file cannot be read, or the table holds what it may not.
    """
    home = _find_home(root)
    return (root, {}) if home is None else (home, _read_table(home / "pyproject.toml"))


def find_places(root: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Return the tables of ``[tool.harness.on]`` of the project's pyproject.toml, by name, and the folder of that file.

    Raises:
        UsageError: the file cannot be read, or the table holds what it may not.
    """
    home = _find_home(root)
    return (root, {}) if home is None else (home, _read_whole_table(home / "pyproject.toml")[1])


def _find_home(root: Path) -> Path | None:
    """Return the folder of the pyproject.toml that holds for a project; None if there is none."""
    for folder in (root, *root.parents):
        if _exists(folder / "pyproject.toml"):
            return folder
        if _exists(folder / ".git"):
            break
    return None


def _is_marked(folder: Path) -> bool:
    return any(_exists(folder / mark) for mark in MARKS)


def _is_part(folder: Path) -> bool:
    """Tell whether a folder is the hypotheses/ of a project around it, or lies in that, and so is no project.

    It may well be a repository, as a submodule is. Below it, what is a project for sure is part of one around it only
    if that holds a trail: who has all projects in a folder called hypotheses/ keeps them.
    """
    for inside in (folder, *folder.parents):
        if inside.name != HYPOTHESES:
            continue
        marked = _is_marked(inside.parent)
        if folder == inside and (marked or _is_submodule(inside)):
            return True
        if marked and folder != inside and (not ledger.is_own_project(folder) or _holds_trail(inside.parent)):
            return True
    return False


def _is_submodule(folder: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError):  # a repository on its own has a folder there
        return "/modules/" in read_regular(folder / ".git", LARGEST_SETTINGS).decode()
    return False


def _is_certain(folder: Path) -> bool:
    """Tell whether a marked folder is a project even below one that holds a trail."""
    if _exists(folder / ".git") or ledger.is_own_project(folder) or _exists(folder / "verdicts" / "ledger"):
        return True
    try:
        return _exists(folder / "pyproject.toml") and bool(_read_table(folder / "pyproject.toml"))
    except UsageError:  # told as soon as its settings are asked for
        return True


def _holds_trail(folder: Path) -> bool:
    return any(_exists(trail / "ledger") for trail in _name_trails(folder))


def _name_trails(folder: Path) -> Iterator[Path]:
    with suppress(UsageError, RuntimeError):  # unreadable settings, or ~somebody who is not here
        home, own = find_settings(folder)
        if own.get("verdicts", "").strip():
            yield home / Path(own["verdicts"]).expanduser()
    yield folder / "verdicts"


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (that of paths raises below a closed folder)


def _read_table(file: Path) -> dict[str, str]:
    return _read_whole_table(file)[0]


def _read_whole_table(file: Path) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the settings of a project, and the tables of its places."""
    try:
        tool = tomllib.loads(read_regular(file, LARGEST_SETTINGS, follow=True).decode()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        remedy = "mend the file: the project's settings may stand in it"
        raise UsageError(f"cannot be read: {error}", where=str(file), remedy=remedy) from error
    own = tool.get("harness", {}) if isinstance(tool, dict) else {}
    places = own.pop("on", {}) if isinstance(own, dict) else {}
    if not isinstance(places, dict) or not all(isinstance(place, dict) for place in places.values()):
        remedy = f"write a table for each: [{ON}.cluster]"
        raise UsageError(f"[{ON}] takes tables", where=str(file), remedy=remedy)
    if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
        raise UsageError(f"{TABLE} takes texts", where=str(file), remedy='write device = "cpu"')
    if unknown := sorted(set(own) - set(SETTINGS)):
        remedy = f"known keys: {', '.join(sorted(SETTINGS))}"
        raise UsageError(f"unknown key {unknown[0]!r}", where=f"{file} {TABLE}", remedy=remedy)
    return own, places
