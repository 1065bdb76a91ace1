"""Magnitude of the hidden states: the scale of the residual stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class HiddenNorm(ProbeMetric):
    """Per-sample norm ‖h_l‖, l = 0 … L, on the probe batch.

    Equation:
        ‖h_l‖₂ per sample, l = 0 … L

    Source:
        A metric of the protocols that this project replicates.

    Use:
        To see the residual stream grow, and to tell a vanishing gradient from a growing state.

    Traps:
        Behind a terminal norm the loss doesn't change with ‖h_L‖. Norms grow with √d: compare arms of one width.
    """

    name: Literal["hidden_norm"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "hidden-state norm"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the norms [r, layer, n]."""
        import torch

        return torch.stack([vector.norm(dim=-1) for vector in evaluation.hidden], dim=1)


plugin = HiddenNorm
