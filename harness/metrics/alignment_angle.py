"""Weights beside the matrices that the error goes back through: angle between weights and feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class AlignmentAngle(ProbeMetric):
    """Angle arccos(⟨W, B⟩ / (‖W‖‖B‖)) in degrees between weights and what stands in for them on the way back.

    One for each layer l = 0 … L: over all such weights of block l, through which the error comes to h_l, or of the head
    for l = L. It is 0 for W = B and 90° ± 57.3°/√numel for unrelated matrices. NaN for a part without such weights.

    Equation:
        arccos(⟨W, B⟩_F/(‖W‖‖B‖)), in degrees

    Source:
        Lillicrap et al. 2016, doi 10.1038/ncomms13276; Akrout et al. 2019, arXiv 1904.05391.

    Use:
        Whether weights and feedback come together, for rules that replace weights on the way back.

    Traps:
        Unrelated matrices have 90° ± 57.3°/√numel, so that 85° may be significant in a large one. The angle falls also
        if the part that both share grows while their difference stays: beside it, report ``feedback_ratio``. Under
        ``sign_symmetric`` it is 37° (normal) or 30° (uniform W) from the start.
    """

    name: Literal["alignment_angle"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "angle between weights and feedback"
    needs_pairs: ClassVar[bool] = True
    unit: ClassVar[str] = "°"
    bounds: ClassVar[tuple[float, float]] = (0.0, 180.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r, layer]."""
        import torch

        from harness.batched.geometry import cosine

        found = [
            cosine(w.unsqueeze(1), b.unsqueeze(1)) if w.shape[1] else w.new_full((len(w), 1), float("nan"))
            for w, b in evaluation.pairs
        ]
        return torch.cat(found, dim=1).clamp(-1.0, 1.0).arccos().rad2deg()


plugin = AlignmentAngle
