"""Loss on the training split by the data set's own labels, for arms that are trained on others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TrainLossOriginal(Metric):
    """Mean cross entropy −log softmax(logits)_label over the training split, by the labels that the data set has.

    It is measured after the epoch, with its last weights and without augmentation, in training precision. The
    ``train_loss`` is a mean over the epoch by the labels that were trained on, so that both differ a little even where
    these are the data set's own.

    Equation:
        mean of −log softmax(z)_y over the training split, by the data set's labels

    Source:
        Cross entropy.

    Use:
        For arms that are trained on changed labels: whether they still fit the true ones.

    Traps:
        It is cross entropy whatever the arm trains on, and is computed without augmentation: it isn't the number that
        training descends.
    """

    name: Literal["train_loss_original"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "training loss by the original labels"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    split: ClassVar[Literal["train"]] = "train"
    better: ClassVar[Literal["lower"]] = "lower"
    curve: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the losses [r]."""
        from harness.batched.losses import mean_cross_entropy

        return mean_cross_entropy(evaluation.train_logits, evaluation.original_train_labels)


plugin = TrainLossOriginal
