"""Faults of a place: a run's attempt stays open where the same command may go on, and what to do is said."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from harness import ledger
from harness.errors import LaunchFailed, StorageFailed
from harness.launchers.local import Local
from harness.pipeline.jobs import HOST, JOB, TASK, JobEnd, JobRecord, Task, Try, read, write
from harness.pipeline.places import Place
from harness.pipeline.remote import Remote, ask_device
from harness.pipeline.session import Reporter, Session
from harness.pipeline.spread import Following, Spread
from harness.pipeline.worker import work
from harness.records import Cohort, Plan
from tests.unit.training.training_inputs import arm, cohort, load_digits


@dataclass(frozen=True)
class Waiting:
    """A trainer whose cohorts are trained elsewhere."""

    folder: Path
    stop: Callable[[], bool] = lambda: False


def make_place(folder: Path, python: str = sys.executable) -> Place:
    return Place("there", Local(folder=str(folder), python=python, poll_seconds=0.05, grace_seconds=0.05))


def make_task(plan: Plan, device: str = HOST) -> Task:
    return Task(
        plan=plan,
        device=device,
        compile="auto",
        expected=None,
        environment=ledger.describe_environment(Path()),
        modules=(),
        data={"digits": load_digits().fingerprint},
        data_folder="data",
        weights={},
        checkpoint_seconds=60.0,
    )


@pytest.fixture(scope="module")
def one() -> Cohort:
    return cohort({"a": arm()}, [1])


@pytest.fixture(scope="module")
def plan(one: Cohort) -> Plan:
    return Plan(hypothesis="tiny", registration="", seeds=(1,), cohorts=(one,))


@pytest.fixture(scope="module")
def empty(plan: Plan) -> Task:
    return make_task(plan.model_copy(update={"cohorts": ()}))


def test_a_folder_of_jobs_that_cannot_be_made_or_written_leaves_the_attempt_open(
    tmp_path: Path, one: Cohort, plan: Plan, empty: Task
) -> None:
    (tmp_path / "file").touch()
    remote = Remote(make_place(tmp_path / "file/jobs"), empty, "tiny")
    with pytest.raises(StorageFailed, match="could not be written: Not a directory") as refused:
        ask_device(remote, Session.open(tmp_path))
    assert str(refused.value.where).startswith(str(tmp_path / "file")) and "same command" in str(refused.value.remedy)
    (tmp_path / "run").mkdir()
    for root in (tmp_path / "file/jobs/tiny-1", tmp_path / "file"):
        spread = Spread(remote.place, empty, root, lambda _: None)
        with pytest.raises(StorageFailed, match="could not be written") as refused:
            spread(plan, [one], Waiting(tmp_path / "run"), lambda *_: None)
        assert "same command" in str(refused.value.remedy)
    root = tmp_path / "jobs"  # in which what the last try told can't be removed
    folder = root / f"job-{plan.digest[:16]}"
    (folder / "ended.json/a").mkdir(parents=True)
    write(folder, JOB, JobRecord(tries=(Try(id="1", ended="killed"),)))
    with pytest.raises(StorageFailed, match="could not be written"):
        Spread(make_place(root), empty, root, lambda _: None)(plan, [one], Waiting(tmp_path / "run"), lambda *_: None)


def test_a_worker_whose_disk_breaks_is_stopped_and_not_failed(tmp_path: Path, plan: Plan) -> None:
    def break_off() -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(tmp_path, TASK, make_task(plan, "cpu"))
    end = work(tmp_path, Reporter(stop=break_off))
    assert end.how == "stopped" and "No space left on device" in end.message


def test_what_a_worker_says_to_do_is_said_and_else_what_is_known(tmp_path: Path, one: Cohort, empty: Task) -> None:
    device = tmp_path / "device-1"
    spread = Spread(make_place(tmp_path), empty, tmp_path, lambda _: None, told=device)
    told = {}
    for number, remedy in enumerate((None, "install a CUDA build of PyTorch")):
        device.mkdir()
        folder = tmp_path / f"job-{number}"
        job = Following(folder, [one], (Try(id="1"),))
        with pytest.raises(LaunchFailed, match="no CUDA device here") as refused:
            spread._close(job, JobEnd(how="differs", message="no CUDA device here", remedy=remedy), tmp_path)
        told[remedy] = refused.value.remedy
        assert not device.exists(), "the place may have another device by now: it is asked again"
        record = read(folder, JOB, JobRecord)
        assert record is not None and record.tries[-1].ended == "differs: no CUDA device here"
    (own, else_) = told["install a CUDA build of PyTorch"], told[None]
    assert own == "install a CUDA build of PyTorch" and str(else_).startswith("make the machines alike")


@pytest.mark.parametrize(("how", "remedy"), [("failed", "see {log}"), ("differs", "make the machines alike")])
def test_a_device_that_nobody_tells_of_has_a_remedy(tmp_path: Path, empty: Task, how: str, remedy: str) -> None:
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\necho \'{{"how": "{how}", "message": "broken"}}\' >"$5/ended.json"\n')
    shim.chmod(0o755)
    remote = Remote(make_place(tmp_path / "jobs", str(shim)), empty, "tiny")
    with pytest.raises(LaunchFailed, match="broken") as refused:
        ask_device(remote, Session.open(tmp_path))
    (log,) = (tmp_path / "jobs").glob("**/log")
    assert str(refused.value.remedy).startswith(remedy.format(log=log))
