"""From gradients to weights, for the autograd step: one update for each optimizer that a file may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from harness.batched import adamw
from harness.training.steps.interface import Storage
from harness.training.steps.state import TrainingState


class Update(Protocol):
    """What an optimizer does with a step's gradients, in place on the weights and moments of a ``TrainingState``."""

    def begin_step(self) -> None:
        """Note that another step begins; ``state.steps`` counts it already."""

    def apply(self, name: str, gradient: Tensor, scale: Tensor | None) -> None:
        """Move one trained tensor along its gradient [r, …]; ``scale`` [r] multiplies the gradient first (clipping)."""


class AdamW:
    """AdamW with a rate and a decay of each replica's own."""

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
        """Move one trained tensor and its moments."""
        state = self.state
        self.update(state.params[name], gradient, state.exp_avg[name], state.exp_avg_sq[name], self.rates, scale)


UPDATES: Mapping[str, Callable[[TrainingState[Storage]], Update]] = {"adamw": AdamW}
"""The optimizer's name in the file → what makes its update."""
