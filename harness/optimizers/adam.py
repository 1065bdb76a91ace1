"""Adam (Kingma and Ba 2015, arXiv 1412.6980), with weight decay in the gradient, as PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.optimizers import Optimizer, Rates, add_decay, per_replica
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class Adam(Optimizer):
    """g ← g + λθ, m ← β1·m + (1 − β1)·g, v ← β2·v + (1 − β2)·g², θ ← θ − η·m̂/(√v̂ + ε).

    m̂ = m/(1 − β1ᵗ) and v̂ = v/(1 − β2ᵗ) at step t, from 1. Under a decay, what is divided by √v̂ includes it, so that
    weights with large gradients decay less than under AdamW.

    Equation:
        g ← g + λθ,  m ← β1·m + (1 − β1)g,  v ← β2·v + (1 − β2)g²,  θ ← θ − η·m̂/(√v̂ + ε)

    Source:
        Kingma and Ba 2015, arXiv 1412.6980.

    Use:
        To repeat published experiments with Adam. For new ones ``adamw`` separates decay from the gradient's scale.

    Traps:
        Decay is part of what is divided by √v̂: the same λ means another decay for every weight, and ``kolen_pollack``
        loses its identity. As under AdamW, the scale of credit has no effect.
    """

    name: Literal["adam"]
    denominators: ClassVar[tuple[str, ...]] = ("exp_avg_sq",)
    beta1: Annotated[float, Unit("1")] = Field(default=0.9, ge=0, lt=1)
    """Decay rate of exp_avg, the running mean of the gradient (first moment)."""
    beta2: Annotated[float, Unit("1")] = Field(default=0.999, ge=0, lt=1)
    """Decay rate of exp_avg_sq, the running mean of the squared gradient (second moment)."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Constant added to the square root of exp_avg_sq, which keeps the division stable."""

    @property
    def ignores_scale(self) -> bool:
        """True without weight decay, which is added to the gradient."""
        return self.weight_decay == 0

    @property
    def state(self) -> tuple[str, ...]:
        """First and second moment."""
        return ("exp_avg", "exp_avg_sq")

    def begin_step(self, step: Tensor, like: Tensor) -> Mapping[str, Tensor]:
        """Return the step's bias corrections, 1 − β1ᵗ and √(1 − β2ᵗ)."""
        from harness.batched import adamw

        return adamw.correct_bias(step, self.beta1, self.beta2, like)

    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Do one step."""
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        gradient = add_decay(gradient, param, rates)
        mean.mul_(self.beta1).add_(gradient, alpha=1.0 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1.0 - self.beta2)
        rate = per_replica(rates.lr, param) / rates.numbers["correction1"]
        param.sub_(rate * mean / (square.sqrt() / rates.numbers["correction2"] + self.eps))


plugin = Adam
