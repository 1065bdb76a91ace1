"""The loop over a plan's cohorts, in this process or in several; cohorts that are already trained are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from harness.domain.trained import Progress, Result
from harness.errors import Interrupted, TrainingFailed
from harness.records import Cohort, Plan, ReplicaResult
from harness.records.plan import read_shared_arm
from harness.system.locks import sole_writer
from harness.system.processes import can_start
from harness.training.checkpoint import WorkFolder
from harness.training.cohorts import apply_splits, train_cohort
from harness.training.run import Run
from harness.training.workers import train_in_processes


def train(plan: Plan, run: Run) -> Result:
    """Train every cohort of the plan, or resume from what an earlier call left in the run's folder.

    Raises:
        Interrupted: ``run.stop`` requested it; a checkpoint was written.
        StorageFailed: a checkpoint could not be written and the previous one is still there, or another process
            writes to the folder.
        TrainingFailed: a single replica does not fit the device.
        UsageError, Tampered: stored weights are not there, or not those of their digest.
    """
    with sole_writer(run.folder / "work") as lock:
        return _train(plan, replace(run, lock=lock))


def _train(plan: Plan, run: Run) -> Result:
    work = WorkFolder(run.folder / "work")
    while waiting := [cohort for cohort in apply_splits(plan.cohorts, work) if work.load_result(cohort) is None]:
        for cohort in train_all(plan, waiting, run, work):
            work.mark_split(cohort)
    cohorts = apply_splits(plan.cohorts, work)
    results = [result for cohort in cohorts if (result := work.load_result(cohort)) is not None]
    replicas = [
        own for result in results for entry in result["replicas"] if (own := _read_own(plan, entry)) is not None
    ]
    weights = {name: digest for result in results for name, digest in result["weights"].items()}
    names = (read_shared_arm(replica.arm, plan.hypothesis) for cohort in plan.cohorts for replica in cohort.replicas)
    arms = list(dict.fromkeys(name for name in names if name is not None))
    replicas.sort(key=lambda result: (arms.index(result.arm), result.seed_index))
    modules = {name for result in results for name in result.get("modules", ())}  # not noted by older versions
    sizes = tuple(len(cohort.replicas) for cohort in cohorts)
    return Result(tuple(replicas), dict(sorted(weights.items())), sizes, tuple(sorted(modules)))


def _read_own(plan: Plan, entry: Mapping[str, Any]) -> ReplicaResult | None:
    """Read the result of a replica by its arm's own name; None if it is that of another hypothesis."""
    name = read_shared_arm(entry["arm"], plan.hypothesis)
    return None if name is None else ReplicaResult.model_validate({**entry, "arm": name})


def hand_over(cohorts: Iterable[Cohort], folder: Path, other: Path) -> int:
    """Copy what one attempt trained of cohorts to another's working files; return how many trained cohorts it was.

    ``folder`` and ``other`` are the folders of the two attempts.

    Raises:
        StorageFailed: somebody else writes to the other's working files, or they can't be written.
    """
    with sole_writer(other / "work", seconds=0):
        return WorkFolder(other / "work").take(cohorts, WorkFolder(folder / "work"))


def train_all(plan: Plan, waiting: list[Cohort], run: Run, work: WorkFolder) -> list[Cohort]:
    """Train cohorts, one after the other or in several processes; return those that did not fit the device."""
    cohorts = apply_splits(plan.cohorts, work)
    total = sum(plan.steps(cohort) * len(cohort.replicas) for cohort in cohorts)
    numbers = {cohort.digest: number for number, cohort in enumerate(cohorts)}
    tasks = [numbers[cohort.digest] for cohort in waiting]
    done = dict.fromkeys(tasks, 0)
    finished = total - sum(plan.steps(cohort) * len(cohort.replicas) for cohort in waiting)

    def report_progress(task: int, at: Progress) -> None:
        nonlocal finished
        number = tasks[task]
        finished += at.steps_done - done[number]
        done[number] = at.steps_done
        run.report(replace(at, cohort=number + 1, cohorts=len(cohorts), steps_done=finished, steps_total=total))

    if run.elsewhere is not None:
        run.elsewhere(plan, waiting, run, report_progress)
        return []
    several = run.device.workers > 1 and len(waiting) > 1
    in_processes = several and can_start(run.stop)
    if several and not in_processes and run.stop():
        raise Interrupted("stopped before training", remedy="give the same command again")
    if in_processes:
        too_large = train_in_processes(waiting, run, train_cohort, report_progress)
    else:
        too_large = []
        for task, cohort in enumerate(waiting):
            try:
                train_cohort(cohort, replace(run, report=partial(report_progress, task)))
            except torch.OutOfMemoryError:
                too_large.append(task)
    for task in too_large:
        cohort = waiting[task]
        if len(cohort.replicas) == 1:
            raise TrainingFailed(
                "a single replica does not fit the device's memory",
                where=f"arm {cohort.replicas[0].arm}",
                remedy="use a smaller model or batch, or a device with more memory",
            )
        message = f"{len(cohort.replicas)} replicas do not fit the device's memory: going on with halves"
        report_progress(task, Progress(1, 1, tuple(cohort.arms), len(cohort.replicas), 0, 1, 0, total, message))
    return [waiting[task] for task in too_large]
