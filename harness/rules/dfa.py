"""Direct feedback alignment (Nøkland 2016, arXiv 1609.01596).

Every block receives the output error through its own fixed random matrix instead of the transposed weights above it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import FixedCredit, Flops
from harness.rules._local import (
    OF_EMBEDDING,
    LocalPass,
    LocalRule,
    Normalize,
    count_direct,
    count_local,
    list_direct,
    project,
    shape_credit,
)

if TYPE_CHECKING:
    from torch import Tensor

ONE = "feedback"
"""Name of the matrix that serves all blocks."""


class Dfa(LocalRule):
    """Direct feedback alignment with one feedback matrix per block and credit normalised per sample.

    Block l minimises mean_n ⟨f_l(h_l), â_l⟩ + λ·value(f_l) on detached h_l; the head minimises the loss on detached
    h_L; the embedding minimises mean_n ⟨E x, â_0⟩. a_l = e B_lᵀ, where e is the error of the loss, under cross entropy
    softmax(logits) − onehot(y); â_l = a_l / (rms_d(a_l) + 1e-6), B_l ~ N(0, 1/C), one per block. These are
    the defaults; the source has uniform matrices and no normalisation. Credit goes to a block's result, after its
    activation where it ends in one.

    Equation:
        c_0 = e B_0,  c_{l+1} = e B_l,  ĉ = c/(rms(c) + 1e-6)
        minimise mean_n ⟨h_{l+1}, sg ĉ_{l+1}⟩ + λ·value(f_l) for each block, on sg h_l

    Source:
        Nøkland 2016, arXiv 1609.01596. Nested matrices as in the public code of Launay et al. 2020, arXiv 2006.12878.

    Use:
        To ask whether a network can learn without a way back through its weights: each block is told of the error
        directly. Set beside it ``fresh_feedback``, whose matrices nothing can align to, and an arm with frozen blocks.

    Traps:
        Normalisation per sample is not the source's: a right answer pushes as hard as a wrong one, and a residual
        stream may grow without limit. ``normalize: none`` is nearer to the source. A trained head on random features
        goes far, so accuracy above chance shows nothing about the blocks. With ``feedback_seed``, the spread over
        seeds leaves out that of feedback. ``error: sign`` has a common mode, because its entries don't sum to zero.
        ``credit_cosine`` pairs matrices and gradients as a published protocol does, and ``site_cosine`` where credit
        acts: don't compare the two.
    """

    name: Literal["dfa"]
    is_direct: ClassVar[bool] = True
    matrices: Literal["per_layer", "shared", "nested"] = Field(
        default="per_layer", exclude_if=lambda value: value == "per_layer"
    )
    """Matrices B_l. per_layer (default): one per block; shared: the same for all, whose outputs have one size; nested:
    the first d columns of one that is as wide as the widest output."""
    feedback_seed: Annotated[int | None, Unit("1")] = Field(
        default=None, ge=0, lt=2**53, exclude_if=lambda value: value is None, examples=[0]
    )
    """Seed of the matrices in place of each replica's own, so that all seeds share them and their spread excludes that
    of feedback. null (default): each seed has its own."""
    init: Literal["normal", "uniform"] = Field(default="normal", exclude_if=lambda value: value == "normal")
    """Distribution of the matrices: N(0, 1/C) (normal, the default), or U(±1/√d) as in the source's code (uniform)."""
    normalize: Normalize = Field(default="sample", exclude_if=lambda value: value == "sample")
    """Divisor of credit: its root mean square over the units of a sample (sample, the default), that over the units and
    samples of a batch (batch), or none. With sample, a right answer pushes as hard as a wrong one."""
    error: Literal["softmax", "sign", "target"] = Field(default="softmax", exclude_if=lambda value: value == "softmax")
    """Fed-back signal. softmax (default): the error e of the loss, of which the softmax is part under cross entropy;
    sign: the sign of each entry of e; target: −onehot(y), as ``drtp`` does."""
    gives_credit: ClassVar[bool] = True
    backward: ClassVar[Literal["through", "direct_feedback"] | None] = "direct_feedback"

    @property
    def fixed_credit(self) -> FixedCredit | None:
        """Signal that is fed back; None if credit has a factor of its own."""
        fed: dict[str, Literal["error", "sign", "targets"]] = {"softmax": "error", "sign": "sign", "target": "targets"}
        if not self.has_plain_credit:
            return None
        return FixedCredit(fed[self.error], self.normalize, per_block=self.matrices == "per_layer")

    @property
    def defines_credit(self) -> bool:
        """False if labels are fed back, which a_l as a function of the error can't tell."""
        return self.error != "target"

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return B_l as [class, d], so that a_l = e B_l in the code's row-vector order."""
        specs = list_direct(model, classes, lambda size: self._choose_init(size, classes))
        if self.matrices != "per_layer":
            widest = max(specs, key=lambda spec: spec.shape[1])
            specs = (replace(widest, name=ONE),)
        return tuple(replace(spec, seed=self.feedback_seed) for spec in specs)

    def explain_misfit(self, model: Model) -> tuple[str, str] | None:
        """Refuse one matrix for states of several sizes."""
        sizes = dict.fromkeys(math.prod(model.shape(layer)) for layer in range(model.depth + 1))
        if self.matrices == "shared" and len(sizes) > 1:
            return f"can't share a matrix among states of several sizes: {', '.join(map(str, sizes))}", (
                "use matrices: nested or per_layer"
            )
        return None

    def _choose_init(self, size: int, classes: int) -> Init:
        return Init("uniform", size**-0.5) if self.init == "uniform" else Init("normal", classes**-0.5)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return 2·in·out per product, forward and for each gradient, and 2·C·d per block for e B_l.

        The gradient of trained weights is needed, and that of what goes into a product if parameters of the same part
        come before it: no error passes from part to part. A frozen block needs no credit, unless the embedding, which
        takes that of the first, is trained. One matrix for all blocks is multiplied once. A penalty adds no product.
        """
        credit = count_direct(model, classes, frozen)
        if credit and self.matrices != "per_layer":
            ((_, widest),) = (spec.shape for spec in self.feedback(model, features, classes))
            credit = 2 * classes * widest
        return count_local(model, features, classes, frozen, credit)

    def project_classes(
        self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor], classes: Tensor
    ) -> Sequence[Tensor]:
        """Return the B of every state."""
        return self._project(model, feedback, classes)

    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return c_0 = e B_0 and c_{l+1} = e B_l."""
        from harness.batched.losses import one_hot

        fed = -one_hot(y, error) if self.error == "target" else self._read(error)
        return self._project(model, feedback, fed)

    def _project(self, model: Model, feedback: Mapping[str, Tensor], fed: Tensor) -> list[Tensor]:
        if self.matrices == "per_layer":
            return project(model, feedback, fed)
        whole = fed @ feedback[ONE]
        return [_cut(model, whole, layer) for layer in range(model.depth + 1)]

    def _read(self, error: Tensor) -> Tensor:
        return error.sign() if self.error == "sign" else error

    def credit(self, model: Model, feedback: Mapping[str, Tensor], error: Tensor, layer: int) -> Tensor:
        """Return a_l = e B_lᵀ; the last hidden state h_L has no matrix of its own and takes B_{L−1}.

        This pairing needs states of one shape (``Model.has_equal_states``): B_l has a column per unit of h_{l+1}.
        """
        if not self.defines_credit:
            return super().credit(model, feedback, error, layer)
        last = min(layer, model.depth - 1)
        if self.matrices == "per_layer":
            own = layer == 0 and OF_EMBEDDING in feedback
            flat = self._read(error) @ feedback[OF_EMBEDDING if own else f"feedback_{last}"]
            return shape_credit(model, flat, layer)
        return _cut(model, self._read(error) @ feedback[ONE], last + 1)


def _cut(model: Model, whole: Tensor, layer: int) -> Tensor:
    """Return the first entries of whole [r, n, units] in the shape of h_l."""
    shape = model.shape(layer)
    return whole[..., : math.prod(shape)].reshape(*whole.shape[:-1], *shape)


plugin = Dfa
