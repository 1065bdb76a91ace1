"""PEPITA: a second pass on an input that the error changes (Dellaferrera and Kreiman 2022, arXiv 2201.11665)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import Objective, Rule
from harness.rules._local import multiply, pass_locally, penalise

if TYPE_CHECKING:
    from torch import Tensor


class Pepita(Rule):
    """Two passes, on x and on x′ = x + eF: every part's credit is the difference h_l − h′_l of its outputs.

    e is the error of the first pass and F [C, features] is fixed, uniform on ±scale·√(6/features). In the second pass,
    on detached h′, the update of a layer is h′_{l−1}ᵀ(h_l − h′_l)/n, without the slope of its activation, and that of
    the head h′_Lᵀ e/n. To first order in F this is direct feedback with B = −F W, where W is the way from the input to
    the layer. In a block of several layers the credit of its output passes back through its own weights, and where the
    embedding ends in an activation, as that of ``mlp``, its update does take the slope, other than in the source. What
    no input reaches, as a class token, is the same in both passes and isn't trained. A penalty acts on the branches of
    the second pass.

    Equation:
        x′ = x + e F,  ∂W_l = h′_{l−1}ᵀ (h_l − h′_l) / n,  ∂W_out = h′_Lᵀ e / n

    Source:
        Dellaferrera and Kreiman 2022, arXiv 2201.11665; analysed by Srinivasan et al. 2023, arXiv 2302.05440.

    Use:
        To ask whether a second forward pass may take the place of the backward pass: the error changes the input.

    Traps:
        It is direct feedback with the adaptive matrix −F W, to first order in F: learning turns F W against its
        transpose, and their angle grows beyond 90°. Inputs of the source lie in [0, 1] and its networks have no
        biases; standardised inputs change the size of F that suits. Public codes differ in which pass's error trains
        the head. No slope of the activation enters, except in the embedding of ``mlp``.
    """

    name: Literal["pepita"]
    local: ClassVar[bool] = True
    scale: Annotated[float, Unit("1")] = Field(default=0.05, ge=0)
    """Size of F, as a multiple of √(6/features). With 0 only the head learns."""
    head_error: Literal["first", "second"] = "first"
    """Pass whose error trains the head: first (default), as published, or second, as in public code for networks
    without convolutions."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True: what the error adds to the input makes no difference behind zeros."""
        return True

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return F [C, features]."""
        init = Init("uniform", self.scale * (6.0 / features) ** 0.5)
        return (TensorSpec("feedback", (classes, features), init, "embedding"),)

    def list_untrained(self, model: Model) -> frozenset[str]:
        """Return what is the same in both passes."""
        return model.constants

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
        """Compute a forward pass without gradients, and one that is detached between parts."""
        import torch

        with torch.no_grad():
            first = pass_locally(model, p, x)
            value = loss.value(first.logits, y).mean(-1)
            error = loss.error(first.logits, y)
        still = {name: p[name].detach() for name in model.constants}
        second = pass_locally(model, {**p, **still}, x + error @ feedback["feedback"])
        head_error = error if self.head_error == "first" else loss.error(second.logits.detach(), y)
        descend = multiply(second.logits, head_error)
        outputs = [second.embedded, *second.branches]
        for out, before, after in zip(outputs, first.hidden, second.hidden, strict=True):
            if out.requires_grad:  # a frozen part descends nothing
                descend = descend + multiply(out, before - after)
        descend = penalise(descend, second.branches, second.joined, penalty)
        return Objective(descend=descend, loss=value)


plugin = Pepita
