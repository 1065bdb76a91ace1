"""Weights beside the matrices that the error goes back through: norm of feedback over that of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class FeedbackRatio(ProbeMetric):
    """Ratio ‖B‖/‖W‖ of the matrices that stand in for weights on the way back to these weights, part by part.

    Layers are those of ``alignment_angle``. It scales the error at every weight that it passes.

    Equation:
        ‖B‖_F/‖W‖_F

    Source:
        As beside the angles of Akrout et al. 2019, arXiv 1904.05391.

    Use:
        Beside ``alignment_angle``: the factor by which an error changes at every weight that it passes.

    Traps:
        A product over layers, it explodes or vanishes with depth although every ratio looks moderate.
    """

    name: Literal["feedback_ratio"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "norm of feedback over that of weights"
    needs_pairs: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r, layer]."""
        import torch

        return torch.stack([b.norm(dim=1) / w.norm(dim=1) for w, b in evaluation.pairs], dim=1)


plugin = FeedbackRatio
