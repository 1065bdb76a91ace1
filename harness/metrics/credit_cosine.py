"""Direction quality: does a rule's credit vector point along the BP gradient?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class CreditCosine(Metric):
    """Per-sample cosine ⟨a_l, g_l⟩ / (‖a_l‖‖g_l‖). No eps beyond 1e-30: gradients at the numerical floor are data."""

    name: Literal["credit_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "cosine of credit and BP gradient"
    needs_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """[r, layer, n]."""
        import torch

        cosines = [
            (a * g).sum(-1) / (a.norm(dim=-1) * g.norm(dim=-1)).clamp_min(1e-30)
            for a, g in zip(evaluation.credits, evaluation.gradients, strict=True)
        ]
        return torch.stack(cosines, dim=1)


plugin = CreditCosine
