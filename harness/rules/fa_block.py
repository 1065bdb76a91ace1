"""Feedback alignment, block by block: credit goes down a chain of random matrices, one per block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.rules import FixedCredit, Flops
from harness.rules._local import LocalPass, LocalRule, count_local, shape_credit

if TYPE_CHECKING:
    from torch import Tensor


class FaBlock(LocalRule):
    """Feedback alignment between blocks: c_L = e B, c_l = c_{l+1} D_l, where e is the error of the loss.

    B [C, d] ~ N(0, 1/C) and D_l [d, d] ~ N(0, 1/d) are fixed, so that norms stay. Within a block, the error passes back
    through its own weights.

    Equation:
        c_L = e B,  c_l = c_{l+1} D_l,  then as dfa

    Source:
        A variant of feedback alignment (Lillicrap et al. 2016, doi 10.1038/ncomms13276) with one matrix per block
        instead of one per weight; B and D_l keep norms on average.

    Use:
        Between ``fa`` and ``dfa``: credit goes down block by block, but no block needs the weights of another.

    Traps:
        D_l stands for the whole Jacobian of a block, skip connection included, so that in a residual network the
        identity is lost from credit. After a few blocks the chain has lost most of its rank. It is not layer-wise
        feedback alignment, whose results in the literature are those of ``fa``.
    """

    name: Literal["fa_block"]

    @property
    def fixed_credit(self) -> FixedCredit | None:
        """The error: down the chain of fixed matrices, c_l = e (B D_{L−1} … D_l). None if credit has a factor."""
        return FixedCredit("error", self.normalize, per_block=False) if self.has_plain_credit else None

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return B [C, d_L] and D_l [d_{l+1}, d_l], l = 0 … L − 1."""
        sizes = [math.prod(model.shape(layer)) for layer in range(model.depth + 1)]
        top = TensorSpec("feedback_out", (classes, sizes[-1]), Init("normal", classes**-0.5), "head")
        return (
            *(
                TensorSpec(f"feedback_{layer}", (above, below), Init("normal", below**-0.5), f"block_{layer}")
                for layer, (below, above) in enumerate(pairwise(sizes))
            ),
            top,
        )

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of all parts, and those of the chain down to the lowest trained one."""
        sizes = [math.prod(model.shape(layer)) for layer in range(model.depth + 1)]
        parts = ("embedding", *(f"block_{layer}" for layer in range(model.depth)))
        trained = [site for site, part in enumerate(parts) if part not in frozen]
        if not trained:
            return count_local(model, features, classes, frozen, 0)
        chain = sum(sizes[layer] * sizes[layer + 1] for layer in range(trained[0], model.depth))
        return count_local(model, features, classes, frozen, 2 * (classes * sizes[-1] + chain))

    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return c_0 … c_L, computed from the last to the first."""
        return self._chain(model, feedback, error)

    def project_classes(
        self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor], classes: Tensor
    ) -> Sequence[Tensor]:
        """Return the product of B and the D above every state."""
        return self._chain(model, feedback, classes)

    def _chain(self, model: Model, feedback: Mapping[str, Tensor], error: Tensor) -> list[Tensor]:
        credit = error @ feedback["feedback_out"]
        found = [credit]
        for layer in reversed(range(model.depth)):
            credit = credit @ feedback[f"feedback_{layer}"]
            found.insert(0, credit)
        return [shape_credit(model, flat, layer) for layer, flat in enumerate(found)]


plugin = FaBlock
