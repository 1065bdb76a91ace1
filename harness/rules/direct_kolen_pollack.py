"""Direct Kolen–Pollack (Webster et al. 2021, openreview.net/forum?id=zgGmAx9ZcY): direct feedback that learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import OWN, Flops, Objective
from harness.rules._local import (
    LocalPass,
    LocalRule,
    Normalize,
    count_direct,
    count_local,
    list_direct,
    project,
)

if TYPE_CHECKING:
    from torch import Tensor


class DirectKolenPollack(LocalRule):
    """Direct feedback alignment, c_0 = e B_0, c_{l+1} = e B_l, whose matrices are trained along: ∂B_l = eᵀh_{l+1}/n.

    This is the gradient that the transposed head would get if it read h_{l+1}. B_l ~ N(0, 1/C) at the beginning; it is
    updated and decayed as weights are, and frozen with its block.

    Equation:
        c_{l+1} = e B_l,  ∂B_l = eᵀ h_{l+1} / n

    Source:
        Webster et al. 2021, openreview.net/forum?id=zgGmAx9ZcY.

    Use:
        Direct feedback whose matrices learn what the head would learn from each state, where ``dfa`` has fixed ones.

    Traps:
        The authors' public code calls batch norm and a schedule of its own for B essential, and reports instability;
        neither exists here. Without normalisation or ``clip``, credit grows with B.
    """

    name: Literal["direct_kolen_pollack"]
    is_direct: ClassVar[bool] = True
    normalize: Normalize = "none"
    """Divisor of credit: its root mean square over the units of a sample (sample), that over the units and samples of a
    batch (batch), or none (the default)."""
    clip: Annotated[float | None, Unit("1")] = Field(default=None, gt=0, examples=[1.0])
    """Largest gradient norm per block; null (default) switches clipping off."""

    def parameters(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return B_l [C, d_{l+1}], frozen with block l."""
        specs = list_direct(model, classes, lambda size: Init("normal", classes**-0.5))
        return tuple(replace(spec, name=f"{OWN}{spec.name}") for spec in specs)

    def count_flops(self, model: Model, features: int, classes: int, frozen: frozenset[str]) -> Flops | None:
        """Return the operations of all parts, 2·C·d per block for e B_l, and as many for eᵀh_{l+1} if B_l trains."""
        trained = [spec for spec in self.parameters(model, features, classes) if spec.group not in frozen]
        learned = sum(2 * math.prod(spec.shape) for spec in trained)
        return count_local(model, features, classes, frozen, count_direct(model, classes, frozen) + learned)

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
        """Compute one forward pass, and add Σ_l mean_n ⟨sg(h_{l+1}) B_lᵀ, sg e⟩, whose gradient is that of B_l."""
        done, found = self.train_parts(model, p, feedback, x, y, penalty, loss)
        error = loss.error(done.logits.detach(), y)
        descend = found.descend
        for name, matrix in p.items():
            if name.startswith(OWN) and matrix.requires_grad:
                state = done.hidden[_find_layer(name)].flatten(2)
                descend = descend + ((state @ matrix.mT) * error).sum(-1).mean(-1)
        return Objective(descend=descend, loss=found.loss)

    def project_classes(
        self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor], classes: Tensor
    ) -> Sequence[Tensor]:
        """Return the B of every state."""
        return project(model, _take_own(p), classes)

    def give_credit(
        self,
        model: Model,
        p: Mapping[str, Tensor],
        feedback: Mapping[str, Tensor],
        done: LocalPass,
        error: Tensor,
        y: Tensor,
    ) -> Sequence[Tensor]:
        """Return e B_l."""
        return project(model, _take_own(p), error)


def _take_own(p: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the matrices under the names that those of fixed feedback have."""
    return {name.removeprefix(OWN): tensor.detach() for name, tensor in p.items()}


def _find_layer(name: str) -> int:
    """Return the number of the state that a matrix learns from: h_{l+1} for B_l, h_0 for that of the embedding."""
    end = name.rpartition("_")[2]
    return int(end) + 1 if end.isdigit() else 0


plugin = DirectKolenPollack
