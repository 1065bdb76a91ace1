"""A run that is killed loses nothing: the audit says what is open, and the same command finishes it to the same bytes.

Kills in an append, full disks and eight writers at once are in ``tests/unit/ledger/test_ledger_crashes.py``; here the
trails that they leave are audited.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageFailed
from harness.ledger import Ledger, list_attempts, start_or_resume
from harness.ledger.audit import Evidence, TrailFiles, audit
from harness.ledger.bodies import RunStartedBody
from tests.attacks.crashing import append, kills, registered, run
from tests.attacks.trails import Trail, audited, offline, sorts

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
    lines = list(kills(run, registered(tmp_path / "start"), shares=(0.2, 0.7)))
    print(*lines, sep="\n")
    assert len(lines) == 3


def test_an_append_killed_at_any_step_is_whole_or_was_never_there(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    append(start)
    lines = list(kills(append, start))
    print(*lines, sep="\n")
    steps = [line.split(",")[1].split(":")[0].strip() for line in lines[1:]]
    assert {"lock", "open", "fsync", "link", "unlink"} <= set(steps), "a step that an append takes was not tried"
    assert "leftover" in "".join(lines)


def test_an_attempt_killed_before_its_first_file_is_taken_up_by_the_next_start(tmp_path: Path) -> None:
    trail = Ledger(tmp_path)
    zeros = "0" * 64
    environment = dict.fromkeys(("commit", "dirty", "dirty_digest")) | dict.fromkeys(
        ("harness", "code", "python", "platform"), "1"
    )
    body = dict.fromkeys(("registration", "raw", "canonical", "plan"), zeros) | {
        "hypothesis": "first",
        "pins": {"harness": "1", "code": None, "plugins": {}, "templates": {}},
        "data": {},
        "seeds": [1],
        "device": "D",
        "command": "C",
        "environment": environment | {"packages": {}},
    }

    def child() -> None:
        writer = Ledger(tmp_path)
        real = writer.append

        def killed(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        writer.append = killed  # type: ignore[method-assign, assignment]
        start_or_resume(writer, RunStartedBody.model_validate(body), resume=True, say=print)

    process = fork.Process(target=child)
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL
    (left_open,) = list_attempts(trail, "first")
    assert left_open.status == "open"
    taken_up = start_or_resume(trail, RunStartedBody.model_validate(body), resume=True, say=lambda _: None)
    assert (taken_up.name, taken_up.resumed) == (left_open.run, 1)
    # Of another machine's open attempt there is no folder here: it is not this one's to go on with.
    shutil.rmtree(taken_up.folder)
    said: list[str] = []
    another = start_or_resume(
        trail, RunStartedBody.model_validate(body | {"command": "another"}), resume=True, say=said.append
    )
    assert another.name != left_open.run and "working files are not here" in said[0]


def test_a_start_killed_before_its_event_leaves_a_folder_that_is_named(tmp_path: Path) -> None:
    Ledger(tmp_path).append("pilot", PILOT, actor="A")
    folder = tmp_path / "first" / ("0" * 12) / "work"
    folder.mkdir(parents=True)
    (folder / "starts").write_text("2026-01-01T00:00:00Z 1\n")
    clean(tmp_path, frozenset({"leftover"}))
    (told,) = [f for f in audit(Evidence(TrailFiles(tmp_path)), offline(Trail({}))).findings if f.code == "leftover"]
    assert told.where.endswith("first/" + "0" * 12)


def test_eight_writers_at_once_leave_a_clean_trail(tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(5):
            Ledger(tmp_path).append("pilot", PILOT, actor="A")

    writers = [fork.Process(target=write) for _ in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(240)
        assert process.exitcode == 0
    clean(tmp_path)
    assert len(Ledger(tmp_path).events()) == 40 and len(Ledger(tmp_path).heads()) == 1


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
    process.join(240)
    assert process.exitcode == 0
    clean(tmp_path)
    assert audited(Trail({})).exit_code == 5  # nothing is there to be checked
