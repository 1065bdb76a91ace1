"""Growth of the residual stream from block to block."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class ResidualGrowth(ProbeMetric):
    """Largest ratio ‖h_{l+1}‖ / ‖h_l‖ over the blocks, for each probe sample.

    Equation:
        max_l ‖h_{l+1}‖/‖h_l‖ per sample

    Source:
        A metric of the protocols that this project replicates.

    Use:
        As a flag for a stream that explodes in some block.

    Traps:
        Thresholds in the literature are of one set-up each. A large ratio at a small h_0 need not be a failure. NaN
        for a state of zero.
    """

    name: Literal["residual_growth"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "largest growth of the hidden state over a block"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the largest ratios [r, n]."""
        import torch

        norms = torch.stack([h.norm(dim=-1) for h in evaluation.hidden], dim=1)
        return (norms[:, 1:] / norms[:, :-1]).amax(dim=1)


plugin = ResidualGrowth
