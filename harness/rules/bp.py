"""Backpropagation (Rumelhart, Hinton and Williams 1986, doi 10.1038/323533a0), with an optional penalty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.losses import Loss
from harness.models import Model
from harness.rules import Flops, Objective, Rule, count_through, descend_through

if TYPE_CHECKING:
    from torch import Tensor


class Bp(Rule):
    """Descends the mean loss + λ·Σ_l value(f_l) through the whole network.

    Equation:
        ∂θ = ∂/∂θ [mean_n ℓ_n + λ·Σ_l value(f_l)]

    Source:
        Rumelhart, Hinton and Williams 1986, doi 10.1038/323533a0.

    Use:
        The reference of every comparison: what the network reaches if credit is exact. With frozen blocks it shows
        what a trained embedding and head reach on random features.

    Traps:
        Nothing is clipped by default, whereas ``dfa`` clips every block: a comparison of both contains that difference
        unless ``clip`` is the same. A network frozen under BP still trains its embedding by the exact gradient,
        which a network frozen under DFA does not.
    """

    name: Literal["bp"]
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = "through"

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True: the error passes back through the weights."""
        return True

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of a pass through the whole network and back."""
        return count_through(model, features, classes, frozen)

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
        """Compute one forward pass, in which nothing is detached."""
        return descend_through(model, p, x, y, penalty, loss)


plugin = Bp
