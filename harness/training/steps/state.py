"""The record that a training step reads and writes: one cohort's tensors, stacked over replicas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from harness.batched import fresh, keyed
from harness.batched.specs import TensorSpec
from harness.datasets import Dataset, Images
from harness.models import Model
from harness.optimizers import Optimizer
from harness.penalties import Penalty
from harness.records import Arm, Cohort, Replica, Setup
from harness.rules import Rule, RuleTensors
from harness.training.batches import DeviceImages, move_to_device
from harness.training.device import DTYPES, Device
from harness.training.labels import TrainingLabels
from harness.training.steps.interface import Storage, allocate_optimizer_state, allocate_separately

EVOLVED = "evolved/"
"""Beginning of the names under which feedback that a rule changes is stored among weights."""
Stored = TypeVar("Stored", bound=Storage, covariant=True)
CreateStorage = Callable[[tuple[TensorSpec, ...], tuple[str, ...], int, Mapping[str, Any], Optimizer], Stored]
"""Constructor of a storage from all specs, the names of trained tensors, the number of replicas, device and dtype, and
the optimizer."""


@dataclass(frozen=True)
class RuleGroup:
    """Neighbouring replicas of a cohort that learn by the same rule, with the rule's tensors, [r of the group, …]."""

    rule: Rule
    replicas: slice
    feedback: Mapping[str, Tensor]
    """Fixed tensors, and those that the rule changes itself."""
    tensors: RuleTensors = field(default_factory=RuleTensors)
    """Specs of the rule's tensors."""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors that are trained along; a frozen one takes no gradient."""
    own_state: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """The optimizer's tensors of those that are trained: name → tensor → its own."""
    strengths: Mapping[str, Tensor] = field(default_factory=dict)
    """Numbers of the rule that follow a schedule: name → this epoch's, a tensor without axes."""
    draw_keys: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensor that is drawn anew at every step → its keys, int64 [r of the group, 2], see ``fresh.draw``."""

    @property
    def own_trained(self) -> dict[str, Tensor]:
        """The tensors that are trained along and not frozen."""
        return {name: tensor for name, tensor in self.own.items() if tensor.requires_grad}

    @property
    def learned(self) -> dict[str, Tensor]:
        """Tensors beside the model's weights that training changes, by the names that they are stored under."""
        evolved = self.feedback if self.rule.evolves else {}
        return {**self.own, **{f"{EVOLVED}{name}": tensor for name, tensor in evolved.items()}}

    def set_strengths(self, epoch: int, epochs: int) -> None:
        """Set the numbers that follow a schedule to those of an epoch, from 0."""
        for name, (value, schedule) in self.rule.strengths.items():
            self.strengths[name].fill_(value * schedule.factor(epoch, epochs))

    def draw(self, step: Tensor, batch: int, dtype: torch.dtype) -> dict[str, Tensor]:
        """Draw this step's fresh tensors; ``step`` is the number of steps before it, int64, one element."""
        drawn = self.tensors.draws
        return {spec.name: fresh.draw(spec, self.draw_keys[spec.name], step, batch, dtype) for spec in drawn}


@dataclass(frozen=True)
class TrainingState(Generic[Stored]):
    """All tensors that a step reads or writes; each keeps its address, so that captured launches stay valid."""

    cohort: Cohort
    device: Device
    train: DeviceImages
    """Training split, on the device."""
    labels: Tensor
    """Labels that are trained on in this epoch, int64 [N], or [s, N] where each seed has its own."""
    training_labels: TrainingLabels
    """Source of ``labels``."""
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
    """Penalty strength λ of this epoch, [r]; 0 for an arm without a penalty."""
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
    def classes(self) -> int:
        """Number of classes that all arms are trained on."""
        return self.setup.classes

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
    def optimizer(self) -> Optimizer:
        """Optimizer of all arms, up to learning rate and weight decay, which each replica has its own of."""
        return self.setup.optimizer

    @property
    def optimizer_state(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The optimizer's tensors: name → trained tensor → its own, [r, …]."""
        return self.storage.optimizer_state

    @property
    def arms(self) -> list[Arm]:
        """Arm of each replica."""
        return [self.cohort.arms[replica.arm] for replica in self.cohort.replicas]

    @property
    def rows_by_replica(self) -> Tensor | None:
        """Index of the seed whose images each replica sees, [r]; None if replica i sees those of seed i, uncopied."""
        in_order = [self.seeds.index(replica.seed) for replica in self.cohort.replicas] == list(range(len(self.seeds)))
        return None if in_order else self.seed_of_replica

    def set_strengths(self, epoch: int) -> None:
        """Set everything that follows a schedule to its value in an epoch, from 0: rates and strengths."""
        epochs = self.setup.epochs
        factor = self.optimizer.schedule.factor(epoch, epochs)
        self.lr.copy_(torch.tensor([lr * factor for lr in self.base_lr], dtype=self.dtype))
        if any(arm.penalty is not None and arm.penalty.schedule is not None for arm in self.arms):
            strengths = [0.0 if arm.penalty is None else arm.penalty.strength_in(epoch, epochs) for arm in self.arms]
            self.penalty_strength.copy_(torch.tensor(strengths, dtype=self.dtype))
        for group in self.rule_groups:
            group.set_strengths(epoch, epochs)

    def find_rule_group(self, r: int) -> RuleGroup:
        """Return the rule group that a replica belongs to."""
        return next(group for group in self.rule_groups if r < group.replicas.stop)

    def list_clip_groups(self, group: RuleGroup) -> list[tuple[list[str], float]]:
        """Return the names of a rule group's trained tensors that are clipped together, with their maximum norm.

        Those that the rule trains along are clipped apart, in groups that are no part of the model.
        """
        parts = set(self.model.groups())
        return [
            (
                [spec.name for spec in (self.specs if name in parts else group.tensors.own) if spec.group == name],
                largest,
            )
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
    specs = setup.model.parameters(setup.dataset.features, setup.classes)
    frozen = setup.model.expand_groups(arms[0].freeze)
    trained = tuple(spec.name for spec in specs if spec.group not in frozen)
    storage = create_storage(specs, trained, len(arms), factory_kwargs, setup.optimizer)
    count = len(images.train_labels)
    labels = TrainingLabels.of(setup.labels, images, seeds)
    return TrainingState(
        cohort=cohort,
        device=device,
        train=move_to_device(setup.dataset, images, "train", device.torch, dtype),
        labels=torch.from_numpy(labels.draw(0)).to(device.torch),
        training_labels=labels,
        count=count,
        seeds=seeds,
        specs=specs,
        frozen=frozen,
        trained=trained,
        storage=storage,
        rule_groups=_split_by_rule(arms, cohort, storage, frozen, factory_kwargs),
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


def _split_by_rule(
    arms: list[Arm], cohort: Cohort, storage: Storage, frozen: frozenset[str], factory_kwargs: Mapping[str, Any]
) -> tuple[RuleGroup, ...]:
    setup = cohort.setup
    groups: list[RuleGroup] = []
    start = 0
    for rule, neighbours in groupby(arm.rule for arm in arms):
        replicas = slice(start, start + len(list(neighbours)))
        count = replicas.stop - replicas.start
        tensors = RuleTensors.of(rule, setup.model, setup.dataset.features, setup.classes)
        own = allocate_separately(tensors.own, count, factory_kwargs)
        for spec in tensors.own:
            own[spec.name].requires_grad_(spec.group not in frozen)
        trained = {name: tensor.detach() for name, tensor in own.items() if tensor.requires_grad}
        groups.append(
            RuleGroup(
                rule=rule,
                replicas=replicas,
                tensors=tensors,
                feedback=storage.allocate_feedback(tensors.feedback, replicas),
                strengths={name: torch.zeros((), **factory_kwargs) for name in rule.strengths},
                own=own,
                own_state=allocate_optimizer_state(setup.optimizer, trained),
                draw_keys={
                    spec.name: make_draw_keys(cohort.replicas[replicas], spec.name, "draws", factory_kwargs["device"])
                    for spec in tensors.draws
                },
            )
        )
        start = replicas.stop
    return tuple(groups)


def make_draw_keys(replicas: Sequence[Replica], name: str, purpose: str, device: torch.device) -> Tensor:
    """Return the keys by which a tensor is drawn anew for replicas, int64 [r, 2]."""
    keys = [keyed.short_key(replica.seed, f"{purpose}/{name}") for replica in replicas]
    return torch.tensor(keys, dtype=torch.int64, device=device)
