"""Magnitude of a rule's credit vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class CreditNorm(CreditMetric):
    """Per-sample norm ‖a_l‖, l = 0 … L. Unlike g_l, a_l carries no factor 1/n.

    Equation:
        ‖a_l‖₂, a_l = e B_lᵀ

    Source:
        A metric of the protocols that this project replicates.

    Use:
        For the size of what a rule hands to its layers, before normalisation.

    Traps:
        It has no factor 1/n, unlike ``gradient_norm``; and pairs layers and matrices as ``credit_cosine`` does.
    """

    name: Literal["credit_norm"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "credit norm"
    needs_credit: ClassVar[bool] = True
    of_loss: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the norms [r, layer, n]."""
        import torch

        return torch.stack([vector.norm(dim=-1) for vector in evaluation.credits], dim=1)


plugin = CreditNorm
