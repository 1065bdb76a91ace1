"""Direction of the credit: the cosine between a rule's credit vector and the BP gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


FLOOR = 1e-30  # of ‖a‖‖g‖; between it and its inverse nothing under- or overflows


class CreditCosine(Metric):
    """Per-sample cosine ⟨a_l, g_l⟩ / (‖a_l‖‖g_l‖), without an eps, because gradients at the numerical floor are data.

    A zero vector has no direction, and its cosine is NaN.
    """

    name: Literal["credit_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "cosine of credit and BP gradient"
    needs_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r, layer, n]."""
        import torch

        pairs = zip(evaluation.credits, evaluation.gradients, strict=True)
        return torch.stack([cosine(a, g) for a, g in pairs], dim=1)


def cosine(a: Tensor, g: Tensor) -> Tensor:
    """Return the cosines [r, n] of two arrays of vectors [r, n, d].

    Vectors whose squares would leave float64's range are scaled first, which rounds.
    """
    import torch

    lengths = a.norm(dim=-1) * g.norm(dim=-1)
    near, far = scaled(a), scaled(g)
    exact = (near * far).sum(-1) / (near.norm(dim=-1) * far.norm(dim=-1))
    within = (lengths >= FLOOR) & (lengths <= 1 / FLOOR)
    return torch.where(within, (a * g).sum(-1) / lengths, exact)


def scaled(vectors: Tensor) -> Tensor:
    """Return each vector divided by its largest absolute number; NaN where that is 0."""
    return vectors / vectors.abs().amax(-1, keepdim=True)


plugin = CreditCosine
