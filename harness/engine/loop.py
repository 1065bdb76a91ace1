"""The loop over cohorts and epochs: trains, measures, keeps checkpoints, and reports where it is."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save

from harness.datasets import Images
from harness.engine.batches import epoch_schedule
from harness.engine.checkpoint import WorkFolder, Writer
from harness.engine.device import Device
from harness.engine.evaluate import defined, evaluate
from harness.engine.program import Program, Way
from harness.errors import Interrupted, TrainingFailed
from harness.metrics import Metric
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


@dataclass
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
    done: int = 0


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

    ``report`` is called after every epoch; ``stop`` is asked after every epoch.

    Raises:
        Interrupted: ``stop`` said so; a checkpoint was written.
        StorageFailed: a checkpoint could not be written; the one before is still there.
        TrainingFailed: a single replica does not fit the device.
    """
    run = Run(images, device, folder, checkpoint_seconds, report, stop)
    work = WorkFolder(folder / "work")
    total = sum(plan.steps(cohort) * len(cohort.replicas) for cohort in plan.cohorts)
    queue = list(plan.cohorts)
    replicas: list[ReplicaResult] = []
    weights: dict[str, str] = {}
    sizes: list[int] = []
    while queue:
        cohort = queue.pop(0)
        position = (len(sizes) + 1, len(sizes) + 1 + len(queue), total)
        done = run.done
        if work.was_split(cohort):
            queue[:0] = halves(cohort)
            continue
        try:
            result = work.load_result(cohort) or train_cohort(cohort, run, work, position)
        except torch.OutOfMemoryError as error:
            if len(cohort.replicas) == 1:
                raise TrainingFailed(
                    "a single replica does not fit the device's memory",
                    where=f"arm {cohort.replicas[0].arm}",
                    remedy="use a smaller model or batch, or a device with more memory",
                ) from error
            message = f"{len(cohort.replicas)} replicas do not fit the device's memory: going on with halves"
            report(Progress(*position[:2], tuple(cohort.arms), len(cohort.replicas), 0, 1, done, total, message))
            work.mark_split(cohort)
            run.done = done
            continue_with = halves(cohort)
            del error
            torch.cuda.empty_cache()
            queue[:0] = continue_with
            continue
        run.done = done + plan.steps(cohort) * len(cohort.replicas)
        sizes.append(len(cohort.replicas))
        replicas += [ReplicaResult.model_validate(entry) for entry in result["replicas"]]
        weights |= result["weights"]
    arms = list(dict.fromkeys(replica.arm for cohort in plan.cohorts for replica in cohort.replicas))
    replicas.sort(key=lambda result: (arms.index(result.arm), result.seed_index))
    return Result(tuple(replicas), dict(sorted(weights.items())), tuple(sizes))


def halves(cohort: Cohort) -> list[Cohort]:
    """Two cohorts of half the replicas each."""
    middle = (len(cohort.replicas) + 1) // 2
    parts = []
    for replicas in (cohort.replicas[:middle], cohort.replicas[middle:]):
        arms = {replica.arm: cohort.arms[replica.arm] for replica in replicas}
        share = cohort.memory_bytes * len(replicas) // len(cohort.replicas)
        parts.append(Cohort(arms=arms, replicas=replicas, memory_bytes=share))
    return parts


def train_cohort(cohort: Cohort, run: Run, work: WorkFolder, position: tuple[int, int, int]) -> dict[str, Any]:
    """Train one cohort to its end; its result as plain data, kept in the work folder."""
    setup = cohort.setup
    if run.device.is_cuda:  # let go of the cohort before, its memory and its compiled code
        gc.collect()
        torch.compiler.reset()
        torch.cuda.empty_cache()
    images = run.images[setup.dataset.name]
    steps = -(-len(images.train_labels) // setup.batch_size)
    program = Program(cohort, images, run.device, way=way(cohort, run.device, steps * setup.epochs))
    metrics = chosen_metrics(setup)
    log = new_log(len(cohort.replicas))
    start = 0
    if (checkpoint := work.load_checkpoint(cohort)) is not None:
        program.load(checkpoint.tensors)
        start, log = checkpoint.epoch, checkpoint.log
    steps *= len(cohort.replicas)
    base = run.done
    saved_at = time.monotonic()
    schedule = epoch_schedule(program.dataset, program.count, program.seeds, start)
    with Writer(work, cohort) as writer:
        for epoch in range(start, setup.epochs):
            program.begin_epoch(epoch, schedule)
            program.run_epoch()
            if epoch + 1 < setup.epochs:  # drawn while the device is still busy with this epoch
                schedule = epoch_schedule(program.dataset, program.count, program.seeds, epoch + 1)
            record_divergence(log, program.finite(), epoch + 1)
            if epoch + 1 in setup.evaluated_epochs:
                record_values(log, epoch + 1, evaluate(program, metrics))
            run.done = base + steps * (epoch + 1)
            arms = tuple(cohort.arms)
            run.report(
                Progress(
                    position[0], position[1], arms, len(cohort.replicas), epoch + 1, setup.epochs, run.done, position[2]
                )
            )
            stopping = run.stop()
            if epoch + 1 < setup.epochs and (stopping or time.monotonic() - saved_at >= run.checkpoint_seconds):
                writer.save(epoch + 1, log, program.state())
                saved_at = time.monotonic()
            if stopping and epoch + 1 < setup.epochs:
                writer.finish()
                raise Interrupted(
                    f"stopped after epoch {epoch + 1} of {setup.epochs}, cohort {position[0]} of {position[1]}",
                    remedy="give the same command again: it goes on from here",
                )
        writer.finish()
    result = finish(program, log, run.folder / "weights")
    work.save_result(cohort, result)
    if run.stop():
        raise Interrupted(
            f"stopped after cohort {position[0]} of {position[1]}", remedy="give the same command again: it goes on"
        )
    return result


def way(cohort: Cohort, device: Device, steps: int) -> Way:
    """How to calculate a cohort's ``steps`` on a device."""
    if device.kernels and cohort.suits_kernels:
        return "fused"
    least = device.compile_steps
    return "compiled" if least is not None and steps >= least else "plain"


def chosen_metrics(setup: Setup) -> list[Metric]:
    """The metrics that the setup names."""
    kinds = members("metrics")
    return [cast("Metric", kinds[name](name=name)) for name in setup.evaluation.metrics]


def new_log(replicas: int) -> dict[str, Any]:
    """Plain data, so that a checkpoint can hold it: measured epochs, values [epoch][replica][layer], divergences."""
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
    replicas, kept = [], {}
    measured = {metric.name: metric for metric in chosen_metrics(program.setup)}
    weights = {name: tensor.detach().cpu() for name, tensor in program.params.items()}
    for r, (replica, share) in enumerate(zip(program.cohort.replicas, program.share_of, strict=True)):
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(weights[name][r].contiguous().numpy().data)
        keep = {f"weights/{name}": tensor[r].contiguous() for name, tensor in weights.items()}
        keep |= {f"feedback/{name}": tensor[r - share.replicas.start].cpu() for name, tensor in share.feedback.items()}
        keep = {name: tensor for name, tensor in keep.items() if name.split("/")[0] in program.setup.save}
        if keep:
            name = f"{replica.arm}/{replica.seed_index}.safetensors"
            data = save(keep, {"arm": replica.arm, "seed": str(replica.seed)})
            write_atomic(folder / name, data)
            kept[name] = hashlib.sha256(data).hexdigest()
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
        replicas.append(result.model_dump(mode="json"))
    return {"replicas": replicas, "weights": kept}
