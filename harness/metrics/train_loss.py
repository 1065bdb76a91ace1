"""Training loss of an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class TrainLoss(Metric):
    """Mean cross entropy −log softmax(logits)_label over the epoch's training samples.

    Each sample counts as it was seen in training, with the weights of its own step.
    """

    name: Literal["train_loss"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "training loss"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    curve: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the losses [r]."""
        return evaluation.train_loss


plugin = TrainLoss
