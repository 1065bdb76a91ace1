"""Paths as a code host wants them: from the repository's top, wherever in it the command was given."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from harness.cli.common import show_path


def show_from_top(path: Path) -> Path:
    """Return a path below its repository's top folder, or below ``GITHUB_WORKSPACE``; else as it is shown here."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own place: that is the file in the repository)
    top = _find_top(whole.parent)
    if top is None and (workspace := os.environ.get("GITHUB_WORKSPACE")):
        top = Path(workspace)
    for folder in (top, top.resolve() if top is not None else None):
        if folder is not None and whole.is_relative_to(folder):
            return whole.relative_to(folder)
    return show_path(path)


@cache
def _find_top(folder: Path) -> Path | None:
    """Return the nearest folder that is a repository's top; in a linked work tree or a submodule .git is a file."""
    return next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), None)
