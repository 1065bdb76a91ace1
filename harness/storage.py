"""Writing files so that a reader sees the old bytes or the new ones, and never a part."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StorageFailed

FULL = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """``HARNESS_CACHE``, else the user's cache folder for this program."""
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("harness")


def write_atomic(path: Path, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other under ``path``, durably: a temporary file beside it, fsync, rename, fsync of
    the folder.

    Raises:
        StorageFailed: a full disk or a missing permission. Nothing is left behind, an older file stays as it was.
    """
    with written_beside(path, 0o644, *parts) as temporary:
        temporary.replace(path)


@contextmanager
def written_beside(path: Path, mode: int, *parts: bytes | memoryview) -> Iterator[Path]:
    """A temporary file of ``parts`` beside ``path``, on the disk already; the body gives it its final name.

    Afterwards the folder's entries are made durable, and what is left of the temporary file is removed.

    Raises:
        StorageFailed: anything of this failed. Nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
        sync_folder(path.parent)
    except OSError as error:
        raise storage_failed(path, error) from error
    finally:
        with suppress(OSError):  # renamed already, or the folder itself is what is wrong
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_failed(path: Path, error: OSError) -> StorageFailed:
    """The message for a file that could not be written."""
    if error.errno in FULL:
        return StorageFailed(
            "no space left on the disk",
            where=str(path),
            remedy="free some space and give the same command again: it goes on with what is there",
        )
    return StorageFailed(
        f"could not be written: {error.strerror or error}",
        where=str(path),
        remedy="check path and permissions and give the same command again: it goes on with what is there",
    )
