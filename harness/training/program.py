"""One cohort in training: weights drawn by key, epochs queued step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from harness.batched import keyed
from harness.batched.specs import TensorSpec
from harness.datasets import Images
from harness.records import Cohort
from harness.training.batches import DeviceImages, draw_probe_batch, draw_schedule, move_to_device
from harness.training.device import Device, use_precision
from harness.training.steps.choose import build_step
from harness.training.steps.graphs import Launch, capture, choose_steps_per_capture
from harness.training.steps.interface import StepKind, Storage, TrainingStep
from harness.training.steps.state import TrainingState

Stop = Callable[[], bool]


class Program:
    """A cohort's state, the step that trains it, and the images that it is evaluated on.

    Everything that a step reads or writes has a fixed address, so that on CUDA steps are captured once per batch size
    and replayed; on a processor the same step runs eagerly. No step waits for the device. Call ``prepare`` before
    anything else, or use ``build_program``.
    """

    def __init__(self, state: TrainingState[Storage], step: TrainingStep, test: DeviceImages) -> None:
        self.state, self.step, self.test = state, step, test
        host = torch.empty(state.schedule.shape, dtype=torch.int32, pin_memory=state.device.is_cuda)
        self.drawn: np.ndarray = host.numpy()  # pinned, so that a card copies at full speed
        self.done = 0
        """Number of this epoch's steps that were queued."""
        self._runs: list[tuple[Launch, int, int]] = []

    @cached_property
    def probe(self) -> tuple[Tensor, Tensor]:
        """The batch that diagnostics are computed on, see ``draw_probe_batch``."""
        return draw_probe_batch(self.state.dataset, self.test, self.state.setup.evaluation.probe_samples)

    def prepare(self) -> None:
        """Compile and capture the steps where the device does so, and draw the weights.

        A capture runs real steps first, so weights are drawn after it.
        """
        self._runs = self._build_epoch_runs()
        self.reset()

    def reset(self) -> None:
        """Draw weights and feedback by key, once per seed, and clear the optimizer state.

        The padding between tensors in a flat storage is cleared too: captures ran steps before the first reset.
        """
        state = self.state
        everybody = range(state.replicas)
        with torch.no_grad(), ThreadPoolExecutor() as pool:
            state.storage.clear()
            for spec in state.specs:
                self._fill(pool, spec, "weights", state.params[spec.name], everybody)
            for group in state.rule_groups:
                for spec in group.rule.feedback(state.model, state.dataset.classes):
                    self._fill(pool, spec, "feedback", group.feedback[spec.name], everybody[group.replicas])
        state.steps.zero_()

    def _fill(self, pool: Executor, spec: TensorSpec, purpose: str, target: Tensor, replicas: range) -> None:
        """Draw ``target`` [r, …] for these replicas."""
        kind = np.float64 if self.state.dtype == torch.float64 else np.float32
        seeds = [self.state.cohort.replicas[r].seed for r in replicas]
        drawn = pool.map(lambda seed: keyed.tensor(spec, seed, purpose).astype(kind), dict.fromkeys(seeds))
        by_seed = dict(zip(dict.fromkeys(seeds), drawn, strict=True))
        for row, seed in zip(target, seeds, strict=True):
            row.copy_(torch.from_numpy(by_seed[seed]))

    def checkpoint(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint by their names in its file; feedback and schedule follow from the seeds.

        The moments keep the names ``first`` and ``second``, so that earlier checkpoints can still be resumed.
        """
        state = self.state
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in state.params.items()}
        tensors |= {f"first/{name}": tensor for name, tensor in state.exp_avg.items()}
        tensors |= {f"second/{name}": tensor for name, tensor in state.exp_avg_sq.items()}
        return tensors | {"steps": state.steps, "loss_sum": state.loss_sum}

    def load(self, checkpoint: dict[str, Tensor]) -> None:
        """Load a checkpoint's tensors, bit by bit."""
        with torch.no_grad():
            for name, tensor in self.checkpoint().items():
                tensor.copy_(checkpoint[name])

    def draw(self, epoch: int) -> np.ndarray:
        """Draw an epoch's schedule over the previous one, for a card by several threads: many seeds take a while."""
        state = self.state
        threads = None if state.device.is_cuda else 1
        return draw_schedule(state.dataset, state.count, state.seeds, epoch, self.drawn, threads)

    def begin_epoch(self, epoch: int, schedule: np.ndarray, done: int = 0) -> None:
        """Set the learning rate of an epoch (from 0) and hand over its schedule.

        ``done`` is the number of its steps that a loaded checkpoint covers, count with their loss.
        """
        state, setup = self.state, self.state.setup
        rates = list(state.base_lr)
        if setup.optimizer.schedule == "cosine":
            rates = [lr * (1.0 + math.cos(math.pi * epoch / setup.epochs)) / 2.0 for lr in rates]
        state.lr.copy_(torch.tensor(rates, dtype=state.dtype))
        state.schedule.copy_(torch.from_numpy(schedule))  # synchronous: ``drawn`` is overwritten during the epoch
        self.done = done
        state.cursor.fill_(min(done * setup.batch_size, state.count))
        if not done:
            state.loss_sum.zero_()
        self.step.begin_epoch(epoch)

    def run_epoch(self, stop: Stop = lambda: False) -> bool:
        """Queue the epoch's remaining steps; the last batch is smaller if the batch size does not divide the split.

        ``stop`` is asked after each step if the step allows a checkpoint there. Return whether the epoch is complete;
        if not, ``done`` holds the number of queued steps, and the next call continues from there.
        """
        position, before = 0, self.done
        with use_precision(self.state.setup.precision, self.state.device):
            for run, times, steps in self._runs:
                for _ in range(times):
                    position += steps
                    if position <= self.done:
                        continue
                    if self.done > before and self.step.can_stop_mid_epoch and stop():
                        self.step.end_epoch()
                        return False
                    run()
                    self.done = position
        self.step.end_epoch()
        return True

    def _build_epoch_runs(self) -> list[tuple[Launch, int, int]]:
        """Return an epoch's runs: a step, or on CUDA a graph of several, with its repeat count and number of steps."""
        on_card = self.state.device.is_cuda
        if on_card:
            self.step.compile()
        size = self.state.setup.batch_size
        full, rest = divmod(self.state.count, size)
        runs: list[tuple[Launch, int, int]] = []
        for batch, times in ((size, full), (rest, 1 if rest else 0)):
            if times:
                count = choose_steps_per_capture(times) if on_card else 1
                run = partial(self._launch_steps, batch, count)
                captured = capture(run, self.state.cursor.zero_) if on_card else run
                runs.append((captured, times // count, count))
        return runs

    def _launch_steps(self, size: int, count: int) -> None:
        for ahead in range(count):
            self.step.launch(size, ahead, more=ahead + 1 < count)
        self.step.advance(size, count)

    def find_finite(self) -> np.ndarray:
        """Return whether each replica's epoch loss, weights and second moments are all finite, bool [r].

        A weight whose second moment is infinite, because the square of a gradient overflowed, never moves again: the
        loss stays finite although the network no longer learns. Waits for the device.
        """
        with torch.no_grad():
            weights, moments = self.state.storage.screened
            # Extremes instead of a mask, which would take as much memory again; second moments are never negative.
            ends = [self.state.loss_sum, *(tensor.flatten(1).amax(1).double() for tensor in (*weights, *moments))]
            ends += [tensor.flatten(1).amin(1).double() for tensor in weights]
            fine = torch.stack(ends).isfinite().all(0)
        return np.asarray(fine.cpu().numpy(), dtype=bool)


def build_program(cohort: Cohort, images: Images, device: Device, *, kind: StepKind = "autograd") -> Program:
    """Allocate a cohort on a device and prepare the step of this kind, ready for the first epoch."""
    state, step = build_step(kind, cohort, images, device)
    test = move_to_device(state.dataset, images, "test", device.torch, state.dtype)
    program = Program(state, step, test)
    program.prepare()
    return program
