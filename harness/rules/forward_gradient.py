"""Forward gradients (Baydin et al. 2022, arXiv 2202.08587)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import DrawSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import Objective, Rule, descend_through
from harness.rules._directions import Distribution, descend_along, list_directions, take_direction

if TYPE_CHECKING:
    from torch import Tensor


class ForwardGradient(Rule):
    """Descends along q = (∇L·v) v, where v is a random direction of all parameters and ∇L·v comes from forward mode.

    Each replica draws v anew at every step, with E v vᵀ = 1, so that E q = ∇L, and ⟨q, ∇L⟩ = (∇L·v)² is never negative.
    With D parameters and K directions, E‖q − ∇L‖² = (D ∓ 1)‖∇L‖²/K, minus for signs and plus for normal numbers. L
    includes the penalty. Frozen parts have directions too, which makes others' updates the same as without freezing.

    Equation:
        q = mean_k (∇L·v_k) v_k,  E v vᵀ = 1;  E q = ∇L

    Source:
        Baydin et al. 2022, arXiv 2202.08587.

    Use:
        To ask what gradients by forward mode alone can do: unbiased, and without any backward pass.

    Traps:
        E‖q − ∇L‖² is about D‖∇L‖² with D parameters, so that with 1.3 million of them a step is noise a thousand times
        the signal. Adam and AdamW normalise that noise into a random walk: use SGD with a small rate, few parameters
        or many directions. No credit of states exists.
    """

    name: Literal["forward_gradient"]
    gives_site_credit: ClassVar[bool] = False
    distribution: Distribution = "sign"
    """Distribution of the directions: +1 or −1 (sign, default), or standard normal numbers, as in the source."""
    directions: Annotated[int, Unit("directions")] = Field(default=1, ge=1)
    """Number K of directions of a step, over which q is averaged. Each takes a forward pass, and memory for v."""

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return K directions of every parameter."""
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
        """Compute a forward pass with derivatives for each direction."""
        from torch.func import jvp

        directions = [take_direction(feedback, k) for k in range(self.directions)]
        still = {name: p[name].detach() for name in directions[0]}

        def run(weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            found = descend_through(model, weights, x, y, penalty, loss)
            return found.descend, found.loss

        passes: list[Any] = [jvp(run, (still,), (v,), has_aux=True) for v in directions]
        descend = descend_along(p, directions, [slope.detach() for _, slope, _ in passes])
        return Objective(descend=descend, loss=passes[0][2].detach())


plugin = ForwardGradient
