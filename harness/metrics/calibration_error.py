"""Calibration: how far confidence is from accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class CalibrationError(Metric):
    """Expected calibration error on the test split: Σ_b (n_b/n)·|accuracy_b − confidence_b| (Guo et al. 2017).

    Samples are put into 15 bins (a, b] of equal width by their largest probability. NaN if any logit is not finite.

    Equation:
        Σ_b (n_b/n)·|acc_b − conf_b|, 15 bins of max p of equal width

    Source:
        Guo et al. 2017, arXiv 1706.04599.

    Use:
        Whether probabilities may be taken at their word.

    Traps:
        It depends on the bins, and is biased upwards for few samples. A network that always answers with the base rate
        is well calibrated.
    """

    name: Literal["calibration_error"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "calibration error"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    better: ClassVar[Literal["lower"]] = "lower"

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the errors [r]."""
        from harness.batched.calibration import calibration_error

        return calibration_error(evaluation.test_logits.double().softmax(-1), evaluation.test_labels)


plugin = CalibrationError
