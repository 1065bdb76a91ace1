"""A worker trains nothing where code, Python, packages, plug-ins, device or data are others than the run's."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.ledger import Environment, describe_environment
from harness.pipeline.jobs import ENDED, HOST, READY, TASK, JobEnd, Ready, Task, read, write
from harness.pipeline.session import Reporter
from harness.pipeline.worker import work
from harness.plugins import registry
from harness.plugins.distributions import describe_packages
from harness.records import Plan
from tests.unit.training.training_inputs import arm, cohort, load_digits


@pytest.fixture(scope="module")
def here() -> Environment:
    return describe_environment(Path())


def make_task(here: Environment, device: str = HOST, **changes: Any) -> Task:
    told = {
        "plan": Plan(hypothesis="tiny", registration="", seeds=(), cohorts=()),
        "device": device,
        "compile": "auto",
        "expected": None,
        "environment": here,
        "modules": (),
        "data": {},
        "data_folder": "data",
        "weights": {},
        "checkpoint_seconds": 60.0,
    }
    return Task.model_validate(told | changes)


def try_work(folder: Path, task: Task) -> JobEnd:
    write(folder, TASK, task)
    end = work(folder, Reporter())
    told = read(folder, ENDED, JobEnd)
    assert told is not None and told == end.model_copy(update={"seconds": told.seconds})
    return end


def test_each_difference_of_the_software_is_named(tmp_path: Path, here: Environment) -> None:
    assert try_work(tmp_path, make_task(here)).how == "done"
    other = here.model_copy(
        update={
            "code": "0" * 64,
            "python": "3.1.4",
            "packages": here.packages | {"numpy": "0.1", "scipy9": "1.0"},
            "foreign": {},
        }
    )
    end = try_work(tmp_path, make_task(other, modules=("no_such_plugin", "pytest")))
    ready = read(tmp_path, READY, Ready)
    assert ready is not None and end.how == "differs" and "; ".join(ready.differences) == end.message
    assert ready.differences == (
        f"the code of harness is another here: {here.code[:12]}, not 000000000000",
        f"Python is {here.python} here, not 3.1.4",
        f"numpy is {here.packages['numpy']} here, not 0.1",
        "scipy9 is missing here, not 1.0",
        "the module no_such_plugin, which a plug-in comes from, is missing here",
        "the package pytest, which a plug-in comes from, is another here",
    )


def test_a_distribution_with_two_modules_is_the_same_where_it_is_installed_for_editing(
    tmp_path: Path, here: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is over the modules that are asked for together, and a part of them has another."""
    modules = ("labmetrics", "labrules")
    notes = tmp_path / "lab-1.0.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (notes / "RECORD").write_text("__editable__.lab.pth,,\n")
    points = "[harness.metrics]\nlab_metric = labmetrics\n[harness.rules]\nlab_rule = labrules\n"
    (notes / "entry_points.txt").write_text(points)
    for module in modules:
        (tmp_path / f"{module}.py").write_text(f"name = {module!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_find_installed", entry_points)  # which remembers what was installed before
    both, one = describe_packages(modules), describe_packages(modules[:1])
    assert list(both) == list(one) == ["lab"] and both != one
    same = make_task(here.model_copy(update={"foreign": both}), modules=modules)
    assert try_work(tmp_path / "same", same).how == "done"
    (tmp_path / "labrules.py").write_text("name = 'another'\n")
    end = try_work(tmp_path / "other", same)
    assert (end.how, end.message) == ("differs", "the package lab, which a plug-in comes from, is another here")


def test_a_plan_that_cannot_be_read_here_is_refused_by_what_differs(tmp_path: Path, here: Environment) -> None:
    plan = Plan(hypothesis="tiny", registration="", seeds=(1,), cohorts=(cohort({"a": arm()}, [1]),))
    task = json.loads(make_task(here, plan=plan, modules=("no_such_plugin",)).model_dump_json())
    task["plan"]["cohorts"][0]["arms"]["a"]["rule"] = {"name": "rule_of_a_plugin"}
    task["environment"] |= {"of_a_later_version": True}
    (tmp_path / TASK).write_text(json.dumps(task))
    end = work(tmp_path, Reporter())
    assert (end.how, end.message) == (
        "differs",
        "the module no_such_plugin, which a plug-in comes from, is missing here",
    )
    assert read(tmp_path, ENDED, JobEnd) is not None
    (tmp_path / TASK).write_text(json.dumps(task | {"modules": []}))
    with pytest.raises(UsageError, match="no task that this version can read"):  # and nothing says why
        work(tmp_path, Reporter())


def test_other_data_are_refused_before_training(tmp_path: Path, here: Environment) -> None:
    plan = Plan(hypothesis="tiny", registration="", seeds=(1,), cohorts=(cohort({"a": arm()}, [1]),))
    task = make_task(here, "cpu", plan=plan, data={"digits": "f" * 64})
    end = try_work(tmp_path, task)
    fingerprint = load_digits().fingerprint
    assert (
        end.how == "differs"
        and end.message == f"the data of digits are others here: {fingerprint[:12]}, not {'f' * 12}"
    )
    assert not (tmp_path / "work").exists()


def test_a_machine_without_the_card_is_another_and_fails_nothing(tmp_path: Path, here: Environment) -> None:
    end = try_work(tmp_path, make_task(here, "cuda:99"))
    assert end.how == "differs" and ("no CUDA device here" in end.message or "no card number 99" in end.message)
