"""Neural collapse of states onto their classes' means (Papyan, Han and Donoho 2020, arXiv 2008.08186)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RELATIVE_RANK = 1e-10  # eigenvalues of Σ_B below this share of the largest are zeros of its C − 1 dimensions


class ClassMeans:
    """Means and scatter of states [r, n, d] by labels [n], over the C classes that have samples.

    Everything is NaN if there is only one, and for replicas whose states are not all finite.
    """

    def __init__(self, states: Tensor, labels: Tensor) -> None:
        self.present, places = torch.unique(labels, return_inverse=True)
        self.count = len(self.present)
        self.broken = ~states.isfinite().flatten(1).all(1) | (self.count < 2)
        self.states = states.masked_fill(self.broken[:, None, None], 0.0)
        self.members = functional.one_hot(places, self.count).to(states.dtype)
        self.means = self.members.T @ self.states / self.members.sum(0).unsqueeze(1)
        self.centred = self.means - self.means.mean(1, keepdim=True)

    def _mark(self, values: Tensor) -> Tensor:
        """Return values [r], NaN where there is nothing to measure."""
        return values.masked_fill(self.broken, float("nan"))

    def within(self) -> Tensor:
        """Return tr(Σ_W Σ_B⁺)/C [r]: variability within classes beside that between them."""
        inside = self.states - self.members @ self.means
        _, s, directions = torch.linalg.svd(self.centred, full_matrices=False)
        between = s.square() / self.count
        inverse = torch.where(between > RELATIVE_RANK * between[:, :1], 1 / between, torch.zeros_like(between))
        spread = (inside @ directions.mT).square().mean(1)
        return self._mark(((spread * inverse).sum(1) / self.count).masked_fill(s[:, 0] == 0, float("nan")))

    def norms(self) -> Tensor:
        """Return sd/mean of ‖μ_c − μ̄‖ over classes [r]: 0 if all are as far out."""
        lengths = self.centred.norm(dim=-1)
        return self._mark(lengths.std(1, correction=0) / lengths.mean(1))

    def angles(self) -> Tensor:
        """Return the mean of |cos(μ_c − μ̄, μ_c′ − μ̄) + 1/(C − 1)| over pairs [r]: 0 for a simplex."""
        others = max(self.count - 1, 1)
        unit = self.centred / self.centred.norm(dim=-1, keepdim=True)
        off = 1.0 - torch.eye(self.count, dtype=unit.dtype, device=unit.device)
        gaps = (unit @ unit.mT + 1 / others).abs() * off
        return self._mark(gaps.sum((1, 2)) / (self.count * others))

    def duality(self, readout: Tensor) -> Tensor:
        """Return ‖W/‖W‖ − M/‖M‖‖² [r] of a readout [r, d, C] and the centred means: 0 if both are in proportion."""
        own = readout.mT[:, self.present]
        norms = [one.flatten(1).norm(dim=1)[:, None, None] for one in (own, self.centred)]
        return self._mark((own / norms[0] - self.centred / norms[1]).square().sum((1, 2)))

    def disagreement(self, logits: Tensor) -> Tensor:
        """Return the share of samples [r] whose nearest class mean is not what logits [r, n, C] choose."""
        nearest = self.present[torch.cdist(self.states, self.means).argmin(-1)]
        broken = ~logits.isfinite().flatten(1).all(1)
        found = (nearest != logits.argmax(-1)).to(self.states.dtype).mean(1)
        return self._mark(found.masked_fill(broken, float("nan")))
