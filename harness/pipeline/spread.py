"""A run's cohorts, spread over the jobs of a launcher: submitted, followed, started again, and their results fetched.

The run alone writes to its own folder and to the ledger. Each job has a folder of its own, from which sealed results
are taken over; whoever looks at the folder knows all, so that a run whose command ended attaches to its jobs when the
same command is given again.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.domain.trained import Progress, Trainer
from harness.errors import Interrupted, LaunchFailed, TrainingFailed
from harness.launchers import LOG, Job, SchedulerSilent, State
from harness.ledger.progress import ELSEWHERE
from harness.pipeline.jobs import (
    ENDED,
    JOB,
    PROGRESS,
    TASK,
    JobEnd,
    JobProgress,
    JobRecord,
    Task,
    Try,
    close_try,
    forget_try,
    read,
    write,
)
from harness.pipeline.places import Place
from harness.pipeline.staging import CohortStaging, Staging
from harness.records import Cohort, Plan
from harness.system.storage import build_storage_error, write_atomic
from harness.wording import format_count

STOP_SECONDS = 0.1  # between two looks at whether the command is to end
LOG_BYTES = 2000
"""Bytes of a log's end that are shown."""
DONE = "done"
"""End of a try after which nothing of its job is lacking."""
SAME = "give the same command again: it attaches to what is running, and goes on with the rest"


@dataclass
class Following:
    """A job that is under way or over."""

    folder: Path
    cohorts: list[Cohort]
    tries: tuple[Try, ...] = ()
    """The times that it was started so far; the last one may go on."""
    gone: float | None = None
    """Time at which it was first missed, by the clock of this process; None while it is not."""
    given_up: str | None = None
    """Reason why it is not started again; None while it may be."""

    @property
    def id(self) -> str:
        """Name by which its launcher knows it."""
        return self.tries[-1].id

    @property
    def is_open(self) -> bool:
        """True while it may go on."""
        return bool(self.tries) and self.tries[-1].ended is None

    @property
    def is_to_go_on(self) -> bool:
        """True if it ended without all of its results and is not given up."""
        return self.given_up is None and self.tries[-1].ended not in (None, DONE)


@dataclass
class Spread:
    """The jobs of a run at one place."""

    place: Place
    task: Task
    """Task without cohorts, which all jobs have in common."""
    root: Path
    """Folder of the run's jobs."""
    say: Callable[[str], None]
    estimate: Callable[[Cohort], float] = lambda _: 0.0
    """Rough seconds that a cohort trains there, or the most that a program's replica may."""
    staging: Staging = field(default_factory=CohortStaging)
    """Staging of the jobs' files."""
    told: Path | None = None
    """Folder of the job that told of the device which the plan was made for."""
    silent: bool = field(default=False, init=False)
    """True while the scheduler gives no answer."""

    def __call__(
        self, plan: Plan, waiting: list[Cohort], trainer: Trainer, tell: Callable[[int, Progress], None]
    ) -> None:
        """Have cohorts trained; their results, or how they were split, lie in the run's folder afterwards.

        Raises:
            Interrupted: the command is to end, and jobs go on.
            StorageFailed: a folder there can't be made or written.
            LaunchFailed: jobs were refused or ended without results as often as they may, or the machines there have
                another device, code or data than the plan was made for.
            TrainingFailed: a worker says that training failed.
        """
        try:
            self._train(plan, waiting, trainer, tell)
        except OSError as error:  # a full or broken disk fails no attempt: the same command goes on
            raise build_storage_error(Path(error.filename or self.root), error) from error

    def _train(
        self, plan: Plan, waiting: list[Cohort], trainer: Trainer, tell: Callable[[int, Progress], None]
    ) -> None:
        folder = trainer.folder
        write_atomic(folder / "work" / ELSEWHERE, str(self.root).encode())  # for who closes the attempt
        jobs = self._prepare(plan, waiting)
        numbers = {cohort.digest: number for number, cohort in enumerate(waiting)}
        to_start = deque(job for job in jobs if not job.is_open)
        going = [job for job in jobs if job.is_open]
        try:
            self._submit(to_start, going)
            while going:
                self._wait(trainer.stop, going)
                self._tell(self._look(going, folder), numbers, tell)
                to_start.extend(job for job in going if job.is_to_go_on)
                going = [job for job in going if job.is_open]
                self._submit(to_start, going)
        except (LaunchFailed, TrainingFailed):
            cancel(self.place, jobs, self.say)
            raise
        lost = [job for job in jobs if job.given_up is not None]
        if lost:
            raise LaunchFailed(
                f"{format_count(len(lost), 'job')} of {len(jobs)} ended without results: {lost[0].given_up}",
                where=f"--on {self.place.name}",
                remedy=f"see {lost[0].folder / LOG}; {SAME}",
            )

    def _prepare(self, plan: Plan, waiting: list[Cohort]) -> list[Following]:
        """Attach to the jobs that may still train some of the cohorts, and make new ones of the others."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = {cohort.digest for cohort in waiting}
        found: list[Following] = []
        covered: set[str] = set()
        for folder in sorted(self.root.glob("job-*")):
            task, record = read(folder, TASK, Task), read(folder, JOB, JobRecord)
            if task is None or record is None:
                continue
            job = Following(folder, [one for one in task.plan.cohorts if one.digest in missing], record.tries)
            if job.cohorts and job.is_open:
                found.append(job)
                covered |= {cohort.digest for cohort in job.cohorts}
        if found:
            self.say(f"attached to {format_count(len(found), 'job')} of {self.place.name}")
        rest = [cohort for cohort in waiting if cohort.digest not in covered]
        return found + [self._make(plan, cohorts) for cohorts in bundle_for(self.place, rest, self.estimate)]

    def _make(self, plan: Plan, cohorts: list[Cohort]) -> Following:
        """Make the folder of a job; one that was there with the same cohorts keeps its checkpoints and its tries."""
        part = plan.model_copy(update={"cohorts": tuple(cohorts)})
        folder = self.root / f"job-{part.digest[:16]}"
        folder.mkdir(exist_ok=True)
        record = read(folder, JOB, JobRecord)
        task = self.staging.stage_in(self.task, folder, carried=self.place.launcher.carries)
        write(folder, TASK, task.model_copy(update={"plan": part}))
        return Following(folder, cohorts, () if record is None else record.tries)

    def _submit(self, to_start: deque[Following], going: list[Following]) -> None:
        """Submit jobs that are to start, as many as the place takes; they are taken off there and are going then."""
        free = max(self.place.launcher.queued_at_most - len(going), 0)
        jobs = [to_start.popleft() for _ in range(min(free, len(to_start)))]
        if not jobs:
            return
        for job in jobs:
            forget_try(job.folder)
        ids = self.place.launcher.submit([make_job(job.folder, self.place) for job in jobs])
        for job, name in zip(jobs, ids, strict=True):
            job.tries, job.gone = (*job.tries, Try(id=name)), None
            write(job.folder, JOB, JobRecord(tries=job.tries))
        going += jobs
        self.say(f"{format_count(len(jobs), 'job')} submitted to {self.place.name}")

    def _wait(self, stop: Callable[[], bool], going: Sequence[Following]) -> None:
        until = time.monotonic() + self.place.launcher.poll_seconds
        while time.monotonic() < until:
            if stop():
                count = format_count(len(going), "job")
                remedy = f"{SAME}; harness jobs --cancel ends them with checkpoints"
                raise Interrupted(f"{count} of {self.place.name} go on without this command", remedy=remedy)
            time.sleep(STOP_SECONDS)

    def _look(self, going: Sequence[Following], folder: Path) -> list[Following]:
        """Fetch results, and find out which jobs have ended; return those that may have come further."""
        alive = self._find_alive([job.id for job in going])
        begun = []
        for job in going:
            if alive is None or job.id in alive:
                job.gone = None
            if alive is not None and alive.get(job.id) == "waiting":
                continue
            begun.append(job)
            self.staging.stage_out(job.cohorts, job.folder, folder)
            if alive is None or job.id in alive:
                continue
            job.gone = time.monotonic() if job.gone is None else job.gone
            end = read(job.folder, ENDED, JobEnd)
            waited = time.monotonic() - job.gone
            late = end is None or end.how == DONE
            if late and waited < self.place.launcher.grace_seconds and self.staging.lacks(job.cohorts, folder):
                continue  # what it wrote last may be on its way
            self.staging.stage_out(job.cohorts, job.folder, folder)
            self._close(job, end, folder)
        return begun

    def _find_alive(self, ids: Sequence[str]) -> Mapping[str, State] | None:
        """Return which jobs wait or run; None if nobody can tell now, and what runs may go on."""
        try:
            found = self.place.launcher.find_alive(ids)
        except SchedulerSilent as error:
            if not self.silent:
                self.say(f"{self.place.name} gives no answer; jobs that run there may go on: {error.message}")
            self.silent = True
            return None
        self.silent = False
        return found

    def _close(self, job: Following, end: JobEnd | None, folder: Path) -> None:
        """Record how a job ended, and decide whether it is started again.

        Raises:
        LaunchFailed, TrainingFailed: as its worker says.
        """
        told = read(job.folder, PROGRESS, JobProgress)
        steps = 0 if told is None else told.steps
        done = not self.staging.lacks(job.cohorts, folder)
        if done:
            how = DONE
        elif end is None:
            how = self.place.launcher.find_reason(job.id) or "ended without a word, as what is killed"
        else:
            how = f"{end.how}: {end.message}"
        job.tries = (*job.tries[:-1], close_try(job.tries[-1], job.folder, how, steps))
        write(job.folder, JOB, JobRecord(tries=job.tries))
        if done:
            for name in ("work", "weights", "logs"):  # all of it lies in the run's folder
                shutil.rmtree(job.folder / name, ignore_errors=True)
        elif end is not None and end.how == "differs":
            if self.told is not None:  # the place may have another device by now: the next call asks
                shutil.rmtree(self.told, ignore_errors=True)
            alike = "make the machines alike, or choose those that are: by a partition, a constraint or an image"
            raise LaunchFailed(end.message, where=f"--on {self.place.name}", remedy=end.remedy or alike)
        elif end is not None and end.how == "failed":
            raise TrainingFailed(end.message, where=end.where, remedy=end.remedy or f"see {job.folder / LOG}")
        elif count_idle_tries(job.tries) > self.place.launcher.again:
            log = read_end(job.folder / LOG)
            job.given_up = f"{how}, after {format_count(len(job.tries), 'try', 'tries')}"
            job.given_up += f"; its log ends with:\n{log}" if log else ""
            self.say(f"given up: {job.folder.name}, {how}")
        else:
            self.say(f"{job.folder.name}: {how}; it is started again")

    def _tell(
        self, jobs: Sequence[Following], numbers: Mapping[str, int], tell: Callable[[int, Progress], None]
    ) -> None:
        """Tell how far each job has come, as the training of its first cohort.

        ``numbers`` maps digests of cohorts to their positions.
        """
        for job in jobs:
            told = read(job.folder, PROGRESS, JobProgress)
            if told is not None:
                shape = (told.arms, told.replicas, told.epoch, told.epochs)
                at = Progress(told.done, 1, *shape, told.steps, 0, replica=told.replica)
                tell(numbers[job.cohorts[0].digest], at)


def cancel(place: Place, jobs: Sequence[Following], say: Callable[[str], None]) -> None:
    """Ask the jobs that may go on to end, or say that nobody can be asked."""
    try:
        place.launcher.cancel([job.id for job in jobs if job.is_open])
    except SchedulerSilent as error:
        say(f"jobs of {place.name} may go on: {error.message}")


def bundle_for(place: Place, cohorts: Sequence[Cohort], estimate: Callable[[Cohort], float]) -> list[list[Cohort]]:
    """Bundle cohorts for the jobs of a place, by their number or by the seconds that each is estimated to take."""
    if place.launcher.minutes_per_job is None:
        return bundle(cohorts, lambda _: 1.0, place.launcher.cohorts_per_job)
    return bundle(cohorts, estimate, 60 * place.launcher.minutes_per_job)


def bundle(cohorts: Sequence[Cohort], measure: Callable[[Cohort], float], limit: float) -> list[list[Cohort]]:
    """Bundle cohorts in their order, so that none but a single one measures more than the limit."""
    found: list[list[Cohort]] = []
    total = 0.0
    for cohort in cohorts:
        size = measure(cohort)
        if found and total + size <= limit:
            found[-1].append(cohort)
            total += size
        else:
            found.append([cohort])
            total = size
    return found


def count_idle_tries(tries: Sequence[Try]) -> int:
    """Count the tries at the end that came no further than one before."""
    count, best = 0, 0
    for one in tries:
        count, best = (0, one.steps) if one.steps > best else (count + 1, best)
    return count


def make_job(folder: Path, place: Place) -> Job:
    """Return the job that trains what lies in a folder."""
    python = place.launcher.python or sys.executable
    return Job(str(folder), (python, "-P", "-m", "harness.cli", "worker", str(folder)))


def read_end(log: Path) -> str:
    """Return the end of a job's log, whole lines only; empty if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = text.splitlines()[size > LOG_BYTES :]
    return "\n".join(lines).strip()
