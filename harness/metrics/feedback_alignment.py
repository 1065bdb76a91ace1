"""Alignment of the network to direct feedback: the cosine of its matrices and the mean downstream Jacobian."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import CreditMetric, Evaluation

if TYPE_CHECKING:
    from torch import Tensor


class FeedbackAlignment(CreditMetric):
    """Cosine of the matrix B that brings the error to h_l and the mean of ∂z/∂h_l over the probe batch, l = 0 … L.

    Equation:
        ⟨B, J⟩_F/(‖B‖‖J‖),  J = mean_n ∂z/∂h_l,  both [C, d]

    Source:
        The weight alignment of Lillicrap et al. 2016, doi 10.1038/ncomms13276, and of Refinetti et al. 2021, arXiv
        2011.12428, for networks that are not linear.

    Use:
        Whether the weights above a state have turned towards the matrix that stands in for them: where direct feedback
        works, this is how. With ``feedback: fresh``, the control: 0 ± 1/√(C·d).

    Traps:
        The mean Jacobian hides what differs between samples: a network may use a matrix and show little of it. Errors
        of a softmax sum to 0, so that the mean of J over classes counts here and in no update. Under ``fresh_feedback``
        the matrix is that of one draw, and under ``normalize`` credit is not eB. It takes C backward passes per layer.
    """

    name: Literal["feedback_alignment"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "cosine of feedback and downstream Jacobian"
    needs_matrices: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the cosines [r, layer]."""
        import torch

        from harness.batched.geometry import cosine

        found = []
        for layer, matrix in enumerate(evaluation.matrices):
            jacobian = evaluation.network.average_jacobian(layer)
            found.append(cosine(matrix.flatten(1).unsqueeze(1), jacobian.flatten(1).unsqueeze(1)))
        return torch.cat(found, dim=1)


plugin = FeedbackAlignment
