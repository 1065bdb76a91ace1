"""The record that a training step reads and writes: one cohort's tensors, stacked over replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.datasets import Dataset, Images
from harness.models import Model
from harness.penalties import Penalty
from harness.records import Arm, Cohort, Setup
from harness.rules import Rule
from harness.training.batches import DeviceImages, to_device
from harness.training.device import DTYPES, Device
from harness.training.steps.interface import Storage

Stored = TypeVar("Stored", bound=Storage, covariant=True)
NewStorage = Callable[[tuple[TensorSpec, ...], tuple[str, ...], int, Mapping[str, Any]], Stored]
"""Makes a storage, from all specs, the names of trained tensors, the number of replicas, and device and dtype."""


@dataclass(frozen=True)
class RuleGroup:
    """Neighbouring replicas of a cohort that learn by the same rule."""

    rule: Rule
    replicas: slice
    feedback: Mapping[str, Tensor]
    """The rule's fixed tensors, [r of these, …]."""


@dataclass(frozen=True)
class TrainingState(Generic[Stored]):
    """Everything a step reads or writes. Each tensor keeps its address, so that captured launches stay valid."""

    cohort: Cohort
    device: Device
    train: DeviceImages
    """The training split, on the device."""
    count: int
    """Images of the training split."""
    seeds: tuple[int, ...]
    """Each seed once, in the order of the replicas."""
    specs: tuple[TensorSpec, ...]
    """Every tensor of one replica."""
    frozen: frozenset[str]
    """Groups of parameters that are not trained."""
    trained: tuple[str, ...]
    """Names of the tensors that are."""
    storage: Stored
    """Where weights, moments and feedback lie: each step has its own order of memory."""
    rule_groups: tuple[RuleGroup, ...]
    """The replicas, cut where the rule changes."""
    base_lr: tuple[float, ...]
    """Per replica, the learning rate that the schedule starts from."""
    lr: Tensor
    """Learning rate of this epoch, [r]."""
    weight_decay: Tensor
    """[r]."""
    penalty: Penalty | None
    """The kind of penalty that some arm has; every replica has its own strength."""
    penalty_strength: Tensor
    """λ, [r]; 0 where an arm has no penalty."""
    seed_of_replica: Tensor
    """Index into ``seeds``, int32 [r]."""
    schedule: Tensor
    """What each seed sees in this epoch, int32 [s, n, 4], see ``batches.epoch_schedule``."""
    cursor: Tensor
    """The schedule row that the next batch begins at, int64, one element."""
    steps: Tensor
    """Steps so far, over all epochs, float64, one element."""
    loss_sum: Tensor
    """Sum of cross entropies over this epoch's samples so far, float64 [r]."""

    @property
    def setup(self) -> Setup:
        """The setup that all arms share up to per-replica numbers."""
        return self.cohort.setup

    @property
    def dataset(self) -> Dataset:
        """The data set that all arms are trained on."""
        return self.setup.dataset

    @property
    def model(self) -> Model:
        """The model that all arms train."""
        return self.setup.model

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and optimizer state."""
        return DTYPES[self.setup.precision]

    @property
    def replicas(self) -> int:
        """The number of replicas, r."""
        return len(self.cohort.replicas)

    @property
    def where(self) -> dict[str, Any]:
        """Device and dtype of a tensor like the weights, as keywords."""
        return {"device": self.device.torch, "dtype": self.dtype}

    @property
    def params(self) -> Mapping[str, Tensor]:
        """The weights, [r, …], by name."""
        return self.storage.params

    @property
    def exp_avg(self) -> Mapping[str, Tensor]:
        """Adam's first moments of trained tensors, [r, …]."""
        return self.storage.exp_avg

    @property
    def exp_avg_sq(self) -> Mapping[str, Tensor]:
        """Adam's second moments of trained tensors, [r, …]."""
        return self.storage.exp_avg_sq

    def arms(self) -> list[Arm]:
        """Return each replica's arm."""
        return [self.cohort.arms[replica.arm] for replica in self.cohort.replicas]

    def rows_by_replica(self) -> Tensor | None:
        """Return which of the seeds' images each replica sees; None if replica i sees those of seed i, uncopied."""
        in_order = [self.seeds.index(replica.seed) for replica in self.cohort.replicas] == list(range(len(self.seeds)))
        return None if in_order else self.seed_of_replica

    def group_of_replica(self, r: int) -> RuleGroup:
        """Return the rule group that a replica belongs to."""
        return next(group for group in self.rule_groups if r < group.replicas.stop)

    def clipped(self, group: RuleGroup) -> list[tuple[list[str], float]]:
        """Return the names of trained tensors of a rule group that are clipped together, and their largest norm."""
        return [
            ([spec.name for spec in self.specs if spec.group == name], largest)
            for name, largest in group.rule.clip_norms(self.model).items()
            if name not in self.frozen
        ]


def new_state(cohort: Cohort, images: Images, device: Device, new_storage: NewStorage[Stored]) -> TrainingState[Stored]:
    """Allocate a cohort's state on a device: everything is zero, and feedback anything, until it is drawn."""
    setup = cohort.setup
    dtype = DTYPES[setup.precision]
    where: dict[str, Any] = {"device": device.torch, "dtype": dtype}
    seeds = tuple(dict.fromkeys(replica.seed for replica in cohort.replicas))
    arms = [cohort.arms[replica.arm] for replica in cohort.replicas]
    optimizers = [arm.setup.optimizer for arm in arms]
    specs = setup.model.parameters(setup.dataset.features, setup.dataset.classes)
    frozen = setup.model.expand_groups(arms[0].freeze)
    trained = tuple(spec.name for spec in specs if spec.group not in frozen)
    storage = new_storage(specs, trained, len(arms), where)
    count = len(images.train_labels)
    return TrainingState(
        cohort=cohort,
        device=device,
        train=to_device(setup.dataset, images, "train", device.torch, dtype),
        count=count,
        seeds=seeds,
        specs=specs,
        frozen=frozen,
        trained=trained,
        storage=storage,
        rule_groups=_rule_groups(arms, setup, storage),
        base_lr=tuple(optimizer.lr for optimizer in optimizers),
        lr=torch.zeros(len(arms), **where),
        weight_decay=torch.tensor([optimizer.weight_decay for optimizer in optimizers], **where),
        penalty=next((arm.penalty for arm in arms if arm.penalty is not None), None),
        penalty_strength=torch.tensor([arm.penalty.strength if arm.penalty else 0.0 for arm in arms], **where),
        seed_of_replica=torch.tensor(
            [seeds.index(replica.seed) for replica in cohort.replicas], device=device.torch, dtype=torch.int32
        ),
        schedule=torch.zeros((len(seeds), count, 4), device=device.torch, dtype=torch.int32),
        cursor=torch.zeros((), device=device.torch, dtype=torch.int64),
        steps=torch.zeros((), device=device.torch, dtype=torch.float64),
        loss_sum=torch.zeros(len(arms), device=device.torch, dtype=torch.float64),
    )


def _rule_groups(arms: list[Arm], setup: Setup, storage: Storage) -> tuple[RuleGroup, ...]:
    groups: list[RuleGroup] = []
    start = 0
    for rule, neighbours in groupby(arm.rule for arm in arms):
        replicas = slice(start, start + len(list(neighbours)))
        specs = rule.feedback(setup.model, setup.dataset.classes)
        groups.append(RuleGroup(rule, replicas, storage.new_feedback(specs, replicas)))
        start = replicas.stop
    return tuple(groups)
