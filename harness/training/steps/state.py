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
from harness.training.batches import DeviceImages, move_to_device
from harness.training.device import DTYPES, Device
from harness.training.steps.interface import Storage

Stored = TypeVar("Stored", bound=Storage, covariant=True)
CreateStorage = Callable[[tuple[TensorSpec, ...], tuple[str, ...], int, Mapping[str, Any]], Stored]
"""Constructor of a storage from all specs, the names of trained tensors, the number of replicas, device and dtype."""


@dataclass(frozen=True)
class RuleGroup:
    """Neighbouring replicas of a cohort that learn by the same rule."""

    rule: Rule
    replicas: slice
    feedback: Mapping[str, Tensor]
    """The rule's fixed tensors, [r of the group, …]."""


@dataclass(frozen=True)
class TrainingState(Generic[Stored]):
    """All tensors that a step reads or writes; each keeps its address, so that captured launches stay valid."""

    cohort: Cohort
    device: Device
    train: DeviceImages
    """Training split, on the device."""
    count: int
    """Number of images of the training split."""
    seeds: tuple[int, ...]
    """Distinct seeds, in the order of the replicas."""
    specs: tuple[TensorSpec, ...]
    """Specs of all tensors of one replica."""
    frozen: frozenset[str]
    """Parameter groups that are not trained."""
    trained: tuple[str, ...]
    """Names of the trained tensors."""
    storage: Stored
    """Storage of weights, moments and feedback, in the step's own memory layout."""
    rule_groups: tuple[RuleGroup, ...]
    """Replicas, split where the rule changes."""
    base_lr: tuple[float, ...]
    """Learning rate of each replica that the schedule starts from."""
    lr: Tensor
    """Learning rate of this epoch, [r]."""
    weight_decay: Tensor
    """Weight decay, [r]."""
    penalty: Penalty | None
    """Penalty of any arm that has one, for its equation; each replica has its own strength."""
    penalty_strength: Tensor
    """Penalty strength λ, [r]; 0 for an arm without a penalty."""
    seed_of_replica: Tensor
    """Index into ``seeds``, int32 [r]."""
    schedule: Tensor
    """Images that each seed sees in this epoch, int32 [s, n, 4], see ``batches.draw_schedule``."""
    cursor: Tensor
    """Schedule row at which the next batch begins, int64, one element."""
    steps: Tensor
    """Number of steps so far, over all epochs, float64, one element."""
    loss_sum: Tensor
    """Sum of cross entropies over this epoch's samples so far, float64 [r]."""

    @property
    def setup(self) -> Setup:
        """Setup that all arms share up to per-replica numbers."""
        return self.cohort.setup

    @property
    def dataset(self) -> Dataset:
        """Data set that all arms are trained on."""
        return self.setup.dataset

    @property
    def model(self) -> Model:
        """Model that all arms train."""
        return self.setup.model

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and optimizer state."""
        return DTYPES[self.setup.precision]

    @property
    def replicas(self) -> int:
        """Number of replicas, r."""
        return len(self.cohort.replicas)

    @property
    def factory_kwargs(self) -> dict[str, Any]:
        """Keyword arguments (device, dtype) for creating a tensor like the weights."""
        return {"device": self.device.torch, "dtype": self.dtype}

    @property
    def params(self) -> Mapping[str, Tensor]:
        """Weights by name, [r, …]."""
        return self.storage.params

    @property
    def exp_avg(self) -> Mapping[str, Tensor]:
        """First moments of the trained tensors, [r, …]."""
        return self.storage.exp_avg

    @property
    def exp_avg_sq(self) -> Mapping[str, Tensor]:
        """Second moments of the trained tensors, [r, …]."""
        return self.storage.exp_avg_sq

    @property
    def arms(self) -> list[Arm]:
        """Arm of each replica."""
        return [self.cohort.arms[replica.arm] for replica in self.cohort.replicas]

    @property
    def rows_by_replica(self) -> Tensor | None:
        """Index of the seed whose images each replica sees, [r]; None if replica i sees those of seed i, uncopied."""
        in_order = [self.seeds.index(replica.seed) for replica in self.cohort.replicas] == list(range(len(self.seeds)))
        return None if in_order else self.seed_of_replica

    def find_rule_group(self, r: int) -> RuleGroup:
        """Return the rule group that a replica belongs to."""
        return next(group for group in self.rule_groups if r < group.replicas.stop)

    def list_clip_groups(self, group: RuleGroup) -> list[tuple[list[str], float]]:
        """Return the names of a rule group's trained tensors that are clipped together, with their maximum norm."""
        return [
            ([spec.name for spec in self.specs if spec.group == name], largest)
            for name, largest in group.rule.clip_norms(self.model).items()
            if name not in self.frozen
        ]


def allocate_state(
    cohort: Cohort, images: Images, device: Device, create_storage: CreateStorage[Stored]
) -> TrainingState[Stored]:
    """Allocate a cohort's state on a device: feedback is uninitialised until it is drawn, everything else is zero."""
    setup = cohort.setup
    dtype = DTYPES[setup.precision]
    factory_kwargs: dict[str, Any] = {"device": device.torch, "dtype": dtype}
    seeds = tuple(dict.fromkeys(replica.seed for replica in cohort.replicas))
    arms = [cohort.arms[replica.arm] for replica in cohort.replicas]
    optimizers = [arm.setup.optimizer for arm in arms]
    specs = setup.model.parameters(setup.dataset.features, setup.dataset.classes)
    frozen = setup.model.expand_groups(arms[0].freeze)
    trained = tuple(spec.name for spec in specs if spec.group not in frozen)
    storage = create_storage(specs, trained, len(arms), factory_kwargs)
    count = len(images.train_labels)
    return TrainingState(
        cohort=cohort,
        device=device,
        train=move_to_device(setup.dataset, images, "train", device.torch, dtype),
        count=count,
        seeds=seeds,
        specs=specs,
        frozen=frozen,
        trained=trained,
        storage=storage,
        rule_groups=_split_by_rule(arms, setup, storage),
        base_lr=tuple(optimizer.lr for optimizer in optimizers),
        lr=torch.zeros(len(arms), **factory_kwargs),
        weight_decay=torch.tensor([optimizer.weight_decay for optimizer in optimizers], **factory_kwargs),
        penalty=next((arm.penalty for arm in arms if arm.penalty is not None), None),
        penalty_strength=torch.tensor([arm.penalty.strength if arm.penalty else 0.0 for arm in arms], **factory_kwargs),
        seed_of_replica=torch.tensor(
            [seeds.index(replica.seed) for replica in cohort.replicas], device=device.torch, dtype=torch.int32
        ),
        schedule=torch.zeros((len(seeds), count, 4), device=device.torch, dtype=torch.int32),
        cursor=torch.zeros((), device=device.torch, dtype=torch.int64),
        steps=torch.zeros((), device=device.torch, dtype=torch.float64),
        loss_sum=torch.zeros(len(arms), device=device.torch, dtype=torch.float64),
    )


def _split_by_rule(arms: list[Arm], setup: Setup, storage: Storage) -> tuple[RuleGroup, ...]:
    groups: list[RuleGroup] = []
    start = 0
    for rule, neighbours in groupby(arm.rule for arm in arms):
        replicas = slice(start, start + len(list(neighbours)))
        specs = rule.feedback(setup.model, setup.dataset.classes)
        groups.append(RuleGroup(rule, replicas, storage.allocate_feedback(specs, replicas)))
        start = replicas.stop
    return tuple(groups)
