"""The files below a verdicts folder: listed without following a link, read without trusting a size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from harness.ledger.carried import Hindrance, find_left_out
from harness.ledger.mending import find_original, undo
from harness.system.reading import LARGEST_FILE, read_regular

SMALL, KEPT = 2**14, 2**12  # bytes of a file, and files, that are kept until they are read once hashed
CONTENT = ("/results.json", "/env.json", *"0123456789abcdef")
"""Ends of paths whose content is likely to be asked for: of a run's files these, and objects."""
MOST_LOOKED_UP = 100
"""Changed files for which git is asked for a copy."""
UNLISTED = ("work", "weights", "logs")
"""Folders of a run that hold large, reproducible files and are not in git."""


class TrailFiles:
    """The regular files of a trail by their path below it, and what else lies there."""

    def __init__(self, root: Path, known: Mapping[str, str] | None = None) -> None:
        """List the files below ``root``; ``known``: path → digest of those that were read just now."""
        self.root, self._known = root, known or {}
        self.paths: set[str] = set()
        """Paths below the root."""
        self.odd: dict[str, str] = {}
        """Path → what it is instead of a file or folder: "a link", "a device"."""
        self.closed: dict[str, str] = {}
        """Folder, ending in a slash, or empty for the trail's own → why it can't be read."""
        self.expected: dict[str, str] = {}
        """Path → the digest that its content has by its name, or by the event that names it."""
        self.mended: dict[str, str] = {}
        """Path → digest, of files read so far whose line ends were changed: they are read as they were written."""
        self._digests: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._looked_up: set[str] = set()
        self._list()

    def shown(self, path: str) -> str:
        """Write a path for a person."""
        return f"{self.root}{os.sep}{path}"

    def read(self, path: str, limit: int = LARGEST_FILE) -> bytes:
        """Read the bytes of a listed file.

        Raises:
            OSError: it cannot be read, is larger than ``limit``, or is a link by now.
        """
        if (small := self._small.pop(path, None)) is not None and len(small) <= limit:
            return small
        data = read_regular(f"{self.root}{os.sep}{path}", limit)
        self._digests[path] = hashlib.sha256(data).hexdigest()
        if self.expected.get(path, self._digests[path]) != self._digests[path]:
            data = self._as_written(path, data, self.expected[path])
            self._digests[path] = hashlib.sha256(data).hexdigest()
        return data

    def _as_written(self, path: str, data: bytes, wanted: str) -> bytes:
        """Return the bytes from before git or a fixer changed line ends; what was changed otherwise stays as it is.

        An audit goes on with them, so that it says once what happened, and what it comes to is of what was written.
        """
        if path not in self.mended and len(self._looked_up) >= MOST_LOOKED_UP:
            written = undo(data, wanted)  # whoever forged a thousand files must not keep an audit busy
        else:
            self._looked_up.add(path)
            written = find_original(self.root, path, data, wanted)
        if written is None:
            return data
        self.mended[path] = wanted
        return written

    def left_out(self) -> Hindrance | None:
        """Return what git has of this trail and was told to leave out here."""
        return find_left_out(self.root)

    def digest(self, path: str) -> str:
        """SHA-256 of a listed file, which is read unless it is known to be what it should be.

        Raises:
            OSError: as ``read``.
        """
        if path not in self._digests and path in self._known and self._known[path] == self.expected.get(path):
            return self._known[path]
        if path not in self._digests:
            data = self.read(path)
            if len(data) <= SMALL and path.endswith(CONTENT) and len(self._small) < KEPT:
                self._small[path] = data
        return self._digests[path]

    def below(self, folder: str) -> list[str]:
        """Return the listed files below a folder, sorted."""
        return [path for path in sorted(self.paths) if path.startswith(f"{folder}/")]

    def _list(self) -> None:
        if self.root.is_symlink():  # whoever reads about this folder would take it for the one that was read
            self.odd[""] = "a link"
            return
        todo = [""]
        while todo:
            folder = todo.pop()
            try:
                entries = list(os.scandir(f"{self.root}{os.sep}{folder}"))
            except FileNotFoundError:
                continue
            except OSError as error:
                self.closed[folder] = error.strerror or str(error)
                continue
            for entry in entries:
                path = folder + entry.name
                if entry.is_file(follow_symlinks=False):
                    self.paths.add(path)
                elif entry.is_dir(follow_symlinks=False):
                    todo.append(f"{path}/")
                elif entry.is_symlink():
                    self.odd[path] = "a link"
                else:
                    self.odd[path] = "a device, a pipe or a socket"


def is_unlisted(path: str) -> bool:
    """Tell whether a path belongs to what is not in git: working files, weights, locks."""
    parts = path.split("/")
    return (len(parts) > 2 and parts[2] in UNLISTED) or parts[-1] == ".lock" or ".lock.held" in parts


def is_temporary(path: str) -> bool:
    """Tell whether a path is what a cut-off write leaves."""
    name = path.rsplit("/", 1)[-1]
    return name.startswith(".") and name.endswith(".tmp")
