"""One cohort from its first step to its result, and what becomes of one that does not fit the device."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable

import torch

from harness.errors import Interrupted
from harness.records import Cohort
from harness.training.checkpoint import WorkFolder, Writer
from harness.training.device import one_thread
from harness.training.evaluate import Diagnostics
from harness.training.program import build_program
from harness.training.results import chosen_metrics, finish, new_log, record_divergence, record_values
from harness.training.run import Progress, Run
from harness.training.steps.choose import choose_step_kind


def as_split(cohorts: Iterable[Cohort], work: WorkFolder) -> list[Cohort]:
    """Return the cohorts, with halves in place of those that were found not to fit."""
    found: list[Cohort] = []
    for cohort in cohorts:
        found += as_split(split_in_two(cohort), work) if work.was_split(cohort) else [cohort]
    return found


def split_in_two(cohort: Cohort) -> list[Cohort]:
    """Return two cohorts of half the replicas each."""
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
    program = build_program(cohort, images, run.device, kind=choose_step_kind(cohort, run.device, steps * setup.epochs))
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
        """Tell whether a checkpoint within an epoch is due; 0 seconds mean after each epoch."""
        return 0 < run.checkpoint_seconds <= time.monotonic() - saved_at

    schedule = program.draw(start)
    with Writer(work, cohort) as writer:
        for epoch in range(start, setup.epochs):
            program.begin_epoch(epoch, schedule, done if epoch == start else 0)
            while not program.run_epoch(lambda: run.stop() or due()):
                stopping = run.stop()
                writer.save(epoch, program.done, log, program.checkpoint())
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
                writer.save(epoch + 1, 0, log, program.checkpoint())
                saved_at = time.monotonic()
            if stopping and not last:
                writer.finish()
                raise stopped(f"after epoch {epoch + 1} of {setup.epochs}")
        writer.finish()
    work.save_result(cohort, finish(program, log, run.folder / "weights"))
    if run.stop():
        raise stopped("after a cohort")


def stopped(where: str) -> Interrupted:
    """Return the error of a run that was asked to stop, and has kept everything."""
    return Interrupted(f"stopped {where}", remedy="give the same command again: it goes on from here")
