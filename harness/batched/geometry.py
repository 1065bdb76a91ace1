"""Geometry of stacked vectors: angles between them, and the spectra and similarities of states [r, n, d]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from harness.batched.fresh import draw
from harness.batched.keyed import short_key
from harness.batched.specs import DrawSpec, Init

FLOOR = 1e-30  # of ‖a‖‖g‖; between it and its inverse nothing under- or overflows
RELATIVE_CHANGE = 1e-4  # of a state's norm; in float64 neither rounding nor curvature matters
LEAST_SAMPLES = 4  # of the unbiased similarity


def cosine(a: Tensor, g: Tensor) -> Tensor:
    """Return the cosines [r, n] of two arrays of vectors [r, n, d].

    Vectors whose squares would leave float64's range are scaled first, which rounds. A zero vector's are NaN.
    """
    lengths = a.norm(dim=-1) * g.norm(dim=-1)
    near, far = scaled(a), scaled(g)
    exact = (near * far).sum(-1) / (near.norm(dim=-1) * far.norm(dim=-1))
    within = (lengths >= FLOOR) & (lengths <= 1 / FLOOR)
    return torch.where(within, (a * g).sum(-1) / lengths, exact)


def scaled(vectors: Tensor) -> Tensor:
    """Return each vector divided by its largest absolute number; NaN where that is 0."""
    return vectors / vectors.abs().amax(-1, keepdim=True)


def join_samples(states: Tensor) -> Tensor:
    """Return states [r, n, …] of any shape as vectors [r, n, d]."""
    return states.flatten(2)


def singular_values(states: Tensor) -> Tensor:
    """Return the singular values [r, min(n, d)] of states [r, n, d] whose mean over samples is taken off.

    They are NaN for a replica whose states are not all finite, which a decomposition would refuse for all.
    """
    broken = ~states.isfinite().flatten(1).all(1)
    centred = (states - states.mean(1, keepdim=True)).masked_fill(broken[:, None, None], 0.0)
    found: Tensor = torch.linalg.svdvals(centred)
    return found.masked_fill(broken[:, None], float("nan"))


def effective_rank(singular: Tensor) -> Tensor:
    """Return exp(−Σ p ln p) [r], p = σ/Σσ, of singular values [r, k]; NaN if all are zero."""
    p = singular / singular.sum(-1, keepdim=True)
    entropy: Tensor = torch.special.entr(p).sum(-1)
    return entropy.exp()


def participation_ratio(eigenvalues: Tensor) -> Tensor:
    """Return (Σλ)²/Σλ² [r] of eigenvalues [r, k]; NaN if all are zero."""
    share = eigenvalues / eigenvalues.amax(-1, keepdim=True)
    return share.sum(-1).square() / share.square().sum(-1)


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Return the debiased linear CKA [r] of states x [r, n, d] and y [r, n, e].

    The similarity of kernels is the unbiased HSIC (Song et al. 2012), which is 0 on average for unrelated states. The
    plain form (Kornblith et al. 2019, arXiv 1905.00414) would be d/(n + d) there. NaN for fewer than 4 samples, and
    where one of both is the same for all samples.
    """
    if x.shape[1] < LEAST_SAMPLES:
        return x.new_full((len(x),), float("nan"))
    k, other = _centred_kernel(x), _centred_kernel(y)
    return (k * other).sum((1, 2)) / (k.square().sum((1, 2)) * other.square().sum((1, 2))).sqrt()


def _centred_kernel(states: Tensor) -> Tensor:
    """Return the U-centred kernel [r, n, n] (Székely and Rizzo 2014): its products are unbiased HSIC·n(n − 3)."""
    centred = states - states.mean(1, keepdim=True)
    centred = centred / centred.abs().amax((1, 2), keepdim=True)  # the scale cancels, and nothing overflows
    n = states.shape[1]
    off = 1.0 - torch.eye(n, dtype=states.dtype, device=states.device)
    kernel = (centred @ centred.mT) * off
    rows = kernel.sum(2, keepdim=True)
    total = rows.sum(1, keepdim=True)
    return (kernel - (rows + rows.mT) / (n - 2) + total / ((n - 1) * (n - 2))) * off


def step_along(direction: Tensor, states: Tensor, share: float) -> Tensor:
    """Return steps [r, n, …] along directions, of length ``share`` times the norm of each state."""
    flat = scaled(join_samples(direction))
    lengths = join_samples(states).norm(dim=-1, keepdim=True) * share
    steps: Tensor = flat / flat.norm(dim=-1, keepdim=True) * lengths
    return steps.view(direction.shape)


def correlate_changes(
    lose: Callable[[int, Tensor], Tensor],
    site: int,
    credit: Tensor,
    states: Tensor,
    directions: int,
    share: float = RELATIVE_CHANGE,
) -> Tensor:
    """Return the correlation [r] of what credit foretells and what small random changes do, over samples and changes.

    ``lose`` returns each sample's loss [r, n] when a change [r, n, …] is added at a site.
    """
    key = torch.tensor([short_key(0, "perturbation directions")], device=credit.device)
    spec = DrawSpec("v", tuple(credit.shape[1:]), Init("normal", 1.0))
    plain = lose(site, torch.zeros_like(credit))
    foretold, found = [], []
    for number in range(directions):
        step = torch.full((), number, dtype=torch.int64, device=credit.device)
        change = step_along(draw(spec, key, step, 0, credit.dtype).expand_as(credit), states, share)
        foretold.append((join_samples(credit) * join_samples(change)).sum(-1))
        found.append(lose(site, change) - plain)
    one, other = (torch.cat(values, dim=1) for values in (foretold, found))
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    return cosine(one.unsqueeze(1), other.unsqueeze(1)).squeeze(1)


def mean_pairwise_cosine(vectors: Tensor, batches: int) -> Tensor:
    """Return the mean cosine [r] between the means of disjoint batches of vectors [r, n, d]; NaN if n is smaller."""
    size = vectors.shape[1] // batches
    if size == 0:
        return vectors.new_full((len(vectors),), float("nan"))
    means = scaled(vectors[:, : size * batches].reshape(len(vectors), batches, size, -1).mean(2))
    unit = means / means.norm(dim=-1, keepdim=True)
    together: Tensor = unit.sum(1).square().sum(-1)
    return (together - batches) / (batches * (batches - 1))


def signal_to_noise(gradients: Tensor) -> Tensor:
    """Return (‖ḡ‖² − tr S/K)/(tr S/K) [r] of K vectors [r, K, d]: 0 on average for white noise; NaN without any."""
    count = gradients.shape[1]
    if count < 2:
        return gradients.new_full((len(gradients),), float("nan"))
    mean = gradients.mean(1)
    noise = (gradients - mean.unsqueeze(1)).square().sum((1, 2)) / (count - 1) / count
    return (mean.square().sum(1) - noise) / noise
