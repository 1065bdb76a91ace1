"""Optimizers, which turn gradients into updates, one learning rate and weight decay per replica."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from harness.plugins.fields import Unit
from harness.plugins.registry import NamedOrShort, Plugin
from harness.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Rates:
    """Numbers that an update needs besides its tensors, on the device and in the weights' type."""

    lr: Tensor
    """Learning rate of this epoch per replica, [r]."""
    weight_decay: Tensor
    """Weight decay per replica, [r]."""
    numbers: Mapping[str, Tensor]
    """Numbers that ``Optimizer.begin_step`` computed for this step."""


class Optimizer(Plugin):
    """Interface of an optimizer plug-in. Its tensors are stacked over replicas, which never affect each other."""

    equations: ClassVar[Literal["adamw"] | None] = None
    """Equations of the update, for training steps that compute it with code of their own; None leaves it to ``update``.

    ``adamw`` stands for the equations and fields of ``optimizers/adamw.py``. A declaration holds for the class that
    makes it, not for its subclasses.
    """
    denominators: ClassVar[tuple[str, ...]] = ()
    """Names of those state tensors whose roots divide an update; they are never negative. Where one is infinite, a
    weight never moves again, and its replica has diverged."""

    lr: Annotated[float, Unit("1")] = Field(gt=0, examples=[1.0e-3])
    """Learning rate that the schedule scales."""
    weight_decay: Annotated[float, Unit("1")] = Field(default=0.0, ge=0)
    """Weight decay λ: λθ is added to the gradient of θ. 0 (default) turns it off."""
    schedule: Annotated[Schedule, NamedOrShort("schedules")] = Field(
        default="cosine", validate_default=True, examples=["cosine"]
    )
    """Schedule of the learning rate, which is set once per epoch: a name, or a name with parameters, such as
    {name: step, milestones: [100, 150]}. By default, cosine."""

    @model_serializer(mode="wrap")
    def _write(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the schedule last, where it stood before optimizers were plug-ins."""
        told: dict[str, Any] = write(self)
        if "schedule" in told:
            told["schedule"] = told.pop("schedule")
        return told

    @property
    def ignores_scale(self) -> bool:
        """True if updates don't change when all gradients of a tensor are multiplied by one number, eps aside.

        By default, False.
        """
        return False

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the tensors that are kept of every trained tensor, of its shape; they begin at zero."""
        return ()

    def begin_step(self, step: Tensor, like: Tensor) -> Mapping[str, Tensor]:
        """Return what all tensors' updates of a step share, such as bias corrections, in the type of ``like``.

        ``step`` is the number of the step, from 1: float64, one element, on the device. It must not be read by the
        processor.
        """
        return {}

    @abstractmethod
    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Do one step in place on a parameter and its state, from its gradient; all are [r, …]."""

    def apply(
        self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates, scale: Tensor | None
    ) -> None:
        """Do the same from a gradient that is first multiplied by ``scale`` [r], if there is one (clipping)."""
        if scale is not None:
            gradient = gradient * per_replica(scale, gradient)
        self.update(param, gradient, state, rates)


def per_replica(numbers: Tensor, like: Tensor) -> Tensor:
    """Return numbers [r] in the shape [r, 1, …], so that they meet ``like`` [r, …] replica by replica."""
    return numbers.view(-1, *([1] * (like.dim() - 1)))


def add_decay(gradient: Tensor, param: Tensor, rates: Rates) -> Tensor:
    """Return g + λθ."""
    return gradient + param * per_replica(rates.weight_decay, param)
