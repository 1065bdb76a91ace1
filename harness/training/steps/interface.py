"""What every training step can be asked to do, and what every storage of its tensors offers.

A step is made from a ``TrainingState`` and changes nothing of it before its first launch. ``Program`` draws the
weights, counts the batches and asks the step for one after the other; it knows no step by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec

StepKind = Literal["autograd", "compiled", "explicit", "kernels"]
"""How a step is calculated: by autograd; by autograd with its elementwise work fused by torch.compile; with its
gradients written out; or by this package's own kernels."""


class Storage(Protocol):
    """Weights, Adam's moments and feedback of all replicas, in the order of memory that a step reads best."""

    @property
    def params(self) -> Mapping[str, Tensor]:
        """Every tensor of the model, [r, …], by name."""

    @property
    def exp_avg(self) -> Mapping[str, Tensor]:
        """First moments of the trained tensors, [r, …]."""

    @property
    def exp_avg_sq(self) -> Mapping[str, Tensor]:
        """Second moments of the trained tensors, [r, …]."""

    def new_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Make the fixed tensors of a rule group's replicas, [r of these, …] each; their numbers are drawn later."""

    def clear(self) -> None:
        """Set everything but feedback to zero, and with it whatever lies between the tensors."""

    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights and second moments, [r, …] each, that are all finite for a replica that still learns."""


class TrainingStep(Protocol):
    """One step of all replicas of a cohort, in place on its ``TrainingState``.

    Whoever implements it inherits from it, and leaves out what it has no use for.
    """

    divisible: bool
    """Whether a checkpoint can hold what is between two steps of an epoch."""

    def compile(self) -> None:
        """Compile what would otherwise be compiled at the first launch; called before steps are captured."""
        return

    def begin_epoch(self, epoch: int) -> None:
        """Take over what the state holds for an epoch (from 0): learning rates, schedule and steps so far."""
        return

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that lie ``ahead`` steps behind the cursor.

        ``more``: another launch follows before ``advance``, so that its images may be fetched beside this one.
        """
        raise NotImplementedError

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        raise NotImplementedError

    def end_epoch(self) -> None:
        """Hand the epoch's loss and number of steps to the state, unless every launch does."""
        return


def separate_tensors(specs: tuple[TensorSpec, ...], replicas: int, where: Mapping[str, Any]) -> dict[str, Tensor]:
    """Allocate a tensor of its own for each spec, [r, …]; ``where``: device and dtype."""
    return {spec.name: torch.empty((replicas, *spec.shape), **where) for spec in specs}
