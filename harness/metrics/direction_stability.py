"""Drift that does not depend on samples: how alike the mean credit of different batches is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.metrics import CreditMetric, Evaluation
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class DirectionStability(CreditMetric):
    """Mean cosine of the batch-mean credit at a site between disjoint parts of the probe batch.

    For vectors μ + noise of variance σ² in d units it is ‖μ‖²/(‖μ‖² + σ²d/n) with n samples in a part. Near 1 the
    credit is a drift that samples don't change. Samples that are over are left out; NaN if there are fewer than parts.

    Equation:
        mean_{i<j} cos(c̄_i, c̄_j) over K disjoint batches

    Source:
        The public research log faeval, April 2026; for vectors μ + noise its value is ‖μ‖²/(‖μ‖² + σ²d/n).

    Use:
        To find drift: credit that pushes all samples the same way.

    Traps:
        It depends on the number of samples per batch. A value near 1 is no success.
    """

    name: Literal["direction_stability"]
    batches: Annotated[int, Unit("batches")] = Field(default=8, ge=2, le=10_000)
    """Number of parts that the probe batch is cut into."""
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "stability of the direction of the mean credit"
    needs_site_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def _describe(self) -> list[str]:
        return [*([] if self.batches == 8 else [f"{self.batches} batches"]), *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the mean cosines [r, layer]."""
        import torch

        from harness.batched.geometry import join_samples, mean_pairwise_cosine

        return torch.stack(
            [mean_pairwise_cosine(join_samples(c), self.batches) for c in evaluation.site_credits], dim=1
        )


plugin = DirectionStability
