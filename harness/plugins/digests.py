"""Digests of files of code, each read once for as long as it stays as it is.

Starting, judging and noting a run all digest the same hundreds of files: harness's own, and those of other people's
packages that happen to be loaded, which in a notebook may be thousands.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

SETTLING = 5 * 10**9
"""Nanoseconds for which a file that was just written is read again each time. Within one tick of a file system's clock
(2 s on FAT) a second change would leave its state the same."""


class _State(NamedTuple):
    """Attributes that a file system has of a file; a change of its content changes some of them."""

    device: int
    inode: int
    size: int
    modified: int
    """Time of the last change of the content, in nanoseconds, which whoever writes a file may set."""
    changed: int
    """Time of the last change of content or attributes, in nanoseconds. On POSIX nobody can set it."""


_known: dict[tuple[str, bool], tuple[_State, str]] = {}


def normalise_newlines(source: bytes) -> bytes:
    """Return the contents of a source file or template with newlines as Python reads them.

    A checkout may change them.
    """
    return source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def digest_code(path: str | Path, *, text: bool) -> str:
    """Return the SHA-256 of a file; of a ``text`` with newlines as Python reads them.

    Raises:
        OSError: it can't be read.
    """
    key = (os.fspath(path), text)
    begun, state = time.time_ns(), _read_state(key[0])
    if (held := _known.get(key)) is not None and held[0] == state:
        return held[1]
    data = Path(path).read_bytes()
    digest = hashlib.sha256(normalise_newlines(data) if text else data).hexdigest()
    if max(state.modified, state.changed) < begun - SETTLING:
        _known[key] = (state, digest)
    return digest


def _read_state(path: str) -> _State:
    found = os.stat(path)  # noqa: PTH116 (of thousands of files)
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
