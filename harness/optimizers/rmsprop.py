"""RMSprop (Tieleman and Hinton 2012, lecture 6.5), uncentred and without momentum, as PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.optimizers import Optimizer, Rates, add_decay, per_replica
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class RmsProp(Optimizer):
    """g ← g + λθ, v ← αv + (1 − α)g², θ ← θ − ηg/(√v + ε). v begins at 0, so the first steps are up to 1/√(1 − α) η.

    Equation:
        g ← g + λθ,  v ← αv + (1 − α)g²,  θ ← θ − ηg/(√v + ε)

    Source:
        Tieleman and Hinton 2012, lecture 6.5 of a course.

    Use:
        To repeat Nøkland's experiments (rates of 1e-4 and below), and where momentum shall play no part.

    Traps:
        v begins at 0 without a correction of the bias, so the first steps are up to 1/√(1 − α) = 10 times η. The scale
        of credit has no effect, as under Adam.
    """

    name: Literal["rmsprop"]
    denominators: ClassVar[tuple[str, ...]] = ("square_avg",)
    alpha: Annotated[float, Unit("1")] = Field(default=0.99, ge=0, lt=1)
    """Decay rate α of the running mean v of the squared gradient."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Constant added to the square root of v, which keeps the division stable."""

    @property
    def ignores_scale(self) -> bool:
        """True without weight decay, which is added to the gradient."""
        return self.weight_decay == 0

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the squared gradient."""
        return ("square_avg",)

    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Do one step."""
        square = state["square_avg"]
        gradient = add_decay(gradient, param, rates)
        square.mul_(self.alpha).addcmul_(gradient, gradient, value=1.0 - self.alpha)
        param.sub_(per_replica(rates.lr, param) * gradient / (square.sqrt() + self.eps))


plugin = RmsProp
