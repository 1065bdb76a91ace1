"""Magnitude of a rule's credit vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class CreditNorm(Metric):
    """Per-sample norm ‖a_l‖, l = 0 … L. Unlike g_l, a_l carries no factor 1/n."""

    name: Literal["credit_norm"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "credit norm"
    needs_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the norms [r, layer, n]."""
        import torch

        return torch.stack([vector.norm(dim=-1) for vector in evaluation.credits], dim=1)


plugin = CreditNorm
