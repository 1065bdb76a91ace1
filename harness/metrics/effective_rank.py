"""Dimension of the hidden states: effective rank of hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class EffectiveRank(ProbeMetric):
    """Effective rank exp(−Σ p ln p) of h_l (Roy and Vetterli 2007).

    p are the singular values of the centred states over their sum, not eigenvalues of their covariance. It is k for k
    equal ones, and at most the smaller of n − 1 and the width. NaN if all samples have the same state.

    Equation:
        exp(−Σ p ln p),  p = s/Σs, singular values s of the centred states

    Source:
        Roy and Vetterli 2007, EUSIPCO.

    Use:
        How many directions the states of a layer use.

    Traps:
        On singular values, not eigenvalues: (2, 1) gives 1.89, while eigenvalues (4, 1) would give 1.65. It is at most
        n − 1 and grows with n.
    """

    name: Literal["effective_rank"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "effective rank of hidden states"
    bounds: ClassVar[tuple[float, float]] = (1.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r, layer]."""
        import torch

        from harness.batched.geometry import effective_rank, join_samples, singular_values

        return torch.stack([effective_rank(singular_values(join_samples(h))) for h in evaluation.hidden], dim=1)


plugin = EffectiveRank
