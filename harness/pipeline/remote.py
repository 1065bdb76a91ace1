"""A run's part in training elsewhere: which place it names, what device that has, and what its jobs have in common."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger, plan
from harness.errors import LaunchFailed, UsageError
from harness.launchers import LOG, SchedulerSilent
from harness.pipeline.device_facts import describe_device, describe_kinds
from harness.pipeline.jobs import (
    ENDED,
    HOST,
    JOB,
    READY,
    TASK,
    DeviceFacts,
    JobEnd,
    JobRecord,
    ProgramTask,
    Ready,
    Task,
    Try,
    read,
    write,
)
from harness.pipeline.places import Place, find_place, make_folder
from harness.pipeline.program import Runnable, count_parallel
from harness.pipeline.spread import DONE, STOP_SECONDS, Spread, bundle_for, make_job, read_end
from harness.pipeline.staging import ReplicaStaging
from harness.plugins.distributions import describe_packages
from harness.records import Cohort, Hypothesis, Plan
from harness.records.program import Program
from harness.records.provenance import Launch
from harness.system.storage import build_storage_error

if TYPE_CHECKING:
    from harness.pipeline.session import Session
    from harness.training import Device


CARRIED_BYTES = 64 * 2**20
"""Most bytes of a program's inputs that travel with each job, where files do."""

ALIKE = "make the machines alike: the same code, packages and Python"


@dataclass(frozen=True)
class Remote:
    """A place that trains a run's cohorts, or runs its program."""

    place: Place
    """The place."""
    task: Task
    """The part that its jobs have in common: a task without cohorts, device and data."""
    hypothesis: str
    """Id of the hypothesis."""

    def spread_out(
        self, device: Device, data: Mapping[str, str], weights: Mapping[str, Path], folder: Path, session: Session
    ) -> Spread:
        """Return what trains the cohorts of the run in ``folder``.

        ``data`` maps data sets to their fingerprints, and ``weights`` maps digests to files that replicas start from.
        """
        task = self.task.model_copy(
            update={
                "expected": describe_device(device),
                "data": dict(data),
                "weights": {digest: str(file.absolute()) for digest, file in weights.items()},
            }
        )
        root = find_jobs_folder(self, folder)
        told = find_device_folder(self)
        return Spread(self.place, task, root, session.reporter.say, self.make_estimate(device), told=told)

    def make_estimate(self, device: Device) -> Callable[[Cohort], float]:
        """Return an estimate of the seconds that a cohort trains on a device."""
        from harness.training import takes_kernels

        def estimate(cohort: Cohort) -> float:
            part = self.task.plan.model_copy(update={"cohorts": (cohort,)})
            return plan.estimate(part, device.torch.type, on_kernels=takes_kernels(device)).seconds

        return estimate

    def bundle(self, stage: Plan, device: Device, program: Program | None, session: Session) -> list[list[Cohort]]:
        """Return the jobs of a plan, or of a part of it that is trained before the next begins, by their cohorts."""
        own, others = (part.cohorts for part in plan.split_by_trainer(stage))
        found = bundle_for(self.place, own, self.make_estimate(device)) if own else []
        if program is None:
            return found
        return found + bundle_for(self.place, others, lambda _: estimate_most(program, session))

    def spread_program(self, device: Device, runnable: Runnable, folder: Path, session: Session) -> Spread:
        """Return what runs the replicas of the run's program in ``folder``."""
        program, work = self.make_program_task(runnable, session), runnable.work
        root, say = find_jobs_folder(self, folder), session.reporter.say
        cards = ask_device(self, session).cards  # which is known by now
        if (told_of := describe_kinds(f"machines of {self.place.name} have", cards, "ask for one kind")) is not None:
            say(told_of)
        task = self.task.model_copy(update={"expected": describe_device(device, cards), "program": program})
        most, told = estimate_most(work.program, session), find_device_folder(self)
        return Spread(self.place, task, root, say, lambda _: most, ReplicaStaging(work), told=told)

    def make_program_task(self, runnable: Runnable, session: Session) -> ProgramTask:
        """Make the part of a task that is about the program.

        Raises:
            UsageError: inputs are too large to travel, and nobody said where they are.
        """
        work = runnable.work
        return ProgramTask(
            program=work.program,
            results=work.results,
            pins=runnable.pins,
            inputs=place_inputs(work.inputs, self.place),
            root=str(work.root.absolute()),
            language=work.environment.get("LANG"),
            variables=tuple(name for name in work.program.environment if name in work.environment),
            parallel=count_parallel(session.settings),
        )


def place_inputs(inputs: Mapping[str, Path], place: Place) -> dict[str, str]:
    """Return where each of a program's inputs is for a job: a relative path if it travels with it.

    Raises:
        UsageError: they are too large for that, and nobody said where they are.
    """
    launcher = place.launcher
    if not launcher.carries:
        return {name: str(path.absolute()) for name, path in inputs.items()}
    size = sum(path.stat().st_size for path in inputs.values())
    if size <= CARRIED_BYTES:
        return {name: f"inputs/{name}/{path.name}" for name, path in inputs.items()}
    if launcher.data is None:
        message = f"the inputs have {size:,} bytes, and no more than {CARRIED_BYTES:,} travel with a job"
        remedy = "put them into a folder that workers have, and name it as data of the place"
        raise UsageError(message, where=f"--on {place.name}", remedy=remedy)
    return {name: str(Path(launcher.data) / path.name) for name, path in inputs.items()}


def estimate_most(program: Program, session: Session) -> float:
    """Return the share of a job's seconds that a replica takes at most."""
    return program.seconds / count_parallel(session.settings)


def find_remote(hypothesis: Hypothesis, session: Session) -> Remote | None:
    """Find the place that ``--on`` names; None if it names none.

    Raises:
        UsageError: there is no such place.
    """
    if session.settings.on is None:
        return None
    place = find_place(session.settings.on, session.project)
    return Remote(place, make_task(place, hypothesis, session), hypothesis.id)


def ask_device(remote: Remote, session: Session) -> DeviceFacts:
    """Return the device that jobs of a place have, as the first of them says; asked once for the same code and options.

    Raises:
        Interrupted: the command is to end before that job began.
        LaunchFailed: code or packages are others there, or the job was refused, or ended without an answer.
        StorageFailed: the place's folder can't be made or written.
        UsageError: somebody else may write to it.
    """
    place, task = remote.place, remote.task
    make_folder(place)
    folder = find_device_folder(remote)
    if (ready := read(folder, READY, Ready)) is None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(folder, TASK, task)
            ready = _await_device(folder, place, session)
        except OSError as error:
            raise build_storage_error(Path(error.filename or folder), error) from error
    if ready.differences:
        shutil.rmtree(folder, ignore_errors=True)  # it is asked again when that was mended
        raise LaunchFailed("; ".join(ready.differences), where=f"--on {place.name}", remedy=ALIKE)
    return ready.device


def find_device_folder(remote: Remote) -> Path:
    """Return the folder of the job that tells of a place's device, by the code and options that it is asked with."""
    launcher, task = remote.place.launcher, remote.task
    environment = task.environment.model_dump_json(include={"code", "packages", "python"})
    behind = describe_packages(task.modules)  # whatever else a notebook has loaded is no matter of a worker's
    chosen = f"{launcher.model_dump_json()} {task.device} {task.compile} {environment} {behind}"
    return Path(launcher.folder) / f"device-{hashlib.sha256(chosen.encode()).hexdigest()[:16]}"


def _await_device(folder: Path, place: Place, session: Session) -> Ready:
    """Start a job that tells of its device, or wait for the one that was started before."""
    launcher, reporter, where = place.launcher, session.reporter, f"--on {place.name}"
    record = read(folder, JOB, JobRecord)
    if record is None or not launcher.find_alive([record.tries[-1].id]):
        (folder / ENDED).unlink(missing_ok=True)
        (job,) = launcher.submit([make_job(folder, place)])
        record = JobRecord(tries=(Try(id=job),))
        write(folder, JOB, record)
        reporter.say(f"asking {place.name} for its device, by a job of its own")
    gone: float | None = None
    while (ready := read(folder, READY, Ready)) is None:
        until = time.monotonic() + launcher.poll_seconds
        while time.monotonic() < until and not (folder / READY).exists():
            reporter.heed()
            time.sleep(STOP_SECONDS)
        end = read(folder, ENDED, JobEnd)
        if end is not None and end.how in ("failed", "differs") and not (folder / READY).exists():
            remedy = ALIKE if end.how == "differs" else f"see {folder / LOG}"
            raise LaunchFailed(end.message, where=where, remedy=end.remedy or remedy)
        with suppress(SchedulerSilent):
            if launcher.find_alive([record.tries[-1].id]):
                gone = None
                continue
            gone = time.monotonic() if gone is None else gone
            if time.monotonic() - gone >= launcher.grace_seconds and not (folder / READY).exists():
                why = launcher.find_reason(record.tries[-1].id) or read_end(folder / LOG) or "nobody knows why"
                remedy = f"see {folder / LOG}"
                raise LaunchFailed(
                    f"the job that was to tell of its device has ended: {why}", where=where, remedy=remedy
                )
    return ready


def make_task(place: Place, hypothesis: Hypothesis, session: Session) -> Task:
    """Make what all jobs of a run have in common: a task without cohorts and without data."""
    project, settings = session.project, session.settings
    device = project.device if place.launcher.device is None else place.launcher.device
    modules = ledger.find_modules_behind(hypothesis)
    # A worker describes these modules alone, and what else is loaded here may belong to the same distributions.
    environment = ledger.describe_environment(project.root, modules)
    environment = environment.model_copy(update={"foreign": describe_packages(modules)})
    return Task(
        plan=Plan(hypothesis=hypothesis.id, registration="", seeds=(), cohorts=()),
        device=HOST if hypothesis.built_in is None else device,
        compile=settings.compile,
        expected=None,
        environment=environment,
        modules=modules,
        data={},
        data_folder=place.launcher.data or str(project.data.absolute()),
        weights={},
        checkpoint_seconds=settings.checkpoint_seconds,
    )


def find_jobs_folder(remote: Remote, folder: Path) -> Path:
    """Return the folder of the jobs of a run, or of a pilot, whose own folder is ``folder``."""
    return Path(remote.place.launcher.folder) / f"{remote.hypothesis}-{folder.name}"


def describe_launch(remote: Remote, folder: Path) -> Launch:
    """Describe the jobs of a run, for its verdict."""
    root = find_jobs_folder(remote, folder)
    records = [record for folder in sorted(root.glob("job-*")) if (record := read(folder, JOB, JobRecord)) is not None]
    tries = [one for record in records for one in record.tries]
    ended = Counter(one.ended.partition(":")[0] for one in tries if one.ended not in (None, DONE))
    devices = Counter(one.device for one in tries if one.device is not None)
    return Launch(
        launcher=remote.place.launcher.name,
        jobs=len(records),
        tries=len(tries),
        ended=dict(sorted(ended.items())),
        devices=dict(sorted(devices.items())),
        seconds=round(sum(one.seconds for one in tries), 3),
    )
