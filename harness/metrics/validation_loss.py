"""Loss on the validation split."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class ValidationLoss(Metric):
    """Mean cross entropy −log softmax(logits)_label over the validation split, from logits in training precision.

    The labels are those of the data set, whatever labels were trained on.

    Equation:
        mean of −log softmax(z)_y over the validation split

    Source:
        Cross entropy.

    Use:
        As ``validation_accuracy``, where accuracy is too coarse to choose by.

    Traps:
        Overconfident networks lose in it while their accuracy still rises: the two may choose different epochs.
    """

    name: Literal["validation_loss"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "validation loss"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    split: ClassVar[Literal["validation"]] = "validation"
    better: ClassVar[Literal["lower"]] = "lower"
    curve: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the losses [r]."""
        from harness.batched.losses import mean_cross_entropy

        return mean_cross_entropy(evaluation.validation_logits, evaluation.validation_labels)


plugin = ValidationLoss
