"""Magnitude of the BP gradient at the hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class GradientNorm(ProbeMetric):
    """Per-sample norm ‖g_l‖ of the gradient of the mean loss, so that each row carries 1/n.

    Equation:
        ‖g_l‖₂, g_l = ∂(mean_n ℓ_n)/∂h_l

    Source:
        A metric of the protocols that this project replicates.

    Use:
        As a guard: a cosine with a gradient at the numerical floor says nothing.

    Traps:
        Every row carries 1/n, so that it depends on the size of the probe batch. Behind a terminal norm ‖g_L‖‖h_L‖ is
        constant: a small value may only mean a large state.
    """

    name: Literal["gradient_norm"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = True
    label: ClassVar[str] = "BP gradient norm"
    of_loss: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the norms [r, layer, n]."""
        import torch

        return torch.stack([vector.norm(dim=-1) for vector in evaluation.gradients], dim=1)


plugin = GradientNorm
