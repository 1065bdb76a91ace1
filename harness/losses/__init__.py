"""Losses, which compare logits with labels. A rule takes its error from the loss of the arm."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Plugin):
    """Interface of a loss plug-in. No operation mixes samples or replicas."""

    gradient: ClassVar[Literal["softmax_minus_targets"] | None] = None
    """Equations of ``error``, for steps that compute them with code of their own; None leaves the loss to autograd.

    ``softmax_minus_targets``: softmax(z) − t for one-hot targets t. A declaration holds for the class that makes it,
    not for its subclasses, and only while no parameter changes the targets (``has_plain_targets``).
    """

    @property
    def has_plain_targets(self) -> bool:
        """True if the targets are one-hot vectors, whatever the parameters."""
        return True

    def targets(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the targets t [r, n, c] of labels int64 [r, n], in the type of ``logits`` [r, n, c]; here one-hot."""
        from harness.batched.losses import one_hot

        return one_hot(labels, logits)

    @abstractmethod
    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample: logits z [r, n, c], labels int64 [r, n] → [r, n]."""

    @abstractmethod
    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return e = ∂value/∂z [r, n, c] of each sample, without a factor 1/n."""


def is_default_loss(loss: Loss) -> bool:
    """Tell whether a loss is cross entropy as it always was, which no canonical form names."""
    return loss.model_dump() == {"name": "cross_entropy", "label_smoothing": 0.0}
