"""Use of the credit: how a step along it changes the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.metrics import CreditMetric, Evaluation
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class Nudging(CreditMetric):
    """Change of each sample's loss by a step against the credit where it acts: ℓ(u − η‖h_l‖·c/‖c‖) − ℓ(u).

    u is embed(x) or f_{l−1}, and h_l the state that follows. Below 0 the credit is useful. NaN for a credit of zero.

    Equation:
        ℓ(u − η‖h_l‖·c/‖c‖) − ℓ(u) per sample

    Source:
        The public research log faeval, April 2026.

    Use:
        Whether a step against the credit lowers the loss: the sign that training needs, and no angle.

    Traps:
        At small steps it is the cosine times a length: with ``relative`` it converges to ``site_cosine`` and is no
        second piece of evidence. Steps are relative to ‖h_l‖, because a fixed step would vanish in large states.
    """

    name: Literal["nudging"]
    step: Annotated[float, Unit("1")] = Field(default=1e-2, gt=0, le=1)
    """Length η of the step, as a share of ‖h_l‖."""
    relative: bool = False
    """True to divide by the change that the same step along the BP gradient makes: the cosine, for short steps."""
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "change of the loss by a step along the credit"
    of_loss: ClassVar[bool] = True
    needs_site_credit: ClassVar[bool] = True

    def _describe(self) -> list[str]:
        words = [] if self.step == 1e-2 else [f"step {self.step:g}"]
        return [*words, *(["relative to the BP gradient"] if self.relative else []), *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the changes, or their ratios [r, layer, n]."""
        import torch

        from harness.batched.geometry import step_along

        network, found = evaluation.network, []
        for site, (c, g, h) in enumerate(
            zip(evaluation.site_credits, evaluation.site_gradients, evaluation.hidden, strict=True)
        ):
            plain = network.lose(site, torch.zeros_like(c))
            change = network.lose(site, step_along(c, h, -self.step)) - plain
            if self.relative:
                change = change / (network.lose(site, step_along(g, h, -self.step)) - plain)
            found.append(change)
        return torch.stack(found, dim=1)


plugin = Nudging
