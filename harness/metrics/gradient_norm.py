"""Magnitude of the BP gradient at the hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, Metric

if TYPE_CHECKING:
    from torch import Tensor


class GradientNorm(Metric):
    """Per-sample norm ‖g_l‖ of the gradient of the mean cross entropy, so that each row carries 1/n."""

    name: Literal["gradient_norm"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "BP gradient norm"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the norms [r, layer, n]."""
        import torch

        return torch.stack([vector.norm(dim=-1) for vector in evaluation.gradients], dim=1)


plugin = GradientNorm
