"""AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), with the defaults of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.optimizers import Optimizer, Rates
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class AdamW(Optimizer):
    """m ← β1·m + (1 − β1)·g, v ← β2·v + (1 − β2)·g², θ ← θ − η·λ·θ − η·m̂/(√v̂ + ε).

    m̂ = m/(1 − β1ᵗ) and v̂ = v/(1 − β2ᵗ) at step t, from 1.

    Equation:
        m ← β1·m + (1 − β1)g,  v ← β2·v + (1 − β2)g²,  θ ← θ − ηλθ − η·m̂/(√v̂ + ε)

    Source:
        Loshchilov and Hutter 2019, arXiv 1711.05101; Kingma and Ba 2015, arXiv 1412.6980.

    Use:
        The usual choice, with the fastest training step. Rules can be compared at one learning rate, because the scale
        of credit hardly matters.

    Traps:
        The scale of a gradient has no effect as long as it is far above ε: strengths of feedback, credit scales and
        per-block clips work only through the share of terms and through changes over time. Gradients near or below ε =
        1e-8 lose their direction in the updates. A weight decay of 0.01 is on by default.
    """

    name: Literal["adamw"]
    equations: ClassVar[Literal["adamw"] | None] = "adamw"
    denominators: ClassVar[tuple[str, ...]] = ("exp_avg_sq",)
    weight_decay: Annotated[float, Unit("1")] = Field(default=0.01, ge=0)
    """Decoupled weight decay: each step subtracts this times lr times the weight. 0 turns it off."""
    beta1: Annotated[float, Unit("1")] = Field(default=0.9, ge=0, lt=1)
    """Decay rate of exp_avg, the running mean of the gradient (Adam's first moment)."""
    beta2: Annotated[float, Unit("1")] = Field(default=0.999, ge=0, lt=1)
    """Decay rate of exp_avg_sq, the running mean of the squared gradient (Adam's second moment)."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Constant added to the square root of exp_avg_sq, which keeps the division stable."""

    @property
    def ignores_scale(self) -> bool:
        """True: the decay is apart from the gradient."""
        return True

    @property
    def state(self) -> tuple[str, ...]:
        """Adam's first and second moment."""
        return ("exp_avg", "exp_avg_sq")

    def begin_step(self, step: Tensor, like: Tensor) -> Mapping[str, Tensor]:
        """Return the step's bias corrections, 1 − β1ᵗ and √(1 − β2ᵗ)."""
        from harness.batched import adamw

        return adamw.correct_bias(step, self.beta1, self.beta2, like)

    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Do one step."""
        self.apply(param, gradient, state, rates, None)

    def apply(
        self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates, scale: Tensor | None
    ) -> None:
        """Do one step, on a card in a single pass over memory."""
        from harness.batched import adamw

        whole = adamw.Rates(
            lr=rates.lr,
            weight_decay=rates.weight_decay,
            correction1=rates.numbers["correction1"],
            correction2=rates.numbers["correction2"],
            constants=adamw.keep_constants(self.beta1, self.beta2, self.eps, param.dtype, param.device),
        )
        update = adamw.fused_update if param.is_cuda else adamw.update
        update(param, gradient, state["exp_avg"], state["exp_avg_sq"], whole, scale)


plugin = AdamW
