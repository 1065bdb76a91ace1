"""Indirect feedback alignment (Nøkland 2016, arXiv 1609.01596): one matrix, and credit that goes up with the states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import Flops
from harness.rules._local import LocalPass, LocalRule, Normalize, count_local, shape_credit

if TYPE_CHECKING:
    from torch import Tensor


class Ifa(LocalRule):
    """Indirect feedback alignment: c_0 = e B, and c_{l+1} = J_l c_l with J_l = ∂h_{l+1}/∂h_l, for each sample.

    B [C, d] ~ N(0, 1/C) is fixed. Credit reaches the first state directly, and the others by the way that a change of
    the first state takes through the network: in a plain network c_{l+1} = (c_l W) ⊙ φ′. If every J_l is orthogonal and
    c_0 is the gradient, all credit is.

    Equation:
        c_0 = e B,  c_{l+1} = J_l c_l,  J_l = ∂h_{l+1}/∂h_l

    Source:
        Nøkland 2016, arXiv 1609.01596.

    Use:
        To ask whether credit may travel with the activations instead of against them: one random matrix into the first
        state, and the network's own forward way from there.

    Traps:
        Credit equals the gradient only where every Jacobian is orthogonal. Where blocks expand or contract, credit
        grows or vanishes with depth; under SGD that changes the effective learning rate of each block.
        In a plain network c_{l+1} = (c_l W) ⊙ φ′, and the layer that it trains multiplies by its φ′ once more, as it
        does with all credit. The source is quoted (we could not read it again) as passing on what is already
        multiplied, δ_0 = (e B) ⊙ φ′ and δ_{l+1} = (δ_l W) ⊙ φ′, which is what a layer's input meets: the first hidden
        layer learns the same, and every later one has here its own φ′ twice and lacks those of the layers before. What
        saturated units get is smaller. With linear units, or where skip connections add, both are one.
    """

    name: Literal["ifa"]
    normalize: Normalize = "none"
    """Divisor of credit where it is used: its root mean square over the units of a sample (sample), that over the units
    and samples of a batch (batch), or none (the default)."""
    clip: Annotated[float | None, Unit("1")] = Field(default=None, gt=0, examples=[1.0])
    """Largest gradient norm per block; null (default) switches clipping off."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True if there are blocks: a block of zeros passes no credit on."""
        return depth > 0

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return B [C, d_0]."""
        shape = (classes, math.prod(model.shape(0)))
        return (TensorSpec("feedback", shape, Init("normal", classes**-0.5), "embedding"),)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of all parts, of e B, and of the products of the blocks once more: J_l c_l."""
        parts = ("embedding", *(f"block_{layer}" for layer in range(model.depth)))
        trained = [site for site, part in enumerate(parts) if part not in frozen]
        if not trained:
            return count_local(model, features, classes, frozen, 0)
        passed = set(parts[1 : trained[-1] + 1])
        pushed = sum(product.flops for product in model.products(features, classes) or () if product.group in passed)
        return count_local(model, features, classes, frozen, 2 * classes * math.prod(model.shape(0)) + pushed)

    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return c_0 and what the blocks' Jacobians make of it."""
        from torch.func import jvp

        still = {name: tensor.detach() for name, tensor in p.items()}
        found = [shape_credit(model, error @ feedback["feedback"], 0)]
        for layer in range(model.depth):

            def block(h: Tensor, layer: int = layer) -> Tensor:
                return model.join(h, model.branch(still, layer, h))

            h = done.hidden[layer]
            found.append(jvp(block, (h,), (found[-1].to(h.dtype),))[1].detach())
        return found


plugin = Ifa
