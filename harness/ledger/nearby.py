"""Trails in and around a project, as a registration searches for them, and the places that no search would come to."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

OWN_MARKS = ("pyproject.toml", ".git")
"""Marks of a folder that is a project of its own even inside another. A trail is none: it may be the second one."""
HYPOTHESES = "hypotheses"
"""The folder that such a project must hold besides for its trails to be its own: they could be ours otherwise."""
ENVIRONMENT = "pyvenv.cfg"
PASSED_OVER = (
    "node_modules", "__pycache__", "site-packages", ".git", ".cache", ".hypothesis", ".mypy_cache", ".nox",
    ".pytest_cache", ".ruff_cache", ".tox",
)  # fmt: skip
DEEPEST, MOST_ENTRIES = 8, 200_000


@dataclass(frozen=True)
class Nearby:
    """A trail that a search found."""

    trail: Path
    project: Path | None = None
    """The project inside the searched one that it lies in; None if it lies in no other."""


@dataclass
class _Search:
    base: Path
    seen: set[str]
    """Real places that were looked at, or are not to be."""
    data: str | None
    """Real place of the data folder, which is searched last: it may hold more files than all the rest."""
    budget: int = MOST_ENTRIES
    closed: list[Path] = field(default_factory=list)
    """Folders that could not be looked into."""


class Searched(NamedTuple):
    """The result of a search for trails."""

    trails: list[Nearby]
    """Nearest first."""
    whole: bool
    """True if all of it was searched, but for what is closed."""
    closed: list[Path]
    """Folders that could not be looked into: a trail may be in them."""


def find_base(project: Path) -> Path:
    """Return the folder that a project's trails are searched in.

    It is the nearest above it that is a project for sure, or the top of its repository; where there is neither, the
    nearest with a mark.
    """
    marked = [folder for folder in (project, *project.parents) if _has(folder, OWN_MARKS)]
    return next((folder for folder in marked if _has(folder, (HYPOTHESES, ".git"))), next(iter(marked), project))


def is_own_project(folder: Path) -> bool:
    """Tell whether a folder is for sure a project of its own, even inside another one."""
    return _has(folder, OWN_MARKS) and _has(folder, (HYPOTHESES,))


def _has(folder: Path, names: tuple[str, ...]) -> bool:
    return any(os.path.exists(folder / name) for name in names)  # noqa: PTH110 (that of paths raises in a closed one)


def find_trails(base: Path, own: Path, data: Path | None = None) -> Searched:
    """Find the folders below ``base`` that hold a ledger, but for ``own``, and tell how much of it was searched.

    Passed over are caches, environments, and what lies very deep. Of a data folder elsewhere, one level is looked at.
    """
    search = _Search(base, {os.path.realpath(own)}, os.path.realpath(data) if data is not None else None)
    found, last = _below(search, deque([(str(base), 0, None)]))
    whole = search.budget > 0
    search.budget, search.data = MOST_ENTRIES, None
    if data is not None and not last and not _inside(base, data):
        last = deque([(str(data), DEEPEST, None)])
    in_data, _ = _below(search, last)
    return Searched([*found, *in_data], whole and search.budget > 0, search.closed)


_Todo = deque[tuple[str, int, Path | None]]
"""Folders to look into: path, depth, and the project inside the searched one that it belongs to."""


def _below(search: _Search, todo: _Todo) -> tuple[list[Nearby], _Todo]:
    """Find the trails below some folders; the data folder, if it is among them, is left for later."""
    found: list[Nearby] = []
    later: _Todo = deque()
    while todo and search.budget > 0:
        folder, depth, project = todo.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:  # it went while others were looked into
            continue
        except OSError:
            search.closed.append(Path(folder))
            continue
        search.budget -= len(entries)
        names = {entry.name for entry in entries}
        if ENVIRONMENT in names:
            continue
        if not _ours(search.base, folder) and names & {*OWN_MARKS} and HYPOTHESES in names:
            project = Path(folder)
        for entry in entries:
            path = entry.path
            if not entry.is_dir() or entry.name in PASSED_OVER or (real := os.path.realpath(path)) in search.seen:
                continue
            if os.path.isdir(os.path.join(path, "ledger", "events")):  # noqa: PTH112, PTH118 (many of them)
                search.seen.add(real)
                found.append(Nearby(Path(path), project))
            elif depth < DEEPEST and not entry.is_symlink():
                (later if real == search.data else todo).append((path, depth + 1, project))
    return found, later


def _ours(base: Path, folder: str) -> bool:
    """Tell whether a folder is the searched project's for sure: itself and its hypotheses/, with all that is below."""
    own = str(base / HYPOTHESES)
    return folder in (str(base), own) or folder.startswith(own + os.sep)


def explain_unfound(base: Path, trail: Path, data: Path | None) -> str | None:
    """Say why a search of the project would not come to a trail in this folder, as a clause about it.

    None if it would, or if the folder is outside.
    """
    if not _inside(base, trail):
        return None
    top = Path(os.path.realpath(base))
    place = _place(trail)
    for folder in (*reversed([one for one in place.parents if one != top and one.is_relative_to(top)]), place):
        if folder.name in PASSED_OVER or (folder / ENVIRONMENT).exists():
            return f"it lies in {folder}, where nobody looks for one"
        if folder != place and any((folder / mark).exists() for mark in OWN_MARKS):
            return f"it lies in a project of its own, {folder}"
    if len(place.relative_to(top).parts) > DEEPEST + 1:
        return "it lies too deep in the project's folders"
    if data is not None and _inside(base, data):
        inside = Path(os.path.realpath(data))
        if place.is_relative_to(inside) and len(place.relative_to(inside).parts) > 1:
            return f"it lies deep in the data folder, {data}"
    return None


def _inside(base: Path, path: Path) -> bool:
    """Tell whether a path is strictly below a folder."""
    place, top = _place(path), Path(os.path.realpath(base))
    return place != top and place.is_relative_to(top)


def is_outside(base: Path, trail: Path) -> bool:
    """Tell whether a trail lies elsewhere than in the project's folder or a folder of it."""
    return not _place(trail).is_relative_to(os.path.realpath(base))


def _place(path: Path) -> Path:
    """Return where a path lies: links above it are followed, and itself, which a search finds by its name, is not."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (links are followed on the next line)
    return Path(os.path.realpath(whole.parent)) / whole.name
