"""A run's part in training elsewhere: which place it names, what device that has, and what its jobs have in common."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger, plan
from harness.errors import LaunchFailed
from harness.launchers import LOG, SchedulerSilent
from harness.pipeline.device_facts import describe_device
from harness.pipeline.jobs import ENDED, JOB, READY, TASK, DeviceFacts, JobEnd, JobRecord, Ready, Task, Try, read, write
from harness.pipeline.places import Place, find_place
from harness.pipeline.spread import DONE, STOP_SECONDS, Spread, make_job, read_end
from harness.records import Cohort, Hypothesis, Plan
from harness.records.provenance import Launch

if TYPE_CHECKING:
    from harness.pipeline.session import Session
    from harness.training import Device


@dataclass(frozen=True)
class Remote:
    """A place that trains a run's cohorts."""

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
        from harness.training import takes_kernels

        def estimate(cohort: Cohort) -> float:
            part = task.plan.model_copy(update={"cohorts": (cohort,)})
            return plan.estimate(part, device.torch.type, on_kernels=takes_kernels(device)).seconds

        return Spread(self.place, task, find_jobs_folder(self, folder), session.reporter.say, estimate)


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
    """
    place, task = remote.place, remote.task
    environment = task.environment.model_dump_json(include={"code", "packages", "foreign", "python"})
    chosen = f"{place.launcher.model_dump_json()} {task.device} {task.compile} {environment}"
    folder = Path(place.launcher.folder) / f"device-{hashlib.sha256(chosen.encode()).hexdigest()[:16]}"
    if (ready := read(folder, READY, Ready)) is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(folder, TASK, task)
        ready = _await_device(folder, place, session)
    if ready.differences:
        shutil.rmtree(folder, ignore_errors=True)  # it is asked again when that was mended
        remedy = "make the machines alike: the same code, packages and Python"
        raise LaunchFailed("; ".join(ready.differences), where=f"--on {place.name}", remedy=remedy)
    return ready.device


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
        if end is not None and end.how == "failed":
            raise LaunchFailed(end.message, where=where, remedy=end.remedy)
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
    modules = ledger.find_modules_behind(hypothesis)
    return Task(
        plan=Plan(hypothesis=hypothesis.id, registration="", seeds=(), cohorts=()),
        device=project.device if place.launcher.device is None else place.launcher.device,
        compile=settings.compile,
        expected=None,
        environment=ledger.describe_environment(project.root, modules),
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
    return Launch(
        launcher=remote.place.launcher.name, jobs=len(records), tries=len(tries), ended=dict(sorted(ended.items()))
    )
