"""What is simulated: bands, true values at and around every cut, spreads, numbers of seeds, and distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.criteria import Criterion
from harness.criteria.bca import Bca
from harness.criteria.bounded import Bounded
from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.criteria.median import Median
from harness.criteria.sign_flip import SignFlip
from harness.criteria.t import T
from harness.criteria.t_sequence import TSequence
from harness.criteria.welch import Welch
from harness.criteria.wilcoxon import Wilcoxon
from harness.records import Band
from tests.calibration.batch import Test, one_sided, outcomes, scaled, wrong

DIRECTION = {
    "confirmed": "(-0.05, 0.05)",
    "partial": "(-0.20, -0.05] | [0.05, 0.20)",
    "rejected": "(-inf, -0.20] | [0.20, inf)",
}
HALVES = {"low": "(-inf, 0]", "high": "(0, inf)"}
SPREADS = (0.03, 0.1, 0.5)  # of the seeds, beside bands 0.1 and 0.15 wide
CRITERIA: dict[str, Criterion] = {
    "t": T(name="t"),
    "sign_flip": SignFlip(name="sign_flip"),
    "wilcoxon": Wilcoxon(name="wilcoxon"),
    "median": Median(name="median"),
    "bca": Bca(name="bca"),
    "iqm_bootstrap": IqmBootstrap(name="iqm_bootstrap"),
    "bounded": Bounded(name="bounded").on((-1.0, 1.0)),
    "t_sequence": TSequence(name="t_sequence"),
    "welch": Welch(name="welch"),
}


@dataclass(frozen=True)
class Distribution:
    """Seeds' values with known parameters, in units in which the spread is about 1."""

    words: str
    mean: float
    median: float
    pseudomedian: float
    iqm: float

    def draw(self, rng: np.random.Generator, runs: int, n: int) -> np.ndarray:
        """float64 [runs, n]."""
        size = (runs, n)
        if self.words == "normal":
            return rng.normal(size=size)
        if self.words == "t, 3 df":
            return rng.standard_t(3, size)
        if self.words == "uniform":
            return rng.uniform(-1, 1, size)
        if self.words == "two humps":
            return rng.choice([-2.0, 2.0], size) + rng.normal(size=size)
        if self.words == "exponential":
            return rng.exponential(size=size)
        assert self.words == "10% collapsed"
        return np.where(rng.random(size) < 0.1, -43.0, 0.0) + rng.normal(size=size)


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _normal_mean(low: float, high: float) -> float:
    """Mean of a standard normal between two of its quantiles."""
    from scipy.stats import norm

    return float(norm.pdf(norm.ppf(low)) - norm.pdf(norm.ppf(high))) / (high - low)


SYMMETRIC = {name: Distribution(name, 0, 0, 0, 0) for name in ("normal", "t, 3 df", "uniform", "two humps")}
# A pair of seeds is clean with probability .81, and below all clean ones otherwise.
COLLAPSED = Distribution(
    "10% collapsed", -4.3, _normal_quantile((0.5 - 0.1) / 0.9), _normal_quantile((0.5 - 0.19) / 0.81) / math.sqrt(2),
    _normal_mean((0.25 - 0.1) / 0.9, (0.75 - 0.1) / 0.9),
)  # fmt: skip
# The middle half of an exponential lies between log(4/3) and log 4.
EXPONENTIAL = Distribution(
    "exponential", 1.0, math.log(2), 1.6783469900166605 / 2, 1 + 1.5 * math.log(4 / 3) - 0.5 * math.log(4)
)
WITHIN: dict[str, tuple[Distribution, ...]] = {
    "t": (SYMMETRIC["normal"],),
    "sign_flip": tuple(SYMMETRIC.values()),
    "wilcoxon": tuple(SYMMETRIC.values()),
    "median": (SYMMETRIC["normal"], EXPONENTIAL, COLLAPSED),
    "bca": (SYMMETRIC["normal"],),
    "iqm_bootstrap": (SYMMETRIC["normal"], EXPONENTIAL, SYMMETRIC["t, 3 df"], COLLAPSED),
    "t_sequence": (SYMMETRIC["normal"],),
    "welch": (SYMMETRIC["normal"],),
}
"""Criterion → distributions that its assumptions allow (bounded has its own)."""


def truths(bands: dict[str, str], sd: float) -> list[float]:
    """True values at every cut, next to it on both sides, and half a spread away."""
    ends = {end for text in bands.values() for part in Band.parse(text) for end in (part.lower, part.upper)}
    cuts = sorted(end for end in ends if end is not None)
    steps = (0.0, -1e-9, 1e-9, -sd / 2, sd / 2)
    return sorted({cut + step for cut in cuts for step in steps})


def standard(criterion: Criterion, distribution: Distribution, runs: int, n: int, seed: int) -> Test:
    """Tests of values whose targeted parameter is 0 (unpaired: of two arms of different spread and that difference)."""
    rng = np.random.default_rng([seed, n])
    centre = getattr(distribution, criterion.targets)
    if criterion.unpaired:
        a, b = distribution.draw(rng, runs, n) - centre, 0.3 * (distribution.draw(rng, runs, n) - centre)
        return one_sided(criterion, np.stack([a, b], axis=2))
    return one_sided(criterion, distribution.draw(rng, runs, n) - centre)


def worst(
    criterion: Criterion,
    distribution: Distribution,
    n: int,
    alpha: float,
    runs: int,
    seed: int = 1,
    spreads: tuple[float, ...] = SPREADS,
) -> float:
    """The largest P(wrong outcome) over true values and spreads, for data that the criterion's assumptions allow."""
    if isinstance(criterion, Bounded):
        return max(_bounded_wrong(n, alpha, runs, seed, two_points) for two_points in (False, True))
    p = standard(criterion, distribution, runs, n, seed)
    return max(
        wrong(scaled(p, truth, sd), DIRECTION, alpha, truth) for sd in spreads for truth in truths(DIRECTION, sd)
    )


def _bounded_wrong(n: int, alpha: float, runs: int, seed: int, two_points: bool) -> float:
    """Values on [−1, 1] with means at and around the cuts: either bound and nothing else, or a beta distribution."""
    found = []
    for truth in truths(DIRECTION, 0.5):
        rng = np.random.default_rng([seed, n])
        share = (1 + truth) / 2
        size = (runs, n)
        y = (rng.random(size) < share).astype(float) if two_points else rng.beta(40 * share, 40 * (1 - share), size)
        found.append(wrong(one_sided(CRITERIA["bounded"], 2 * y - 1), DIRECTION, alpha, truth))
    return max(found)


def stopped(criterion: Criterion, looks: tuple[int, ...], alpha: float, runs: int, seed: int = 2) -> float:
    """P(wrong outcome) where the run ends at the first look that decides, at ``alpha`` each; over all cuts of bands."""
    rng = np.random.default_rng(seed)
    found = []
    for bands in (HALVES, DIRECTION):
        for sd in (0.1, 0.5):
            for truth in truths(bands, sd):
                if isinstance(criterion, Bounded):
                    x = 2.0 * (rng.random((runs, looks[-1])) < (1 + truth) / 2) - 1
                else:
                    x = truth + sd * rng.normal(size=(runs, looks[-1]))
                right = next(i for i, text in enumerate(bands.values()) if Band.parse(text).contains(truth))
                outcome = np.full(runs, -1)
                for n in looks:
                    going = outcome < 0
                    outcome[going] = outcomes(one_sided(criterion, x[going, :n]), bands, alpha)
                found.append(float(((outcome >= 0) & (outcome != right)).mean()))
    return max(found)


def coverage(criterion: Criterion, distribution: Distribution, n: int, runs: int, seed: int = 3) -> float:
    """How often the two-sided 95% interval covers the parameter that the criterion targets."""
    above, below = standard(criterion, distribution, runs, n, seed)(0.0)
    return float(((above > 0.025) & (below > 0.025)).mean())
