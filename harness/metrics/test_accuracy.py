"""Fraction of the test split that is classified correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TestAccuracy(Metric):
    """Top-1 accuracy on the whole test split, #{argmax logits = label} / n, in training precision.

    It is NaN if any logit is not finite: argmax would take place 0 and count it as an answer.

    Equation:
        #{argmax_c z_c = y}/N over the test split

    Source:
        The usual top-1 accuracy.

    Use:
        For what a rule achieves. Compare with an arm whose blocks are frozen to learn what the blocks contribute.

    Traps:
        It moves in steps of 1/N, and several epochs or settings compared on the test split choose by it: no epoch may
        be. On random features a trained head is far above chance.
    """

    name: Literal["test_accuracy"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "test accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    better: ClassVar[Literal["higher"]] = "higher"
    curve: ClassVar[bool] = True

    def resolution(self, test_count: int) -> float:
        """Return the contribution of one sample, 1 / ``test_count``."""
        return 1 / test_count

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        from harness.batched.losses import accuracy

        return accuracy(evaluation.test_logits, evaluation.test_labels)


plugin = TestAccuracy
