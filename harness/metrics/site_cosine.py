"""Direction of the credit where it acts: the cosine between what a rule and what backpropagation give a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class SiteCosine(CreditMetric):
    """Per-sample cosine ⟨c_l, g_l⟩ / (‖c_l‖‖g_l‖) at the outputs that credit trains: embed(x), f_0 … f_{L−1}.

    Both are gradients at the same outputs, of the rule's objective and of the loss. It is 1 under backpropagation.
    ``credit_cosine`` pairs credit and gradients as the published protocol does, and is not to be compared with it: they
    agree at l = 0 and l = L alone. A zero vector has no direction, and its cosine is NaN.

    Equation:
        ⟨c_l, g_l⟩/(‖c_l‖‖g_l‖) per sample, at embed(x), f_0 … f_{L−1}

    Source:
        The alignment of Lillicrap et al. 2016, doi 10.1038/ncomms13276, at the outputs that credit trains.

    Use:
        Whether the credit of any rule points along the gradient. Normalisation and clipping leave it.

    Traps:
        Unrelated vectors have 0 ± 1/√d. A mean over samples weighs all alike, unlike what a step of training does: see
        ``stacked_cosine`` and ``update_cosine``. Layer 0 alone may carry a mean over layers.
    """

    name: Literal["site_cosine"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "cosine of credit and BP gradient at its site"
    needs_site_credit: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r, layer, n]."""
        import torch

        from harness.batched.geometry import cosine, join_samples

        pairs = zip(evaluation.site_credits, evaluation.site_gradients, strict=True)
        return torch.stack([cosine(join_samples(c), join_samples(g)) for c, g in pairs], dim=1)


plugin = SiteCosine
