"""Prediction by the credit: how well it foretells what random changes do to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.metrics import CreditMetric, Evaluation
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class PerturbationCorrelation(CreditMetric):
    """Correlation ρ of ⟨c_n, εv⟩ and ℓ_n(u + εv) − ℓ_n(u) over samples n and random directions v of length 1.

    u is embed(x) or f_{l−1}, where credit acts, and ε = 10⁻⁴‖h_l‖. Directions are drawn by a fixed key. For small ε it
    estimates a cosine over the batch, as ``stacked_cosine`` weighted by ‖h_l‖ computes without noise: it is no evidence
    beside it. Of unrelated vectors the sd is √(1/(nM) + 1/(nd)).

    Equation:
        corr_{n,v}(⟨c_n, εv⟩, ℓ_n(u + εv) − ℓ_n(u)), v on the unit sphere, ε = 1e-4·‖h_n‖

    Source:
        The ρ of the public research log faeval, April 2026.

    Use:
        To compare with that log. It needs no gradient.

    Traps:
        Its expectation is a cosine of stacked credit and gradient, so it is no evidence independent of one. Unrelated
        vectors have sd √(1/(nM) + 1/(nd)): with few directions a value of .006 is noise. In float32 it is rounding
        error; here it is float64.
    """

    name: Literal["perturbation_correlation"]
    directions: Annotated[int, Unit("directions")] = Field(default=32, ge=1, le=10_000)
    """Number M of random directions per sample."""
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "correlation of credit and changes of the loss"
    needs_site_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def _describe(self) -> list[str]:
        return [*([] if self.directions == 32 else [f"{self.directions} directions"]), *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the correlations [r, layer]."""
        import torch

        from harness.batched.geometry import correlate_changes

        sites = zip(evaluation.site_credits, evaluation.hidden, strict=True)
        found = [
            correlate_changes(evaluation.network.lose, site, c, h, self.directions) for site, (c, h) in enumerate(sites)
        ]
        return torch.stack(found, dim=1)


plugin = PerturbationCorrelation
