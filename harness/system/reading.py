"""Reading files that somebody else may have put there: regular files only, and no more of them than is sensible.

A pipe would be waited for, a link may lead to a device that never ends, and a file may claim more bytes than a machine
has memory. Whoever reads a trail, or what lies beside it, reads here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST_EVENT = 16 * 2**20
"""Bytes of an event."""
LARGEST_FILE = 2**30
"""Bytes of any other file of a trail."""
LARGEST_SETTINGS = 2**20
"""Bytes of a file of settings."""


class NotAFile(OSError):
    """Error for something that is no regular file."""


def read_regular(path: str | Path, limit: int, *, follow: bool = False) -> bytes:
    """Read the bytes of a regular file, of ``limit`` bytes at most.

    ``follow``: whether it may be a link to one. In a trail there are no links.

    Raises:
        NotAFile: it is a link, a pipe, a socket, a device or a folder.
        OSError: it is not there, cannot be read, or is larger.
    """
    descriptor, size = _open_regular(path, follow=follow)
    try:
        if size > limit:
            raise OSError(f"it has {size:,} bytes, more than the {limit:,} that are read")
        return _read_bytes(descriptor, size)
    finally:
        os.close(descriptor)


def read_beginning(path: str | Path, size: int) -> bytes:
    """Read the first bytes of a regular file, up to ``size``, however many it has.

    Raises:
        OSError: as ``read_regular``, but for its size.
    """
    descriptor, _ = _open_regular(path, follow=False)
    try:
        return _read_bytes(descriptor, size)[:size]
    finally:
        os.close(descriptor)


def _open_regular(path: str | Path, *, follow: bool) -> tuple[int, int]:
    """Open a regular file; return its descriptor and its size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, which can't be opened
            raise NotAFile("a socket, not a file") from error
        if error.errno == errno.ELOOP and not follow:
            raise NotAFile("a link, not a file") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotAFile(f"{_name_kind(status.st_mode)}, not a file")
    return descriptor, status.st_size


def _read_bytes(descriptor: int, size: int) -> bytes:
    parts = [os.read(descriptor, size + 1)]
    while parts[-1] and sum(map(len, parts)) < size:
        parts.append(os.read(descriptor, size + 1))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _name_kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device"
