"""Fraction of the test split that is classified correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TestAccuracy(Metric):
    """Top-1 accuracy on the whole test split, #{argmax logits = label} / n, in training precision.

    It is NaN if any logit is not finite: argmax would take place 0 and count it as an answer.
    """

    name: Literal["test_accuracy"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "test accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    curve: ClassVar[bool] = True

    def resolution(self, test_count: int) -> float:
        """Return the contribution of one sample, 1 / ``test_count``."""
        return 1 / test_count

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        logits = evaluation.test_logits
        hits = (logits.argmax(-1) == evaluation.test_labels).double().mean(-1)
        return hits.masked_fill(~logits.isfinite().flatten(1).all(1), float("nan"))


plugin = TestAccuracy
