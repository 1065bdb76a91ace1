"""Squared error of the probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class BrierScore(Metric):
    """Mean of ‖softmax(logits) − onehot(y)‖² over the test split (Brier 1950), between 0 and 2.

    Equation:
        mean_n ‖softmax(z_n) − onehot(y_n)‖²

    Source:
        Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Use:
        A proper score of probabilities that, unlike cross entropy, a single confident error can't dominate.

    Traps:
        It is the sum over classes, from 0 to 2; some codes divide by C.
    """

    name: Literal["brier_score"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "Brier score"
    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)
    better: ClassVar[Literal["lower"]] = "lower"

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the scores [r]."""
        from harness.batched.calibration import brier_score

        return brier_score(evaluation.test_logits.double().softmax(-1), evaluation.test_labels)


plugin = BrierScore
