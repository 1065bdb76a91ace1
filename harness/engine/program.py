"""One cohort's training step: static tensors stacked over replicas, and the step that updates them in place."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.batched import adamw, keyed
from harness.datasets import Images
from harness.engine.batches import DeviceImages, fetch, to_device
from harness.engine.device import DTYPES, Device, precision
from harness.records import Cohort
from harness.storage import cache_folder

WARM_UP_STEPS = 3  # before a capture: cuBLAS and Triton allocate and compile on first use


@dataclass(frozen=True)
class Parts:
    """The parts of a step between which nothing is fused: as they are, or compiled."""

    gather: Callable[[Tensor], tuple[Tensor, Tensor]]
    objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    clip: Callable[[dict[str, Tensor]], dict[str, Tensor]]

    def compiled(self) -> Parts:
        """The same functions with their elementwise work fused by torch.compile; products stay with cuBLAS.

        Shapes are fixed. Artefacts are kept between runs. No autotuning by time: that could choose another order of
        summation the next time, and a resumed run would not come to the same bits.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
        return Parts(
            gather=torch.compile(self.gather, fullgraph=True, dynamic=False),
            objective=torch.compile(self.objective, fullgraph=True, dynamic=False),
            clip=torch.compile(self.clip, fullgraph=True, dynamic=False),
        )


class Program:
    """A cohort's weights, optimizer state and step.

    Everything a step reads or writes has a fixed address, so that on CUDA the step is captured once per batch size and
    replayed; on a processor the same step runs eagerly. Nothing in it waits for the device. ``compiled`` fuses the
    elementwise work of full batches, which takes some ten seconds the first time.
    """

    def __init__(self, cohort: Cohort, images: Images, device: Device, *, compiled: bool = False) -> None:
        setup = cohort.setup
        first = next(iter(cohort.arms.values()))
        self.cohort = cohort
        self.setup = setup
        self.dataset = setup.dataset
        self.model = setup.model
        self.rule = first.rule
        self.device = device
        self.compiled = compiled
        self.dtype = DTYPES[setup.precision]
        self.seeds = tuple(dict.fromkeys(replica.seed for replica in cohort.replicas))
        self.train: DeviceImages = to_device(self.dataset, images, "train", device.torch, self.dtype)
        self.test: DeviceImages = to_device(self.dataset, images, "test", device.torch, self.dtype)
        self.count = len(images.train_labels)

        where: dict[str, Any] = {"device": device.torch, "dtype": self.dtype}
        replicas = cohort.replicas
        arms = [cohort.arms[replica.arm] for replica in replicas]
        optimizers = [arm.setup.optimizer for arm in arms]
        self.base_lr = [optimizer.lr for optimizer in optimizers]
        self.strength = torch.tensor([arm.penalty.strength if arm.penalty else 0.0 for arm in arms], **where)
        self.penalty = next((arm.penalty for arm in arms if arm.penalty is not None), None)
        slots = [self.seeds.index(replica.seed) for replica in replicas]
        # One arm in seed order needs no copy of the images per replica.
        self.slots = None if slots == list(range(len(self.seeds))) else torch.tensor(slots, device=device.torch)

        specs = self.model.parameters(self.dataset.features, self.dataset.classes)
        frozen = self.model.expand_groups(first.freeze)
        shape = (len(replicas),)
        self.params = {spec.name: torch.empty(shape + spec.shape, **where) for spec in specs}
        self.group = {spec.name: spec.group for spec in specs}
        self.specs = specs
        self.trained = [spec.name for spec in specs if spec.group not in frozen]
        for name in self.trained:
            self.params[name].requires_grad_()
        self.first = {name: torch.empty_like(self.params[name], requires_grad=False) for name in self.trained}
        self.second = {name: torch.empty_like(self.params[name], requires_grad=False) for name in self.trained}
        self.feedback_specs = self.rule.feedback(self.model, self.dataset.classes)
        self.feedback = {spec.name: torch.empty(shape + spec.shape, **where) for spec in self.feedback_specs}
        self.clips = {
            group: ([name for name in self.trained if self.group[name] == group], largest)
            for group, largest in self.rule.clip_norms(self.model).items()
            if group not in frozen
        }
        self.betas = (setup.optimizer.beta1, setup.optimizer.beta2)
        self.steps = torch.zeros((), device=device.torch, dtype=torch.float64)
        self.rates = adamw.Rates(
            lr=torch.empty(shape, **where),
            weight_decay=torch.tensor([optimizer.weight_decay for optimizer in optimizers], **where),
            correction1=torch.ones((), **where),
            correction2=torch.ones((), **where),
            constants=adamw.constants(*self.betas, setup.optimizer.eps, self.strength),
        )
        self.update = adamw.fused_update if device.is_cuda else adamw.update
        self.cursor = torch.zeros((), device=device.torch, dtype=torch.int64)
        self.schedule = torch.zeros((len(self.seeds), self.count, 4), device=device.torch, dtype=torch.int32)
        self.loss_sum = torch.zeros(shape, device=device.torch, dtype=torch.float64)
        self._captured: dict[int, Callable[[], None]] = {}
        self.reset()

    # State ----------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Draw weights and feedback by key and clear the optimizer."""
        with torch.no_grad():
            for r, replica in enumerate(self.cohort.replicas):
                for spec in self.specs:
                    self.params[spec.name][r] = torch.from_numpy(keyed.tensor(spec, replica.seed, "weights"))
                for spec in self.feedback_specs:
                    self.feedback[spec.name][r] = torch.from_numpy(keyed.tensor(spec, replica.seed, "feedback"))
        for moment in (*self.first.values(), *self.second.values()):
            moment.zero_()
        self.steps.zero_()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds; feedback and schedule follow from the seeds."""
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in self.params.items()}
        tensors |= {f"first/{name}": tensor for name, tensor in self.first.items()}
        tensors |= {f"second/{name}": tensor for name, tensor in self.second.items()}
        return tensors | {"steps": self.steps}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a checkpoint's tensors, bit by bit."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name])

    # Training -------------------------------------------------------------------------------------------------------

    def begin_epoch(self, epoch: int, schedule: np.ndarray) -> None:
        """Set the learning rate of an epoch (from 0) and hand over its schedule."""
        rates = self.base_lr
        if self.setup.optimizer.schedule == "cosine":
            rates = [lr * (1.0 + math.cos(math.pi * epoch / self.setup.epochs)) / 2.0 for lr in rates]
        self.rates.lr.copy_(torch.tensor(rates, dtype=self.dtype))
        self.schedule.copy_(torch.from_numpy(schedule))
        self.cursor.zero_()
        self.loss_sum.zero_()

    def run_epoch(self) -> None:
        """Queue all steps of the epoch; the last batch is smaller if the split does not divide."""
        full, rest = divmod(self.count, self.setup.batch_size)
        for size, times in ((self.setup.batch_size, full), (rest, 1 if rest else 0)):
            if times:
                step = self._captured.get(size) or self._prepare(size)
                for _ in range(times):
                    step()

    def _prepare(self, size: int) -> Callable[[], None]:
        """The step for batches of ``size``: itself, or on CUDA its captured graph.

        Only the full batch is compiled: a smaller one comes once per epoch and would not earn its compilation back.
        """
        parts = Parts(self._gather, self._objective, self._clip)
        if self.compiled and size == self.setup.batch_size:
            parts = parts.compiled()
        step = self._capture(size, parts) if self.device.is_cuda else partial(self._step, size, parts)
        self._captured[size] = step
        return step

    def _capture(self, size: int, parts: Parts) -> Callable[[], None]:
        mutable = [*self.state().values(), self.cursor, self.loss_sum, self.rates.correction1, self.rates.correction2]
        before = [tensor.detach().clone() for tensor in mutable]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self.cursor.zero_()
                self._step(size, parts)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(size, parts)
        with torch.no_grad():
            for tensor, old in zip(mutable, before, strict=True):
                tensor.copy_(old)
        return graph.replay

    def _step(self, size: int, parts: Parts) -> None:
        """One step on the ``size`` schedule rows at the cursor."""
        with precision(self.setup.precision, self.device):
            at = self.cursor + torch.arange(size, device=self.device.torch)
            x, y = parts.gather(self.schedule.index_select(1, at))
            descend, cross_entropy = parts.objective(x, y)
            trained = [self.params[name] for name in self.trained]
            gradients = dict(zip(self.trained, torch.autograd.grad(descend, trained), strict=True))
        with torch.no_grad():
            self.steps += 1
            for correction, beta, power in (
                (self.rates.correction1, self.betas[0], 1.0),
                (self.rates.correction2, self.betas[1], 0.5),
            ):
                correction.copy_((1.0 - beta**self.steps) ** power)
            scales = parts.clip(gradients)
            for name in self.trained:
                self.update(
                    self.params[name],
                    gradients[name],
                    self.first[name],
                    self.second[name],
                    self.rates,
                    scales.get(name),
                )
            self.loss_sum += cross_entropy.double() * size
            self.cursor += size

    def _gather(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Schedule rows → x [r, n, features] and y [r, n]; arms of a seed see the same."""
        x, y = fetch(self.train, self.dataset, rows)
        if self.slots is not None:
            x, y = x.index_select(0, self.slots), y.index_select(0, self.slots)
        return x, y

    def _objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the step descends, summed over replicas, and the cross entropy of each.

        Replicas share no term of the sum, so its gradient is each replica's own.
        """
        penalty = self.penalty
        weighted = None if penalty is None else lambda branch: self.strength * penalty.value(branch)
        objective = self.rule.objective(self.model, self.params, self.feedback, x, y, weighted)
        return objective.descend.sum(), objective.cross_entropy

    def _clip(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parameter → factor [r] on its gradient, for the groups that the rule clips."""
        scales: dict[str, Tensor] = {}
        for names, largest in self.clips.values():
            scales |= dict.fromkeys(names, adamw.clip_scales([gradients[name] for name in names], largest))
        return scales

    def finite(self) -> np.ndarray:
        """Per replica, whether the epoch's loss and all weights are finite, bool [r]. Waits for the device."""
        with torch.no_grad():
            fine = self.loss_sum.isfinite()
            for name in self.trained:
                fine = fine & self.params[name].isfinite().flatten(1).all(1)
        return np.asarray(fine.cpu().numpy(), dtype=bool)
