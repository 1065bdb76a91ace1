"""The working files of one replica of a program: its copy of the code, what it writes, and its sealed results."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from harness.domain.trained import name_replica
from harness.errors import StorageFailed
from harness.records import Replica, ReplicaResult
from harness.records.base import write_canonical
from harness.records.program import ReplicaRun
from harness.system.reading import LARGEST_FILE, read_regular
from harness.system.storage import build_storage_error, write_atomic

MENDED = "harness ended before it did"
LISTED = 20
"""Most files of a kind that are named of a replica."""
SYSTEM = ("/usr/", "/lib/", "/lib64/", "/etc/", "/proc/", "/sys/", "/opt/", "/nix/", "/System/", "/Library/")
INSTALLED = ("site-packages", "dist-packages", "pyvenv.cfg")
"""Parts of paths of what is installed, for which the lock file answers."""


@dataclass(frozen=True)
class Sealed:
    """A replica that is done."""

    result: ReplicaResult
    run: ReplicaRun
    raw: bytes
    """Content of its results file; empty if it wrote none, which ``result.raw`` tells apart."""


class ReplicaFolder:
    """The working files of a replica in an attempt's folder."""

    def __init__(self, attempt: Path, replica: Replica) -> None:
        self.name = name_replica(replica.arm, replica.seed_index)
        self._replica = replica
        self._attempt = attempt
        self._own = attempt / "work" / self.name
        self._sealed = attempt / "work" / f"{self.name}.json"
        self._tries: list[str | None] | None = None

    @property
    def path(self) -> Path:
        """Folder of everything that the replica writes."""
        return self._own

    @property
    def code(self) -> Path:
        """Folder of the replica's copy of the code."""
        return self._own / "code"

    @property
    def results(self) -> Path:
        """Folder that it writes its results to."""
        return self._own / "out"

    @property
    def kept(self) -> Path:
        """Folder that stays from try to try."""
        return self._own / "resume"

    @property
    def log(self) -> Path:
        """File of its output."""
        return self._attempt / "work" / f"{self.name}.log"

    def load(self) -> Sealed | None:
        """Return the sealed results; None if there are none, or they are damaged or another seed's."""
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            seal, _, body = read_regular(self._sealed, LARGEST_FILE).partition(b"\n")
            if hashlib.sha256(body).hexdigest() != seal.decode():
                return None
            told = json.loads(body)
            (entry,) = told["replicas"]
            result = ReplicaResult.model_validate_json(json.dumps(entry))
            run = ReplicaRun.model_validate_json(json.dumps(told["run"]))
            same = (result.arm, result.seed_index, result.seed)
            if same == (self._replica.arm, self._replica.seed_index, self._replica.seed):
                return Sealed(result, run, base64.b64decode(told["raw"]))
        return None

    def seal(self, sealed: Sealed) -> None:
        """Make a replica's results durable, then remove what it worked with.

        Raises:
            StorageFailed: they could not be written.
        """
        told = {
            "replicas": [sealed.result.model_dump(mode="json")],
            "run": sealed.run.model_dump(mode="json"),
            "raw": base64.b64encode(sealed.raw).decode(),
        }
        body = write_canonical(told).encode()
        _put(self._sealed, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        _remove(self._own)
        _remove(self.log)

    def take(self, other: ReplicaFolder) -> bool:
        """Take over what another folder has sealed and this one lacks; tell whether it is here now, with its output.

        Raises:
            StorageFailed: it could not be written.
        """
        if self.load() is not None:
            return True
        sealed = other.load()
        if sealed is None:
            return False
        name = f"{self.name}.log"
        content = b""
        with suppress(OSError):
            content = read_regular(other._attempt / "logs" / name, LARGEST_FILE)
        if hashlib.sha256(content).hexdigest() != sealed.run.log:
            return False  # a network folder may show it later
        write_atomic(self._attempt / "logs" / name, content)
        self.seal(sealed)
        return True

    def forget(self) -> None:
        """Remove what the next try has anew: the copy of the code and the results so far.

        Raises:
            StorageFailed: something could not be removed.
        """
        _mend(self._own.parent, self._own, self.kept)  # before anything is removed by way of them
        _remove(self.code)
        _remove(self.results)

    def begin(self, frozen: Mapping[str, tuple[int, bytes]]) -> None:
        """Prepare a try: a fresh copy of the code and an empty folder for results; only ``kept`` stays.

        Raises:
            StorageFailed: a file could not be written.
        """
        self.forget()
        tries = [MENDED if end is None else end for end in self._read_tries()]
        _remove(self._own / "opened")
        _remove(self.log)
        try:
            for folder in (self.code, self.results, self.kept):
                folder.mkdir(parents=True, exist_ok=True)
            for name, (mode, content) in frozen.items():
                path = self.code / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if mode == 0o120000:
                    path.symlink_to(os.fsdecode(content))
                else:
                    path.write_bytes(content)
                    path.chmod(0o755 if mode == 0o100755 else 0o644)
        except OSError as error:
            raise build_storage_error(self._own, error) from error
        self._write_tries([*tries, None])

    def end(self, how: str | None) -> list[str | None]:
        """Note how a try ended, if not by the program's own doing; return how all did.

        Raises:
            StorageFailed: it could not be written.
        """
        _mend(self._own.parent, self._own)
        tries = [*self._read_tries()[:-1], how]
        self._write_tries(tries)
        return tries

    def keep_log(self) -> str:
        """Put the output beside the run's other files; return its digest.

        Raises:
            StorageFailed: it could not be written.
        """
        content = b""
        with suppress(OSError):
            content = read_regular(self.log, LARGEST_FILE)
        _put(self._attempt / "logs" / f"{self.name}.log", content)
        return hashlib.sha256(content).hexdigest()

    def list_changed(self, frozen: Mapping[str, tuple[int, bytes]]) -> tuple[str, ...]:
        """Return the files of the code that are not what they were in the copy."""
        changed = []
        for name, (mode, content) in sorted(frozen.items()):
            path = self.code / name
            try:
                now = os.fsencode(path.readlink()) if mode == 0o120000 else read_regular(path, LARGEST_FILE)
            except OSError:
                now = None
            if now != content:
                changed.append(name)
        return tuple(changed[:LISTED])

    def list_unpinned(self, root: Path, pinned: set[Path]) -> tuple[str, ...]:
        """Return files that a Python program opened and that nothing pins: below the project by path, else by name."""
        opened = b""
        with suppress(OSError):
            opened = read_regular(self._own / "opened", LARGEST_FILE)
        own, project = os.path.realpath(self._own), os.path.realpath(root)
        known = {os.path.realpath(path) for path in pinned}
        found = set()
        for name in set(opened.split(b"\0")) - {b""}:
            path = os.path.realpath(os.fsdecode(name))
            parts = path.split("/")
            if path in known or path.startswith((own + "/", *SYSTEM)) or any(part in INSTALLED for part in parts):
                continue
            if any(part.startswith("python3") and "lib" in parts for part in parts) or not os.path.isfile(path):  # noqa: PTH113
                continue
            inside = path.startswith(project + "/")
            found.add(os.path.relpath(path, project) if inside else f"{parts[-1]}, outside the project")
        return tuple(sorted(found)[:LISTED])

    def _read_tries(self) -> list[str | None]:
        """Return how each try ended; only the first time from the file, since a program may have removed it."""
        if self._tries is None:
            self._tries = []
            with suppress(OSError, ValueError, TypeError, RecursionError):
                told = json.loads(read_regular(self._own / "tries.json", LARGEST_FILE))
                self._tries = [one if isinstance(one, str) else None for one in told]
        return self._tries

    def _write_tries(self, tries: list[str | None]) -> None:
        self._tries = tries
        _put(self._own / "tries.json", json.dumps(tries).encode())


def _mend(*folders: Path) -> None:
    """Have folders be real ones that are open to us, or not there, whatever a program made of them: a link, say."""
    for folder in folders:
        if folder.is_symlink() or not folder.is_dir():
            _remove(folder)
        else:
            _open_up(folder)


def _open_up(folder: Path) -> None:
    """Open a folder to us if it is closed; that of another user stays as it is."""
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        with suppress(OSError):
            folder.chmod(folder.stat().st_mode & 0o777 | 0o700)


def _put(path: Path, content: bytes) -> None:
    """Write a file, also where a program put a folder in its place."""
    if path.is_dir() and not path.is_symlink():
        _remove(path)
    write_atomic(path, content)


def _remove(path: Path) -> None:
    """Remove a folder, also where a program closed parts of it to us, nested it deeply, or put something else there."""
    if not os.path.lexists(path):
        return
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()  # and not what it leads to
            return
        with suppress(OSError, RecursionError):  # Python removes folder in folder by calls in calls, up to 3.12
            rmtree(path)
            return
        _remove_flat(path)
    except OSError as error:
        raise StorageFailed(
            f"what an earlier try left can't be removed: {error.strerror or error}",
            where=str(path),
            remedy="remove it, then give the same command again",
        ) from error


def _remove_flat(folder: Path) -> None:
    """Remove a folder by moving the folders in it up into it, however deep they are, and opening them to us.

    Only folders are opened: a file may have another name elsewhere, as those of caches have, and its mode is the same
    under both.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        _open_up(here)
        with os.scandir(here) as entries:
            found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
        for path, is_folder in found:
            if is_folder:
                _open_up(path)  # a closed one can't be moved either
                waiting.append(path.rename(folder / secrets.token_hex(16)))
            else:
                path.unlink()
        if here != folder:
            here.rmdir()
    folder.rmdir()
