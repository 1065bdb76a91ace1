"""The forward-forward algorithm (Hinton 2022, arXiv 2212.13345)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import OWN, Objective, Rule
from harness.rules._local import pass_locally, penalise

if TYPE_CHECKING:
    from torch import Tensor

LABELS = f"{OWN}label_embedding"
EPS = 1e-8


class ForwardForward(Rule):
    """Every part descends softplus(θ − G⁺) + softplus(G⁻ − θ), with the goodness G = Σ h² of its own output.

    G⁺ is that of a sample with its label, G⁻ that of the same sample with a wrong one, drawn anew at every step. The
    label comes in by a matrix E_y [C, d] that is trained along: h_0 = embed(x) + E_y[label]. Where the first C inputs
    are 0 otherwise, this is the source's way of overwriting them. θ is ``threshold`` times the number of units. The
    next part sees the detached output at length √d, so that only its direction tells of the label.

    The head descends the loss on detached h_L of a third pass, the one that evaluations do: without a label, and
    without that division.

    Equation:
        G_l = Σ_j h_{lj}²,  minimise softplus(θ − G_l⁺) + softplus(G_l⁻ − θ);  next part sees √d·h_l/‖h_l‖

    Source:
        Hinton 2022, arXiv 2212.13345.

    Use:
        To train every layer by its own objective from two forward passes, with and without the right label.

    Traps:
        Without normalisation between layers, the first layer's goodness solves the task of all. The readout here is a
        linear head on h_L of a pass without a label, a variant of the source's, which reads all layers but the first.
        Credit can't be measured where it acts, because the passes with gradients see other inputs than an evaluation
        does: metrics of credit are undefined.
    """

    name: Literal["forward_forward"]
    local: ClassVar[bool] = True
    gives_site_credit: ClassVar[bool] = False
    threshold: Annotated[float, Unit("1")] = Field(default=1.0, gt=0)
    """Goodness per unit at which a sample counts as one with its own label or with a wrong one alike."""
    normalize: bool = True
    """True if the next part sees outputs at length √d. Otherwise the goodness of the first solves the task of all."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True if there are blocks: the goodness of states that are zero, or alike, has no direction."""
        return depth > 0

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return E_y [C, d], which is frozen with the embedding, and begins as the embedding's weights would."""
        size = math.prod(model.shape(0))
        return (TensorSpec(LABELS, (classes, size), Init("uniform", features**-0.5), "embedding"),)

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return how many classes past its own a sample's wrong label is, minus 1."""
        return (DrawSpec("past", (None,), Init("integer", classes - 1)),)

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
        """Compute a pass with right labels, one with wrong ones, and one for the head."""
        from torch.nn.functional import softplus

        wrong = (y + 1 + feedback["past"]) % p[LABELS].shape[1]
        right_sites, branches = self._pass_with_labels(model, p, x, y)
        wrong_sites, _ = self._pass_with_labels(model, p, x, wrong)
        logits = pass_locally(model, p, x).logits
        value = loss.value(logits, y).mean(-1)
        descend = value
        for good, bad in zip(right_sites, wrong_sites, strict=True):
            if good.requires_grad:  # a frozen part descends nothing
                right, false = self._rate(good), self._rate(bad)
                descend = descend + (softplus(-right) + softplus(false)).mean(-1)
        descend = penalise(descend, branches, right_sites[1:], penalty)
        return Objective(descend=descend, loss=value.detach())

    def _pass_with_labels(
        self, model: Model, p: Mapping[str, Tensor], x: Tensor, labels: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the outputs of all parts, and f_0 … f_{L−1}, each on the detached output before it."""
        from harness.batched.losses import one_hot

        h = model.embed(p, x)
        told = p[LABELS]
        h = h + (one_hot(labels, told.new_empty(*labels.shape, told.shape[1])) @ told).view_as(h)
        sites, branches = [h], []
        for layer in range(model.depth):
            still = self._scale(sites[-1].detach())
            branches.append(model.branch(p, layer, still))
            sites.append(model.join(still, branches[-1]))
        return sites, branches

    def _scale(self, h: Tensor) -> Tensor:
        """Return h at length √d, if outputs are normalised."""
        if not self.normalize:
            return h
        length = h.flatten(2).square().mean(-1).sqrt()
        return h / (length.view(*length.shape, *[1] * (h.dim() - 2)) + EPS)

    def _rate(self, h: Tensor) -> Tensor:
        """Return G − θ [r, n]."""
        flat = h.flatten(2)
        return flat.square().sum(-1) - self.threshold * flat.shape[-1]


plugin = ForwardForward
