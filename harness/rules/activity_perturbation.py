"""Perturbation of activities (Ren et al. 2022, arXiv 2210.03310; node perturbation: Werfel et al. 2005)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import DrawSpec, Init
from harness.losses import Loss
from harness.models import Model
from harness.rules import Objective, Rule
from harness.rules._local import multiply, pass_locally, penalise

if TYPE_CHECKING:
    from torch import Tensor


class ActivityPerturbation(Rule):
    """Credit c_l = j u_l, where j = Σ_l ⟨g_l, u_l⟩ is the derivative of a sample's loss along random u_0 … u_L.

    u is drawn for every sample, state and step, with E u uᵀ = 1, so that E c_l = g_l, the gradient at the state h_l.
    The derivative comes from forward mode, so no error passes back from part to part. Per sample, the squared error of
    c_l is about the number of units of all states times the squared gradients: far less than ``forward_gradient`` has,
    which perturbs weights. States of frozen parts are perturbed too.

    Equation:
        j_n = Σ_l ⟨g_{l,n}, u_{l,n}⟩,  c_l = j u_l,  E u uᵀ = 1

    Source:
        Ren et al. 2022, arXiv 2210.03310; node perturbation: Werfel, Xie and Seung 2005, Neural Computation 17(12).

    Use:
        To learn from one scalar per sample, with as many directions as units: its variance is far below that of
        perturbed weights.

    Traps:
        The squared error of credit grows with the units of all perturbed sites, frozen ones included. The source adds
        local losses on groups of units, without which its figures are not reached.
    """

    name: Literal["activity_perturbation"]
    local: ClassVar[bool] = True
    distribution: Literal["sign", "normal"] = "sign"
    """Distribution of the directions: +1 or −1 (sign, default), with less variance, or standard normal numbers."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True if states are zero, so that the head stays so: no change of a state passes through zeros."""
        return silent

    def explain_misfit(self, model: Model) -> tuple[str, str] | None:
        """Refuse models in which a sample's loss depends on the states of others: E c_l would not be the gradient."""
        if model.couples_samples:
            return "needs samples that don't depend on one another, and batch norm couples them", "use another norm"
        return None

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return a direction for every state of every sample."""
        return tuple(
            DrawSpec(f"direction_{site}", (None, *model.shape(site)), Init(self.distribution, 1.0))
            for site in range(model.depth + 1)
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
        """Compute a pass with derivatives along the directions, and one that is detached between parts."""
        directions = tuple(feedback[f"direction_{site}"] for site in range(model.depth + 1))
        slopes = differentiate_along(model, p, x, y, loss, directions)
        done = pass_locally(model, p, x)
        value = loss.value(done.logits, y).mean(-1)
        descend = value
        for site, direction in zip(done.sites, directions, strict=True):
            if site.requires_grad:  # a frozen part descends nothing
                descend = descend + multiply(site, direction * slopes.view(*slopes.shape, *[1] * (site.dim() - 2)))
        descend = penalise(descend, done.branches, done.joined, penalty)
        return Objective(descend=descend, loss=value.detach())


def differentiate_along(
    model: Model, p: Mapping[str, Tensor], x: Tensor, y: Tensor, loss: Loss, directions: tuple[Tensor, ...]
) -> Tensor:
    """Return the derivative of each sample's loss [r, n] along directions of the states, each [r, n, …]."""
    import torch
    from torch.func import jvp

    still = {name: tensor.detach() for name, tensor in p.items()}

    def perturb(*shifts: Tensor) -> Tensor:
        h = model.embed(still, x) + shifts[0]
        for layer in range(model.depth):
            h = model.join(h, model.branch(still, layer, h)) + shifts[layer + 1]
        return loss.value(model.head(still, h), y)

    zeros = tuple(torch.zeros_like(direction) for direction in directions)
    slopes: Tensor = jvp(perturb, zeros, directions)[1]
    return slopes.detach()


plugin = ActivityPerturbation
