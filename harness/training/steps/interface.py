"""The interfaces of training steps and of the storage of their tensors.

A step is created on a ``TrainingState`` and changes nothing of it before its first launch. ``Program`` draws the
weights, counts the batches and asks the step for one after the other, without knowing any step by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from harness.batched.specs import TensorSpec
from harness.optimizers import Optimizer

StepKind = Literal["autograd", "compiled", "explicit", "kernels"]
"""Kind of computation of a step: by autograd, by autograd with elementwise work fused by torch.compile, with explicit
gradients, or by this package's own kernels."""


class Storage(Protocol):
    """Weights, optimizer state and feedback of all replicas, in the memory layout that a step reads fastest."""

    @property
    def params(self) -> Mapping[str, Tensor]:
        """All tensors of the model by name, [r, …]."""

    @property
    def optimizer_state(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The optimizer's tensors, ``Optimizer.state``: name → trained tensor → its own, [r, …]."""

    def allocate_feedback(self, specs: tuple[TensorSpec, ...], replicas: slice) -> dict[str, Tensor]:
        """Allocate the fixed tensors of a rule group, each [r of the group, …]; their values are drawn later."""

    def clear(self) -> None:
        """Zero everything but feedback, including padding between tensors."""

    @property
    def screened(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and denominators of updates, [r, …], all of which are finite for a replica that still learns."""


class TrainingStep(Protocol):
    """One step of all replicas of a cohort, in place on its ``TrainingState``.

    Implementations inherit from this class and omit the methods that they do not need.
    """

    can_stop_mid_epoch: bool
    """True if a checkpoint can hold the state between two steps of an epoch."""

    def compile(self) -> None:
        """Compile now what would otherwise be compiled at the first launch.

        It may run steps: it is called before steps are captured, and before the weights are drawn.

        Raises:
            CompilerFailed: A compiler is missing, or failed.
        """
        return

    def begin_epoch(self, epoch: int) -> None:
        """Read the state that is fixed during an epoch (from 0): learning rates, schedule and steps so far."""
        return

    def launch(self, size: int, ahead: int = 0, more: bool = False) -> None:
        """Do one step on the ``size`` schedule rows that begin ``ahead`` batches past the cursor.

        ``more`` announces another launch before ``advance``, so that its images may be fetched concurrently.
        """
        raise NotImplementedError

    def advance(self, size: int, steps: int) -> None:
        """Move the cursor past ``steps`` launches of batches of ``size``."""
        raise NotImplementedError

    def end_epoch(self) -> None:
        """Write the epoch's loss and number of steps to the state, unless every launch does."""
        return


def allocate_separately(
    specs: tuple[TensorSpec, ...], replicas: int, factory_kwargs: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Allocate a separate tensor for each spec, [r, …]; ``factory_kwargs`` are device and dtype."""
    return {spec.name: torch.empty((replicas, *spec.shape), **factory_kwargs) for spec in specs}


def allocate_optimizer_state(optimizer: Optimizer, trained: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Allocate what an optimizer keeps of each trained tensor: name → trained tensor → its own, uninitialised."""
    return {kind: {name: torch.empty_like(tensor) for name, tensor in trained.items()} for kind in optimizer.state}


def list_screened(
    trained: Mapping[str, Tensor], state: Mapping[str, Mapping[str, Tensor]], optimizer: Optimizer
) -> tuple[list[Tensor], list[Tensor]]:
    """Return trained tensors and the denominators of their updates, as ``Storage.screened``."""
    return list(trained.values()), [tensor for kind in optimizer.denominators for tensor in state[kind].values()]
