"""Fraction of the training split that is classified correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TrainAccuracy(Metric):
    """Top-1 accuracy on the whole training split, #{argmax logits = label} / n, in training precision.

    It is measured with the weights after the epoch and without augmentation. The labels are those of the data set,
    whatever labels were trained on. It is NaN if any logit is not finite: argmax would take place 0 and count it as an
    answer.

    Equation:
        #{argmax_c z_c = y}/N over the training split, without augmentation

    Source:
        The usual top-1 accuracy.

    Use:
        To tell whether an arm fails to fit or fails to generalise; for memorised labels see ``train_loss``.

    Traps:
        Labels are those of the data set: an arm that learns shuffled labels by heart has an accuracy near chance here.
        It takes a pass over the training split at every evaluation.
    """

    name: Literal["train_accuracy"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "training accuracy"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    split: ClassVar[Literal["train"]] = "train"
    better: ClassVar[Literal["higher"]] = "higher"
    curve: ClassVar[bool] = True

    def resolution(self, test_count: int) -> float:
        """Return the contribution of one sample, 1 / ``test_count``."""
        return 1 / test_count

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        from harness.batched.losses import accuracy

        return accuracy(evaluation.train_logits, evaluation.original_train_labels)


plugin = TrainAccuracy
