"""Penalties: terms that a rule adds, block by block, to the loss it minimises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.errors import HarnessError
from harness.plugins.fields import Unit
from harness.plugins.registry import NamedOrShort, Plugin, read_capability
from harness.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class Penalty(Plugin):
    """Interface of a penalty plug-in. The training step multiplies ``value`` by each replica's own strength."""

    strength: Annotated[float, Unit("1")] = Field(ge=0, examples=[1.0e-2])
    """Strength λ, the factor on the penalty. 0 turns it off."""
    schedule: Annotated[Schedule, NamedOrShort("schedules")] | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=["warmup"]
    )
    """Schedule of the strength, as one of the learning rate: it multiplies λ in every epoch. null (default): the same
    in all epochs."""
    of_state: ClassVar[bool] = False
    """True if ``value`` is that of the state h_{l+1} that a block ends in, and not of its branch f_l."""
    gradient_factor: ClassVar[float | None] = None
    """Factor c, if the gradient of ``value`` at a branch output f [r, n, d] is c·f/n; None leaves the gradient to
    autograd, as does a penalty of states whatever it declares.

    Training steps with explicit gradients read it: λ·value then adds λ·c·f/n to the gradient that enters the branch. A
    declaration holds for the class that makes it, not for its subclasses.
    """

    @abstractmethod
    def value(self, branch: Tensor) -> Tensor:
        """Return the penalty of one block, without its strength: f_l, or h_{l+1}, [r, n, d] → [r]."""

    def strength_in(self, epoch: int, epochs: int) -> float:
        """Return the strength in epoch t = 0 … T − 1 of T ``epochs``."""
        return self.strength if self.schedule is None else self.strength * self.schedule.factor(epoch, epochs)

    def weigh(self, strength: Tensor) -> Callable[..., Tensor]:
        """Return what a rule adds for each block, as a function of its f_l and its h_{l+1}: λ·value, λ [r]."""

        def weighted(branch: Tensor, state: Tensor | None = None) -> Tensor:
            if not self.of_state:
                return strength * self.value(branch)
            if state is None:
                message, remedy = "the rule tells penalties nothing of states", "choose another rule or penalty"
                raise HarnessError(message, where=f"penalty {self.name}", remedy=remedy)
            return strength * self.value(state)

        return weighted


def find_gradient_factor(penalty: Penalty) -> float | None:
    """Return c where steps may take λ·c·f/n for the penalty's gradient, with one λ for all epochs; otherwise None.

    A penalty of states has none: its gradient is at h_{l+1}, and not at the branch.
    """
    declared: float | None = read_capability(penalty, "gradient_factor")
    return declared if penalty.schedule is None and not penalty.of_state else None
