"""Writers that are killed, that run at once, and that find the disk full."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.errors import StorageFailed
from harness.ledger import Ledger, durable

fork = multiprocessing.get_context("fork")


def append(root: Path, writer: int, count: int) -> None:
    ledger = Ledger(root)
    for number in range(count):
        ledger.append("pilot", {"hypothesis": "small", "settings": {"writer": writer, "number": number}}, actor="A")


def strays(ledger: Ledger) -> list[str]:
    return [path.name for path in ledger.folder.glob(".*")]


def test_eight_processes_at_once_make_one_chain(ledger):
    writers = [fork.Process(target=append, args=(ledger.root, writer, 5)) for writer in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(240)
        assert process.exitcode == 0
    events = ledger.events()
    written = {(event.body["settings"]["writer"], event.body["settings"]["number"]) for event in events}
    assert written == {(writer, number) for writer in range(8) for number in range(5)}
    assert [event.parents for event in events] == [(), *((event.digest,) for event in events[:-1])]
    assert ledger.heads() == (events[-1].digest,)
    assert strays(ledger) == []


def test_without_the_lock_they_fork_and_nothing_is_lost(ledger, monkeypatch):
    barrier = fork.Barrier(4)
    real = durable.publish

    def together(path: Path, data: bytes) -> None:
        barrier.wait(240)  # all have read the heads before any writes
        real(path, data)

    monkeypatch.setattr("harness.ledger.events.publish", together)
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: None)
    monkeypatch.setattr("filelock.FileLock.release", lambda *_, **__: None)
    writers = [fork.Process(target=append, args=(ledger.root, writer, 1)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(240)
        assert process.exitcode == 0
    assert len(ledger.events()) == len(ledger.heads()) == 4


def test_a_reader_beside_writers_sees_whole_events_only(ledger):
    writers = [fork.Process(target=append, args=(ledger.root, writer, 15)) for writer in range(2)]
    for process in writers:
        process.start()
    seen = 0
    while any(process.is_alive() for process in writers):
        events = ledger.events()
        assert len(events) >= seen
        seen = len(events)
    assert len(ledger.events()) == 30


def test_a_writer_killed_at_any_moment_leaves_a_readable_ledger(ledger):
    draw = random.Random(0)
    ledger.append("pilot", {"hypothesis": "small", "settings": {}})
    for start in range(15):
        before = ledger.events()
        process = fork.Process(target=append, args=(ledger.root, 0, 1000))
        process.start()
        while start < 3 and len(ledger.events()) == len(before) and process.is_alive():
            time.sleep(0.002)  # on a busy machine none might have got to write
        time.sleep(draw.uniform(0, 0.08))
        process.kill()
        process.join(240)
        assert process.exitcode == -signal.SIGKILL
        events = ledger.events()
        assert events[: len(before)] == before
        joined = ledger.append("pilot", {"hypothesis": "small", "settings": {}})  # the lock died with its holder
        assert ledger.heads() == (joined.digest,)
    assert len(ledger.events()) > 16  # the writers did write


@pytest.mark.parametrize(
    ("step", "kept"),
    [("open", False), ("fsync", False), ("link", False), ("after link", True), ("unlink", True)],
)
def test_a_writer_killed_at_a_step_leaves_the_whole_event_or_none(ledger, step, kept):
    ledger.append("pilot", {"hypothesis": "small", "settings": {}})

    def child() -> None:
        name = step.removeprefix("after ")
        owner = Path if name == "unlink" else os
        real = getattr(owner, name)

        def killing(*args: object, **kwargs: object) -> object:
            if name == "open" and not str(args[0]).endswith(".tmp"):
                return real(*args, **kwargs)
            if step.startswith("after") or name == "open":
                real(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        setattr(owner, name, killing)
        append(ledger.root, 1, 1)

    process = fork.Process(target=child)
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL
    assert len(strays(ledger)) == 1
    assert len(ledger.events()) == 1 + kept
    ledger.append("pilot", {"hypothesis": "small", "settings": {"after": True}})
    assert len(ledger.events()) == 2 + kept


def test_a_file_size_limit_leaves_nothing_behind(ledger):
    append(ledger.root, 0, 1)

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for write in (lambda: append(ledger.root, 1, 1), lambda: ledger.store_object(b"x" * 200)):
            try:
                write()
            except StorageFailed:
                continue
            os._exit(1)
        os._exit(0)

    process = fork.Process(target=child)
    process.start()
    process.join(240)
    assert process.exitcode == 0
    assert len(ledger.events()) == 1
    assert strays(ledger) == []
    assert list((ledger.root / "objects" / "sha256").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no permission to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_ledger_as_it_was(small_disk):
    ledger = Ledger(small_disk / "verdicts")
    events = [ledger.append("pilot", {"hypothesis": "small", "settings": {}})]
    with pytest.raises(StorageFailed, match="no space left"):
        ledger.store_object(b"x" * 100_000)

    def fill() -> None:
        while True:
            events.append(ledger.append("pilot", {"hypothesis": "small", "settings": {"x": "y" * 5000}}))

    with pytest.raises(StorageFailed, match="no space left"):
        fill()
    assert len(events) > 1
    assert ledger.events() == tuple(events)
    assert strays(ledger) == []
    assert list((ledger.root / "objects" / "sha256").iterdir()) == []
    ledger.append("pilot", {"hypothesis": "small", "settings": {}})  # a smaller one still fits


def test_a_folder_that_is_a_file_is_said_in_words(tmp_path):
    (tmp_path / "verdicts").write_text("in the way")
    ledger = Ledger(tmp_path / "verdicts")
    with pytest.raises(StorageFailed, match="could not be written"):
        ledger.append("pilot", {"hypothesis": "small", "settings": {}})
    with pytest.raises(StorageFailed, match="could not be written"):
        ledger.store_object(b"x")
