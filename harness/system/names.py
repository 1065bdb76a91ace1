"""Names that are given as paths and are something else: addresses of servers, and names of files for folders."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from harness.errors import UsageError

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/")
"""The beginning of an address, also after a path has taken one of two slashes away. A drive has one letter."""
FILES = frozenset(
    {".csv", ".tsv", ".parquet", ".feather", ".json", ".jsonl", ".txt", ".md", ".tex", ".pdf", ".html", ".yaml", ".yml",
     ".db", ".sqlite", ".xlsx", ".zip", ".gz", ".tar"}
)  # fmt: skip
"""Endings of names that everybody takes for files."""


def refuse_address(path: str | os.PathLike[str], where: str, remedy: str = "") -> None:
    """Refuse an address, from which a path would make folders: ``sqlite:///runs.db``.

    ``remedy``: the way to what was wanted, if there is one.

    Raises:
        UsageError: it is one, and nothing of that name is there.
    """
    text = os.fspath(path)
    found = ADDRESS.match(text)
    if found is None or os.path.lexists(text):
        return
    if found["scheme"].lower() == "file":
        remedy = f"give the path itself: {unquote(re.sub('^/*', '/', text[found.end() :]))}"
    told = remedy or "give the path of a file or a folder on this computer"
    raise UsageError(f"an address ({found['scheme']}:…) is not a path", where=where, remedy=told)


def refuse_file_name(folder: Path, where: str, remedy: str) -> None:
    """Refuse the name of a file for a folder that is to be made.

    Raises:
        UsageError: it ends as names of files do, and no such folder is there.
    """
    if folder.suffix.lower() in FILES and not os.path.lexists(folder):
        raise UsageError(f"{folder} would be a folder, and has the name of a file", where=where, remedy=remedy)
