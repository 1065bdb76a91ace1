"""Locks, on a file system with and without: simulated ones refuse as NFS without a lock server, and FAT, do."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageFailed, UsageError
from harness.ledger import Ledger, one_at_a_time
from harness.locks import Busy, Lock, sole_writer
from harness.pipeline.trying import in_trail
from harness.storage import write_atomic
from harness.without import aside

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
    with one_at_a_time(Ledger(tmp_path), "small"):
        another = pytest.raises(UsageError, match="another process is running this hypothesis")
        with another, one_at_a_time(Ledger(tmp_path), "small"):
            pass
    with one_at_a_time(Ledger(tmp_path), "small"):
        pass


def test_a_holder_that_was_killed_holds_nothing(no_locks: None, tmp_path: Path) -> None:
    def child() -> None:
        with Lock(tmp_path / ".lock", 0).held():
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / ".lock.held").is_dir()
    with Lock(tmp_path / ".lock", 0).held():
        assert f"process {os.getpid()} on" in (tmp_path / ".lock.held" / ".lock").read_text(encoding="utf-8")
    assert not (tmp_path / ".lock.held").exists()


def test_a_holder_on_another_computer_is_waited_for(no_locks: None, tmp_path: Path) -> None:
    """Nobody here knows whether it lives: whoever does can remove it, and is told what."""
    (tmp_path / ".lock.held").mkdir()
    (tmp_path / ".lock.held" / ".lock").write_text(f"process 1 on not-{socket.gethostname()}")
    with pytest.raises(Busy, match=r"if it is gone, remove .*held"), Lock(tmp_path / ".lock", 0.2).held():
        pass
    assert (tmp_path / ".lock.held").is_dir()


@pytest.mark.skipif(not os.path.lexists("/proc/self/ns/pid"), reason="Linux tells one from the other")
@pytest.mark.parametrize("changed", ["boot ", "pid:["])
def test_a_number_in_another_container_or_before_a_restart_says_nothing(
    no_locks: None, tmp_path: Path, changed: str
) -> None:
    """Of one host name: the process of this number is gone here, and may live there."""

    def child() -> None:
        with Lock(tmp_path / ".lock", 0).held():
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork.Process(target=child)
    process.start()
    process.join(60)
    holder = tmp_path / ".lock.held" / ".lock"
    text = holder.read_text(encoding="utf-8")
    assert f" on {socket.gethostname()}" in text
    assert changed in text
    holder.write_text(text.replace(changed, f"{changed}0"), encoding="utf-8")
    with pytest.raises(Busy, match=r"if it is gone, remove .*held"), Lock(tmp_path / ".lock", 0.2).held():
        pass
    holder.write_text(text, encoding="utf-8")
    with Lock(tmp_path / ".lock", 0).held():
        pass


def test_what_nothing_guards_is_said_once(no_locks: None, tmp_path: Path) -> None:
    with aside() as said, sole_writer(tmp_path / "work") as descriptor, Lock(tmp_path / ".lock", 0).held():
        assert descriptor is None
    assert len(said) == 1 and "working files are guarded only in that its processes end with their run" in said[0]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a descriptor's file is told by Linux only")
def test_the_doctor_tries_both_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {tried.what: tried.state for tried in in_trail(tmp_path)}["trail: lock"] == "works"
    monkeypatch.setattr(fcntl, "flock", refusing_in("work", fcntl.flock))
    assert {tried.what: tried.state for tried in in_trail(tmp_path)}["trail: lock"] == "note"
