"""Launchers: places other than this process that train cohorts, as pyproject.toml names them.

A launcher starts commands and says which of them are still there; it knows nothing of cohorts. A job is done when its
results lie in its folder, whatever a scheduler says of it, so that an accounting database is never needed.

``[tool.harness.on.NAME]`` has a launcher's parameters, with its name under ``kind``. Nothing of it belongs in a
hypothesis, and nothing of it decides what is concluded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.errors import LaunchFailed
from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin

FAMILY = "launchers"
State = Literal["waiting", "running"]
LOG = "log"
"""File in a job's folder that takes what its command prints."""


class SchedulerSilent(LaunchFailed):
    """A scheduler that gave no answer. What it runs may go on all the same."""


@dataclass(frozen=True)
class Job:
    """A command to be started elsewhere."""

    folder: str
    """Absolute path of the job's own folder, which both sides see; its log goes there."""
    command: tuple[str, ...]
    """Program and arguments; no shell reads them."""


class Launcher(Plugin):
    """Interface of a launcher."""

    carries: ClassVar[bool] = False
    """True if a job's files travel with it. Otherwise all machines see its folder under the same path."""

    folder: str = Field(examples=["/shared/harness-work"])
    """Folder for the files of jobs, which every machine that trains sees under this path, unless they travel with it. A
    relative one starts at pyproject.toml. Each user has a folder of their own in it, by their number (uid), to which
    nobody else has access; where several use one place, all of them must be allowed to make theirs."""
    data: str | None = Field(default=None, examples=["/data"])
    """Folder of the data sets, by its path there, and of a program's inputs that are too large to travel with a job. By
    default, that of a run here."""
    device: str | None = Field(default=None, examples=["cuda"])
    """Device of a job: auto, cpu, cuda or cuda:<number>. By default, as for a run here."""
    python: str | None = Field(default=None, examples=["/shared/venv/bin/python"])
    """Python that has harness, by its path there. By default, the one that runs this command."""
    cohorts_per_job: Annotated[int, Unit("cohorts")] = Field(default=1, ge=1, examples=[4])
    """Number of cohorts, or of a program's replicas, that a job trains one after the other. A job pays for its start,
    so that cohorts of seconds are better bundled."""
    minutes_per_job: Annotated[float | None, Unit("min")] = Field(default=None, gt=0, examples=[20.0])
    """Minutes of training, as ``harness plan`` estimates it, or as a program's timeout says, up to which cohorts are
    bundled in a job; a longer one has a job of its own, and ``cohorts_per_job`` has no say. By default, cohorts are
    bundled by their number."""
    queued_at_most: Annotated[int, Unit("jobs")] = Field(default=5000, ge=1, examples=[1000])
    """Number of jobs that wait or run at a time; the rest is submitted as these end. A site refuses more than it
    allows, and Slurm more than 10,000 of all users together unless it was told otherwise."""
    again: Annotated[int, Unit("times")] = Field(default=3, ge=0, examples=[3])
    """Number of times that a job that ended without its results is started again. One that has come further than before
    doesn't count: a time limit or a preemption takes it off, and it goes on from its checkpoint."""
    poll_seconds: Annotated[float, Unit("s")] = Field(default=5.0, gt=0, examples=[5.0])
    """Time between two looks at the jobs."""
    grace_seconds: Annotated[float, Unit("s")] = Field(default=30.0, ge=0, examples=[30.0])
    """Time that the results of a job that is gone may take to be seen here, as on a network file system."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Start jobs, or have them wait for their turn; return what identifies each, in their order.

        Raises:
            LaunchFailed: they were refused, and none was started.
        """

    @abstractmethod
    def find_alive(self, jobs: Collection[str]) -> Mapping[str, State]:
        """Tell which of these jobs wait or run; those that have ended are left out.

        Raises:
            SchedulerSilent: it can't be told at the moment.
        """

    @abstractmethod
    def cancel(self, jobs: Collection[str]) -> None:
        """Ask jobs to end; they have the time to write a checkpoint.

        Raises:
            SchedulerSilent: it can't be asked at the moment.
        """

    def find_reason(self, job: str) -> str | None:
        """Return why a job waits or how it ended, in the launcher's words; None if it can't tell."""
        return None
