"""The very operations of a run, tried where a run would do them. Nothing of it is left behind."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from harness.errors import HarnessError
from harness.ledger.durable import publish
from harness.system.locks import Busy, Lock, sole_writer
from harness.system.storage import find_cache_folder, write_atomic
from harness.system.without import collect_notes

SIGNS = "−→≥×α"
"""Some of the letters that reports are written with."""


class Tried(NamedTuple):
    """An operation, and what came of it."""

    what: str
    """The operation."""
    state: Literal["works", "note", "broken"]
    """note: done without something; broken: not done."""
    found: str
    """Result of the operation, in words."""
    remedy: str | None = None
    """A remedy, if it needs one."""


def advise_trail(trail: Path) -> str:
    """Write what helps where a trail can't be written to: never a second trail beside one that is there."""
    if (trail / "ledger").exists():
        return "have its owner let you write to it; another folder would be a second trail, and is no way out"
    return "name another folder with --verdicts or HARNESS_VERDICTS"


def try_trail(trail: Path) -> Iterator[Tried]:
    """Try what a run does in the folder of its trail, or above it where that is still to be made."""
    remedy = advise_trail(trail)
    yield from _try_in_folder("trail: write and rename", trail, _write, remedy)
    yield from _try_in_folder("trail: new event", trail, _publish, remedy)
    yield from _try_in_folder("trail: lock", trail, _lock, remedy)


def try_elsewhere() -> Iterator[Tried]:
    """Try what a run does beside its trail, and can do without."""
    remedy = "set HARNESS_CACHE to a folder that you may write to"
    if (cache := find_cache_folder()) is None:
        what = "there is no home folder: images are decoded again by every run, and times measured again"
        yield Tried("cache: write", "note", what, remedy)
    else:
        for tried in _try_in_folder("cache: write", cache, _write, remedy):
            told = "; without it images are decoded again by every run, and times measured again"
            yield tried if tried.state != "broken" else tried._replace(state="note", found=f"{tried.found}{told}")
    yield _try("temporary files", _write_temporary, "set TMPDIR to a folder that you may write to")
    yield _try("training process", _start, "set TMPDIR to a short path on a local disk")
    drawn = _try("figure", _draw, "see what it says; verdicts are written without figures until then")
    yield drawn if drawn.state != "broken" else drawn._replace(state="note")
    yield try_output()


def try_output() -> Tried:
    """Try whether stdout takes the letters that reports are written with."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        SIGNS.encode(encoding)
    except UnicodeEncodeError:
        told = f"{encoding} lacks letters that reports are written with: they are spelt in ASCII"
        return Tried("output", "note", told, "set PYTHONIOENCODING=utf-8, or a locale with UTF-8")
    return Tried("output", "works", encoding)


def _try_in_folder(what: str, folder: Path, operation: Callable[[Path], None], remedy: str) -> Iterator[Tried]:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".harness-doctor-", dir=there) as own:
            yield _try(what, lambda: operation(Path(own)), remedy)
    except OSError as error:
        yield Tried(what, "broken", f"{there} can't be written to: {error.strerror or error}", remedy)


def _try(what: str, operation: Callable[[], None], remedy: str) -> Tried:
    """Do the operation; with a note of what is done without."""
    with collect_notes() as missed:
        try:
            operation()
        except HarnessError as error:
            return Tried(what, "broken", error.message, remedy)
        except OSError as error:
            return Tried(what, "broken", f"{type(error).__name__}: {error}", remedy)
    return Tried(what, "note", "; ".join(missed), remedy) if missed else Tried(what, "works", "done")


def _write(folder: Path) -> None:
    path, data = folder / "file", b"written by harness doctor\n"
    write_atomic(path, b"older")
    write_atomic(path, data)
    if path.read_bytes() != data:
        raise HarnessError("what was written is not what is read")


def _publish(folder: Path) -> None:
    path, data = folder / "event", b"written by harness doctor\n"
    publish(path, data)
    publish(path, b"other")
    if path.read_bytes() != data:
        raise HarnessError("a file that is never to be replaced was")


def _lock(folder: Path) -> None:
    path = folder / ".lock"
    with Lock(path, 0).held():
        try:
            with Lock(path, 0).held():
                raise HarnessError("a lock is granted twice: two runs at a time would not notice one another")
        except (Busy, RuntimeError):  # RuntimeError: filelock notices that it would wait for itself
            pass
    with sole_writer(folder / "work", 0) as descriptor:
        if descriptor is None:
            return
        try:
            with sole_writer(folder / "work", 0):
                raise HarnessError("a folder is granted to two writers: neither would notice the other")
        except Busy:
            pass


def _write_temporary() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_bytes(b"x")


def _start() -> None:
    from harness.system.processes import can_start

    can_start()


def _draw() -> None:
    from harness import verdict

    verdict.try_drawing()
