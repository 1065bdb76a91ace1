"""The part of a worker that runs a program's replicas, once the program is found to be the registered one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness import ledger, programs
from harness.domain.trained import Progress
from harness.errors import Interrupted, StorageFailed
from harness.pipeline.jobs import ProgramTask
from harness.records import Plan
from harness.system.reading import LARGEST_FILE, read_regular

PATIENCE_SECONDS = 2.0
"""Seconds in which a job that is ended hears of it, or is gone, after a replica of it was."""
Files = Mapping[str, tuple[int, bytes]]


def read_code(task: ProgramTask, folder: Path) -> Files:
    """Read the code of a job; empty if it is not there, or is no archive."""
    with suppress(OSError, EOFError, ValueError):
        return programs.unpack(read_regular(folder / task.code, LARGEST_FILE))
    return {}


def find_other_program(task: ProgramTask, files: Files, folder: Path) -> Iterator[str]:
    """Say in what a program, as it is on this machine, differs from the registered one."""
    for name in ledger.list_other_code(task.pins, files):
        yield f"the program's code is another here: {name} is not {task.pins.trees.get(name, 'pinned')[:12]}"
    if not programs.has_command(task.program, files, os.environ.get("PATH")):
        yield f"there is no command {task.program.command[0]!r} here"
    for name, expected in task.pins.inputs.items():
        path = folder / task.inputs[name]
        try:
            with path.open("rb") as file:
                got = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            yield f"input {name} can't be read here: {path}: {error.strerror or error}"
            continue
        if got != expected:
            yield f"input {name} is another file here: {got[:12]}, not {expected[:12]}"
    for variable in task.variables:
        if variable not in os.environ:
            yield f"the variable {variable}, which the program is given, is not set here"


def run_task(
    task: ProgramTask,
    plan: Plan,
    files: Files,
    folder: Path,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
) -> None:
    """Run the replicas of a job, or the rest of them, in its folder.

    Raises:
        Interrupted, StorageFailed, TrainingFailed: as ``programs.run_replicas``.
    """
    work = programs.Work(
        program=task.program,
        results=task.results,
        frozen=files,
        inputs={name: folder / file for name, file in task.inputs.items()},
        root=Path(task.root),
        environment=_find_variables(task),
        parallel=task.parallel,
        patience=PATIENCE_SECONDS,
    )
    try:
        programs.run_replicas(plan, work, folder, report=report, stop=stop)
    except Interrupted:
        with suppress(StorageFailed):  # which may travel back, and be large
            programs.clear(plan, folder)
        raise


def _find_variables(task: ProgramTask) -> dict[str, str]:
    """Return this machine's variables, with the language of the run: by it, programs write and order text."""
    lacking = {*task.program.environment} - {*task.variables}  # where the command was given
    found = {name: value for name, value in os.environ.items() if name != "LANG" and name not in lacking}
    return found if task.language is None else found | {"LANG": task.language}
