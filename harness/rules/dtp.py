"""Difference target propagation (Lee et al. 2015, arXiv 1412.7525)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import OWN, Objective, Rule
from harness.rules._local import LocalPass, multiply, pass_locally, penalise

if TYPE_CHECKING:
    from torch import Tensor


class Dtp(Rule):
    """Every block F_l has an inverse G_l that learns, and brings targets down: ĥ_l = h_l − G_l(h_{l+1}) + G_l(ĥ_{l+1}).

    The last target is ĥ_L = h_L − η̂ g_L, where g_L is the gradient through the head. Credit is c_l = (h_l − ĥ_l)/η̂,
    which has the gradient's scale; the source leaves out the division, which only changes learning rates. G_l(h) is
    hW + b, or its tanh. It descends mean_n ‖G_l(F_l(h_l + ε)) − (h_l + ε)‖² with noise ε, and F_l takes no gradient of
    it. Where blocks are orthogonal and G_l is their transpose, credit is the gradient.

    Equation:
        ĥ_L = h_L − η̂ g_L,  ĥ_l = h_l − G_l(h_{l+1}) + G_l(ĥ_{l+1}),  c_l = (h_l − ĥ_l)/η̂
        inverses: minimise mean_n ‖G_l(F_l(h_l + ε)) − (h_l + ε)‖²

    Source:
        Lee et al. 2015, arXiv 1412.7525.

    Use:
        To bring targets down by learned inverses where other rules bring errors.

    Traps:
        With exact inverses of linear blocks, credit is g F⁻¹ (Gauss–Newton) and not the gradient; only orthogonal
        blocks make them equal. Inverses learn at the arm's rate and at the same time as the blocks, whereas the source
        trains them for an epoch before each epoch of the others. ``target_rate`` has no effect with linear inverses.
        The public code of the source never trains two of its tensors.
    """

    name: Literal["dtp"]
    local: ClassVar[bool] = True
    target_rate: Annotated[float, Unit("1")] = Field(default=0.328, gt=0)
    """Step η̂ down the gradient that makes the last target. It has no effect where the inverses are linear."""
    noise: Annotated[float, Unit("1")] = Field(default=0.36, ge=0)
    """Standard deviation of the noise ε that inverses are trained with."""
    inverse: Literal["linear", "tanh"] = "linear"
    """Form of G_l: hW + b (linear, default), or tanh(hW + b), as in the source, whose states are tanh too."""

    def find_idle(self, model: Model) -> Mapping[str, str]:
        """Return the step to the target where it cancels out: G(h − η̂g) − G(h) is in proportion to η̂ if G is linear."""
        if self.inverse == "linear" and self.target_rate != type(self).model_fields["target_rate"].default:
            return {"target_rate": "credit does not depend on it with linear inverses"}
        return {}

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True: no target moves behind a head of zeros."""
        return True

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return W [d_{l+1}, d_l] and b [d_l] of every G_l, which goes on learning if its block is frozen."""
        found = []
        for layer in range(model.depth):
            above, below = math.prod(model.shape(layer + 1)), math.prod(model.shape(layer))
            init, group = Init("uniform", above**-0.5), f"inverse_{layer}"
            found.append(TensorSpec(f"{OWN}{group}.weight", (above, below), init, group))
            found.append(TensorSpec(f"{OWN}{group}.bias", (below,), init, group))
        return tuple(found)

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return the noise ε of the state that goes into each block."""
        return tuple(
            DrawSpec(f"noise_{layer}", (None, *model.shape(layer)), Init("normal", self.noise))
            for layer in range(model.depth)
        )

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
        """Compute a forward pass that is detached between parts, targets, and a noisy pass through every block."""
        still = {name: tensor.detach() for name, tensor in p.items()}
        done = pass_locally(model, p, x)
        value = loss.value(done.logits, y).mean(-1)
        descend = value
        for site, target, h in zip(
            done.sites, self._find_targets(model, still, done, y, loss), done.hidden, strict=True
        ):
            if site.requires_grad:  # a frozen part descends nothing
                descend = descend + multiply(site, (h - target) / self.target_rate)
        for layer in range(model.depth):
            h = done.hidden[layer] + feedback[f"noise_{layer}"]
            above = model.join(h, model.branch(still, layer, h)).detach()
            descend = descend + (self._invert(p, layer, above, h) - h).flatten(2).square().sum(-1).mean(-1)
        descend = penalise(descend, done.branches, done.joined, penalty)
        return Objective(descend=descend, loss=value.detach())

    def _find_targets(
        self, model: Model, p: Mapping[str, Tensor], done: LocalPass, y: Tensor, loss: Loss
    ) -> list[Tensor]:
        """Return ĥ_0 … ĥ_L."""
        from torch.func import vjp

        pull: Any = vjp(lambda h: model.head(p, h), done.hidden[-1])[1]
        (gradient,) = pull(loss.error(done.logits.detach(), y))
        targets = [done.hidden[-1] - self.target_rate * gradient.detach()]
        for layer in reversed(range(model.depth)):
            h = done.hidden[layer]
            here = self._invert(p, layer, done.hidden[layer + 1], h)
            targets.insert(0, h - here + self._invert(p, layer, targets[0], h))
        return targets

    def _invert(self, p: Mapping[str, Tensor], layer: int, above: Tensor, like: Tensor) -> Tensor:
        """Return G_l(h_{l+1}) in the shape of h_l."""
        from harness.batched.layers import linear

        at = f"{OWN}inverse_{layer}"
        found = linear(above.flatten(2), p[f"{at}.weight"], p[f"{at}.bias"]).view_as(like)
        return found.tanh() if self.inverse == "tanh" else found


plugin = Dtp
