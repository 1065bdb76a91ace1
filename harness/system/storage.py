"""Atomic writes: a reader sees a file's old bytes or the new ones, never a part of them."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import StorageFailed
from harness.system.without import do_without

FULL = (errno.ENOSPC, errno.EDQUOT)
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""Errors of a file system that lacks an operation, as opposed to errors of the operation itself."""
NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV}
"""Errors of a file system without hard links, such as that of a memory card."""


def find_cache_folder() -> Path | None:
    """Return ``HARNESS_CACHE``, else the user's cache folder for harness; None if the home folder is unknown."""
    chosen = os.environ.get("HARNESS_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    try:
        found = user_cache_path("harness")
    except (RuntimeError, OSError):  # the system knows no home folder of this user
        return None
    return found if found.is_absolute() else None  # older versions of platformdirs keep a ~


def find_working_folder(name: str) -> Path:
    """Return a folder below the cache for a compiler, or this process's own where the cache is not writable."""
    folder = find_cache_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / name).mkdir(parents=True, exist_ok=True)
            if os.access(folder / name, os.W_OK | os.X_OK):
                return folder / name
    do_without("there is no cache folder that can be written to: what is compiled is compiled again by every process")
    from tempfile import mkdtemp  # imported here, because most commands need no such folder

    return Path(mkdtemp(prefix=f"harness-{name}-"))


def give_working_folder(variable: str, name: str) -> None:
    """Set the variable that names a compiler's cache to a working folder, unless whoever started harness has set it."""
    if variable not in os.environ:
        os.environ[variable] = str(find_working_folder(name))


def write_atomic(path: Path, *parts: bytes | memoryview) -> None:
    """Write ``parts``, joined, to ``path``, durably and atomically: temporary file, fsync, rename, fsync of the folder.

    Raises:
        StorageFailed: the disk is full or permission is missing. Nothing is left behind, and an older file stays.
    """
    with write_beside(path, 0o644, *parts) as temporary:
        temporary.replace(path)


@contextmanager
def write_beside(path: Path, mode: int, *parts: bytes | memoryview) -> Iterator[Path]:
    """Yield a temporary file of ``parts`` beside ``path``, already on disk; the body gives it its final name.

    Afterwards the folder's entries are made durable, and what is left of the temporary file is removed.

    Raises:
        StorageFailed: any of this failed. Nothing is left behind.
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
        raise build_storage_error(path, error) from error
    finally:
        with suppress(OSError):  # it was renamed, or the folder itself is unusable
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable where the file system can; the file itself is already on disk."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # the folder is writable but not readable, or the system cannot open folders
        do_without("folders can't be opened here: a power cut may cost the last files")
        return
    try:
        _sync(descriptor, folder)
    finally:
        os.close(descriptor)


def place_new(temporary: Path, path: Path) -> None:
    """Give a temporary file its final name unless that name is taken, in which case nothing happens.

    A hard link never replaces a file. Where the file system has none, the name is checked and the file renamed: a
    process that was faster wrote the same, because such names are digests of the content.

    Raises:
        OSError: the name cannot be given.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS or not temporary.exists():
            raise
        if not path.exists():
            temporary.replace(path)  # raises the real error if it was another one
        do_without("this file system has no hard links: new files are renamed into place")


def _sync(descriptor: int, path: Path) -> None:
    """Wait until the written data is on disk, where the file system can tell."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        what = "folders" if path.is_dir() else "files"
        do_without(
            f"this file system does not say when its {what} are on the disk: a power cut may cost the last files"
        )


def build_storage_error(path: Path, error: OSError) -> StorageFailed:
    """Return the error for a file that could not be written."""
    if error.errno in FULL:
        return StorageFailed(
            "no space left on the disk",
            where=str(path),
            remedy="free some space and give the same command again: a run goes on, and nothing is half written",
        )
    return StorageFailed(
        f"could not be written: {error.strerror or error}",
        where=str(path),
        remedy="check path and permissions and give the same command again: a run goes on, and nothing is half written",
    )


@contextmanager
def written_whole(list_parts: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Remove what was written if the rest can't be, or is interrupted: half of it would be taken for the whole."""
    try:
        yield
    except BaseException:
        for part in list_parts():
            with suppress(OSError):
                shutil.rmtree(part) if part.is_dir() else part.unlink()
        raise
