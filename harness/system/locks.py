"""A lock that one process holds at a time, even on file systems without locks.

Where the file system has locks, the operating system keeps them, and a lock dies with its holder. Some network file
systems have none, or their lock server is unreachable. There, a folder that is renamed into place stands in for the
lock: it names its holder by host name, boot, process number and start time, and the next process removes it if that
holder is gone.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from harness.errors import StorageFailed
from harness.system.reading import LARGEST_SETTINGS, read_regular
from harness.system.storage import build_storage_error
from harness.system.without import do_without

if TYPE_CHECKING:
    from filelock import BaseFileLock

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of a file system without locks."""
POLL_SECONDS = 0.05  # seconds between two tries
NOTE = (
    "this file system has no locks: a folder .lock.held stands in for a trail's; an attempt's working files are "
    "guarded only in that its processes end with their run"
)
UNGUARDED = (
    "this system has no locks that last as long as any process of a run: an attempt's working files are guarded only "
    "in that its processes end with their run"
)
NO_NAMES = frozenset({"localhost", "(none)", ""})
"""Host names that many computers share."""
END_SECONDS = 30.0  # seconds that processes of a killed run may take to end


class Busy(StorageFailed):
    """Another process holds the lock."""


class Lock:
    """The lock ``path``, a file that is never removed; one object may hold it several times, nested."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._seconds = seconds
        self._held = 0
        self._native: BaseFileLock | None = None
        self._own = ""
        """Name of this process's file in the stand-in."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, waiting for it up to the given number of seconds.

        Raises:
            Busy: another process holds it for longer.
            StorageFailed: permission for the file is missing.
        """
        if not self._held:
            self._take()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                self._give_back()

    def _take(self) -> None:
        from filelock import Timeout  # imported here, because most commands only read

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            native = _open_native_lock(self.path)
            native.acquire(timeout=self._seconds)
            self._native = native
        except Timeout as error:
            raise self._build_busy("another process") from error
        except NotImplementedError:  # raised by versions of filelock that hide the OSError
            self._take_stand_in()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise build_storage_error(self.path, error) from error
            self._take_stand_in()

    def _give_back(self) -> None:
        if self._native is not None:
            self._native.release()
            self._native = None
        else:
            _remove(self._stand_in, self._own)

    @property
    def _stand_in(self) -> Path:
        return self.path.with_name(f"{self.path.name}.held")

    def _take_stand_in(self) -> None:
        do_without(NOTE)
        until = time.monotonic() + self._seconds
        try:
            while not self._try_stand_in():
                if time.monotonic() >= until:
                    _, who = _find_holder(self._stand_in)
                    raise self._build_busy(who or "another process")
                time.sleep(POLL_SECONDS)
        except OSError as error:
            raise build_storage_error(self.path, error) from error

    def _try_stand_in(self) -> bool:
        """Rename a folder that names this process into place; it replaces no other's, because none of them is empty."""
        name, holder = _find_holder(self._stand_in)
        if holder is None or is_gone(holder):
            _remove(self._stand_in, name)
        token = secrets.token_hex(6)
        own = self.path.with_name(f".{self._stand_in.name}.{token}.tmp")
        own.mkdir()
        try:
            (own / f"{token}.lock").write_text(str(Holder.current()), encoding="utf-8")
            own.rename(self._stand_in)
            self._own = f"{token}.lock"
        except OSError as error:
            rmtree(own, ignore_errors=True)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            if error.errno == errno.EACCES and self._stand_in.exists():  # Windows' error for the same case
                return False
            raise
        return True

    def _build_busy(self, who: str) -> Busy:
        remedy = "wait for that process, or stop it"
        if self._stand_in.exists():
            remedy += f"; if it is gone, remove {self._stand_in}"
        return Busy(f"{who} holds the lock", where=str(self.path), remedy=remedy)


def _open_native_lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    try:  # filelock's own fallback warns, requires more of a file system, and is missing in some versions
        return FileLock(path, fallback_to_soft=False)
    except TypeError:
        return FileLock(path)


@dataclass(frozen=True)
class Holder:
    """A process as a stand-in lock names it; fields that its system does not provide are empty."""

    number: int
    host: str
    boot: str = ""
    space: str = ""
    """Namespace of the process number; each container counts its own."""
    started: str = ""
    """Ticks from the boot to the start of the process; a number may be reused, but not with the same start."""

    @classmethod
    def current(cls) -> Holder:
        """Return the holder for this process."""
        boot = space = ""
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        with suppress(OSError):
            space = str(Path("/proc/self/ns/pid").readlink())
        return cls(os.getpid(), socket.gethostname(), boot, space, _read_start_time(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """Return the holder that a text names; None if it names none."""
        found = re.fullmatch(r"process (\d+) on (\S+)(?: \((.*)\))?", text.strip())
        if found is None:
            return None
        known = [re.search(one, found[3] or "") for one in (r"boot ([^,)]+)", r"(pid:[^,)]+)", r"started (-?\d+)")]
        return cls(int(found[1]), found[2], *(one[1] if one else "" for one in known))

    def __str__(self) -> str:
        parts = (self.boot and f"boot {self.boot}", self.space, self.started and f"started {self.started}")
        known = ", ".join(part for part in parts if part)
        return f"process {self.number} on {self.host}" + (f" ({known})" if known else "")


def _read_start_time(number: int) -> str:
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rsplit(")", 1)[1].split()[19]


def _find_holder(stand_in: Path) -> tuple[str, str | None]:
    """Find the file in a stand-in that names its holder, and what it says; no name and None if there is none by now."""
    with suppress(OSError):
        for file in sorted(stand_in.iterdir()):
            if file.name.endswith(".lock"):
                return file.name, read_regular(file, LARGEST_SETTINGS).decode(errors="replace")
    return "", None


def is_gone(holder: str) -> bool:
    """Tell whether a holder is certainly gone; False where that cannot be known here.

    No process survives a restart of this computer, nor an earlier life of this container, which keeps its name. Another
    computer of the same name, or a container that was started earlier and shares its name, would be mistaken for it.
    """
    held, current = Holder.parse(holder), Holder.current()
    if os.name == "nt" or held is None or held.host != current.host:
        return False
    if (held.boot, held.space) != (current.boot, current.space):
        if held.host.partition(".")[0] in NO_NAMES or not held.boot or not current.boot:
            return False
        first = _read_start_time(1)  # process 1 started with this container
        return held.boot != current.boot or bool(held.started and first and int(held.started) < int(first))
    try:
        os.kill(held.number, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # the process may belong to another user
    now = _read_start_time(held.number)
    return bool(held.started and now and held.started != now)


def _remove(stand_in: Path, name: str) -> None:
    """Remove a stand-in if it is still the one that holds the file of this name, which no other ever has.

    First the file goes, then the folder if it is empty: whichever moment another process puts its own stand-in into
    this place, that stays. An empty folder that somebody left is taken over.
    """
    with suppress(OSError):
        if name:
            (stand_in / name).unlink()
        stand_in.rmdir()


@contextmanager
def hold_folder(folder: Path, seconds: float) -> Iterator[None]:
    """Be the only process that holds this folder, waiting for it as many seconds as were given; nothing is left there.

    Where a folder can't be locked, as on Windows and some network file systems, a file ``.harness.lock`` in it is.

    Raises:
        Busy: another process holds it for longer.
        StorageFailed: there is no permission for a file there.
    """
    descriptor = _lock_folder(folder, seconds)
    if descriptor is None:
        with Lock(folder / ".harness.lock", seconds).held():
            yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_folder(folder: Path, seconds: float) -> int | None:
    """Return a descriptor that holds the folder's lock; None where folders have none."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES) and time.monotonic() < until:
                time.sleep(POLL_SECONDS)
                continue
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                busy = "another process is looking for other registrations in this project"
                raise Busy(busy, where=str(folder), remedy="wait for that process, or stop it") from error
            return None
        return descriptor


@contextmanager
def sole_writer(folder: Path, seconds: float | None = None) -> Iterator[int | None]:
    """Be the only writer in ``folder``, together with the processes that receive the descriptor that this yields.

    The lock belongs to an open file, so that it lasts until the last process that holds it has ended, however each of
    them ends. Processes of a killed run end soon, and are waited for, up to ``seconds`` if given, else ``END_SECONDS``.
    Where a file system or Windows has no such locks, a note says so and None is yielded; no folder could stand in for
    them, because it would not know of the processes that live on.

    Raises:
        Busy: another process keeps writing.
        StorageFailed: the folder cannot be written to.
    """
    try:
        import fcntl
    except ImportError:
        do_without(UNGUARDED)
        yield None
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise build_storage_error(folder, error) from error
    try:
        last = time.monotonic() + (END_SECONDS if seconds is None else seconds)
        locked = False
        while not locked:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except OSError as error:
                if error.errno in NO_LOCKS:
                    do_without(NOTE)
                    break
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise build_storage_error(folder, error) from error
                if time.monotonic() > last:
                    raise Busy(
                        "another process is still writing into this folder",
                        where=str(folder),
                        remedy="wait for it, or end it (fuser -v names whoever holds the file .lock there), and give "
                        "the same command again",
                    ) from error
                time.sleep(POLL_SECONDS)
        yield descriptor if locked else None
    finally:
        os.close(descriptor)
