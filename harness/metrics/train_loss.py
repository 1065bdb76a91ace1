"""Training loss of an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TrainLoss(Metric):
    """Mean loss over the epoch's training samples: the arm's ``loss``, by default cross entropy.

    Each sample counts as it was seen in training, with the weights of its own step and with the label that was trained
    on. ``train_loss_original`` has the data set's own labels.

    Equation:
        mean over the epoch's samples of ℓ(z, y), each as it was trained on

    Source:
        The arm's own loss.

    Use:
        As a guard that an arm trains at all, and to choose or align epochs, for which the test split may not be read.

    Traps:
        It is a mean over an epoch in which the weights moved and images were augmented, so that it lags behind the
        weights. Arms with different losses or labels don't compare.
    """

    name: Literal["train_loss"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "training loss"
    of_loss: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    split: ClassVar[Literal["train"]] = "train"
    reads_logits: ClassVar[bool] = False
    better: ClassVar[Literal["lower"]] = "lower"
    curve: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the losses [r]."""
        return evaluation.train_loss


plugin = TrainLoss
