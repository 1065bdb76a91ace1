"""Signal and noise of gradients: how far the mean gradient is from what sampling alone would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.metrics import CreditMetric, Evaluation, UpdateOf
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from torch import Tensor


class GradientSnr(CreditMetric):
    """Signal-to-noise ratio of the gradient of a part on the probe batch: the embedding (l = 0) and block l − 1.

    The gradients g_k of K disjoint parts of the probe batch have mean ḡ and sample covariance S. Samples that are over
    are left out; NaN if there are fewer than parts.

    Equation:
        (‖ḡ‖² − tr S/K)/(tr S/K)

    Source:
        The unbiased form of the gradient noise scale of McCandlish et al. 2018, arXiv 1812.06162, inverted and times
        the number of samples.

    Use:
        Whether a batch of the probe's size tells the gradient from noise, and whether a rule's updates have less signal
        than backpropagation's.

    Traps:
        It is 0 ± √(2K/(d(K − 1))) for white noise in d parameters, so that it may be negative, and few parts spread it
        widely. It grows in proportion to the probe's size: compare equal sizes. Rules that draw at
        every step repeat their draws in all parts, so that noise which they share counts as signal.
    """

    name: Literal["gradient_snr"]
    of: UpdateOf = Field(default="bp", exclude_if=lambda value: value == "bp")
    """Gradient that is measured: that of backpropagation (bp, the default), or that of the arm's rule (rule)."""
    batches: Annotated[int, Unit("batches")] = Field(default=8, ge=2, le=10_000)
    """Number K of parts that the probe batch is cut into."""
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "signal-to-noise ratio of gradients"

    def _describe(self) -> list[str]:
        words = ["of the rule"] if self.of == "rule" else []
        return [*words, *([] if self.batches == 8 else [f"{self.batches} batches"]), *super()._describe()]

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the ratios [r, layer]."""
        import torch

        from harness.batched.geometry import signal_to_noise

        return torch.stack([signal_to_noise(g) for g in evaluation.split_updates(self.batches, self.of)], dim=1)


plugin = GradientSnr
