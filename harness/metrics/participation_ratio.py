"""Dimension of the hidden states: participation ratio of hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from harness.metrics import Evaluation, ProbeMetric

if TYPE_CHECKING:
    from torch import Tensor


class ParticipationRatio(ProbeMetric):
    """Participation ratio (Σλ)²/Σλ² of the eigenvalues λ of the covariance of h_l over the probe batch.

    It is biased by the number n of samples: for white states of d units it is d/(1 + d/(n − 1)). Compare it between
    probe batches of one size. NaN if all samples have the same state.

    Equation:
        (Σλ)²/Σλ², eigenvalues λ of the covariance of h_l

    Source:
        Gao et al. 2017, doi 10.1101/214262.

    Use:
        As ``effective_rank``, with more weight on the leading directions.

    Traps:
        Biased by n: white states of d units give d/(1 + d/(n − 1)). State n, and compare equal n only.
    """

    name: Literal["participation_ratio"]
    layered: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "participation ratio of hidden states"
    bounds: ClassVar[tuple[float, float]] = (1.0, float("inf"))
    log_axis: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Tensor:
        """Return the values [r, layer]."""
        import torch

        from harness.batched.geometry import join_samples, participation_ratio, singular_values

        return torch.stack(
            [participation_ratio(singular_values(join_samples(h)) ** 2) for h in evaluation.hidden], dim=1
        )


plugin = ParticipationRatio
