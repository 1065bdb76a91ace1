"""Train one cohort from its first step to its result, or split one that does not fit the device."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from harness.domain.selection import select_images
from harness.domain.trained import Progress
from harness.errors import Interrupted
from harness.plugins.distributions import list_modules
from harness.records import Cohort
from harness.training.checkpoint import CheckpointWriter, WorkFolder, split_in_two
from harness.training.device import use_one_thread
from harness.training.diagnostics import Diagnostics
from harness.training.program import build_program
from harness.training.results import (
    finish,
    keep_weights,
    list_stops,
    new_log,
    record_divergence,
    record_stops,
    record_values,
    select_metrics,
)
from harness.training.run import Run
from harness.training.steps.choose import choose_step_kind
from harness.training.stored import start_from_stored
from harness.training.telling import Told


def apply_splits(cohorts: Iterable[Cohort], work: WorkFolder) -> list[Cohort]:
    """Return the cohorts, with two halves in place of each cohort that was found not to fit."""
    found: list[Cohort] = []
    for cohort in cohorts:
        found += apply_splits(split_in_two(cohort), work) if work.was_split(cohort) else [cohort]
    return found


def train_cohort(cohort: Cohort, run: Run) -> None:
    """Train one cohort to its end, from its last checkpoint if there is one; save its result in the work folder.

    Raises:
        torch.OutOfMemoryError: the cohort does not fit the device.
        Interrupted: ``run.stop`` requested it; a checkpoint was written.
    """
    with use_one_thread(run.device):
        _train_cohort(cohort, run, WorkFolder(run.folder / "work"))


def _train_cohort(cohort: Cohort, run: Run, work: WorkFolder) -> None:
    setup = cohort.setup
    gc.collect()  # frees the previous cohort: a step creates too few objects to trigger Python's own collector
    if run.device.is_cuda:
        if "torch._dynamo" in sys.modules:  # importing it just to ask would take seconds
            torch.compiler.reset()
        torch.cuda.empty_cache()
    images = select_images(run.images[setup.dataset.name], setup)
    steps = -(-len(images.train_labels) // setup.batch_size)
    program = build_program(cohort, images, run.device, kind=choose_step_kind(cohort, run.device, steps * setup.epochs))
    diagnostics = Diagnostics(program, select_metrics(setup))
    log = new_log(len(cohort.replicas))
    start, done = 0, 0
    shape = (tuple(cohort.arms), len(cohort.replicas))

    def report_progress(epoch: int, step: int = 0) -> None:
        trained = (steps * epoch + step) * len(cohort.replicas)
        run.report(Progress(1, 1, *shape, epoch, setup.epochs, trained, steps * setup.epochs * len(cohort.replicas)))

    if (checkpoint := work.load_checkpoint(cohort)) is None:
        start_from_stored(program, run.weights)
    else:
        program.load(checkpoint.tensors)
        start, done, log = checkpoint.epoch, checkpoint.step, checkpoint.log
        report_progress(start, done)
    saved_at = time.monotonic()

    def is_due() -> bool:
        """Tell whether a checkpoint within the epoch is due; with 0 seconds they are written after epochs only."""
        return 0 < run.checkpoint_seconds <= time.monotonic() - saved_at

    schedule = program.draw(start)
    with CheckpointWriter(work, cohort) as writer, Told(work.name_values(cohort), cohort, log) as told:
        for epoch in range(start, setup.epochs):
            if None not in list_stops(log):
                report_progress(setup.epochs)
                break
            program.begin_epoch(epoch, schedule, done if epoch == start else 0)
            while not program.run_epoch(lambda: run.stop() or is_due()):
                stopping = run.stop()
                writer.save(epoch, program.done, log, program.checkpoint())
                saved_at = time.monotonic()
                if stopping:
                    writer.finish()
                    raise build_interruption(
                        f"after step {program.done} of {steps} in epoch {epoch + 1} of {setup.epochs}"
                    )
            last = epoch + 1 == setup.epochs
            if not last:  # drawn while the device still works on this epoch
                schedule = program.draw(epoch + 1)
            if run.device.is_cuda:  # a processor has computed its epoch by now
                (diagnostics.warm_up if epoch == start else run.idle)()
            _end_epoch(diagnostics, log, epoch + 1, run.folder / "weights")
            told.tell(log)
            report_progress(epoch + 1)
            stopping = run.stop()
            if not last and (stopping or time.monotonic() - saved_at >= run.checkpoint_seconds):
                writer.save(epoch + 1, 0, log, program.checkpoint())
                saved_at = time.monotonic()
            if stopping and not last:
                writer.finish()
                raise build_interruption(f"after epoch {epoch + 1} of {setup.epochs}")
        writer.finish()
    work.save_result(cohort, finish(program, log, run.folder / "weights") | {"modules": list_modules()})
    if run.stop():
        raise build_interruption("after a cohort")


def _end_epoch(diagnostics: Diagnostics, log: dict[str, Any], epoch: int, weights: Path) -> None:
    """Record what an epoch, from 1, came to: divergences, and what the setup has measured or kept after it."""
    program, setup = diagnostics.program, diagnostics.program.state.setup
    record_divergence(log, program.find_finite(), epoch)
    if epoch in setup.evaluated_epochs:
        values = diagnostics.evaluate()
        record_divergence(log, diagnostics.finite, epoch)
        record_values(log, epoch, values)
        for r in record_stops(log, setup.until) if setup.until is not None else ():
            program.keep(r)
    if epoch in setup.kept_epochs:
        keep_weights(program, log, epoch, weights)


def build_interruption(where: str) -> Interrupted:
    """Return the error for a run that was asked to stop and has saved everything."""
    return Interrupted(f"stopped {where}", remedy="give the same command again: it goes on from here")
