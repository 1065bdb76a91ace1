"""Optimizer updates for the autograd step, one for each optimizer that a hypothesis file may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from harness.batched import adamw
from harness.training.steps.interface import Storage
from harness.training.steps.state import TrainingState


class Update(Protocol):
    """An optimizer's update, in place on the weights and moments of a ``TrainingState``."""

    def begin_step(self) -> None:
        """Start another step, which ``state.steps`` already counts."""

    def apply(self, name: str, gradient: Tensor, scale: Tensor | None) -> None:
        """Update one trained tensor from its gradient [r, …], multiplied first by ``scale`` [r] if given (clipping)."""


class AdamW:
    """AdamW with a learning rate and weight decay per replica."""

    def __init__(self, state: TrainingState[Storage]) -> None:
        optimizer, like = state.setup.optimizer, state.penalty_strength
        self.state = state
        self.betas = (optimizer.beta1, optimizer.beta2)
        self.rates = adamw.Rates(
            lr=state.lr,
            weight_decay=state.weight_decay,
            correction1=torch.ones_like(like[0]),
            correction2=torch.ones_like(like[0]),
            constants=adamw.constants(*self.betas, optimizer.eps, like),
        )
        self.update = adamw.fused_update if state.device.is_cuda else adamw.update

    def begin_step(self) -> None:
        """Compute the step's bias corrections, 1 − β1^t and √(1 − β2^t), on the device."""
        for correction, beta, power in (
            (self.rates.correction1, self.betas[0], 1.0),
            (self.rates.correction2, self.betas[1], 0.5),
        ):
            correction.copy_((1.0 - beta**self.state.steps) ** power)

    def apply(self, name: str, gradient: Tensor, scale: Tensor | None) -> None:
        """Update one trained tensor and its moments."""
        state = self.state
        self.update(state.params[name], gradient, state.exp_avg[name], state.exp_avg_sq[name], self.rates, scale)


UPDATES: Mapping[str, Callable[[TrainingState[Storage]], Update]] = {"adamw": AdamW}
"""Name of an optimizer in the hypothesis file → constructor of its update."""
