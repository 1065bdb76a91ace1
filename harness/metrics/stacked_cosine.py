"""Direction of the credit of a whole batch, in which samples with large credit weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class StackedCosine(CreditMetric):
    """Cosine ⟨C_l, G_l⟩ / (‖C_l‖‖G_l‖) of credit and BP gradient at a site, over all samples and units.

    It is what ``perturbation_correlation`` estimates. A mean of ``site_cosine`` weighs every sample of the probe batch
    the same, and may be far from it.

    Equation:
        ⟨C_l, G_l⟩_F/(‖C_l‖_F‖G_l‖_F)

    Source:
        As ``site_cosine``, over all samples at once.

    Use:
        The cosine that weighs samples by the size of their credit and gradient, as an unnormalised step does.

    Traps:
        A few samples with large gradients decide it. It may be far from the mean of ``site_cosine``: say beforehand
        which one a claim is about.
    """

    name: Literal["stacked_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "cosine of stacked credit and BP gradient"
    needs_site_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r, layer]."""
        import torch

        from harness.batched.geometry import cosine

        pairs = zip(evaluation.site_credits, evaluation.site_gradients, strict=True)
        return torch.cat([cosine(c.flatten(1).unsqueeze(1), g.flatten(1).unsqueeze(1)) for c, g in pairs], dim=1)


plugin = StackedCosine
