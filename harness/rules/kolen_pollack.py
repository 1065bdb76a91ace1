"""Kolen and Pollack's rule (1994; Akrout et al. 2019, arXiv 1904.05391): feedback that learns as weights do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.rules import (
    OWN,
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


class KolenPollack(Rule):
    """Feedback alignment whose B gets the gradient of W, ∂B = hᵀδ/n, and is updated and decayed as W is.

    Under SGD without momentum and under AdamW, W − B shrinks at every step by the factor 1 − ηλ, whatever is learned.

    Equation:
        ∂W = hᵀδ/n,  ∂B = hᵀδ/n,  W − B ← (1 − ηλ)(W − B) under SGD and AdamW

    Source:
        Kolen and Pollack 1994, Backpropagation without weight transport; Akrout et al. 2019, arXiv 1904.05391.

    Use:
        To learn the way back without ever sending weights: both directions see the same two signals and decay alike.

    Traps:
        The weight decay decides. At a learning rate of 1e-3 with cosine schedule, 100 epochs of CIFAR-10 in batches of
        128 and λ = 0.01 leave 82% of W − B. Without decay it never changes, and the angle falls only because what both
        share grows: state λ. Under Adam with decay in the gradient there is no such identity.
    """

    name: Literal["kolen_pollack"]
    pairs_weights: ClassVar[bool] = True
    needs_decay: ClassVar[bool] = True
    init: BackwardInit = "like_weights"
    """Distribution of B at the beginning. like_weights (default): that of the weights, drawn anew; normal: normal
    numbers of sd 1/√fan_in."""

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return a B of its shape for every weight but the first, which is frozen with it."""
        return list_backward(model, features, classes, self.init, OWN)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return what backpropagation takes: the gradient of B is that of W."""
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
        """Compute one forward pass, whose weights have another way back that learns with them."""
        backward = {name.removeprefix(OWN): tensor for name, tensor in p.items() if name.startswith(OWN)}
        return descend_through(model, pair_weights(p, backward, learns=True), x, y, penalty, loss)


plugin = KolenPollack
