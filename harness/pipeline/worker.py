"""A worker: trains the part of a plan that lies in a job's folder, on whatever machine it was started on.

It trains nothing unless device, code, packages and data are those of the run, because the run's verdict says on what
it was trained, and because other devices or versions give other bits. The same holds of a program whose replicas it
runs: of its code, inputs and command.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger
from harness.datasets import Dataset, Images, recognise
from harness.errors import CompilerFailed, HarnessError, Interrupted, StorageFailed, UsageError
from harness.pipeline.device_facts import describe_device, describe_host, list_cards
from harness.pipeline.jobs import (
    ENDED,
    HOST,
    PROGRESS,
    READY,
    TASK,
    DeviceFacts,
    JobEnd,
    JobProgress,
    Ready,
    Task,
    Terms,
    read,
    read_terms,
    write,
)
from harness.pipeline.program_worker import find_other_program, read_code, run_task
from harness.pipeline.session import Reporter
from harness.plugins.distributions import describe_packages
from harness.system.locks import sole_writer

if TYPE_CHECKING:
    from harness.training import Device, Progress

TELL_SECONDS = 1.0
"""Seconds between two notes of how far a worker has come."""
BEGUN = time.monotonic()
"""The beginning of this process's work, which imports of PyTorch come after."""


def work(folder: Path, reporter: Reporter) -> JobEnd:
    """Train what a job's folder asks for, or the rest of it; return the end, which the folder has then, too.

    Raises:
        UsageError: there is no task in the folder.
        StorageFailed: the end could not be written, or another worker is at this job.
    """
    task = read(folder, TASK, Task)
    # A plan can't be read where a plug-in of it is missing, or where harness is another.
    found = tuple(_find_other_software(terms, folder)) if task is None and (terms := read_terms(folder)) else ()
    if task is None and not found:
        remedy = "this verb is started by harness run --on"
        raise UsageError("there is no task that this version can read", where=str(folder / TASK), remedy=remedy)
    with sole_writer(folder / "lock"):
        differs = JobEnd(how="differs", message="; ".join(found))
        end = differs if task is None else _try(folder, task, reporter)
        write(folder, ENDED, end.model_copy(update={"seconds": time.monotonic() - BEGUN}))
    return end


def _try(folder: Path, task: Task, reporter: Reporter) -> JobEnd:
    try:
        return _work(folder, task, reporter)
    except (Interrupted, StorageFailed, CompilerFailed) as error:  # another machine may have room, or a compiler
        return JobEnd(how="stopped", message=error.message)
    except HarnessError as error:
        return JobEnd(how="failed", message=error.message, where=error.where, remedy=error.remedy)
    except OSError as error:  # a full or broken disk, which another machine may not have
        traceback.print_exc()
        return JobEnd(how="stopped", message=f"{type(error).__name__}: {error}")
    except Exception as error:
        if reporter.stop():  # a signal may break anything off, a compiler for example
            return JobEnd(how="stopped", message=f"{type(error).__name__}: {error}")
        traceback.print_exc()  # into the job's log, for who looks where it happened
        return JobEnd(how="failed", message=f"{type(error).__name__}: {error}", where="worker")


def _work(folder: Path, task: Task, reporter: Reporter) -> JobEnd:
    try:
        device = _open_device(task)
    except UsageError as error:  # a card that other machines have, and that is missing or broken here
        return JobEnd(how="differs", message=error.message, where=error.where, remedy=error.remedy)
    facts, program = describe_device(device, list_cards()), task.program
    found = tuple(_find_differences(task, facts, folder))
    code = {} if program is None else read_code(program, folder)
    if program is not None:
        found += tuple(find_other_program(program, code, folder))
    write(folder, READY, Ready(device=facts, differences=found))
    if found:
        return JobEnd(how="differs", message="; ".join(found))
    if not task.plan.cohorts:
        return JobEnd(how="done")
    if program is None:
        return _train(folder, task, device, reporter)
    with reporter.training():
        run_task(program, task.plan, code, folder, _Teller(folder), reporter.stop)
    return JobEnd(how="done")


def _open_device(task: Task) -> Device:
    if task.device == HOST:
        return describe_host()
    from harness import training

    return training.open_device(task.device, task.compile)


def _train(folder: Path, task: Task, device: Device, reporter: Reporter) -> JobEnd:
    from harness import training

    images = _load(task, reporter)
    if found := tuple(_find_other_data(task, images)):
        return JobEnd(how="differs", message="; ".join(found))
    with reporter.training():
        weights = {digest: folder / file for digest, file in task.weights.items()}  # a path may start there
        # On a processor, cohorts of one job follow one another: how many cores it has is the scheduler's to say.
        device = device if device.is_cuda else replace(device, workers=1)
        run = training.Run(
            images,
            device,
            folder,
            checkpoint_seconds=task.checkpoint_seconds,
            report=_Teller(folder),
            stop=reporter.stop,
            weights=weights,
        )
        training.train(task.plan, run)
    return JobEnd(how="done")


def _load(task: Task, reporter: Reporter) -> dict[str, Images]:
    sets: dict[str, Dataset] = {}
    for cohort in task.plan.cohorts:
        sets[cohort.setup.dataset.name] = cohort.setup.dataset
    folder = Path(task.data_folder)
    return {name: recognise(dataset, dataset.load(folder, reporter.say)) for name, dataset in sets.items()}


def _find_differences(task: Task, facts: DeviceFacts, folder: Path) -> Iterator[str]:
    """Say in what this machine is another than the run was planned for."""
    yield from _find_other_software(Terms(environment=task.environment.model_dump(), modules=task.modules), folder)
    if (expected := task.expected) is not None:
        yield from (
            f"the device's {name.replace('_', ' ')} is {value!r} here, not {getattr(expected, name)!r}"
            for name, value in facts
            if name != "cards" and value != getattr(expected, name)
        )
        if task.program is not None and facts.cards != expected.cards:
            mine, theirs = (", ".join(cards) or "none" for cards in (facts.cards, expected.cards))
            yield f"the machine's cards, which the program may use, are others here: {mine}, not {theirs}"


def _find_other_software(terms: Terms, folder: Path) -> Iterator[str]:
    """Say in what the software of this machine is another than that of the run."""
    here, there = ledger.describe_environment(folder), terms.environment
    if here.code != there.code:
        yield f"the code of harness is another here: {here.code[:12]}, not {there.code[:12]}"
    if here.python != there.python:
        yield f"Python is {here.python} here, not {there.python}"
    for name in sorted({*here.packages, *there.packages}):
        if (mine := here.packages.get(name)) != (theirs := there.packages.get(name)):
            yield f"{name} is {mine or 'missing'} here, not {theirs or 'missing'}"
    for module in sorted(terms.modules):
        if not describe_packages([module]):
            yield f"the module {module}, which a plug-in comes from, is missing here"
    # All modules at once, as the run described them: an editable distribution's digest is over the modules asked for.
    for name, package in describe_packages(terms.modules).items():
        if package.model_dump() != there.foreign.get(name):
            yield f"the package {name}, which a plug-in comes from, is another here"


def _find_other_data(task: Task, images: dict[str, Images]) -> Iterator[str]:
    for name, data in images.items():
        if data.fingerprint != task.data[name]:
            yield f"the data of {name} are others here: {data.fingerprint[:12]}, not {task.data[name][:12]}"


class _Teller:
    """Notes how far training has come, but not after every epoch of a short one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._told = folder, -TELL_SECONDS

    def __call__(self, at: Progress) -> None:
        now = time.monotonic()
        if at.message is None and now - self._told >= TELL_SECONDS:
            self._told = now
            told = JobProgress(
                arms=at.arms,
                replicas=at.replicas,
                epoch=at.epoch,
                epochs=at.epochs,
                steps=at.steps_done,
                done=0 if at.replica is None else at.cohort,
                replica=at.replica,
                seconds=now - BEGUN,
            )
            write(self._folder, PROGRESS, told)
