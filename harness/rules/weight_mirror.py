"""Weight mirrors (Akrout et al. 2019, arXiv 1904.05391): feedback that learns the weights from noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.batched.specs import DrawSpec, Init, TensorSpec
from harness.losses import Loss
from harness.models import Model
from harness.plugins.fields import Unit
from harness.rules import (
    BackwardInit,
    Objective,
    Rule,
    descend_through,
    list_backward,
    list_paired,
    pair_weights,
)

if TYPE_CHECKING:
    from torch import Tensor


NOISE = "noise/"


class WeightMirror(Rule):
    """Feedback alignment whose B mirrors W after every update: B ← (1 − λ)B + η·ξᵀ(ξW)/m, with noise ξ [m, in].

    ξ is +1 or −1 with equal chances, independent for each weight, so that E ξᵀξ/m = 1 and B approaches (η/λ)W at the
    rate (1 − λ)ᵗ, with less noise than normal numbers would leave.

    Equation:
        B ← (1 − λ)B + η·ξᵀ(ξW)/m after every update, with E ξᵀξ/m = 1

    Source:
        Akrout et al. 2019, arXiv 1904.05391.

    Use:
        To learn the way back from noise that is sent forward through each weight. It needs neither gradients nor decay
        of the weights.

    Traps:
        B approaches (η/λ)W, so that a decay other than the rate scales credit at every weight. Mirroring follows W
        with a delay of about 1/λ steps. The source sends noise through biases and activations too, which scales B
        unequally per output unit; here each weight is mirrored alone. Noise costs a draw of m·in numbers per weight
        and step.
    """

    name: Literal["weight_mirror"]
    pairs_weights: ClassVar[bool] = True
    rate: Annotated[float, Unit("1")] = Field(default=0.1, gt=0, le=1)
    """Rate η at which B follows what the noise shows."""
    decay: Annotated[float | None, Unit("1")] = Field(default=None, ge=0, le=1, examples=[0.05])
    """Decay λ of B per step. null (default): as much as the rate, so that B approaches W itself."""
    samples: Annotated[int, Unit("samples")] = Field(default=128, ge=1)
    """Number m of noise vectors that are sent through every weight after each update."""
    init: BackwardInit = "like_weights"
    """Distribution of B at the beginning. like_weights (default): that of the weights, drawn anew; normal: normal
    numbers of sd 1/√fan_in."""

    def feedback(self, model: Model, features: int, classes: int) -> tuple[TensorSpec, ...]:
        """Return a B of its shape for every weight but the first, under the weight's name."""
        return list_backward(model, features, classes, self.init)

    def draws(self, model: Model, features: int, classes: int) -> tuple[DrawSpec, ...]:
        """Return the noise [m, in] of every weight but the first."""
        return tuple(
            DrawSpec(f"{NOISE}{spec.name}", (self.samples, spec.shape[0]), Init("sign", 1.0))
            for spec in list_paired(model, features, classes)
        )

    def evolve(self, model: Model, p: Mapping[str, Tensor], feedback: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return (1 − λ)B + η·ξᵀ(ξW)/m for every B."""
        decay = self.rate if self.decay is None else self.decay
        found = {}
        for name in self._list_mirrors(feedback):
            noise = feedback[f"{NOISE}{name}"]
            seen = noise.mT @ (noise @ p[name])
            found[name] = feedback[name] * (1.0 - decay) + seen * (self.rate / self.samples)
        return found

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
        backward = {name: feedback[name] for name in self._list_mirrors(feedback)}
        return descend_through(model, pair_weights(p, backward), x, y, penalty, loss)

    def _list_mirrors(self, feedback: Mapping[str, Tensor]) -> list[str]:
        return [name for name in feedback if not name.startswith(NOISE)]


plugin = WeightMirror
