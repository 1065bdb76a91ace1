"""A run that is killed loses nothing: the audit says what is open, and the same command finishes it to the same bytes.

Kills in an append, full disks and eight writers at once are in ``tests/unit/ledger/test_ledger_crashes.py``; here the
trails that they leave are audited.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest
from crashing import kills, registered
from trails import Trail, audited, offline, sorts

from harness.errors import StorageFailed
from harness.ledger import Ledger
from harness.ledger.audit import Evidence, TrailFiles, audit

fork = multiprocessing.get_context("fork")
PILOT = {"hypothesis": "first", "settings": {}}


def clean(root: Path, allowed: frozenset[str] = frozenset()) -> None:
    trail = Trail({})
    report = audit(Evidence(TrailFiles(root)), offline(trail))
    assert sorts(report) <= {"nothing-kept", *allowed}, sorts(report)
    assert report.exit_code == 0


def test_a_run_killed_at_some_of_its_steps_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lines = list(kills(registered(tmp_path / "start"), every=24))
    print(*lines, sep="\n")
    assert len(lines) >= 2


def test_eight_writers_at_once_leave_a_clean_trail(tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(5):
            Ledger(tmp_path).append("pilot", PILOT, actor="A")

    writers = [fork.Process(target=write) for _ in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
        assert process.exitcode == 0
    clean(tmp_path)
    assert len(Ledger(tmp_path).events()) == 40 and len(Ledger(tmp_path).heads()) == 1


@pytest.mark.parametrize("step", ["open", "fsync", "link", "unlink"])
def test_a_writer_killed_in_an_append_leaves_a_stray_that_is_named(tmp_path: Path, step: str) -> None:
    Ledger(tmp_path).append("pilot", PILOT, actor="A")

    def child() -> None:
        owner = Path if step == "unlink" else os
        real = getattr(owner, step)

        def killing(*args: object, **kwargs: object) -> object:
            if step == "open":
                opened = real(*args, **kwargs)
                if not str(args[0]).endswith(".tmp"):
                    return opened
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        setattr(owner, step, killing)
        Ledger(tmp_path).append("pilot", PILOT | {"settings": {"x": 1}}, actor="A")

    process = fork.Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    clean(tmp_path, frozenset({"leftover"}))
    assert "leftover" in sorts(audit(Evidence(TrailFiles(tmp_path)), offline(Trail({}))))
    Ledger(tmp_path).append("pilot", PILOT, actor="A")
    clean(tmp_path, frozenset({"leftover"}))


def test_a_full_disk_leaves_a_clean_trail(tmp_path: Path) -> None:
    Ledger(tmp_path).append("pilot", PILOT, actor="A")

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            Ledger(tmp_path).append("pilot", PILOT, actor="A")
        except StorageFailed:
            os._exit(0)
        os._exit(1)

    process = fork.Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    clean(tmp_path)
    assert audited(Trail({})).exit_code == 0
