"""The criteria's p values for thousands of data sets at once. Slow twins: the criteria themselves, in the tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri, stdtr

from harness.batched import keyed
from harness.criteria import TIE, Criterion, trim_quarters
from harness.criteria.bca import CHUNK, Bca
from harness.criteria.bounded import Bounded
from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.criteria.t_sequence import TSequence
from harness.criteria.wilcoxon import upper_tail
from harness.domain.partition import split_line
from harness.records import Band

Test = Callable[[float], tuple[np.ndarray, np.ndarray]]
"""A cut → p for "parameter > cut" and p for "parameter < cut", each float64 [runs]."""


def one_sided(criterion: Criterion, x: np.ndarray) -> Test:
    """The one-sided tests of data sets ``x`` [runs, n], unpaired [runs, n, 2]."""
    return KINDS[criterion.name](criterion, x)


def outcomes(p: Test, bands: dict[str, str], alpha: float) -> np.ndarray:
    """Index of the band that is the outcome, −1 for inconclusive, int [runs]."""
    atoms = split_line({name: Band.parse(text) for name, text in bands.items()})
    names = list(bands)
    alive: list[np.ndarray | None] = [None] * len(names)
    sides = {}
    for atom in atoms:
        lower, upper = atom.interval.lower, atom.interval.upper
        for cut in (lower, upper):
            if cut is not None and cut not in sides:
                sides[cut] = p(cut)
        found = [sides[upper][0]] if upper is not None else []
        found += [sides[lower][1]] if lower is not None else []
        kept = len(found) * np.minimum.reduce(found) > alpha
        index = names.index(atom.outcome)
        before = alive[index]
        alive[index] = kept if before is None else before | kept
    table = np.array(alive)
    return np.where(table.sum(axis=0) == 1, table.argmax(axis=0), -1)


def wrong(p: Test, bands: dict[str, str], alpha: float, truth: float) -> float:
    """Share of data sets whose outcome is another band than the one that holds the truth."""
    right = next(i for i, text in enumerate(bands.values()) if Band.parse(text).contains(truth))
    found = outcomes(p, bands, alpha)
    return float(((found >= 0) & (found != right)).mean())


def scaled(p: Test, truth: float, sd: float) -> Test:
    """Tests of truth + sd·x by those of x, for criteria that move with their data."""
    return lambda cut: p((cut - truth) / sd)


def _t(criterion: Criterion, x: np.ndarray) -> Test:
    n = x.shape[1]
    mean, error = x.mean(axis=1), x.std(axis=1, ddof=1) / math.sqrt(n)
    return lambda cut: (stdtr(n - 1, (cut - mean) / error), stdtr(n - 1, (mean - cut) / error))


def _welch(criterion: Criterion, x: np.ndarray) -> Test:
    n = x.shape[1]
    variances = x.var(axis=1, ddof=1) / n
    difference, error = x[:, :, 0].mean(axis=1) - x[:, :, 1].mean(axis=1), np.sqrt(variances.sum(axis=1))
    df = (n - 1) * variances.sum(axis=1) ** 2 / (variances**2).sum(axis=1)
    return lambda cut: (stdtr(df, (cut - difference) / error), stdtr(df, (difference - cut) / error))


def _t_sequence(criterion: Criterion, x: np.ndarray) -> Test:
    assert isinstance(criterion, TSequence)
    n = x.shape[1]
    r = criterion.c_squared / (n + criterion.c_squared)
    mean, sd = x.mean(axis=1), x.std(axis=1, ddof=1)

    def p(cut: float) -> tuple[np.ndarray, np.ndarray]:
        m = n * ((mean - cut) / sd) ** 2 / (n - 1)
        both = np.minimum(1, ((1 + r * m) / (1 + m)) ** (n / 2) / math.sqrt(r))
        return np.where(mean > cut, both, 1.0), np.where(mean < cut, both, 1.0)

    return p


def _median(criterion: Criterion, x: np.ndarray) -> Test:
    n = x.shape[1]
    coins = stats.binom.sf(np.arange(n + 1) - 1, n, 0.5)
    return lambda cut: (coins[(x > cut).sum(axis=1)], coins[(x < cut).sum(axis=1)])


def _wilcoxon(criterion: Criterion, x: np.ndarray) -> Test:
    n = x.shape[1]
    first, second = np.triu_indices(n)
    sums = x[:, first] + x[:, second]
    tail = upper_tail(n)

    def p(cut: float) -> tuple[np.ndarray, np.ndarray]:
        zero = TIE * np.abs(x - cut).max(axis=1)[:, None]
        return tail[(sums > 2 * cut + zero).sum(axis=1)], tail[(sums < 2 * cut - zero).sum(axis=1)]

    return p


def _sign_flip(criterion: Criterion, x: np.ndarray) -> Test:
    n = x.shape[1]
    if n > 12:  # too many subsets for a table: the criterion's own way

        def one_by_one(cut: float) -> tuple[np.ndarray, np.ndarray]:
            sides = criterion.p_greater, criterion.p_less
            return tuple(np.array([side(row, cut) for row in x]) for side in sides)  # type: ignore[return-value]

        return one_by_one
    subsets = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(float)
    sums, sizes = x @ subsets.T, subsets.sum(axis=1)
    above, below = np.empty(len(x)), np.empty(len(x))

    def p(cut: float) -> tuple[np.ndarray, np.ndarray]:
        zero = TIE * np.abs(x - cut).max(axis=1)[:, None]
        for rows in (slice(start, start + 200) for start in range(0, len(x), 200)):  # small enough for a cache
            shifted = sums[rows] - cut * sizes
            above[rows] = np.count_nonzero(shifted <= zero[rows], axis=1)
            below[rows] = np.count_nonzero(shifted >= -zero[rows], axis=1)
        return above / 2**n, below / 2**n

    return p


@cache
def _draws(n: int, resamples: int) -> np.ndarray:
    """How often each seed is in each resample, over n: float32 [n, resamples]."""
    rows = []
    for chunk, start in enumerate(range(0, resamples, CHUNK)):
        count = min(CHUNK, resamples - start)
        rows.append(keyed.integers(n, count * n, 0, "criteria/bca", chunk).reshape(count, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], np.concatenate(rows)), 1)
    return (counts.T / n).astype(np.float32)


def _bca(criterion: Criterion, x: np.ndarray) -> Test:
    assert isinstance(criterion, Bca)
    n, least = x.shape[1], 1 / (criterion.resamples + 1)
    means = np.sort(x, axis=1).astype(np.float32) @ _draws(n, criterion.resamples)

    def quantile(value: np.ndarray) -> np.ndarray:
        below = (means < value[:, None]).mean(axis=1)
        return ndtri(np.clip(below, least, 1 - least))

    centred = x - x.mean(axis=1, keepdims=True)
    bias = quantile(x.mean(axis=1).astype(np.float32))
    acceleration = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)

    def p(cut: float) -> tuple[np.ndarray, np.ndarray]:
        beyond = quantile(np.full(len(x), cut, dtype=np.float32)) - bias
        z = beyond / (1 + acceleration * beyond) - bias
        if criterion.expanded:
            z = ndtri(stdtr(n - 1, z * math.sqrt((n - 1) / n)))
        return np.maximum(ndtr(z), least), np.maximum(ndtr(-z), least)

    return p


@cache
def _shares(n: int, resamples: int) -> np.ndarray:
    """Share of each seed, in ascending order, in each resample's interquartile mean: float32 [n, resamples]."""
    rows = []
    for chunk, start in enumerate(range(0, resamples, CHUNK)):
        count = min(CHUNK, resamples - start)
        rows.append(keyed.integers(n, count * n, 0, "criteria/iqm_bootstrap", chunk).reshape(count, n))
    middle = trim_quarters(np.concatenate(rows))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], middle), 1)
    return (counts.T / middle.shape[1]).astype(np.float32)


def _iqm_bootstrap(criterion: Criterion, x: np.ndarray) -> Test:
    assert isinstance(criterion, IqmBootstrap)
    n, least = x.shape[1], 1 / (criterion.resamples + 1)
    x = np.sort(x, axis=1)
    means = np.sort(x.astype(np.float32) @ _shares(n, criterion.resamples), axis=1)
    rounding = np.float32(1e-6 * np.abs(x).max())

    def quantile(value: np.ndarray) -> np.ndarray:
        ends = np.stack([value - rounding, value + rounding], axis=1).astype(np.float32)
        below = np.array([row.searchsorted(end) for row, end in zip(means, ends, strict=True)]).sum(axis=1)
        return ndtri(np.clip(below / 2 / criterion.resamples, least, 1 - least))

    left_out = np.stack([trim_quarters(np.delete(x, seed, axis=1)).mean(axis=1) for seed in range(n)], axis=1)
    d = left_out.mean(axis=1, keepdims=True) - left_out
    bias = quantile(trim_quarters(x).mean(axis=1))
    squares = (d**2).sum(axis=1)
    acceleration = np.where(squares > 0, (d**3).sum(axis=1) / np.maximum(6 * squares**1.5, 1e-300), 0.0)
    middle = trim_quarters(x)
    alike = middle[:, -1] - middle[:, 0] <= TIE * np.abs(middle).max(axis=1)

    def p(cut: float) -> tuple[np.ndarray, np.ndarray]:
        beyond = quantile(np.full(len(x), cut)) - bias
        z = (beyond / (1 + acceleration * beyond) - bias) * math.sqrt((n - 1) / n)
        sides = (np.maximum(stdtr(n - 1, side * z), least) for side in (1, -1))
        return tuple(np.where(alike, 1.0, side) for side in sides)  # type: ignore[return-value]

    return p


def _bounded(criterion: Criterion, x: np.ndarray) -> Test:
    assert isinstance(criterion, Bounded)
    low, high = criterion._domain
    n = x.shape[1]
    nodes, _ = np.polynomial.chebyshev.chebgauss(n // 2 + 1)
    f = (1 + nodes) / 2

    def one_side(y: np.ndarray, cut: float) -> np.ndarray:
        gain = y / cut - 1
        wealth = np.mean([np.exp(np.log1p(share * gain).sum(axis=1)) for share in f], axis=0)
        return np.minimum(1, 1 / wealth)

    width = high - low
    return lambda cut: (
        one_side((x - low) / width, (cut - low) / width),
        one_side((high - x) / width, (high - cut) / width),
    )


KINDS = {
    "t": _t,
    "welch": _welch,
    "t_sequence": _t_sequence,
    "median": _median,
    "wilcoxon": _wilcoxon,
    "sign_flip": _sign_flip,
    "bca": _bca,
    "iqm_bootstrap": _iqm_bootstrap,
    "bounded": _bounded,
}
