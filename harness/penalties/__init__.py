"""Penalties: terms that a rule adds, block by block, to the loss it minimises."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(Plugin):
    """Interface of a penalty plug-in. The training step multiplies ``value`` by each replica's own strength."""

    strength: Annotated[float, Unit("1")] = Field(ge=0, examples=[1.0e-2])
    """Strength λ, the factor on the penalty. 0 turns it off."""
    gradient_factor: ClassVar[float | None] = None
    """Factor c, if the gradient of ``value`` at a branch output f [r, n, d] is c·f/n; None leaves the gradient to
    autograd.

    Training steps with explicit gradients read it: λ·value then adds λ·c·f/n to the gradient that enters the branch. A
    declaration holds for the class that makes it, not for its subclasses.
    """

    @abstractmethod
    def value(self, branch: Tensor) -> Tensor:
        """Return the penalty of one block, without its strength: branch output f_l [r, n, d] → [r]."""
