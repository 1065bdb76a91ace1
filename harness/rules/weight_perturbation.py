"""Perturbation of weights: the slope along a random direction, from two losses (Werfel et al. 2005)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import DrawSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import Objective, Rule, descend_through
from harness.rules._directions import Distribution, descend_along, list_directions, take_direction

if TYPE_CHECKING:
    from torch import Tensor


class WeightPerturbation(Rule):
    """Descends along q = v·(L(θ + σv) − L(θ − σv))/2σ, where v is a random direction of all parameters θ.

    As ``forward_gradient``, but with a finite difference for the derivative: nothing but losses is ever computed. A
    central difference is exact where L is quadratic along v; a one-sided one has a bias of order σ. σ√D is the length
    of the perturbation of D parameters. L includes the
    penalty. Frozen parts are perturbed too, which makes the others' updates the same as without freezing.

    Equation:
        q = v·(L(θ + σv) − L(θ − σv))/2σ

    Source:
        Werfel, Xie and Seung 2005, Neural Computation 17(12).

    Use:
        As ``forward_gradient``, where only losses can be computed.

    Traps:
        The variance is that of ``forward_gradient``, and so is what optimizers make of it. A small σ loses digits, in
        float32 about 1e-7/σ of the slope; a one-sided difference has a bias of order σ. Two losses take as much time
        as a forward and a backward pass.
    """

    name: Literal["weight_perturbation"]
    gives_site_credit: ClassVar[bool] = False
    sigma: Annotated[float, Unit("1")] = Field(default=1e-3, gt=0)
    """Size σ of the perturbation of each parameter."""
    difference: Literal["central", "one_sided"] = "central"
    """Points of the difference: θ + σv and θ − σv (central, default), or θ + σv and θ (one_sided)."""
    distribution: Distribution = "sign"
    """Distribution of the directions: +1 or −1 (sign, default), or standard normal numbers."""
    directions: Annotated[int, Unit("directions")] = Field(default=1, ge=1)
    """Number of directions of a step, over which q is averaged."""

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return the directions of every parameter."""
        return list_directions(model, features, classes, self.directions, self.distribution)

    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[..., Tensor] | None,
        loss: Loss,
    ) -> Objective:
        """Compute the loss at θ, and at one or two other points for each direction."""
        directions = [take_direction(feedback, k) for k in range(self.directions)]
        still = {name: p[name].detach() for name in directions[0]}
        here = descend_through(model, still, x, y, penalty, loss)
        slopes = []
        for v in directions:
            ahead, behind = self._shift(still, v, 1), here.descend
            value = descend_through(model, ahead, x, y, penalty, loss).descend
            if self.difference == "central":
                behind = descend_through(model, self._shift(still, v, -1), x, y, penalty, loss).descend
            slopes.append((value - behind) / ((2.0 if self.difference == "central" else 1.0) * self.sigma))
        return Objective(descend=descend_along(p, directions, slopes), loss=here.loss)

    def _shift(self, p: Mapping[str, Tensor], v: Mapping[str, Tensor], sign: int) -> dict[str, Tensor]:
        return {name: tensor + sign * self.sigma * v[name] for name, tensor in p.items()}


plugin = WeightPerturbation
