"""Direction quality: does a rule's credit vector point along the BP gradient?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


FLOOR = 1e-30  # of ‖a‖‖g‖; from here to its inverse nothing is lost


class CreditCosine(Metric):
    """Per-sample cosine ⟨a_l, g_l⟩ / (‖a_l‖‖g_l‖), without an eps: gradients at the numerical floor are data. A vector
    of zeros has no direction, and the cosine then is no number.
    """

    name: Literal["credit_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "cosine of credit and BP gradient"
    needs_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """[r, layer, n]."""
        import torch

        pairs = zip(evaluation.credits, evaluation.gradients, strict=True)
        return torch.stack([cosine(a, g) for a, g in pairs], dim=1)


def cosine(a: Tensor, g: Tensor) -> Tensor:
    """[r, n, d] twice → [r, n]. Vectors whose squares are lost to float64's range are scaled first, which rounds."""
    import torch

    lengths = a.norm(dim=-1) * g.norm(dim=-1)
    near, far = scaled(a), scaled(g)
    exact = (near * far).sum(-1) / (near.norm(dim=-1) * far.norm(dim=-1))
    within = (lengths >= FLOOR) & (lengths <= 1 / FLOOR)
    return torch.where(within, (a * g).sum(-1) / lengths, exact)


def scaled(vectors: Tensor) -> Tensor:
    """Each divided by its largest number; NaN where that is 0."""
    return vectors / vectors.abs().amax(-1, keepdim=True)


plugin = CreditCosine
