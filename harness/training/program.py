"""One cohort in training: draws its weights by key, and queues an epoch's steps."""

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
from harness.training.batches import DeviceImages, epoch_schedule, probe_batch, to_device
from harness.training.device import Device, precision
from harness.training.steps.choose import build_step
from harness.training.steps.graphs import Run, capture, steps_per_capture
from harness.training.steps.interface import StepKind, Storage, TrainingStep
from harness.training.steps.state import TrainingState

Stop = Callable[[], bool]


class Program:
    """A cohort's state, the step that trains it, and the images that it is measured on.

    Everything a step reads or writes has a fixed address, so that on CUDA steps are captured once per batch size and
    replayed; on a processor the same step runs eagerly. Nothing in it waits for the device. Call ``prepare`` before
    anything else, or make it with ``build_program``.
    """

    def __init__(self, state: TrainingState[Storage], step: TrainingStep, test: DeviceImages) -> None:
        self.state, self.step, self.test = state, step, test
        host = torch.empty(state.schedule.shape, dtype=torch.int32, pin_memory=state.device.is_cuda)
        self.drawn: np.ndarray = host.numpy()  # memory that a card copies from at its full speed
        self.done = 0
        """Steps of this epoch that were queued."""
        self._runs: list[tuple[Run, int, int]] = []

    @cached_property
    def probe(self) -> tuple[Tensor, Tensor]:
        """The batch that diagnostics look at, see ``probe_batch``."""
        return probe_batch(self.state.dataset, self.test, self.state.setup.evaluation.probe_samples)

    def prepare(self) -> None:
        """Compile and capture the steps, where the device does so, and draw the weights.

        A capture runs real steps beforehand, so that weights are drawn after it.
        """
        self._runs = self._epoch_runs()
        self.reset()

    def reset(self) -> None:
        """Draw weights and feedback by key, once per seed, and clear the optimizer.

        And what lies between tensors in a flat storage: before the first reset, captures have run steps on nothing.
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
        """Draw ``target`` [r, …] for the replicas that it belongs to."""
        kind = np.float64 if self.state.dtype == torch.float64 else np.float32
        seeds = [self.state.cohort.replicas[r].seed for r in replicas]
        drawn = pool.map(lambda seed: keyed.tensor(spec, seed, purpose).astype(kind), dict.fromkeys(seeds))
        by_seed = dict(zip(dict.fromkeys(seeds), drawn, strict=True))
        for row, seed in zip(target, seeds, strict=True):
            row.copy_(torch.from_numpy(by_seed[seed]))

    def checkpoint(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint holds, by the names in its file; feedback and schedule follow from the
        seeds."""
        state = self.state
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in state.params.items()}
        tensors |= {f"first/{name}": tensor for name, tensor in state.exp_avg.items()}
        tensors |= {f"second/{name}": tensor for name, tensor in state.exp_avg_sq.items()}
        return tensors | {"steps": state.steps, "loss_sum": state.loss_sum}

    def load(self, checkpoint: dict[str, Tensor]) -> None:
        """Take over a checkpoint's tensors, bit by bit."""
        with torch.no_grad():
            for name, tensor in self.checkpoint().items():
                tensor.copy_(checkpoint[name])

    def draw(self, epoch: int) -> np.ndarray:
        """Draw an epoch's schedule over the one before. For a card by several threads: many seeds take a while."""
        state = self.state
        threads = None if state.device.is_cuda else 1
        return epoch_schedule(state.dataset, state.count, state.seeds, epoch, self.drawn, threads)

    def begin_epoch(self, epoch: int, schedule: np.ndarray, done: int = 0) -> None:
        """Set the learning rate of an epoch (from 0) and hand over its schedule.

        ``done``: its steps that a checkpoint has brought, and with them their loss.
        """
        state, setup = self.state, self.state.setup
        rates = list(state.base_lr)
        if setup.optimizer.schedule == "cosine":
            rates = [lr * (1.0 + math.cos(math.pi * epoch / setup.epochs)) / 2.0 for lr in rates]
        state.lr.copy_(torch.tensor(rates, dtype=state.dtype))
        state.schedule.copy_(torch.from_numpy(schedule))  # waits: ``drawn`` is written to again while the epoch runs
        self.done = done
        state.cursor.fill_(min(done * setup.batch_size, state.count))
        if not done:
            state.loss_sum.zero_()
        self.step.begin_epoch(epoch)

    def run_epoch(self, stop: Stop = lambda: False) -> bool:
        """Queue the steps of the epoch that are not done; the last batch is smaller if the split does not divide.

        ``stop`` is asked after each, where a checkpoint can hold what is between two steps. Return whether the epoch is
        whole; if not, ``done`` says how much of it is, and the next call goes on with that.
        """
        position, before = 0, self.done
        with precision(self.state.setup.precision, self.state.device):
            for run, times, steps in self._runs:
                for _ in range(times):
                    position += steps
                    if position <= self.done:
                        continue
                    if self.done > before and self.step.divisible and stop():
                        self.step.end_epoch()
                        return False
                    run()
                    self.done = position
        self.step.end_epoch()
        return True

    def _epoch_runs(self) -> list[tuple[Run, int, int]]:
        """Return what an epoch consists of: a step, or on CUDA a captured graph of several, how often it comes, and how
        many steps it is."""
        on_card = self.state.device.is_cuda
        if on_card:
            self.step.compile()
        size = self.state.setup.batch_size
        full, rest = divmod(self.state.count, size)
        runs: list[tuple[Run, int, int]] = []
        for batch, times in ((size, full), (rest, 1 if rest else 0)):
            if times:
                together = steps_per_capture(times) if on_card else 1
                run = partial(self._steps, batch, together)
                captured = capture(run, self.state.cursor.zero_) if on_card else run
                runs.append((captured, times // together, together))
        return runs

    def _steps(self, size: int, together: int) -> None:
        for ahead in range(together):
            self.step.launch(size, ahead, more=ahead + 1 < together)
        self.step.advance(size, together)

    def finite(self) -> np.ndarray:
        """Return per replica whether the epoch's loss, all weights and second moments are finite, bool [r].

        A weight whose second moment is infinite, because a gradient's square was, is never moved again: what follows is
        a finite loss of a network that no longer learns. Waits for the device.
        """
        with torch.no_grad():
            weights, moments = self.state.storage.screened()
            # The largest and least number, because a mask of all takes as much memory again; moments are not negative.
            ends = [self.state.loss_sum, *(tensor.flatten(1).amax(1).double() for tensor in (*weights, *moments))]
            ends += [tensor.flatten(1).amin(1).double() for tensor in weights]
            fine = torch.stack(ends).isfinite().all(0)
        return np.asarray(fine.cpu().numpy(), dtype=bool)


def build_program(cohort: Cohort, images: Images, device: Device, *, kind: StepKind = "autograd") -> Program:
    """Allocate a cohort on a device, and prepare the step of this kind: the program is ready for its first epoch."""
    state, step = build_step(kind, cohort, images, device)
    test = to_device(state.dataset, images, "test", device.torch, state.dtype)
    program = Program(state, step, test)
    program.prepare()
    return program
