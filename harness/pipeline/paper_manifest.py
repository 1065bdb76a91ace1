"""The manifest of a paper: the file that marks its folder, and says what each of its numbers was made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.system.reading import LARGEST_FILE, read_regular
from harness.wording import make_plain_line

MANIFEST = "harness-paper.json"
"""File that marks a folder as a paper, and says what each of its numbers was made from."""
FORM = 1
"""Form of that file."""
PROMISE = "the numbers of the papers that were written from it are its own"
"""Promise of the audit's step on papers."""
DEPTH = 2
"""Folders below the project's in which papers are looked for."""
REMOVE = "write the paper again into another folder: harness paper … --out FOLDER"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return what a folder's manifest says; None if it has none.

    Raises:
        UsageError: There is one, and it is not a manifest of a form that is known here.
    """
    path = folder / MANIFEST
    found: dict[str, Any]
    try:
        found = json.loads(read_regular(path, LARGEST_FILE))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"this can't be read: {error}", where=str(path), remedy=REMOVE) from error
    parts: Mapping[str, type] = {"files": dict, "runs": list, "heads": list, "trail": str, "numbers": dict}
    sound = isinstance(found, dict) and found.get("form") == FORM
    if not sound or not all(isinstance(found.get(name), kind) for name, kind in parts.items()):
        raise UsageError("this is not a manifest of a form that is known here", where=str(path), remedy=REMOVE)
    runs_sound = all(isinstance(run, dict) and isinstance(run.get("run"), str) for run in found["runs"])
    files_sound = all(isinstance(digest, str) for digest in found["files"].values())
    if not runs_sound or not files_sound or not found["runs"]:
        raise UsageError("this manifest names no runs or files", where=str(path), remedy=REMOVE)
    return found


def quote_path(path: Path) -> str:
    """Return a path as it stands in a command, with nothing in it that whoever shows the command would obey."""
    return quote(make_plain_line(str(path)))


def write_command(runs: Sequence[str], folder: Path, changed: Iterable[Path] = (), verdicts: Path | None = None) -> str:
    """Write the command that makes a paper of these runs again in its folder: files that were changed go first.

    ``verdicts``: the folder of the trail, if it had to be named.
    """
    removed = " ".join(map(quote_path, changed))
    named = f" --verdicts {quote_path(verdicts)}" if verdicts is not None else ""
    again = f"harness paper {' '.join(runs)} --out {quote_path(folder)}{named}"
    return f"rm {removed} && {again}" if removed else again


def find_changed(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """List the files of a paper that are no longer those that were written; not those that are gone."""
    paths = {folder / name: digest for name, digest in sorted(manifest["files"].items())}
    return [path for path, digest in paths.items() if os.path.lexists(path) and _digest(path) != digest]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, LARGEST_FILE)).hexdigest()
    except OSError as error:
        return f"not read: {error.strerror}"


def find_papers(project: Path, trail: Path) -> list[Path]:
    """Find the folders of a project with papers of a trail, no deeper than two; not in hidden folders or links.

    A paper whose manifest names another trail, which is there, is that one's.
    """
    shown = os.path.relpath(project)
    found, waiting = [], [(project if shown.startswith(os.pardir) else Path(shown), 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth and os.path.lexists(folder / MANIFEST) and _is_of(folder, trail):
            found.append(folder)
        if depth < DEPTH:
            with suppress(OSError), os.scandir(folder) as entries:
                waiting += [
                    (Path(entry.path), depth + 1)
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
                ]
    return sorted(found)


def _is_of(folder: Path, trail: Path) -> bool:
    try:
        manifest = read_manifest(folder)
    except HarnessError:
        return True  # it is told that it can't be read
    named = os.path.realpath(folder / str(manifest["trail"])) if manifest is not None else ""
    return named == os.path.realpath(trail) or not os.path.isdir(os.path.join(named, "ledger", "events"))  # noqa: PTH112, PTH118
