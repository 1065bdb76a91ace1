"""Cross entropy of the softmax, with label smoothing (Szegedy et al. 2016, arXiv 1512.00567)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.losses import Loss
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss):
    """−Σ_c t_c log p_c, p = softmax(z), with t = (1 − s)·onehot(y) + s/C. The error is p − t.

    Equation:
        ℓ = −Σ_c t_c log p_c,  p = softmax(z),  t = (1 − s)·onehot(y) + s/C;  e = p − t

    Source:
        Label smoothing: Szegedy et al. 2016, arXiv 1512.00567.

    Use:
        The default for classification. Only without smoothing do the fastest steps take it.

    Traps:
        With smoothing, losses don't fall to 0 and are not comparable with those without. ``drtp`` takes its targets
        from the labels and knows no smoothing in its credit.
    """

    name: Literal["cross_entropy"]
    gradient: ClassVar[Literal["softmax_minus_targets"] | None] = "softmax_minus_targets"
    label_smoothing: Annotated[float, Unit("1")] = Field(default=0.0, ge=0, lt=1)
    """Share s of the target that is spread over all C classes. 0 leaves the labels as they are."""

    @property
    def has_plain_targets(self) -> bool:
        """True without label smoothing."""
        return self.label_smoothing == 0

    def targets(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return (1 − s)·onehot(y) + s/C."""
        hard = super().targets(logits, labels)
        return hard if self.has_plain_targets else hard * (1.0 - self.label_smoothing) + self._share(logits)

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return −Σ_c t_c log p_c."""
        from harness.batched.losses import cross_entropy

        return cross_entropy(logits, labels, self.label_smoothing)

    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return p − t."""
        from harness.batched.losses import softmax_error

        if self.has_plain_targets:
            return softmax_error(logits, labels)
        return logits.softmax(-1) - self.targets(logits, labels)

    def _share(self, logits: Tensor) -> float:
        return self.label_smoothing / logits.shape[-1]


plugin = CrossEntropy
