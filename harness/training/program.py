"""One cohort's training step: static tensors stacked over replicas, and the step that updates them in place."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from harness.batched import keyed
from harness.batched.specs import TensorSpec
from harness.datasets import Images
from harness.records import Cohort
from harness.rules import Rule
from harness.training.batches import DeviceImages, epoch_schedule, probe_batch, to_device
from harness.training.device import DTYPES, Device, precision
from harness.training.steps.autograd import Plain
from harness.training.steps.explicit import Direct
from harness.training.steps.explicit_storage import Stacks
from harness.training.steps.kernels.step import FIRST, Fused, Storage

WARM_UPS = 2  # before a capture: cuBLAS and Triton allocate and compile on first use
LARGEST_CAPTURE = 16  # steps per graph: what a graph costs to start is shared by its steps


@dataclass(frozen=True)
class Share:
    """Neighbouring replicas of a cohort that learn by the same rule."""

    rule: Rule
    replicas: slice
    feedback: dict[str, Tensor]
    """The rule's fixed tensors, [r of these, …]."""


Run = Callable[[], None]
Stop = Callable[[], bool]
Way = Literal["plain", "compiled", "direct", "fused"]
"""How a step is calculated: by autograd, as it is or fused by torch.compile; with its gradients written out; or by this
package's own kernels."""


class Program:
    """A cohort's weights, optimizer state and step.

    Everything a step reads or writes has a fixed address, so that on CUDA steps are captured once per batch size and
    replayed; on a processor the same step runs eagerly. Nothing in it waits for the device. ``compiled`` fuses the
    elementwise work of full batches, which takes some ten seconds the first time; ``fused`` takes the kernels of
    ``steps.kernels``, on a card, and ``direct`` the operations of ``steps.explicit``, on a processor, for cohorts that
    they fit.
    """

    def __init__(self, cohort: Cohort, images: Images, device: Device, *, way: Way = "plain") -> None:
        setup = cohort.setup
        self.cohort = cohort
        self.setup = setup
        self.dataset = setup.dataset
        self.model = setup.model
        self.device = device
        self.way = way
        self.dtype = DTYPES[setup.precision]
        self.numpy = np.float64 if self.dtype == torch.float64 else np.float32
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
        self.slots = torch.tensor(slots, device=device.torch, dtype=torch.int32)
        # One arm in seed order needs no copy of the images per replica.
        self.copies = None if slots == list(range(len(self.seeds))) else self.slots

        self.specs = self.model.parameters(self.dataset.features, self.dataset.classes)
        self.frozen = self.model.expand_groups(arms[0].freeze)
        self.trained = [spec.name for spec in self.specs if spec.group not in self.frozen]
        self.storage = storage = self._storage(where)
        self.params = self._tensors(storage, "weights", where)
        self.first = self._tensors(storage, "first", where, self.trained)
        self.second = self._tensors(storage, "second", where, self.trained)
        for name in self.trained:
            self.params[name].requires_grad_()
        self.shares = self._shares([arm.rule for arm in arms], where)
        self.lr = torch.zeros(len(replicas), **where)
        self.weight_decay = torch.tensor([optimizer.weight_decay for optimizer in optimizers], **where)
        self.steps = torch.zeros((), device=device.torch, dtype=torch.float64)
        self.cursor = torch.zeros((), device=device.torch, dtype=torch.int64)
        self.schedule = torch.zeros((len(self.seeds), self.count, 4), device=device.torch, dtype=torch.int32)
        host = torch.empty(self.schedule.shape, dtype=torch.int32, pin_memory=device.is_cuda)
        self.drawn: np.ndarray = host.numpy()  # memory that a card copies from at its full speed
        self.loss_sum = torch.zeros(len(replicas), device=device.torch, dtype=torch.float64)
        self.done = 0
        """Steps of this epoch that were queued."""
        self.step = self._step(storage)
        self._runs = self._prepare()
        self.reset()

    def _storage(self, where: dict[str, Any]) -> Storage | Stacks | None:
        if self.way == "fused":
            return Storage(self.specs, len(self.cohort.replicas), where)
        return Stacks(self.specs, self.trained, len(self.cohort.replicas), where) if self.way == "direct" else None

    def _step(self, storage: Storage | Stacks | None) -> Plain | Direct | Fused:
        if isinstance(storage, Storage):
            return Fused(self, storage)
        return Plain(self, self.way == "compiled") if storage is None else Direct(self, storage)

    @cached_property
    def probe(self) -> tuple[Tensor, Tensor]:
        """See ``probe_batch``."""
        return probe_batch(self.dataset, self.test, self.setup.evaluation.probe_samples)

    @property
    def share_of(self) -> tuple[Share, ...]:
        """Each replica's share."""
        return tuple(share for share in self.shares for _ in range(share.replicas.start, share.replicas.stop))

    def _tensors(
        self, storage: Storage | Stacks | None, kind: str, where: dict[str, Any], names: list[str] | None = None
    ) -> dict[str, Tensor]:
        """A tensor [r, …] for each of the model's, or for those named: of its own, or a view of the storage's."""
        count = len(self.cohort.replicas)
        chosen = [spec for spec in self.specs if names is None or spec.name in names]
        if storage is None:
            return {spec.name: torch.zeros((count, *spec.shape), **where) for spec in chosen}
        return {spec.name: storage.view(getattr(storage, kind), spec.name) for spec in chosen}

    def _shares(self, rules: list[Rule], where: dict[str, Any]) -> tuple[Share, ...]:
        shares = []
        start = 0
        for rule, group in groupby(rules):
            count = len(list(group))
            specs = rule.feedback(self.model, self.dataset.classes)
            feedback = {spec.name: torch.empty((count, *spec.shape), **where) for spec in specs}
            shares.append(Share(rule, slice(start, start + count), feedback))
            start += count
        return tuple(shares)

    def clipped(self, share: Share) -> list[tuple[list[str], float]]:
        """Names of trained tensors of a share that are clipped together, and their largest norm."""
        return [
            ([spec.name for spec in self.specs if spec.group == group], largest)
            for group, largest in share.rule.clip_norms(self.model).items()
            if group not in self.frozen
        ]

    # State ----------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Draw weights and feedback by key, once per seed, and clear the optimizer.

        And what lies between tensors in a flat storage: before the first reset, captures have run steps on nothing.
        """
        everybody = range(len(self.cohort.replicas))
        with torch.no_grad(), ThreadPoolExecutor() as pool:
            flat, moments = self.storage, (*self.first.values(), *self.second.values())
            for tensor in moments if flat is None else (flat.weights, flat.first, flat.second):
                tensor.zero_()
            for spec in self.specs:
                self._fill(pool, spec, "weights", self.params[spec.name], everybody)
            for share in self.shares:
                for spec in share.rule.feedback(self.model, self.dataset.classes):
                    self._fill(pool, spec, "feedback", share.feedback[spec.name], everybody[share.replicas])
        self.steps.zero_()

    def _fill(self, pool: Executor, spec: TensorSpec, purpose: str, target: Tensor, replicas: range) -> None:
        """Draw ``target`` [r, …] for the replicas that it belongs to."""
        seeds = [self.cohort.replicas[r].seed for r in replicas]
        drawn = pool.map(lambda seed: keyed.tensor(spec, seed, purpose).astype(self.numpy), dict.fromkeys(seeds))
        by_seed = dict(zip(dict.fromkeys(seeds), drawn, strict=True))
        for row, seed in zip(target, seeds, strict=True):
            row.copy_(torch.from_numpy(by_seed[seed]))

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint holds; feedback and schedule follow from the seeds."""
        tensors = {f"weights/{name}": tensor.detach() for name, tensor in self.params.items()}
        tensors |= {f"first/{name}": tensor for name, tensor in self.first.items()}
        tensors |= {f"second/{name}": tensor for name, tensor in self.second.items()}
        return tensors | {"steps": self.steps, "loss_sum": self.loss_sum}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over a checkpoint's tensors, bit by bit."""
        with torch.no_grad():
            for name, tensor in self.state().items():
                tensor.copy_(state[name])

    # Training -------------------------------------------------------------------------------------------------------

    def draw(self, epoch: int) -> np.ndarray:
        """An epoch's schedule, over the one drawn before. For a card by several threads: many seeds take a while."""
        threads = None if self.device.is_cuda else 1
        return epoch_schedule(self.dataset, self.count, self.seeds, epoch, self.drawn, threads)

    def begin_epoch(self, epoch: int, schedule: np.ndarray, done: int = 0) -> None:
        """Set the learning rate of an epoch (from 0) and hand over its schedule.

        ``done``: its steps that a checkpoint has brought, and with them their loss.
        """
        rates = self.base_lr
        if self.setup.optimizer.schedule == "cosine":
            rates = [lr * (1.0 + math.cos(math.pi * epoch / self.setup.epochs)) / 2.0 for lr in rates]
        self.lr.copy_(torch.tensor(rates, dtype=self.dtype))
        self.schedule.copy_(torch.from_numpy(schedule))  # waits: ``drawn`` is written to again while the epoch runs
        self.done = done
        self.cursor.fill_(min(done * self.setup.batch_size, self.count))
        if not done:
            self.loss_sum.zero_()
        self.step.begin_epoch(epoch)

    def run_epoch(self, stop: Stop = lambda: False) -> bool:
        """Queue the steps of the epoch that are not done; the last batch is smaller if the split does not divide.

        ``stop`` is asked after each, where a checkpoint can hold what is between two steps. Returns whether the epoch
        is whole; if not, ``done`` says how much of it is, and the next call goes on with that.
        """
        position, before = 0, self.done
        with precision(self.setup.precision, self.device):
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

    def _prepare(self) -> list[tuple[Run, int, int]]:
        """What an epoch consists of: a step, or on CUDA a captured graph of several, how often it comes, and how many
        steps it is."""
        if self.device.is_cuda:
            self.step.compile()
        full, rest = divmod(self.count, self.setup.batch_size)
        runs = []
        for size, times in ((self.setup.batch_size, full), (rest, 1 if rest else 0)):
            if times:
                together = max(k for k in range(1, LARGEST_CAPTURE + 1) if times % k == 0) if self.device.is_cuda else 1
                run = partial(self._steps, size, together)
                runs.append((self._capture(run) if self.device.is_cuda else run, times // together, together))
        return runs

    def _steps(self, size: int, together: int) -> None:
        for ahead in range(together):
            self.step.launch(size, ahead, more=ahead + 1 < together)
        self.step.advance(size, together)

    def _capture(self, run: Run) -> Run:
        """A graph of ``run``, which is called beforehand: libraries allocate and compile on first use.

        That spoils weights and counters, so capturing comes before they get their values. Programs that are garbage go
        first: a graph that is destroyed while another is captured spoils that one.
        """
        gc.collect()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self.cursor.zero_()
                run()
            self.cursor.zero_()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.Stream(priority=FIRST)):  # type: ignore[no-untyped-call]
            run()
        return graph.replay

    def finite(self) -> np.ndarray:
        """Per replica, whether the epoch's loss, all weights and second moments are finite, bool [r].

        A weight whose second moment is infinite, because a gradient's square was, is never moved again: what follows is
        a finite loss of a network that no longer learns. Waits for the device.
        """
        with torch.no_grad():
            weights, moments = [self.params[name] for name in self.trained], list(self.second.values())
            if isinstance(self.storage, Storage):
                weights, moments = [self.storage.weights], [self.storage.second]
            # The largest and least number, because a mask of all takes as much memory again; moments are not negative.
            ends = [self.loss_sum, *(tensor.flatten(1).amax(1).double() for tensor in (*weights, *moments))]
            ends += [tensor.flatten(1).amin(1).double() for tensor in weights]
            fine = torch.stack(ends).isfinite().all(0)
        return np.asarray(fine.cpu().numpy(), dtype=bool)
