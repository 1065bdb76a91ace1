"""Staging of jobs: what is put into their folders before they start, and what is taken over from there.

One kind of staging is for cohorts that harness trains, the other for a program's replicas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import programs
from harness.pipeline.jobs import Task
from harness.records import Cohort
from harness.records.base import write_canonical
from harness.records.program import ProgramPins
from harness.system.storage import write_atomic

STARTS = "starts"
"""Folder in a job's folder with the stored weights that its replicas start from, where they travel with it."""


class Staging(Protocol):
    """Staging of a run's jobs."""

    def stage_in(self, task: Task, folder: Path, *, carried: bool) -> Task:
        """Put what a job needs into its folder, or beside it if all machines see it; return its task.

        Raises:
            StorageFailed: something could not be written.
        """

    def stage_out(self, cohorts: Sequence[Cohort], job: Path, folder: Path) -> None:
        """Take results of a job's cohorts over into the run's folder, as far as they are there.

        Raises:
            StorageFailed: something could not be written.
        """

    def lacks(self, cohorts: Sequence[Cohort], folder: Path) -> bool:
        """Tell whether one of the cohorts has no result in the run's folder yet."""


class CohortStaging:
    """Staging of cohorts that harness trains: stored weights go in, results and stored weights come out."""

    def stage_in(self, task: Task, folder: Path, *, carried: bool) -> Task:
        """Put the weights that replicas start from into the job's folder if they have to travel."""
        if not carried:
            return task
        for digest, file in task.weights.items():
            write_atomic(folder / STARTS / digest, Path(file).read_bytes())
        return task.model_copy(update={"weights": {digest: f"{STARTS}/{digest}" for digest in task.weights}})

    def stage_out(self, cohorts: Sequence[Cohort], job: Path, folder: Path) -> None:
        """Take over stored weights and then the results that name them."""
        from harness.training import checkpoint

        theirs = checkpoint.WorkFolder(job / "work")
        if not any(theirs.folder.glob("*.json")):
            return
        for file in sorted((job / "weights").glob("**/*.safetensors")):
            target = folder / "weights" / file.relative_to(job / "weights")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(target, file.read_bytes())
        checkpoint.WorkFolder(folder / "work").take(cohorts, theirs)

    def lacks(self, cohorts: Sequence[Cohort], folder: Path) -> bool:
        """Tell whether a cohort, or a part that it was split into, has no result."""
        from harness.training import checkpoint
        from harness.training.cohorts import apply_splits

        work = checkpoint.WorkFolder(folder / "work")
        return any(work.load_result(cohort) is None for cohort in apply_splits(cohorts, work))


def name_archive(pins: ProgramPins) -> str:
    """Return the name of the file with a program's code, in the folder of a run's jobs, or in a job's if it travels."""
    digest = hashlib.sha256(write_canonical(pins.trees).encode()).hexdigest()
    return f"code-{digest[:16]}.tar.gz"


@dataclass(frozen=True)
class ReplicaStaging:
    """Staging of a program's replicas: its code and inputs go in, sealed results and output come out."""

    work: programs.Work

    def stage_in(self, task: Task, folder: Path, *, carried: bool) -> Task:
        """Put the code into the job's folder, or beside it, and inputs that travel into the job's folder."""
        assert task.program is not None, "staged for programs only"
        archive = (folder if carried else folder.parent) / name_archive(task.program.pins)
        if not archive.exists():
            write_atomic(archive, programs.pack(self.work.frozen))
        for name, file in task.program.inputs.items():
            if not Path(file).is_absolute():
                write_atomic(folder / file, self.work.inputs[name].read_bytes())
        code = archive.name if carried else str(archive)
        return task.model_copy(update={"program": task.program.model_copy(update={"code": code})})

    def stage_out(self, cohorts: Sequence[Cohort], job: Path, folder: Path) -> None:
        """Take over sealed results, each with its replica's output."""
        programs.take_over(cohorts, job, folder)

    def lacks(self, cohorts: Sequence[Cohort], folder: Path) -> bool:
        """Tell whether a replica is not sealed."""
        return not programs.have_all(cohorts, folder)
