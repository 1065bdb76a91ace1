"""Weights beside the matrices that the error goes back through: share of equal signs of weights and feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class SignAgreement(ProbeMetric):
    """Share of weights whose sign is that of the number that stands in for it on the way back, part by part.

    Layers are those of ``alignment_angle``. It is 1 under sign symmetry and a half for unrelated matrices.

    Equation:
        #{sign W_ij = sign B_ij}/numel

    Source:
        Liao, Leibo and Poggio 2016, arXiv 1510.05067.

    Use:
        Beside ``alignment_angle``, for rules that live on signs.

    Traps:
        A half is chance. Numbers near zero count as much as large ones.
    """

    name: Literal["sign_agreement"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "share of equal signs of weights and feedback"
    needs_pairs: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r, layer]."""
        import torch

        shares = []
        for w, b in evaluation.pairs:
            broken = ~(w.isfinite() & b.isfinite()).all(1)
            shares.append((w.sign() == b.sign()).double().mean(1).masked_fill(broken, float("nan")))
        return torch.stack(shares, dim=1)


plugin = SignAgreement
