"""Backpropagation (Rumelhart, Hinton and Williams 1986, doi 10.1038/323533a0), with an optional penalty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.models import Model
from harness.rules import Objective, Rule

if TYPE_CHECKING:
    from torch import Tensor


class Bp(Rule):
    """Descends mean cross entropy + λ·Σ_l value(f_l) through the whole network, unclipped."""

    name: Literal["bp"]
    gives_credit: ClassVar[bool] = False
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = "through"

    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[[Tensor], Tensor] | None,
    ) -> Objective:
        """Compute one forward pass, in which nothing is detached."""
        from harness.batched.losses import cross_entropy

        h = model.embed(p, x)
        branches = []
        for layer in range(model.depth):
            f = model.branch(p, layer, h)
            branches.append(f)
            h = model.join(h, f)
        loss = cross_entropy(model.head(p, h), y).mean(-1)
        descend = loss
        if penalty is not None:
            for f in branches:
                descend = descend + penalty(f)
        return Objective(descend=descend, cross_entropy=loss.detach())


plugin = Bp
