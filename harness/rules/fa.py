"""Feedback alignment, layer by layer (Lillicrap et al. 2016, doi 10.1038/ncomms13276; 2014, arXiv 1411.0247)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.rules import (
    BackwardInit,
    Flops,
    Objective,
    Rule,
    count_through,
    descend_through,
    list_backward,
    pair_weights,
)

if TYPE_CHECKING:
    from torch import Tensor


class Fa(Rule):
    """Feedback alignment: as backpropagation, but every product hW sends back δBᵀ in place of δWᵀ, with a fixed B.

    What comes before the first weight is not trained, so that one has no B.

    Equation:
        forward u = hW + b,  backward δ_l = (δ_{l+1} B_{l+1}ᵀ) ⊙ φ′(u_l),  ∂W_l = h_{l−1}ᵀ δ_l / n

    Source:
        Lillicrap et al. 2016, doi 10.1038/ncomms13276; 2014, arXiv 1411.0247.

    Use:
        To ask whether the weights on the way back must be those of the way forward, while everything else of
        backpropagation stays.

    Traps:
        Norms, biases and skip connections keep their exact way back. The credit of a
        layer is a product of all random matrices above it, and loses norm and rank with depth. The source chose the
        scales of W and B by hand; under SGD the learning rate that suits ``bp`` may not suit this rule.
    """

    name: Literal["fa"]
    pairs_weights: ClassVar[bool] = True
    init: BackwardInit = "like_weights"
    """Distribution of B. like_weights (default): that of the weights at their initialisation, drawn anew; normal:
    normal numbers of sd 1/√fan_in."""

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return a B of its shape for every weight but the first, under the weight's name."""
        return list_backward(model, features, classes, self.init)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return what backpropagation takes: the error passes through as many products."""
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
        """Compute one forward pass, whose weights have another way back."""
        return descend_through(model, pair_weights(p, feedback), x, y, penalty, loss)


plugin = Fa
