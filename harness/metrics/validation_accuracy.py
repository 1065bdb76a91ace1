"""Fraction of the validation split that is classified correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class ValidationAccuracy(Metric):
    """Top-1 accuracy on the whole validation split, #{argmax logits = label} / n, in training precision.

    The labels are those of the data set, whatever labels were trained on. It is NaN if any logit is not finite: argmax
    would take place 0 and count it as an answer.

    Equation:
        #{argmax_c z_c = y}/N over the validation split

    Source:
        The usual top-1 accuracy.

    Use:
        To choose epochs and settings without looking at the test split.

    Traps:
        The split is taken from the training images, which are then fewer. What was chosen by it is optimistic on it:
        report the test split.
    """

    name: Literal["validation_accuracy"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "validation accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    split: ClassVar[Literal["validation"]] = "validation"
    better: ClassVar[Literal["higher"]] = "higher"
    curve: ClassVar[bool] = True

    def resolution(self, test_count: int) -> float:
        """Return the contribution of one sample, 1 / ``test_count``."""
        return 1 / test_count

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        from harness.batched.losses import accuracy

        return accuracy(evaluation.validation_logits, evaluation.validation_labels)


plugin = ValidationAccuracy
