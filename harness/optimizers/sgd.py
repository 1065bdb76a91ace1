"""Stochastic gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013), as PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from harness.optimizers import Optimizer, Rates, add_decay, per_replica
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class Sgd(Optimizer):
    """m ← μm + g + λθ, θ ← θ − ηm; Nesterov: θ ← θ − η(g + λθ + μm), with the new m.

    m begins as the first gradient: nothing is damped. The learning rate multiplies m, so that a drop of the rate holds
    at once for what was gathered before.

    Equation:
        m ← μm + g + λθ,  θ ← θ − ηm;  Nesterov: θ ← θ − η(g + λθ + μm)

    Source:
        Polyak 1964, doi 10.1016/0041-5553(64)90137-5; Nesterov's form by Sutskever et al. 2013.

    Use:
        Where the scale of credit is the question, and to repeat most published experiments with feedback alignment.

    Traps:
        Rules need learning rates that differ by up to a thousand times, because their credit has different scales: one
        rate for all arms compares scales, not rules. m begins as the first gradient (no dampening). Codes that write v
        ← γv + ηg agree only while η is constant.
    """

    name: Literal["sgd"]
    momentum: Annotated[float, Unit("1")] = Field(default=0.0, ge=0, lt=1)
    """Momentum μ: share of the gathered gradient that is kept from step to step. 0 (default): none."""
    nesterov: bool = False
    """True for Nesterov's momentum, which looks one step ahead."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov changes nothing without momentum: add momentum: 0.9, or remove nesterov")
        return self

    @property
    def state(self) -> tuple[str, ...]:
        """The gathered gradient m; nothing without momentum."""
        return ("momentum",) if self.momentum else ()

    def update(self, param: Tensor, gradient: Tensor, state: Mapping[str, Tensor], rates: Rates) -> None:
        """Do one step."""
        step = add_decay(gradient, param, rates)
        if self.momentum:
            gathered = state["momentum"].mul_(self.momentum).add_(step)
            step = step + self.momentum * gathered if self.nesterov else gathered
        param.sub_(per_replica(rates.lr, param) * step)


plugin = Sgd
