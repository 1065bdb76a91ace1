"""Parts of rules that train every part of a model on credit at its own output; this module is no plug-in.

    R(c) = loss(head(sg h_L)) + S(embed(x), c_0) + Σ_l S(join(sg h_l, f_l(sg h_l)), c_{l+1})

Here S(u, c) = mean_n ⟨u, sg c⟩, and sg stops the gradient. With the true gradients for c, R
has exactly the gradient of backpropagation.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.plugins.registry import NamedOrShort
from harness.rules import CREDIT_EPS, Flops, Objective, Rule
from harness.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor

Normalize = Literal["sample", "batch", "none"]
"""Extent over which credit is divided by its root mean square."""
CREDIT_SCALE = "strength/credit_scale"
"""Name under which a factor on credit that follows a schedule comes among the feedback."""


class LocalPass(NamedTuple):
    """A forward pass in which no gradient flows from part to part, of r replicas and n samples."""

    embedded: Tensor
    """embed(x), [r, n, …]."""
    hidden: list[Tensor]
    """Detached states sg h_0 … sg h_L."""
    branches: list[Tensor]
    """f_l(sg h_l), l = 0 … L − 1."""
    joined: list[Tensor]
    """join(sg h_l, f_l(sg h_l)), l = 0 … L − 1."""
    logits: Tensor
    """head(sg h_L), [r, n, c]."""

    @property
    def sites(self) -> list[Tensor]:
        """The outputs at which credit acts: of the embedding and of every block."""
        return [self.embedded, *self.joined]


class LocalRule(Rule):
    """A rule that trains the head on the loss, and embedding and blocks on credit at their outputs."""

    local: ClassVar[bool] = True
    normalize: Normalize = "sample"
    """Divisor of credit: its root mean square over the units of a sample (sample, the default), that over the units and
    samples of a batch (batch), or none. With sample, a right answer pushes as hard as a wrong one."""
    clip: Annotated[float | None, Unit("1")] = Field(default=1.0, gt=0)
    """Largest gradient norm per block; null switches clipping off."""
    credit_scale: Annotated[float, Unit("1")] = Field(default=1.0, gt=0, exclude_if=lambda value: value == 1.0)
    """Factor γ on all credit, after normalisation. By default, 1. It works against the learning rate of the head, a
    penalty and a clip; an optimizer that divides gradients by their size takes it out again."""

    credit_schedule: Annotated[Schedule, NamedOrShort("schedules")] | None = Field(
        default=None, exclude_if=lambda value: value is None, examples=["warmup"]
    )
    """Schedule of the factor on credit, as one of the learning rate: it multiplies ``credit_scale`` in every epoch.
    null (default): the same in all epochs."""

    @property
    def credit_scales(self) -> tuple[str, ...]:
        """The factor on credit, if it stays the same."""
        return ("credit_scale",) if self.credit_schedule is None else ()

    @property
    def has_plain_credit(self) -> bool:
        """True if credit is used as it is given and normalised, without a factor of its own."""
        return self.credit_scale == 1.0 and self.credit_schedule is None

    @property
    def strengths(self) -> Mapping[str, tuple[float, Schedule]]:
        """The factor on credit, if it follows a schedule."""
        return {} if self.credit_schedule is None else {CREDIT_SCALE: (self.credit_scale, self.credit_schedule)}

    @abstractmethod
    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return c_0 … c_L, each of its state's shape [r, n, …], from the error e of the arm's loss [r, n, c]."""

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
        """Compute one forward pass, detached between parts: the surrogates' gradients are the rule's updates."""
        return self.train_parts(model, p, feedback, x, y, penalty, loss)[1]

    def train_parts(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        penalty: Callable[..., Tensor] | None,
        loss: Loss,
    ) -> tuple[LocalPass, Objective]:
        """Return the forward pass beside the objective, for rules that add to it."""
        done = pass_locally(model, p, x)
        value = loss.value(done.logits, y).mean(-1)
        error = loss.error(done.logits.detach(), y)
        descend = value
        for site, credit in zip(done.sites, self.give_credit(model, p, feedback, done, error, y), strict=True):
            if site.requires_grad:  # a frozen part descends nothing
                used = normalise_credit(credit.detach(), self.normalize)
                if not self.has_plain_credit:
                    used = used * feedback.get(CREDIT_SCALE, self.credit_scale)
                descend = descend + multiply(site, used)
        descend = penalise(descend, done.branches, done.joined, penalty)
        return done, Objective(descend=descend, loss=value.detach())


def pass_locally(model: Model, p: Mapping[str, Tensor], x: Tensor) -> LocalPass:
    """Compute a forward pass of x [r, n, i], detached between parts."""
    embedded = model.embed(p, x)
    hidden, branches, joined = [embedded.detach()], [], []
    for layer in range(model.depth):
        branches.append(model.branch(p, layer, hidden[-1]))
        joined.append(model.join(hidden[-1], branches[-1]))
        hidden.append(joined[-1].detach())
    return LocalPass(embedded, hidden, branches, joined, model.head(p, hidden[-1]))


def multiply(site: Tensor, credit: Tensor) -> Tensor:
    """Return mean_n ⟨u_n, c_n⟩ [r], whose gradient in u is c/n, from u and c [r, n, …]."""
    return (site * credit).flatten(2).sum(-1).mean(-1)


def penalise(
    descend: Tensor, branches: Sequence[Tensor], joined: Sequence[Tensor], penalty: Callable[..., Tensor] | None
) -> Tensor:
    """Return an objective [r] plus the penalty of every block that is not frozen, from its f_l and its h_{l+1}."""
    if penalty is None:
        return descend
    for f, h in zip(branches, joined, strict=True):
        if f.requires_grad:
            descend = descend + penalty(f, h)
    return descend


def normalise_credit(credit: Tensor, kind: Normalize) -> Tensor:
    """Return credit [r, n, …] over its root mean square + 1e-6: of a sample, of a replica's batch, or as it is."""
    if kind == "none":
        return credit
    axes = list(range(2 if kind == "sample" else 1, credit.dim()))
    return credit / (credit.square().mean(axes, keepdim=True).sqrt() + CREDIT_EPS)


# Direct feedback: c_0 = e B_0, c_{l+1} = e B_l ------------------------------------------------------------------------

OF_EMBEDDING = "feedback_embedding"


def list_direct(model: Model, classes: int, init: Callable[[int], Init]) -> tuple[TensorSpec, ...]:
    """Return the specs of B_l [C, d_{l+1}], where ``init`` maps d to a distribution.

    B_0 serves embed(x) and the first block; where their outputs differ in shape, embed(x) has a matrix of its own.
    """
    specs = []
    if not _shares_first(model):
        size = math.prod(model.shape(0))
        specs.append(TensorSpec(OF_EMBEDDING, (classes, size), init(size), "embedding"))
    for layer in range(model.depth):
        size = math.prod(model.shape(layer + 1))
        specs.append(TensorSpec(f"feedback_{layer}", (classes, size), init(size), f"block_{layer}"))
    return tuple(specs)


def project(model: Model, feedback: Mapping[str, Tensor], error: Tensor) -> list[Tensor]:
    """Return c_0 = e B_0 and c_{l+1} = e B_l, of the states' shapes, from e [r, n, c] and the matrices' names."""
    blocks = [shape_credit(model, error @ feedback[f"feedback_{layer}"], layer + 1) for layer in range(model.depth)]
    first = blocks[0] if _shares_first(model) else shape_credit(model, error @ feedback[OF_EMBEDDING], 0)
    return [first, *blocks]


def shape_credit(model: Model, flat: Tensor, layer: int) -> Tensor:
    """Return credit [r, n, units] in the shape of h_l [r, n, …]."""
    return flat.reshape(*flat.shape[:-1], *model.shape(layer))


def count_local(model: Model, features: int, classes: int, frozen: frozenset[str], credit: int) -> Flops | None:
    """Return 2·in·out per product, forward and for each gradient, and ``credit`` operations for credit.

    The gradient of trained weights is needed, and that of what goes into a product if parameters of the same part come
    before it: no error passes from part to part. A penalty adds no product.
    """
    products = model.products(features, classes)
    if products is None:
        return None
    backward = sum(product.flops * (1 + product.follows) for product in products if product.group not in frozen)
    return Flops(sum(product.flops for product in products), backward + credit)


def count_direct(model: Model, classes: int, frozen: frozenset[str]) -> int:
    """Return 2·C·d per block for e B_l.

    A frozen block needs no credit, unless the embedding, which takes that of the first, is trained.
    """
    needed = {layer for layer in range(model.depth) if f"block_{layer}" not in frozen}
    found = sum(2 * classes * math.prod(model.shape(layer + 1)) for layer in needed)
    if "embedding" not in frozen and not (_shares_first(model) and 0 in needed):
        found += 2 * classes * math.prod(model.shape(0))
    return found


def _shares_first(model: Model) -> bool:
    return model.depth > 0 and model.shape(0) == model.shape(1)
