"""Locks, on a file system with and without: simulated ones refuse as NFS without a lock server, and FAT, do."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageFailed, UsageError
from harness.ledger import Ledger, lock_hypothesis
from harness.pipeline.trials import try_trail
from harness.system.locks import Busy, Lock, sole_writer
from harness.system.storage import write_atomic
from harness.system.without import collect_notes

fork = multiprocessing.get_context("fork")


def answer(code: int) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def refusing_in(folder: str, flock: Callable[..., None]) -> Callable[..., None]:
    """Refuse a lock on files of one folder: Linux tells which file a descriptor is of."""

    def refuse(descriptor: int, how: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent.name == folder:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        flock(descriptor, how)

    return refuse


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], ids=["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", answer(request.param))


def append(root: Path, writer: int, count: int) -> None:
    ledger = Ledger(root)
    for number in range(count):
        ledger.append("pilot", {"hypothesis": "small", "settings": {"writer": writer, "number": number}}, actor="A")


def together(root: Path, writers: int, count: int) -> None:
    processes = [fork.Process(target=append, args=(root, writer, count)) for writer in range(writers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def test_processes_at_once_make_one_chain_without_locks(no_locks: None, tmp_path: Path) -> None:
    together(tmp_path, 6, 4)
    events = Ledger(tmp_path).events()
    assert [event.parents for event in events] == [(), *((event.digest,) for event in events[:-1])]
    assert len(events) == 24
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == [".lock", "events"]


def test_processes_at_once_make_one_chain_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", answer(errno.EPERM))
    together(tmp_path, 4, 4)
    events = Ledger(tmp_path).events()
    assert len(events) == 16 and len(Ledger(tmp_path).heads()) == 1


def test_without_links_no_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    digest = ledger.store_object(b"registered")
    path = tmp_path / "objects" / "sha256" / digest
    path.chmod(0o644)
    path.write_bytes(b"tampered")
    monkeypatch.setattr(os, "link", answer(errno.EPERM))
    from harness.ledger.durable import publish

    publish(path, b"registered")
    assert path.read_bytes() == b"tampered"
    assert [file.name for file in path.parent.iterdir()] == [digest]


def test_a_missing_permission_is_no_missing_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", answer(errno.EACCES))
    monkeypatch.setattr(Path, "replace", answer(errno.EACCES))  # as the folder itself would answer
    with pytest.raises(StorageFailed, match="Permission denied"):
        Ledger(tmp_path).store_object(b"x")
    assert list((tmp_path / "objects" / "sha256").iterdir()) == []


def test_a_disk_that_fails_is_not_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", answer(errno.EIO))
    with pytest.raises(StorageFailed, match="Input/output error"):
        write_atomic(tmp_path / "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_may_be_taken_again_inside(no_locks: None, tmp_path: Path) -> None:
    lock = Lock(tmp_path / ".lock", 0)
    with lock.held():
        with lock.held():
            pass
        with pytest.raises(Busy, match=f"process {os.getpid()} on "), Lock(tmp_path / ".lock", 0).held():
            pass
    with Lock(tmp_path / ".lock", 0).held():
        pass


def test_the_same_hypothesis_is_run_by_one_process(no_locks: None, tmp_path: Path) -> None:
    with lock_hypothesis(Ledger(tmp_path), "small"):
        another = pytest.raises(UsageError, match="another process is running this hypothesis")
        with another, lock_hypothesis(Ledger(tmp_path), "small"):
            pass
    with lock_hypothesis(Ledger(tmp_path), "small"):
        pass


def test_a_holder_that_was_killed_holds_nothing(no_locks: None, tmp_path: Path) -> None:
    def child() -> None:
        with Lock(tmp_path / ".lock", 0).held():
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork.Process(target=child)
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / ".lock.held").is_dir()
    with Lock(tmp_path / ".lock", 0).held():
        assert f"process {os.getpid()} on" in next((tmp_path / ".lock.held").iterdir()).read_text("utf-8")
    assert not (tmp_path / ".lock.held").exists()


def test_a_holder_on_another_computer_is_waited_for(no_locks: None, tmp_path: Path) -> None:
    """Nobody here knows whether it lives: whoever does can remove it, and is told what."""
    (tmp_path / ".lock.held").mkdir()
    (tmp_path / ".lock.held" / ".lock").write_text(f"process 1 on not-{socket.gethostname()}")
    with pytest.raises(Busy, match=r"if it is gone, remove .*held"), Lock(tmp_path / ".lock", 0.2).held():
        pass
    assert (tmp_path / ".lock.held").is_dir()


def test_who_lost_its_stand_in_leaves_that_of_the_next_holder(no_locks: None, tmp_path: Path) -> None:
    """Somebody removed it by hand, as a message may say, and another process took the lock since."""
    with ExitStack() as second:
        with Lock(tmp_path / ".lock", 0).held():
            shutil.rmtree(tmp_path / ".lock.held")
            second.enter_context(Lock(tmp_path / ".lock", 0).held())
        assert (tmp_path / ".lock.held").is_dir()
        with pytest.raises(Busy), Lock(tmp_path / ".lock", 0).held():
            pass
    assert not (tmp_path / ".lock.held").exists()


def test_an_empty_stand_in_holds_nothing(no_locks: None, tmp_path: Path) -> None:
    """Who removes one is killed between its file and its folder."""
    (tmp_path / ".lock.held").mkdir()
    with Lock(tmp_path / ".lock", 0).held():
        assert (tmp_path / ".lock.held").is_dir()


def left_behind(folder: Path) -> Path:
    """The stand-in of a process that was killed: the file that names it."""

    def child() -> None:
        with Lock(folder / ".lock", 0).held():
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork.Process(target=child)
    process.start()
    process.join(240)
    return next((folder / ".lock.held").iterdir())


IN_PROC = pytest.mark.skipif(not os.path.lexists("/proc/self/ns/pid"), reason="Linux tells one from the other")


@IN_PROC
@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("boot ", "boot 0", True),
        (r"pid:\[", "pid:[0", False),
        (r"pid:.*", "pid:[0], started -1)", True),
        (r"on \S+ \(boot ", "on localhost (boot 0", False),
        ("$", "", True),
    ],
    ids=["a restart", "a container beside", "an earlier life of a container", "any computer", "as it was left"],
)
def test_who_held_it_in_another_life_is_gone(no_locks: None, tmp_path: Path, old: str, new: str, gone: bool) -> None:
    holder = left_behind(tmp_path)
    text = holder.read_text(encoding="utf-8")
    assert f" on {socket.gethostname()} (boot " in text and ", started " in text
    holder.write_text(re.sub(old, new, text, count=1), encoding="utf-8")
    if gone:
        with Lock(tmp_path / ".lock", 0).held():
            pass
        return
    with pytest.raises(Busy, match=r"if it is gone, remove .*held"), Lock(tmp_path / ".lock", 0.2).held():
        pass


@IN_PROC
def test_a_number_that_was_given_again_is_another_process(no_locks: None, tmp_path: Path) -> None:
    holder = left_behind(tmp_path)
    text = re.sub(r"process \d+", f"process {os.getpid()}", holder.read_text(encoding="utf-8"))
    own = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
    holder.write_text(re.sub(r"started \d+", f"started {own}", text), encoding="utf-8")
    with pytest.raises(Busy), Lock(tmp_path / ".lock", 0.2).held():
        pass
    holder.write_text(re.sub(r"started \d+", f"started {int(own) - 1}", text), encoding="utf-8")
    with Lock(tmp_path / ".lock", 0).held():
        pass


LIFE = """
import errno, fcntl, os, signal, sys
from pathlib import Path
from harness.system.locks import Lock
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
with Lock(Path(sys.argv[1]), 0).held():
    print(os.getpid(), flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_container_that_was_killed_and_started_again(tmp_path: Path) -> None:
    """Of one host name, with the same numbers of processes, in another space of numbers."""
    contained = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*contained, "true"], capture_output=True).returncode:
        pytest.skip("nobody may make a space of numbers here")
    lives = []
    for how in ("killed", "ends"):
        shell = f'"$@"; exit $?  # {how}: so that the process is not the first'
        command = [*contained, "sh", "-c", shell, "-", sys.executable, "-c", LIFE, str(tmp_path / ".lock"), how]
        lives.append(subprocess.run(command, capture_output=True, text=True, timeout=120))
        assert (tmp_path / ".lock.held").exists() == (how == "killed")
    assert lives[1].returncode == 0, lives[1].stderr
    assert lives[0].stdout == lives[1].stdout != ""


def test_what_nothing_guards_is_said_once(no_locks: None, tmp_path: Path) -> None:
    with collect_notes() as said, sole_writer(tmp_path / "work") as descriptor, Lock(tmp_path / ".lock", 0).held():
        assert descriptor is None
    assert len(said) == 1 and "working files are guarded only in that its processes end with their run" in said[0]


def test_where_no_lock_outlives_a_process_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has no such module."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with collect_notes() as said, sole_writer(tmp_path / "work") as descriptor:
        assert descriptor is None
    assert len(said) == 1 and "working files are guarded only in that its processes end with their run" in said[0]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a descriptor's file is told by Linux only")
def test_the_doctor_tries_both_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {tried.what: tried.state for tried in try_trail(tmp_path)}["trail: lock"] == "works"
    monkeypatch.setattr(fcntl, "flock", refusing_in("work", fcntl.flock))
    assert {tried.what: tried.state for tried in try_trail(tmp_path)}["trail: lock"] == "note"
