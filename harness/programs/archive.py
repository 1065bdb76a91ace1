"""A program's code as one file, in which it travels to machines that have no git repository of it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Mapping

Files = Mapping[str, tuple[int, bytes]]
"""Path below the project → mode, as git has it, and content, which is the target of a link."""


def pack(files: Files) -> bytes:
    """Return an archive of a program's code."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as tar:
        for name, (mode, content) in files.items():
            told = tarfile.TarInfo(name)
            told.mode = stat.S_IMODE(mode)
            if stat.S_ISLNK(mode):
                told.type, told.linkname = tarfile.SYMTYPE, os.fsdecode(content)
            else:
                told.size = len(content)
            tar.addfile(told, None if stat.S_ISLNK(mode) else io.BytesIO(content))
    return archive.getvalue()


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Return the files of an archive; nothing is written anywhere.

    Raises:
        OSError, EOFError, ValueError: It is no such archive, or a part of one.
    """
    found: dict[str, tuple[int, bytes]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for told in tar:
                if told.issym():
                    found[told.name] = stat.S_IFLNK | told.mode, os.fsencode(told.linkname)
                elif (file := tar.extractfile(told)) is not None:
                    found[told.name] = stat.S_IFREG | told.mode, file.read()
    except tarfile.TarError as error:
        raise ValueError(f"no archive: {error}") from error
    return found
