"""Half the squared distance between logits and one-hot targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from harness.losses import Loss

if TYPE_CHECKING:
    from torch import Tensor


class SquaredError(Loss):
    """½‖z − t‖², summed over classes, with t = onehot(y). The error is z − t.

    Equation:
        ℓ = ½‖z − t‖²;  e = z − t

    Source:
        Gauss's least squares; for classification e.g. Hui and Belkin 2021, arXiv 2006.07322.

    Use:
        For linear networks and identities with known answers, and where softmax would saturate.

    Traps:
        Errors are unbounded and don't vanish for right answers that overshoot, so that rates which suit cross entropy
        may diverge.
    """

    name: Literal["squared_error"]

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return ½‖z − t‖²."""
        return self.error(logits, labels).square().sum(-1) / 2.0

    def error(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return z − t."""
        return logits - self.targets(logits, labels)


plugin = SquaredError
