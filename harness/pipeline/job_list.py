"""The jobs of all runs at a place, as their folders tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from harness.launchers import State
from harness.pipeline.jobs import JOB, PROGRESS, READY, TASK, JobProgress, JobRecord, Task, read
from harness.pipeline.places import Place
from harness.pipeline.spread import DONE
from harness.plugins.fields import Unit
from harness.records.base import Record
from harness.wording import format_count


class ListedJob(Record):
    """A job of a run."""

    run: str
    """Hypothesis and run that it belongs to, "hypothesis-run"."""
    job: str
    """Name by which its launcher knows it."""
    state: State | Literal["ended"]
    """State that it is in: it waits, runs or has ended."""
    arms: tuple[str, ...]
    """Arms that it trains."""
    replicas: Annotated[int, Unit("replicas")]
    """Number of replicas that it trains."""
    done: Annotated[float, Unit("fraction")]
    """Share of its steps that are done, from 0 to 1."""
    tries: Annotated[int, Unit("tries")]
    """Number of times that it was started."""
    ended: str | None
    """Way in which it ended the last time; None while it may go on."""
    folder: str
    """Folder of the job, with its log."""

    def describe(self) -> str:
        """Return a line about the job."""
        what = f"{', '.join(self.arms)}: {format_count(self.replicas, 'replica')}, {self.done:.0%}"
        again = f", started {self.tries} times" if self.tries > 1 else ""
        name = "" if self.job == self.folder else f" ({self.job})"
        return f"{self.run}{name}: {self.ended or self.state}; {what}{again}; {self.folder}"


def list_jobs(place: Place) -> list[ListedJob]:
    """List the jobs at a place, run by run.

    Raises:
        LaunchFailed: its scheduler gives no answer.
    """
    found = []
    folders = sorted(Path(place.launcher.folder).glob("*/job-*"))
    records = {folder: record for folder in folders if (record := read(folder, JOB, JobRecord)) and record.tries}
    alive = place.launcher.find_alive([record.tries[-1].id for record in records.values()])
    for folder, record in records.items():
        listed = _describe(folder, record, alive.get(record.tries[-1].id, "ended"))
        if listed is not None:
            found.append(listed)
    return found


def follow_jobs(folders: Sequence[Path]) -> tuple[ListedJob, ...]:
    """Describe the jobs in these folders as their own files do, without asking a scheduler.

    A job that was killed is called running until its run's command has noticed.
    """
    found = []
    for folder in folders:
        record = read(folder, JOB, JobRecord)
        if record is not None and record.tries:
            begun = (folder / READY).exists()
            found.append(_describe(folder, record, "running" if begun else "waiting"))
    return tuple(one for one in found if one is not None)


def _describe(folder: Path, record: JobRecord, state: State | Literal["ended"]) -> ListedJob | None:
    """Describe a job that is in a state unless its record says that it ended; None if it has no task."""
    task = read(folder, TASK, Task)
    if task is None:
        return None
    last, told = record.tries[-1], read(folder, PROGRESS, JobProgress)
    cohorts = task.plan.cohorts
    total = sum(cohort.steps * len(cohort.replicas) for cohort in cohorts)
    return ListedJob(
        run=folder.parent.name,
        job=last.id,
        state="ended" if last.ended else state,
        arms=tuple(dict.fromkeys(name for cohort in cohorts for name in cohort.arms)),
        replicas=sum(len(cohort.replicas) for cohort in cohorts),
        done=1.0 if last.ended == DONE else (told.steps if told else 0) / max(1, total),
        tries=len(record.tries),
        ended=last.ended,
        folder=str(folder),
    )


def cancel_jobs(place: Place) -> str:
    """End the jobs at a place that wait or run; return how many were asked to, in words.

    Raises:
        LaunchFailed: its scheduler gives no answer.
    """
    alive = [one.job for one in list_jobs(place) if one.state != "ended"]
    place.launcher.cancel(alive)
    return format_count(len(alive), "job")
