"""Writing files so that a reader sees the old bytes or the new ones, and never a part."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StorageFailed
from harness.system.without import do_without

FULL = (errno.ENOSPC, errno.EDQUOT)
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""What a file system answers that has no such operation; not what it answers when the operation failed."""
NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV}
"""What a file system without hard links, as on a memory card, answers to one."""


def cache_folder() -> Path | None:
    """``HARNESS_CACHE``, else the user's cache folder for this program; None where nobody knows of a home folder."""
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    try:
        found = user_cache_path("harness")
    except (RuntimeError, OSError):  # this user has no entry in the system's list, and nothing else says where it is
        return None
    return found if found.is_absolute() else None  # older versions of it leave a ~ as it is


def working_folder(name: str) -> Path:
    """A folder below the cache for a compiler's work; one of this process alone where the cache can't be written to."""
    folder = cache_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / name).mkdir(parents=True, exist_ok=True)
            if os.access(folder / name, os.W_OK | os.X_OK):
                return folder / name
    do_without("there is no cache folder that can be written to: what is compiled is compiled again by every process")
    from tempfile import mkdtemp  # here, because most commands need none

    return Path(mkdtemp(prefix=f"harness-{name}-"))


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
            _sync(stream.fileno(), path)
        yield temporary
        sync_folder(path.parent)
    except OSError as error:
        raise storage_failed(path, error) from error
    finally:
        with suppress(OSError):  # renamed already, or the folder itself is what is wrong
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable, where the file system can: the file itself is on the disk already."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write there and not list it, or the system opens no folders
        do_without("folders can't be opened here: a power cut may cost the last files")
        return
    try:
        _sync(descriptor, folder)
    finally:
        os.close(descriptor)


def place_new(temporary: Path, path: Path) -> None:
    """Give a temporary file its final name unless that is taken; then nothing happens.

    A hard link never replaces a file. Where the file system has none, the name is looked at and the file renamed: who
    was faster in between wrote the same, because the names that are given so are digests of the content.

    Raises:
        OSError: it cannot be done.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS or not temporary.exists():
            raise
        if not path.exists():
            temporary.replace(path)  # the real error comes from here, if it was another
        do_without("this file system has no hard links: new files are renamed into place")


def _sync(descriptor: int, path: Path) -> None:
    """Wait until what was written is on the disk, where the file system can tell."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        what = "folders" if path.is_dir() else "files"
        do_without(
            f"this file system does not say when its {what} are on the disk: a power cut may cost the last files"
        )


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
