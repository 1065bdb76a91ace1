"""A worker holds a program against the registered one, and inputs are placed where it finds them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from harness import programs
from harness.errors import UsageError
from harness.launchers import Launcher
from harness.launchers.dask import Dask
from harness.launchers.local import Local
from harness.ledger import pin_program
from harness.pipeline.device_facts import list_cards
from harness.pipeline.jobs import ProgramTask
from harness.pipeline.places import Place
from harness.pipeline.program_worker import find_other_program, read_code
from harness.pipeline.remote import CARRIED_BYTES, place_inputs
from harness.records.program import Results
from harness.spec import load
from tests.e2e.programs import make_program_project


def make_task(folder: Path, **changes: Any) -> ProgramTask:
    """A task whose files lie in a job's folder, below ``folder``."""
    data = {"data": {"path": "../data.csv", "sha256": hashlib.sha256(b"1,2").hexdigest()}}
    project = make_program_project(folder / "project", program={"inputs": data})
    (folder / "data.csv").write_text("1,2")
    program = load(project.root / "hypotheses/toy.yaml").hypothesis.program
    assert program is not None
    pins = pin_program(program, project.root, project.root / "verdicts")
    job = folder / "job"
    (job / "inputs/data").mkdir(parents=True)
    (job / "inputs/data/data.csv").write_text("1,2")
    (job / "code").write_bytes(programs.pack({"toy.py": (0o100644, (project.root / "toy.py").read_bytes())}))
    told = {
        "program": program,
        "results": Results(),
        "pins": pins.model_copy(update={"trees": {"toy.py": pins.trees["toy.py"]}}),
        "code": "code",
        "inputs": {"data": "inputs/data/data.csv"},
        "root": str(project.root),
        "language": None,
        "variables": (),
        "parallel": 1,
    }
    return ProgramTask.model_validate(told | changes)


def list_differences(task: ProgramTask, job: Path) -> list[str]:
    return list(find_other_program(task, read_code(task, job), job))


def test_each_difference_of_a_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, job = make_task(tmp_path, variables=("TOY_MODE",)), tmp_path / "job"
    monkeypatch.setenv("TOY_MODE", "offline")
    assert list_differences(task, job) == []
    monkeypatch.delenv("TOY_MODE")
    (job / "inputs/data/data.csv").write_text("3,4")
    (job / "code").write_bytes(programs.pack({"toy.py": (0o100644, b"other")}))
    other = task.model_copy(update={"program": task.program.model_copy(update={"command": ("no-such-command",)})})
    code, command, data, variable = list_differences(other, job)
    assert code == f"the program's code is another here: toy.py is not {task.pins.trees['toy.py'][:12]}"
    assert command == "there is no command 'no-such-command' here"
    assert data.startswith("input data is another file here: ")
    assert variable == "the variable TOY_MODE, which the program is given, is not set here"
    (job / "inputs/data/data.csv").unlink()
    (job / "code").write_bytes(b"no archive")
    code, data, _ = list_differences(task, job)
    assert code.startswith("the program's code is another here: toy.py")
    assert data.startswith("input data can't be read here: ") and data.endswith("No such file or directory")


def test_inputs_travel_unless_they_are_large_or_all_machines_see_them(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_text("1,2")
    with large.open("wb") as file:
        file.truncate(CARRIED_BYTES + 1)
    lab: dict[str, Any] = {"folder": str(tmp_path / "jobs"), "address": "tls://lab7:8786"}

    def place(launcher: Launcher, file: Path) -> dict[str, str]:
        return place_inputs({"data": file}, Place("lab", launcher))

    assert place(Local(folder=str(tmp_path / "jobs")), large) == {"data": str(large)}
    assert place(Dask.model_validate(lab), small) == {"data": "inputs/data/small.csv"}
    assert place(Dask.model_validate({**lab, "data": "/data"}), large) == {"data": "/data/large.csv"}
    with pytest.raises(UsageError, match=r"the inputs have 67,108,865 bytes, and no more than 67,108,864 travel"):
        place(Dask.model_validate(lab), large)


def test_models_of_cards_are_told_once_each(tmp_path: Path) -> None:
    for number, model in enumerate(("NVIDIA H200", "NVIDIA H200", "NVIDIA L4")):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        (tmp_path / f"0000:0{number}:00.0/information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 33\n")
    assert list_cards(tmp_path) == ("NVIDIA H200", "NVIDIA L4")
    assert list_cards(tmp_path / "none") == ()
