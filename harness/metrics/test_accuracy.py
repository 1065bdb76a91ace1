"""Share of the test split that is classified rightly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TestAccuracy(Metric):
    """Top-1 accuracy on the whole test split, #{argmax logits = label} / n, in training precision. It is no number
    where a logit is none: the largest of such logits is at place 0, which would make of them an answer.
    """

    name: Literal["test_accuracy"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "test accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    curve: ClassVar[bool] = True

    def resolution(self, test_count: int) -> float:
        """Return what one sample counts: 1 of ``test_count``."""
        return 1 / test_count

    def measure(self, evaluation: Evaluation) -> Tensor:
        """[r]."""
        logits = evaluation.test_logits
        hits = (logits.argmax(-1) == evaluation.test_labels).double().mean(-1)
        return hits.masked_fill(~logits.isfinite().flatten(1).all(1), float("nan"))


plugin = TestAccuracy
