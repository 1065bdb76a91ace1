"""Slurm: jobs are tasks of an array, submitted with sbatch, looked for with squeue and ended with scancel."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.errors import LaunchFailed
from harness.launchers import LOG, Job, Launcher, SchedulerSilent, State
from harness.plugins.fields import Unit
from harness.system.storage import write_atomic

LARGEST_ARRAY = 1000
"""Slurm's MaxArraySize is 1,001 unless a site has chosen another."""
ANSWER_SECONDS = 60.0
WAITS = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
"""States of a job that has not begun, or will begin again."""
RUNS = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
"""States of a job that has begun and not ended. Any other state is an end."""


class Slurm(Launcher):
    """Submits jobs as arrays. Needs Slurm's commands here and a folder that all nodes see, but no accounting.

    A job that ended without its results is submitted again: Slurm requeues only some, and starts those after two
    minutes.

    Use:
        To train the cohorts of a hypothesis on many nodes at a time, within the time limits of a site.

    Traps:
        A folder that nodes see late shows results late. Devices of several kinds in one partition give cohorts other
        last digits: ask for one kind in ``options``. A time limit below that of a checkpoint never gets anywhere.
    """

    source: ClassVar[str] = "Slurm's sbatch, squeue and scancel, of 22.05 and later."
    name: Literal["slurm"] = "slurm"
    options: tuple[str, ...] = Field(default=(), examples=[["--partition=gpu", "--gres=gpu:1", "--time=02:00:00"]])
    """Options of sbatch, one text each."""
    setup: str = Field(default="", examples=["module load cuda"])
    """Lines of bash that a job begins with."""
    at_most: Annotated[int | None, Unit("jobs")] = Field(default=None, ge=1, examples=[32])
    """Number of jobs of a submission that run at a time. By default, as many as the site lets run."""
    warn_seconds: Annotated[int, Unit("s")] = Field(default=60, ge=1, le=65535, examples=[60])
    """Time before its limit at which a job is told to write a checkpoint."""

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit the jobs as one array, or as several if they are many; return their ids as Slurm writes them."""
        found: list[str] = []
        for first in range(0, len(jobs), LARGEST_ARRAY):
            try:
                found += self._submit_array(jobs[first : first + LARGEST_ARRAY])
            except LaunchFailed:
                if found:
                    self.cancel(found)
                raise
        return found

    def find_alive(self, jobs: Collection[str]) -> Mapping[str, State]:
        """Ask squeue once for everything of this user, since it fails on a job that it has forgotten."""
        told = _call(["squeue", "--noheader", "--array", "--me", "--format=%i %T"])
        states = dict(line.split()[:2] for line in told.splitlines() if line.strip())
        found: dict[str, State] = {}
        for job in jobs:
            if (state := states.get(job)) in WAITS:
                found[job] = "waiting"
            elif state in RUNS:
                found[job] = "running"
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        """Send SIGTERM to jobs that run, and take those that wait off the queue."""
        if jobs:
            alive = self.find_alive(jobs)
            running = [job for job in jobs if alive.get(job) == "running"]
            waiting = [job for job in jobs if alive.get(job) == "waiting"]
            if running:
                # The batch shell is replaced by the command, so that the signal needs no shell to pass it on.
                _call(["scancel", "--signal=TERM", "--batch", *running])
            if waiting:
                _call(["scancel", *waiting])

    def find_reason(self, job: str) -> str | None:
        """Return what Slurm still knows of a job."""
        try:
            told = _call(["scontrol", "--oneliner", "show", "job", job])
        except LaunchFailed:
            return None  # forgotten, a while after its end
        facts = dict(re.findall(r"\b(JobState|Reason|ExitCode|Restarts|NodeList)=(\S+)", told))
        return ", ".join(f"{name} {value}" for name, value in facts.items() if value not in ("None", "(null)")) or None

    def _submit_array(self, jobs: Sequence[Job]) -> list[str]:
        own = Path(jobs[0].folder)  # its folder keeps what was submitted, for who looks why nothing ran
        script = own / "submitted.sh"
        write_atomic(script, self._write_script(jobs).encode())
        limit = "" if self.at_most is None else f"%{self.at_most}"
        told = _call(
            [
                "sbatch", "--parsable", f"--array=0-{len(jobs) - 1}{limit}", "--job-name=harness", "--no-requeue",
                f"--signal=B:TERM@{self.warn_seconds}", f"--output={own / 'slurm-%a.log'}", "--open-mode=append",
                *self.options, str(script),
            ]
        )  # fmt: skip
        number = told.strip().partition(";")[0]  # "id;cluster" where there are several clusters
        if not number.isdigit():
            raise LaunchFailed(f"sbatch answered {told.strip()!r}, which is not a job's number", where="sbatch")
        return [f"{number}_{task}" for task in range(len(jobs))]

    def _write_script(self, jobs: Sequence[Job]) -> str:
        """Write the batch script, in which each task of the array becomes its own command."""
        cases = "\n".join(
            f"{task}) cd {shlex.quote(job.folder)} && exec {shlex.join(job.command)} >>{LOG} 2>&1 ;;"
            for task, job in enumerate(jobs)
        )
        return f'#!/bin/bash\n{self.setup}\ncase "$SLURM_ARRAY_TASK_ID" in\n{cases}\nesac\nexit 1\n'


def _call(command: Sequence[str]) -> str:
    """Call one of Slurm's commands and return what it printed.

    Raises:
        SchedulerSilent: it failed or gave no answer in time.
        LaunchFailed: it is not here, or refused a submission.
    """
    variables = os.environ | {"LC_ALL": "C"}
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            env=variables,
            check=False,
        )
    except FileNotFoundError as error:
        remedy = "run harness where Slurm's commands are, or leave --on out"
        raise LaunchFailed(f"{command[0]} is not here", where="launcher slurm", remedy=remedy) from error
    except subprocess.TimeoutExpired as error:
        raise SchedulerSilent(f"{command[0]} gave no answer within {ANSWER_SECONDS:.0f} s") from error
    if ran.returncode == 0:
        return ran.stdout
    told = " ".join(ran.stderr.split()) or f"exit code {ran.returncode}"
    if command[0] == "sbatch":
        remedy = "mend the options in pyproject.toml, or ask the site"
        raise LaunchFailed(f"the jobs were refused: {told}", where="sbatch", remedy=remedy)
    raise SchedulerSilent(f"{command[0]} failed: {told}", where="launcher slurm")


plugin = Slurm
