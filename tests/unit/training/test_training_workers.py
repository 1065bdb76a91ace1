"""Cohorts in several processes: the same bits, stopping, and a process that dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import Interrupted
from harness.records import Plan
from harness.training import Progress, Run, open_device, train
from tests.unit.training.training_inputs import arm, cohort, digits, planned

LONG: dict[str, Any] = {"epochs": 30}


def three_cohorts(setup: dict[str, Any] | None = None) -> Plan:
    parts = [cohort({"dfa": arm("dfa", setup=setup)}, [seed]) for seed in (1, 2)]
    return planned(*parts, cohort({"bp": arm("bp", 0.01, setup=setup)}, [1, 2]))


def results(plan: Plan, folder: Path, workers: int, **options: Any) -> str:
    device = replace(open_device("cpu"), workers=workers)
    done = train(plan, Run({"digits": digits()}, device, folder, **options))
    return json.dumps([replica.model_dump(mode="json") for replica in done.replicas], sort_keys=True)


def test_bits_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    seen: list[Progress] = []
    many = results(three_cohorts(), tmp_path / "many", 2, report=seen.append, idle=lambda: None)
    assert many == results(three_cohorts(), tmp_path / "one", 1)
    assert {at.cohort for at in seen} == {1, 2, 3} and {at.cohorts for at in seen} == {3}
    assert [at.steps_done for at in seen] == sorted(at.steps_done for at in seen)


def test_stopped_processes_go_on_to_the_same_bits(tmp_path: Path) -> None:
    folder = stop_amid_training(tmp_path)
    assert results(three_cohorts(LONG), folder, 2) == results(three_cohorts(LONG), tmp_path / "one", 1)


def stop_amid_training(below: Path) -> Path:
    """Return the folder of a run that was stopped while a cohort was trained.

    On a busy machine both processes may have trained theirs when the first word of them is heard, so others are stopped
    until one is amid them.
    """
    for number in range(20):
        folder, seen = below / f"parts-{number}", list[Progress]()
        options = {"report": seen.append, "stop": lambda seen=seen: bool(seen)}
        with pytest.raises(Interrupted, match="same command"):
            results(three_cohorts(LONG), folder, 2, **options)
        if list(folder.glob("work/*.safetensors")):
            return folder
    raise AssertionError("whatever was started was trained before it was stopped")


def test_a_stop_before_any_process_trains_starts_none(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="before training"):
        results(three_cohorts(LONG), tmp_path / "parts", 2, stop=lambda: True)
    assert not list((tmp_path / "parts/work").glob("*.safetensors"))


def test_a_process_that_is_killed_is_named_and_its_work_goes_on(tmp_path: Path) -> None:
    def kill_one(_: Progress) -> None:
        mine = [int(path.name) for path in Path("/proc").glob("[0-9]*") if is_worker(path)]
        if mine:
            with contextlib.suppress(ProcessLookupError):  # one that was killed by the report before
                os.kill(max(mine), signal.SIGKILL)

    with pytest.raises(Interrupted, match="a training process died"):
        results(three_cohorts(LONG), tmp_path / "parts", 2, report=kill_one, checkpoint_seconds=0.0)
    assert results(three_cohorts(LONG), tmp_path / "parts", 2) == results(three_cohorts(LONG), tmp_path / "one", 1)


def is_worker(process: Path) -> bool:
    """Whether /proc/<number> is a process that this one's server forked, and not the server itself."""
    try:
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        parent = int(status["PPid"])
        command = (Path("/proc") / str(parent) / "cmdline").read_bytes()
        grandparent = (Path("/proc") / str(parent) / "status").read_text().split("PPid:\t", 1)[1].split("\n", 1)[0]
    except (OSError, KeyError, IndexError):
        return False
    return b"forkserver" in command and int(grandparent) == os.getpid()
