"""AdamW for the explicit step: one call of PyTorch's fused implementation for each learning rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.training.steps.explicit_storage import StackedStorage
from harness.training.steps.state import TrainingState
from harness.training.steps.supports import as_adamw


@dataclass(frozen=True)
class RateGroup:
    """Neighbouring replicas with the same learning rate and weight decay, and views of their tensors."""

    first: int
    """Index of the first of these replicas."""
    weight_decay: float
    tensors: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
    """Weights, gradients, exp_avg and exp_avg_sq."""


class FusedAdamW:
    """The update of all replicas by the function behind ``torch.optim.AdamW(fused=True)``."""

    def __init__(self, state: TrainingState[StackedStorage]) -> None:
        optimizer = as_adamw(state.optimizer)
        assert optimizer is not None
        self.optimizer = optimizer
        self.groups = _rate_groups(state)
        self.lr: list[float] = []
        """Learning rate of each replica in this epoch."""
        self.step = torch.zeros(())
        """Number of steps so far, as PyTorch counts them."""

    def __call__(self) -> None:
        """Do one step along the gradients in the storage."""
        optimizer = self.optimizer
        self.step += 1
        for group in self.groups:
            torch._fused_adamw_(
                *group.tensors, [], [self.step] * len(group.tensors[0]), lr=self.lr[group.first],
                beta1=optimizer.beta1, beta2=optimizer.beta2, weight_decay=group.weight_decay, eps=optimizer.eps,
                amsgrad=False, maximize=False,
            )  # fmt: skip


def _rate_groups(state: TrainingState[StackedStorage]) -> list[RateGroup]:
    storage = state.storage
    pairs = list(zip(state.base_lr, state.weight_decay.tolist(), strict=True))
    starts = [r for r in range(len(pairs)) if r == 0 or pairs[r] != pairs[r - 1]]
    kinds = (
        storage.weights[: storage.trained_size],
        storage.gradients,
        storage.flat_exp_avg,
        storage.flat_exp_avg_sq,
    )
    if len(starts) == 1:
        weights, gradients, exp_avg, exp_avg_sq = ([kind] for kind in kinds)
        return [RateGroup(0, pairs[0][1], (weights, gradients, exp_avg, exp_avg_sq))]
    groups = []
    for start, end in zip(starts, [*starts[1:], len(pairs)], strict=True):
        weights, gradients, exp_avg, exp_avg_sq = (
            [storage.view(kind, name)[start:end] for name in state.trained] for kind in kinds
        )
        groups.append(RateGroup(start, pairs[start][1], (weights, gradients, exp_avg, exp_avg_sq)))
    return groups
