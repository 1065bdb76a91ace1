"""Accuracy on the class that is classified worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class WorstClass(Metric):
    """Least accuracy of all classes of the test split that have samples. NaN if any logit is not finite.

    Equation:
        min_c accuracy_c over the test split

    Source:
        The usual accuracy, of the worst class.

    Use:
        To see failures that a mean over classes hides.

    Traps:
        A minimum over classes is biased downwards and noisier than a mean; which class is worst may differ from seed
        to seed.
    """

    name: Literal["worst_class"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "accuracy on the worst class"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    better: ClassVar[Literal["higher"]] = "higher"

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        from harness.batched.calibration import class_accuracies, worst_class

        return worst_class(class_accuracies(evaluation.test_logits, evaluation.test_labels))


plugin = WorstClass
