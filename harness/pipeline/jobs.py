"""The files of a job, by which whoever spreads a run and whoever trains a part of it understand one another.

A job has a folder of its own below its run's, which its worker alone writes to while it trains:

    task.json      what to train, on what, and by which code          (written by the run)
    ready.json     the device and the environment that it found       (all others by the worker)
    progress.json  how far it has come
    ended.json     how it ended; without it, it was killed
    work/, weights/, logs/  checkpoints, sealed results, stored weights and output, as in a run's folder
    job.json       what identifies it, and what became of it before   (written by the run)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from harness.ledger import Environment
from harness.plugins.fields import Unit
from harness.records import Plan
from harness.records.base import Record
from harness.records.program import Program, ProgramPins, Results
from harness.system.reading import LARGEST_FILE, read_regular
from harness.system.storage import write_atomic

TASK, READY, PROGRESS, ENDED, JOB = "task.json", "ready.json", "progress.json", "ended.json", "job.json"
HOST = "host"
"""Device of tasks of programs: none is opened, and the machine is named as it is for their runs."""


class DeviceFacts(Record):
    """A device of another machine, as far as plans, verdicts and bits depend on it."""

    kind: Literal["cpu", "cuda"]
    """Type of device, in PyTorch's words."""
    name: str
    """Name of the processor or card."""
    memory_bytes: Annotated[int | None, Unit("bytes")]
    """Total memory of the card; None for a processor."""
    kernels: bool
    """True if cohorts that fit harness's own kernels are trained with them."""
    compile_steps: Annotated[int | None, Unit("steps")]
    """Number of steps from which other cohorts are compiled; None if none is."""
    largest_cohort: Annotated[int, Unit("replicas")]
    """Maximum number of replicas per cohort."""
    prefer_even_cohorts: bool
    """True if an even number of cohorts is preferred."""
    arithmetic: dict[str, str]
    """Variables and libraries that determine its arithmetic."""
    cards: tuple[str, ...] = ()
    """Models of the machine's cards, which a program of its own may use; compared for programs alone."""


class ProgramTask(Record):
    """The program that runs a task's replicas, and what a worker holds against it."""

    program: Program
    """The program."""
    results: Results
    """Form of its results."""
    pins: ProgramPins
    """The registered code, lock file, image and inputs."""
    code: str = ""
    """Archive of the code; a relative path starts at the job's folder."""
    inputs: dict[str, str]
    """Input → file; a relative path starts at the job's folder."""
    root: str
    """The project's folder, below which files that a replica opened are named by their path."""
    language: str | None
    """Variable LANG of the run, by which programs write numbers; None if it has none."""
    variables: tuple[str, ...]
    """Variables that the program is given beside the usual ones and that the run has. Their values are the worker's:
    they may be secret."""
    parallel: Annotated[int, Unit("replicas")]
    """Number of replicas that run at a time in a job."""


class Task(Record):
    """A part of a plan that a worker trains; without cohorts, it only tells of its device."""

    plan: Plan
    """The plan, with the cohorts of this job alone."""
    device: str
    """Device to open: auto, cpu, cuda or cuda:<number>; host: none."""
    compile: str
    """auto, on or off: whether a card's programs are compiled."""
    expected: DeviceFacts | None
    """The device that the plan was made for; None to be told of one."""
    environment: Environment
    """The code and packages of the run."""
    modules: tuple[str, ...]
    """Other people's modules behind plug-ins that the run uses."""
    data: dict[str, str]
    """Data set → SHA-256 over its arrays."""
    data_folder: str
    """Folder of the data sets."""
    weights: dict[str, str]
    """SHA-256 → file of stored weights that replicas start from; a relative path starts at the job's folder."""
    checkpoint_seconds: Annotated[float, Unit("s")]
    """Seconds between two checkpoints."""
    program: ProgramTask | None = None
    """The program that trains the replicas; None if harness does."""


class Software(BaseModel):
    """The part of a run's environment that a worker compares, as any version of harness writes it."""

    code: str
    """SHA-256 over harness's source files."""
    packages: dict[str, str]
    """Package → version."""
    foreign: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Other people's package → its version and digest."""
    python: str
    """Version of Python."""


class Terms(BaseModel):
    """The terms of a task, which can be read where its plan can't, for want of a plug-in or by another harness."""

    environment: Software
    """The code and packages of the run."""
    modules: tuple[str, ...]
    """Other people's modules behind plug-ins."""


class Ready(Record):
    """A worker that has found its device and compared its environment."""

    device: DeviceFacts
    """The device."""
    differences: tuple[str, ...]
    """Differences of its environment from the run's, one sentence each."""


class JobProgress(Record):
    """The progress of a worker."""

    arms: tuple[str, ...]
    """Arms of the cohort at hand."""
    replicas: Annotated[int, Unit("replicas")]
    """Number of its replicas."""
    epoch: Annotated[int, Unit("epochs")]
    """Epochs done in it."""
    epochs: Annotated[int, Unit("epochs")]
    """Epochs that it is trained for."""
    steps: Annotated[int, Unit("steps")]
    """Steps done over all cohorts of the job; a step of r replicas counts r times."""
    done: Annotated[int, Unit("replicas")] = 0
    """Number of a program's replicas that are done."""
    replica: str | None = None
    """Name of the replica of a program that was last heard of; None where harness trains."""
    seconds: Annotated[float, Unit("s")] = 0.0
    """Time since the worker began, by its own clock."""


class JobEnd(Record):
    """The end of a worker that came to one in order."""

    how: Literal["done", "stopped", "differs", "failed"]
    """stopped: with a checkpoint; differs: the device, code or data are others, and nothing was trained."""
    message: str = ""
    """Account of what happened, for people."""
    where: str | None = None
    """The place of a failure."""
    remedy: str | None = None
    """Remedy, if one is known."""
    seconds: Annotated[float, Unit("s")] = 0.0
    """Time since the worker began, by its own clock."""


class Try(Record):
    """A time that a job was started."""

    id: str
    """Name by which its launcher knows it."""
    steps: Annotated[int, Unit("steps")] = 0
    """Steps that it had come to when it ended."""
    ended: str | None = None
    """Way in which it ended, for people; None while it may go on."""
    device: str | None = None
    """Name of the device that it found; None if it did not come to that."""
    seconds: Annotated[float, Unit("s")] = 0.0
    """Time for which it was at work, as far as its worker told."""


class JobRecord(Record):
    """The part of a job that its run keeps."""

    tries: tuple[Try, ...]
    """The times that it was started, the last one at the end."""


Found = TypeVar("Found", bound=Record)


def write(folder: Path, name: str, record: Record) -> None:
    """Write a file of a job.

    Raises:
        StorageFailed: it could not be written; an older one is still there.
    """
    write_atomic(folder / name, record.model_dump_json().encode())


def read(folder: Path, name: str, kind: type[Found]) -> Found | None:
    """Read a file of a job; None if it is not there, or is no such file."""
    try:
        return kind.model_validate_json(read_regular(folder / name, LARGEST_FILE))
    except (OSError, ValidationError):
        return None


def read_terms(folder: Path) -> Terms | None:
    """Read the terms of a job's task, whatever else it holds; None if it is not there, or is no task."""
    try:
        return Terms.model_validate_json(read_regular(folder / TASK, LARGEST_FILE))
    except (OSError, ValidationError):
        return None


def forget_try(folder: Path) -> None:
    """Remove what a job's last try told of itself, but for how far it came: the next one has yet to begin."""
    for name in (ENDED, READY):
        (folder / name).unlink(missing_ok=True)
    if (told := read(folder, PROGRESS, JobProgress)) is not None:
        write(folder, PROGRESS, told.model_copy(update={"seconds": 0.0}))


def close_try(one: Try, folder: Path, ended: str, steps: int) -> Try:
    """Return a job's last try as it ended, with what its worker told of itself in the job's folder."""
    ready, told = read(folder, READY, Ready), read(folder, PROGRESS, JobProgress)
    end = read(folder, ENDED, JobEnd)
    seconds = max(0.0 if told is None else told.seconds, 0.0 if end is None else end.seconds)
    device = None if ready is None else ready.device.name
    return one.model_copy(update={"ended": ended, "steps": steps, "device": device, "seconds": seconds})
