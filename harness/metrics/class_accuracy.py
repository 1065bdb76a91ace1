"""Accuracy on one class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.metrics import Evaluation, Metric
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class ClassAccuracy(Metric):
    """Share of one class's samples in the test split that are classified correctly. NaN if any logit is not finite.

    Equation:
        #{argmax_c z_c = y = c}/#{y = c} over the test split

    Source:
        The usual accuracy, of one class.

    Use:
        For questions about one class, such as one that was left out or relabelled.

    Traps:
        A class has few test samples, so that steps are large. Always choosing the class gives 1.
    """

    name: Literal["class_accuracy"]
    of: Annotated[int, Unit("1")] = Field(ge=0, examples=[3])
    """Number of the class, from 0 in the order of the data set."""
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "accuracy on a class"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    worst: ClassVar[float | None] = 0.0
    better: ClassVar[Literal["higher"]] = "higher"

    @property
    def least_classes(self) -> int:
        """Return the number of classes that has this one."""
        return self.of + 1

    def _describe(self) -> list[str]:
        return [f"class {self.of}"]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the accuracies [r]."""
        from harness.batched.calibration import class_accuracies

        return class_accuracies(evaluation.test_logits, evaluation.test_labels)[:, self.of]


plugin = ClassAccuracy
