"""The loop over cohorts and epochs: trains, measures, keeps checkpoints, and reports where it is."""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from harness.datasets import Images
from harness.engine.checkpoint import WorkFolder, Writer, in_parts
from harness.engine.device import Device, one_thread
from harness.engine.evaluate import Diagnostics, defined
from harness.engine.program import Program, Way
from harness.engine.workers import train_beside
from harness.errors import Interrupted, TrainingFailed
from harness.locks import sole_writer
from harness.metrics import Metric
from harness.processes import can_start
from harness.records import Cohort, Plan, ReplicaResult, Series, Setup
from harness.registry import members
from harness.storage import write_atomic


@dataclass(frozen=True)
class Progress:
    """Where training is, after every epoch."""

    cohort: int
    """From 1."""
    cohorts: int
    arms: tuple[str, ...]
    replicas: int
    epoch: int
    """Epochs done in this cohort."""
    epochs: int
    steps_done: int
    """Over the whole plan, in replica steps."""
    steps_total: int
    message: str | None = None


@dataclass
class Result:
    """What training yields."""

    replicas: tuple[ReplicaResult, ...]
    """In the plan's order: arm by arm, seed by seed."""
    weights: dict[str, str]
    """File below the weights folder → SHA-256."""
    cohorts: tuple[int, ...]
    """Replicas per cohort as trained."""


@dataclass(frozen=True)
class Run:
    """What a run needs besides its plan."""

    images: Mapping[str, Images]
    """Data-set name → arrays."""
    device: Device
    folder: Path
    """The run's folder: checkpoints go to work/, kept weights to weights/."""
    checkpoint_seconds: float = 60.0
    report: Callable[[Progress], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    lock: int | None = None
    """The lock on the work folder, which every process that writes there holds."""


def train(
    plan: Plan,
    images: Mapping[str, Images],
    device: Device,
    folder: Path,
    *,
    checkpoint_seconds: float = 60.0,
    report: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Train every cohort of the plan, or go on where ``folder`` says an earlier call stopped.

    ``report`` is called after every epoch, and where a checkpoint is gone on from; ``stop`` is asked after every step,
    on a card's kernels after every epoch.

    Raises:
        Interrupted: ``stop`` said so; a checkpoint was written.
        StorageFailed: a checkpoint could not be written; the one before is still there. Or somebody else writes here.
        TrainingFailed: a single replica does not fit the device.
    """
    with sole_writer(folder / "work") as lock:
        return _train(plan, Run(images, device, folder, checkpoint_seconds, report, stop, lock))


def _train(plan: Plan, run: Run) -> Result:
    work = WorkFolder(run.folder / "work")
    while waiting := [cohort for cohort in as_split(plan.cohorts, work) if work.load_result(cohort) is None]:
        for cohort in train_all(plan, waiting, run, work):
            work.mark_split(cohort)
    cohorts = as_split(plan.cohorts, work)
    results = [result for cohort in cohorts if (result := work.load_result(cohort)) is not None]
    replicas = [ReplicaResult.model_validate(entry) for result in results for entry in result["replicas"]]
    weights = {name: digest for result in results for name, digest in result["weights"].items()}
    arms = list(dict.fromkeys(replica.arm for cohort in plan.cohorts for replica in cohort.replicas))
    replicas.sort(key=lambda result: (arms.index(result.arm), result.seed_index))
    return Result(tuple(replicas), dict(sorted(weights.items())), tuple(len(cohort.replicas) for cohort in cohorts))


def train_all(plan: Plan, waiting: list[Cohort], run: Run, work: WorkFolder) -> list[Cohort]:
    """Train cohorts, one after the other or in several processes; those that did not fit the device."""
    cohorts = as_split(plan.cohorts, work)
    total = sum(plan.steps(cohort) * len(cohort.replicas) for cohort in cohorts)
    done = {cohorts.index(c): plan.steps(c) * len(c.replicas) for c in cohorts if c not in waiting}

    def tell(task: int, at: Progress) -> None:
        number = cohorts.index(waiting[task])
        done[number] = at.steps_done
        finished = sum(done.values())
        run.report(replace(at, cohort=number + 1, cohorts=len(cohorts), steps_done=finished, steps_total=total))

    if run.device.workers > 1 and len(waiting) > 1 and can_start():
        large = train_beside(waiting, run, train_cohort, tell)
    else:
        large = []
        for task, cohort in enumerate(waiting):
            try:
                train_cohort(cohort, replace(run, report=partial(tell, task)))
            except torch.OutOfMemoryError:
                large.append(task)
    for task in large:
        cohort = waiting[task]
        if len(cohort.replicas) == 1:
            raise TrainingFailed(
                "a single replica does not fit the device's memory",
                where=f"arm {cohort.replicas[0].arm}",
                remedy="use a smaller model or batch, or a device with more memory",
            )
        message = f"{len(cohort.replicas)} replicas do not fit the device's memory: going on with halves"
        tell(task, Progress(1, 1, tuple(cohort.arms), len(cohort.replicas), 0, 1, 0, total, message))
    return [waiting[task] for task in large]


def as_split(cohorts: Iterable[Cohort], work: WorkFolder) -> list[Cohort]:
    """The cohorts, with halves in place of those that were found not to fit."""
    found: list[Cohort] = []
    for cohort in cohorts:
        found += as_split(halves(cohort), work) if work.was_split(cohort) else [cohort]
    return found


def halves(cohort: Cohort) -> list[Cohort]:
    """Two cohorts of half the replicas each."""
    middle = (len(cohort.replicas) + 1) // 2
    parts = []
    for replicas in (cohort.replicas[:middle], cohort.replicas[middle:]):
        arms = {replica.arm: cohort.arms[replica.arm] for replica in replicas}
        share = cohort.memory_bytes * len(replicas) // len(cohort.replicas)
        parts.append(Cohort(arms=arms, replicas=replicas, memory_bytes=share))
    return parts


def train_cohort(cohort: Cohort, run: Run) -> None:
    """Train one cohort to its end, from its last checkpoint if there is one; its result is kept in the work folder.

    Raises:
        torch.OutOfMemoryError: it does not fit the device.
        Interrupted: ``run.stop`` said so; a checkpoint was written.
    """
    with one_thread(run.device):
        _train_cohort(cohort, run, WorkFolder(run.folder / "work"))


def _train_cohort(cohort: Cohort, run: Run, work: WorkFolder) -> None:
    setup = cohort.setup
    gc.collect()  # let go of the cohort before: a step makes too few objects for Python to look for cycles by itself
    if run.device.is_cuda:
        if "torch._dynamo" in sys.modules:  # to ask for it would import it, which takes seconds
            torch.compiler.reset()
        torch.cuda.empty_cache()
    images = run.images[setup.dataset.name]
    steps = -(-len(images.train_labels) // setup.batch_size)
    program = Program(cohort, images, run.device, way=way(cohort, run.device, steps * setup.epochs))
    diagnostics = Diagnostics(program, chosen_metrics(setup))
    log = new_log(len(cohort.replicas))
    start, done = 0, 0
    shape = (tuple(cohort.arms), len(cohort.replicas))

    def tell(epoch: int, step: int = 0) -> None:
        trained = (steps * epoch + step) * len(cohort.replicas)
        run.report(Progress(1, 1, *shape, epoch, setup.epochs, trained, steps * setup.epochs * len(cohort.replicas)))

    if (checkpoint := work.load_checkpoint(cohort)) is not None:
        program.load(checkpoint.tensors)
        start, done, log = checkpoint.epoch, checkpoint.step, checkpoint.log
        tell(start, done)
    saved_at = time.monotonic()

    def due() -> bool:
        """Within an epoch; 0 seconds mean after each of them."""
        return 0 < run.checkpoint_seconds <= time.monotonic() - saved_at

    schedule = program.draw(start)
    with Writer(work, cohort) as writer:
        for epoch in range(start, setup.epochs):
            program.begin_epoch(epoch, schedule, done if epoch == start else 0)
            while not program.run_epoch(lambda: run.stop() or due()):
                stopping = run.stop()
                writer.save(epoch, program.done, log, program.state())
                saved_at = time.monotonic()
                if stopping:
                    writer.finish()
                    raise stopped(f"after step {program.done} of {steps} in epoch {epoch + 1} of {setup.epochs}")
            last = epoch + 1 == setup.epochs
            if not last:  # drawn while the device is still busy with this epoch
                schedule = program.draw(epoch + 1)
            record_divergence(log, program.finite(), epoch + 1)
            if epoch + 1 in setup.evaluated_epochs:
                values = diagnostics.evaluate()
                record_divergence(log, diagnostics.finite, epoch + 1)
                record_values(log, epoch + 1, values)
            tell(epoch + 1)
            stopping = run.stop()
            if not last and (stopping or time.monotonic() - saved_at >= run.checkpoint_seconds):
                writer.save(epoch + 1, 0, log, program.state())
                saved_at = time.monotonic()
            if stopping and not last:
                writer.finish()
                raise stopped(f"after epoch {epoch + 1} of {setup.epochs}")
        writer.finish()
    work.save_result(cohort, finish(program, log, run.folder / "weights"))
    if run.stop():
        raise stopped("after a cohort")


def stopped(where: str) -> Interrupted:
    """The error of a run that was asked to stop, and has kept everything."""
    return Interrupted(f"stopped {where}", remedy="give the same command again: it goes on from here")


def way(cohort: Cohort, device: Device, steps: int) -> Way:
    """How to calculate a cohort's ``steps`` on a device."""
    if not device.is_cuda and cohort.written_out:
        return "direct"
    if device.kernels and cohort.suits_kernels:
        return "fused"
    least = device.compile_steps
    return "compiled" if least is not None and steps >= least else "plain"


def chosen_metrics(setup: Setup) -> list[Metric]:
    """The metrics that the setup names."""
    kinds = members("metrics")
    return [cast("Metric", kinds[name](name=name)) for name in setup.evaluation.metrics]


def new_log(replicas: int) -> dict[str, Any]:
    """Plain data, which a checkpoint can hold: measured epochs, values ``[epoch][replica][layer]``, divergences."""
    return {"epochs": [], "values": {}, "diverged": [None] * replicas}


def record_divergence(log: dict[str, Any], finite: np.ndarray, epoch: int) -> None:
    """Mark replicas that stopped being finite in this epoch."""
    log["diverged"] = [
        epoch if before is None and not fine else before for before, fine in zip(log["diverged"], finite, strict=True)
    ]


def record_values(log: dict[str, Any], epoch: int, measured: dict[str, dict[str, np.ndarray]]) -> None:
    """Append an epoch's values; what is not finite becomes None, and so does everything of a diverged replica."""
    log["epochs"].append(epoch)
    for metric, summaries in measured.items():
        for summary, values in summaries.items():
            rows = [
                [None if diverged is not None or not np.isfinite(value) else float(value) for value in row]
                for row, diverged in zip(values, log["diverged"], strict=True)
            ]
            log["values"].setdefault(metric, {}).setdefault(summary, []).append(rows)


def finish(program: Program, log: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Results of a trained cohort; keeps weights and feedback where the setup asks for them."""
    weights = {name: tensor.detach().cpu() for name, tensor in program.params.items()}
    measured = {metric.name: metric for metric in chosen_metrics(program.setup)}

    def one(r: int) -> tuple[dict[str, Any], dict[str, str]]:
        replica, share = program.cohort.replicas[r], program.share_of[r]
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(weights[name][r].contiguous().numpy().data)
        series = {
            metric: Series(
                epochs=tuple(log["epochs"]),
                values={summary: tuple(tuple(rows[r]) for rows in epochs) for summary, epochs in summaries.items()},
            )
            for metric, summaries in log["values"].items()
            if defined(measured[metric], share.rule)
        }
        diverged = log["diverged"][r]
        result = ReplicaResult(
            arm=replica.arm,
            seed_index=replica.seed_index,
            seed=replica.seed,
            status="finished" if diverged is None else "diverged",
            diverged_epoch=diverged,
            weights_sha256=digest.hexdigest(),
            metrics=series,
        )
        return result.model_dump(mode="json"), keep(program, weights, r, folder)

    with ThreadPoolExecutor() as pool:  # digests and disks do not need Python's lock
        results = list(pool.map(one, range(len(program.cohort.replicas))))
    kept = {name: digest for _, files in results for name, digest in files.items()}
    return {"replicas": [result for result, _ in results], "weights": kept}


def keep(program: Program, weights: Mapping[str, Tensor], r: int, folder: Path) -> dict[str, str]:
    """Write what the setup says is kept of a replica; its file → SHA-256."""
    replica, share = program.cohort.replicas[r], program.share_of[r]
    tensors = {f"weights/{name}": tensor[r].contiguous() for name, tensor in weights.items()}
    own = r - share.replicas.start
    tensors |= {f"feedback/{name}": tensor[own].cpu().contiguous() for name, tensor in share.feedback.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if name.split("/")[0] in program.setup.save}
    if not tensors:
        return {}
    name = f"{replica.arm}/{replica.seed_index}.safetensors"
    data = b"".join(in_parts(tensors, {"arm": replica.arm, "seed": str(replica.seed)}))
    write_atomic(folder / name, data)
    return {name: hashlib.sha256(data).hexdigest()}
