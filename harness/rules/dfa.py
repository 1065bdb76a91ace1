"""Direct feedback alignment, block by block (Nøkland 2016, arXiv 1609.01596).

Every block receives the output error through its own fixed random matrix instead of the transposed weights above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import Objective, Rule

if TYPE_CHECKING:
    from torch import Tensor


class Dfa(Rule):
    """Direct feedback alignment with one feedback matrix per block and credit normalised per sample.

    Block l minimises mean_n ⟨f_l(h_l), â_l⟩ + λ·value(f_l) on detached h_l; the head minimises cross entropy on
    detached h_L; the embedding minimises mean_n ⟨E x, â_0⟩. a_l = e B_lᵀ, e = softmax(logits) − onehot(y),
    â_l = a_l / (rms_d(a_l) + 1e-6), B_l ~ N(0, 1/C), one per block.
    """

    name: Literal["dfa"]
    clip: Annotated[float | None, Unit("1")] = Field(default=1.0, gt=0)
    """Largest gradient norm per block; null switches clipping off."""
    gives_credit: ClassVar[bool] = True
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = "direct_feedback"

    def feedback(self, model: Model, classes: int) -> tuple[TensorSpec, ...]:
        """Return B_l as [class, d], so that a_l = e B_l in the code's row-vector order."""
        init = Init("normal", classes**-0.5)
        return tuple(
            TensorSpec(f"feedback_{layer}", (classes, model.hidden), init, f"block_{layer}")
            for layer in range(model.depth)
        )

    def clip_norms(self, model: Model) -> Mapping[str, float]:
        """Return the clipping norm of every block; neither embedding nor head is clipped."""
        if self.clip is None:
            return {}
        return {f"block_{layer}": self.clip for layer in range(model.depth)}

    def objective(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[[Tensor], Tensor] | None,
    ) -> Objective:
        """Compute one forward pass, detached between blocks: the surrogates' gradients are the rule's updates."""
        from harness.batched.losses import cross_entropy, softmax_error

        embedded = model.embed(p, x)
        h = embedded.detach()
        branches = []
        for layer in range(model.depth):
            f = model.branch(p, layer, h)
            branches.append(f)
            h = model.join(h, f).detach()
        logits = model.head(p, h)
        loss = cross_entropy(logits, y).mean(-1)
        error = softmax_error(logits.detach(), y)

        descend = loss
        for layer, f in enumerate(branches):
            a = self.credit(model, feedback, error, layer)
            a = a / (a.square().mean(-1, keepdim=True).sqrt() + 1e-6)
            if layer == 0:
                descend = descend + (embedded * a).sum(-1).mean(-1)
            if f.requires_grad:  # a frozen block descends nothing
                descend = descend + (f * a).sum(-1).mean(-1)
                if penalty is not None:
                    descend = descend + penalty(f)
        return Objective(descend=descend, cross_entropy=loss.detach())

    def credit(self, model: Model, feedback: Mapping[str, Tensor], error: Tensor, layer: int) -> Tensor:
        """Return a_l = e B_lᵀ; the last hidden state h_L has no matrix of its own and takes B_{L−1}."""
        return error @ feedback[f"feedback_{min(layer, model.depth - 1)}"]


plugin = Dfa
