"""One cohort in training: weights drawn by key, epochs queued step by step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from harness.batched import keyed
from harness.batched.specs import TensorSpec
from harness.datasets import Images
from harness.domain.selection import select_images
from harness.errors import TrainingFailed
from harness.plugins.splits import SplitName
from harness.records import Cohort
from harness.training.batches import DeviceImages, draw_probe_batch, draw_schedule, move_to_device
from harness.training.device import Device, use_precision
from harness.training.learned import screen, select_learned
from harness.training.steps.choose import build_step
from harness.training.steps.graphs import Launch, capture, choose_steps_per_capture
from harness.training.steps.interface import StepKind, Storage, TrainingStep
from harness.training.steps.state import RuleGroup, TrainingState, make_draw_keys

Stop = Callable[[], bool]
SETTLING_SAMPLES = 1024
"""Largest number of training images whose statistics stand for those of a batch in an evaluation."""
PLACES = {"exp_avg": "first", "exp_avg_sq": "second"}
"""State tensor of an optimizer → its place in a checkpoint, where that is not ``optimizer/<name>``."""


class Program:
    """A cohort's state, the step that trains it, and the images that it is evaluated on.

    Everything that a step reads or writes has a fixed address, so that on CUDA steps are captured once per batch size
    and replayed; on a processor the same step runs eagerly. No step waits for the device. Call ``prepare`` before
    anything else, or use ``build_program``.
    """

    def __init__(
        self,
        state: TrainingState[Storage],
        step: TrainingStep,
        test: DeviceImages,
        validation: DeviceImages | None = None,
    ) -> None:
        self.state, self.step, self.test, self.validation = state, step, test, validation
        host = torch.empty(state.schedule.shape, dtype=torch.int32, pin_memory=state.device.is_cuda)
        self.drawn: np.ndarray = host.numpy()  # pinned, so that a card copies at full speed
        self.done = 0
        """Number of this epoch's steps that were queued."""
        self.trains = True
        """False if no epoch is trained, so that there is no training loss."""
        self.kept: dict[int, dict[str, Tensor]] = {}
        """Replica → its weights at its stop, on the processor. What is computed in its place afterwards counts for
        nothing: so a stopped replica stays what it was, whatever a step does with the others."""
        self._runs: list[tuple[Launch, int, int]] = []
        self._probes: dict[tuple[SplitName, int], tuple[Tensor, Tensor]] = {}
        self._fresh: dict[tuple[int, int], dict[str, Tensor]] = {}
        self._probe_keys: dict[int, dict[str, Tensor]] = {}

    @property
    def probe(self) -> tuple[Tensor, Tensor]:
        """The batch that diagnostics are computed on, see ``draw_probe_batch``."""
        return self.get_probe()

    def get_probe(self, split: SplitName = "test", samples: int | None = None) -> tuple[Tensor, Tensor]:
        """Return a probe batch of a split, see ``draw_probe_batch``; by default of as many samples as the setup says.

        Raises:
            TrainingFailed: the setup has no such split.
        """
        key = split, self.state.setup.evaluation.probe_samples if samples is None else samples
        if key not in self._probes:
            self._probes[key] = draw_probe_batch(self.state.dataset, self.get_split(split), key[1], split)
        return self._probes[key]

    @property
    def settling_inputs(self) -> Tensor:
        """Training inputs that a model is settled on before an evaluation, float64 [1, n, i], see ``Model.settle``."""
        return self.get_probe("train", min(SETTLING_SAMPLES, self.state.count))[0]

    def get_split(self, split: SplitName) -> DeviceImages:
        """Return the images of a split.

        Raises:
            TrainingFailed: the setup has no such split.
        """
        found = {"train": self.state.train, "validation": self.validation, "test": self.test}[split]
        if found is None:
            raise TrainingFailed(
                "a metric reads the validation split, and the setup has none",
                where="setup.validation",
                remedy="add validation to the setup; a metric that needs it declares split = 'validation'",
            )
        return found

    def get_fresh_feedback(self, group: RuleGroup, draw: int) -> dict[str, Tensor]:
        """Return feedback that training did not use, for a rule group: drawn by key like that of training, [r, …]."""
        key = group.replicas.start, draw
        if key not in self._fresh:
            state = self.state
            specs, own = group.tensors.feedback, range(state.replicas)[group.replicas]
            made = {spec.name: torch.empty(len(own), *spec.shape, **state.factory_kwargs) for spec in specs}
            with torch.no_grad(), ThreadPoolExecutor() as pool:
                for spec in specs:
                    _fill(state, pool, spec, "fresh feedback", made[spec.name], own, draw)
            self._fresh[key] = made
        return self._fresh[key]

    def get_probe_keys(self, group: RuleGroup) -> dict[str, Tensor]:
        """Return the keys by which a rule group draws for measurements, as ``RuleGroup.draw_keys`` in training."""
        start = group.replicas.start
        if start not in self._probe_keys:
            own, device = self.state.cohort.replicas[group.replicas], self.state.device.torch
            names = [spec.name for spec in group.tensors.draws]
            self._probe_keys[start] = {name: make_draw_keys(own, name, "probe draws", device) for name in names}
        return self._probe_keys[start]

    def prepare(self) -> None:
        """Compile and capture the steps where the device does so, and draw the weights.

        A capture runs real steps first, so weights are drawn after it.
        """
        self._runs = _build_epoch_runs(self.state, self.step)
        self.reset()

    def reset(self) -> None:
        """Draw weights, feedback and rules' own tensors by key, once per seed, and clear the optimizer state.

        The padding between tensors in a flat storage is cleared too: captures ran steps before the first reset.
        """
        state = self.state
        everybody = range(state.replicas)
        with torch.no_grad(), ThreadPoolExecutor() as pool:
            state.storage.clear()
            for spec in state.specs:
                _fill(state, pool, spec, "weights", state.params[spec.name], everybody)
            for group in state.rule_groups:
                for spec in group.tensors.feedback:
                    _fill(state, pool, spec, "feedback", group.feedback[spec.name], everybody[group.replicas])
                for spec in group.tensors.own:
                    _fill(state, pool, spec, "feedback", group.own[spec.name], everybody[group.replicas])
                for kind in group.own_state.values():
                    for tensor in kind.values():
                        tensor.zero_()
        state.steps.zero_()

    def keep(self, r: int) -> None:
        """Keep the weights of a replica that stops now."""
        self.kept[r] = {
            name: tensor.detach().to("cpu", copy=True) for name, tensor in select_learned(self.state, r).items()
        }

    def checkpoint(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint by their names in its file; fixed feedback and schedule follow from seeds.

        Adam's moments keep the names ``first`` and ``second``, so that earlier checkpoints can still be resumed.
        """
        state = self.state
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in state.params.items()}
        for kind, own in state.optimizer_state.items():
            tensors |= {f"{PLACES.get(kind, f'optimizer/{kind}')}/{name}": tensor for name, tensor in own.items()}
        for number, group in enumerate(state.rule_groups):
            tensors |= {f"rules/{number}/{name}": tensor.detach() for name, tensor in group.learned.items()}
            for kind, own in group.own_state.items():
                tensors |= {f"rules/{number}/optimizer/{kind}/{name}": tensor for name, tensor in own.items()}
        kept = {f"kept/{r}/{name}": tensor for r, own in self.kept.items() for name, tensor in own.items()}
        return tensors | {"steps": state.steps, "loss_sum": state.loss_sum} | kept

    def load(self, checkpoint: dict[str, Tensor]) -> None:
        """Load a checkpoint's tensors, bit by bit."""
        self.kept = {}
        with torch.no_grad():
            for name, tensor in self.checkpoint().items():
                tensor.copy_(checkpoint[name])
        for place, tensor in checkpoint.items():
            kind, _, rest = place.partition("/")
            if kind == "kept":
                number, _, name = rest.partition("/")
                self.kept.setdefault(int(number), {})[name] = tensor

    def draw(self, epoch: int) -> np.ndarray:
        """Draw an epoch's schedule over the previous one, for a card by several threads: many seeds take a while."""
        state = self.state
        threads = None if state.device.is_cuda else 1
        return draw_schedule(state.dataset, state.count, state.seeds, epoch, self.drawn, threads)

    def begin_epoch(self, epoch: int, schedule: np.ndarray, done: int = 0) -> None:
        """Set rates and strengths to an epoch (from 0), hand over its schedule, and its labels if each has its own.

        ``done`` is the number of its steps that a loaded checkpoint covers, count with their loss.
        """
        state, setup = self.state, self.state.setup
        state.set_strengths(epoch)
        state.schedule.copy_(torch.from_numpy(schedule))  # synchronous: ``drawn`` is overwritten during the epoch
        if state.training_labels.differ_by_epoch:
            state.labels.copy_(torch.from_numpy(state.training_labels.draw(epoch)))
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

    def find_finite(self) -> np.ndarray:
        """Tell which replicas still learn, bool [r], see ``learned.screen``. Waits for the device."""
        with torch.no_grad():
            return np.asarray(screen(self.state).cpu().numpy(), dtype=bool)


def _build_epoch_runs(state: TrainingState[Storage], step: TrainingStep) -> list[tuple[Launch, int, int]]:
    """Return an epoch's runs: a step, or on CUDA a graph of several, with its repeat count and number of steps."""
    on_card = state.device.is_cuda
    step.compile()
    size = state.setup.batch_size
    full, rest = divmod(state.count, size)
    runs: list[tuple[Launch, int, int]] = []
    for batch, times in ((size, full), (rest, 1 if rest else 0)):
        if times:
            count = choose_steps_per_capture(times) if on_card else 1
            run = partial(_launch_steps, step, batch, count)
            captured = capture(run, state.cursor.zero_) if on_card else run
            runs.append((captured, times // count, count))
    return runs


def _launch_steps(step: TrainingStep, size: int, count: int) -> None:
    for ahead in range(count):
        step.launch(size, ahead, more=ahead + 1 < count)
    step.advance(size, count)


def _fill(
    state: TrainingState[Storage],
    pool: Executor,
    spec: TensorSpec,
    purpose: str,
    target: Tensor,
    replicas: range,
    index: int = 0,
) -> None:
    """Draw ``target`` [r, …] for these replicas."""
    kind = np.float64 if state.dtype == torch.float64 else np.float32
    seeds = [spec.seed if spec.seed is not None else state.cohort.replicas[r].draws_by(purpose) for r in replicas]
    drawn = pool.map(lambda seed: keyed.tensor(spec, seed, purpose, index).astype(kind), dict.fromkeys(seeds))
    by_seed = dict(zip(dict.fromkeys(seeds), drawn, strict=True))
    for row, seed in zip(target, seeds, strict=True):
        row.copy_(torch.from_numpy(by_seed[seed]))


def build_program(
    cohort: Cohort, images: Images, device: Device, *, kind: StepKind = "autograd", trains: bool = True
) -> Program:
    """Allocate a cohort on a device and prepare the step of this kind, ready for the first epoch.

    ``images`` are a whole data set or what ``select_images`` returned for this cohort's setup. Without ``trains``, no
    step is prepared, and there is no training loss: the program is there to measure weights that are put into it.
    """
    images = select_images(images, cohort.setup)
    state, step = build_step(kind, cohort, images, device)
    test = move_to_device(state.dataset, images, "test", device.torch, state.dtype)
    validation = None
    if cohort.setup.validation is not None:
        validation = move_to_device(state.dataset, images, "validation", device.torch, state.dtype)
    program = Program(state, step, test, validation)
    if trains:
        program.prepare()
    else:
        program.trains = False
        program.reset()
    return program
