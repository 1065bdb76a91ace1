"""Sign symmetry (Liao, Leibo and Poggio 2016, arXiv 1510.05067): feedback with the signs of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.rules import Flops, Objective, Rule, choose_init, count_through, descend_through, list_paired, pair_weights

if TYPE_CHECKING:
    from torch import Tensor


class SignSymmetric(Rule):
    """Feedback alignment whose B has the signs of the present W: B = |M| ⊙ sign(W), with sign(0) = 1.

    The signs are read from the weights at every step; the magnitudes M know nothing of them. For normal W, uniform
    magnitudes lie at 37° to W and random ones at 51°; for uniform W at 30° and 41°.

    Equation:
        B = |M| ⊙ sign(W),  sign(0) = 1
        usf: M constant;  frsf: M fixed;  brsf: M drawn anew at every step

    Source:
        Liao, Leibo and Poggio 2016, arXiv 1510.05067; Moskovitz, Litwin-Kumar and Abbott 2018, arXiv 1812.06488; Xiao
        et al. 2018, arXiv 1811.03567.

    Use:
        To ask how much of backpropagation is in the signs of the weights. It comes close to ``bp`` where direct
        feedback does not.

    Traps:
        B follows W at every step, so signs are transported: it is no solution of the weight transport problem. The
        published results rest on batch norm or on updates by the gradient's sign, which AdamW nearly is. With ``scale:
        norm``, weights that are zero send nothing back.
    """

    name: Literal["sign_symmetric"]
    pairs_weights: ClassVar[bool] = True
    variant: Literal["usf", "frsf", "brsf"] = "usf"
    """Magnitudes M. usf (uniform, the default): one number for all of W; frsf (fixed random): drawn once, distributed
    as W at its initialisation; brsf (batch random): drawn from there anew at every step."""
    scale: Literal["init", "norm"] = "init"
    """Size of the magnitudes. init (default): the standard deviation of W at its initialisation, also when W has grown;
    norm: such that ‖B‖ = ‖W‖ for each weight at every step, so that zeros send nothing back."""

    def is_stuck_at_zero(self, depth: int, silent: bool) -> bool:
        """Return True if B has one number, or is of the size of W while states are zero: W stays as it is."""
        return self.variant == "usf" or (self.scale == "norm" and silent)

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return M for every weight but the first, under the weight's name: one number, its shape, or nothing."""
        if self.variant == "brsf":
            return ()
        specs = []
        for spec in list_paired(model, features, classes):
            init, shape = choose_init(spec, "like_weights"), spec.shape
            if self.variant == "usf":
                init, shape = Init("constant", _find_deviation(init)), (1,) * len(spec.shape)
            specs.append(TensorSpec(spec.name, shape, init, spec.group))
        return tuple(specs)

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return M for every weight but the first if it is drawn at every step."""
        if self.variant != "brsf":
            return ()
        paired = list_paired(model, features, classes)
        return tuple(DrawSpec(spec.name, spec.shape, choose_init(spec, "like_weights")) for spec in paired)

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
        backward = {name: self._make(p[name].detach(), magnitudes) for name, magnitudes in feedback.items()}
        return descend_through(model, pair_weights(p, backward), x, y, penalty, loss)

    def _make(self, weight: Tensor, magnitudes: Tensor) -> Tensor:
        """Return B from W [r, …] and M, which broadcasts to it."""
        made = magnitudes.abs() * (2.0 * (weight >= 0).to(weight.dtype) - 1.0)
        if self.scale == "norm":
            axes = list(range(1, weight.dim()))
            own, wanted = (one.square().sum(axes, keepdim=True).sqrt() for one in (made, weight))
            made = made * (wanted / own)
        return made


def _find_deviation(init: Init) -> float:
    """Return the standard deviation of a distribution around 0."""
    return init.scale / 3**0.5 if init.kind == "uniform" else init.scale


plugin = SignSymmetric
