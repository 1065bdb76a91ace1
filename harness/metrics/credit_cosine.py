"""Direction of the credit: the cosine between a rule's credit vector and the BP gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class CreditCosine(CreditMetric):
    """Per-sample cosine ⟨a_l, g_l⟩ / (‖a_l‖‖g_l‖), without an eps, because gradients at the numerical floor are data.

    A zero vector has no direction, and its cosine is NaN.

    Equation:
        ⟨a_l, g_l⟩/(‖a_l‖‖g_l‖) per sample

    Source:
        A metric of the protocols that this project replicates.

    Use:
        To compare with published figures of that protocol, and with stored verdicts.

    Traps:
        It pairs B_l with h_l, although B_l trains what ends in h_{l+1}: between the first and the last layer it
        understates alignment. ``site_cosine`` measures where credit acts, and the two must not be compared. Check the
        gradient's norm beside it.
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

        from harness.batched.geometry import cosine

        pairs = zip(evaluation.credits, evaluation.gradients, strict=True)
        return torch.stack([cosine(a, g) for a, g in pairs], dim=1)


plugin = CreditCosine
