"""Student's noncentral t, by quadrature in NumPy alone: loading SciPy takes longer than all of this.

The values of seeds are normal. Their standard deviation is then sd·q with q = √(χ²/df), independent of their mean,
which is normal: given q, everything about the mean is a normal probability, and an integral over q alone remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache, lru_cache

import numpy as np

SPREADS = 8.5  # standard deviations of q beyond which its density is below 1e-12
POINTS = 64  # of the Gauss–Legendre rule, in each stretch
STEEP = 3.0  # steps of Φ narrower than a third of the spread of q need a kink for the rule to resolve them
TABLE_STEP, TABLE_END = 2.0**-12, 8.5


def interpolate_normal_cdf(x: np.ndarray) -> np.ndarray:
    """Return Φ(x), to 2e-9, by interpolation in a table.

    Its even steps are found faster than ``np.interp`` searches.
    """
    values, slopes = _table()
    x = np.clip(x, -TABLE_END, TABLE_END)
    place = ((x + TABLE_END) / TABLE_STEP).astype(np.intp)
    x -= place * TABLE_STEP - TABLE_END
    x *= slopes[place]
    x += values[place]
    return x


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    points = np.arange(-TABLE_END, TABLE_END + TABLE_STEP, TABLE_STEP)
    values = np.array([*map(math.erfc, (points / -math.sqrt(2)).tolist())]) / 2
    return values, np.append(np.diff(values) / TABLE_STEP, 0.0)


@cache
def _rule() -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    return points, weights


def nodes(df: float, kinks: Iterable[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return points q and weights w, Σw = 1, such that E f(√(χ²/df)) = Σ w·f(q) for f smooth between ``kinks``.

    The rule is applied in √q, which puts points close together near zero, where few degrees of freedom need them.
    """
    spread = SPREADS / math.sqrt(2 * df)
    low, high = math.sqrt(max(0.0, 1 - spread)), math.sqrt(1 + spread)
    inside = sorted({math.sqrt(kink) for kink in kinks if low**2 < kink < high**2})
    ends = np.array([low, *inside, (low + high) / 2, high])
    ends.sort()
    points, weights = _rule()
    half = np.diff(ends)[:, None] / 2
    root = (ends[:-1, None] + half * (points + 1)).ravel()
    log_density = (2 * df - 1) * np.log(root) - df * root**4 / 2  # of √q, up to a constant
    density = (half * weights).ravel() * np.exp(log_density - log_density.max())
    return root**2, density / density.sum()


_nodes = lru_cache(maxsize=256)(nodes)


def noncentral_t_cdf(t: float, df: float, shift: float) -> float:
    """Return P(T ≤ t), T noncentral t with ``df`` degrees of freedom and noncentrality ``shift``.

    It integrates Φ(tq − shift) over q, to 1e-11 for whole degrees of freedom, however steep the step is.
    """
    if math.isinf(shift):  # the weights sum to 1 up to rounding
        return 0.0 if shift > 0 else 1.0
    q, w = nodes(df, _steps(t, shift)) if abs(t) > STEEP * math.sqrt(2 * df) else _nodes(df)
    return float(w @ [math.erfc(z) for z in ((shift - t * q) / math.sqrt(2)).tolist()]) / 2


@lru_cache(maxsize=256)  # the same for all samples of a size
def spread_quantile(p: float, df: float) -> float:
    """Return the value below which q = √(χ²/df) lies with probability ``p``."""

    def above(limit: float) -> float:
        q, w = nodes(df, [limit])
        return float(w @ (q > limit))

    return _where_falling_to(1 - p, above, 0.0, 2.0)


def noncentrality_limits(t: float, df: int, level: float) -> tuple[float, float]:
    """Return two-sided confidence limits at ``level`` for the noncentrality, given one finite draw ``t``.

    At each limit, a t at least as extreme as this one, on its side, has probability (1 − level)/2 (Steiger and Fouladi
    1997; Cumming and Finch 2001, doi 10.1177/0013164401614002).
    """

    def below(noncentrality: float) -> float:
        q, w = nodes(df, [noncentrality / t] if t else [])  # more kinks would move the last digits of stored verdicts
        return float(w @ interpolate_normal_cdf(t * q - noncentrality))

    tail = (1 - level) / 2
    reach = 10 + 2 * abs(t)
    return _where_falling_to(1 - tail, below, t - reach, t), _where_falling_to(tail, below, t, t + reach)


def _steps(t: float, shift: float) -> list[float]:
    """Return the q at which Φ(tq − shift) begins to rise from 0 to 1, is one half, and has risen; t is not 0."""
    return [(shift + z) / t for z in (-TABLE_END, 0.0, TABLE_END)]


def _where_falling_to(target: float, f: Callable[[float], float], low: float, high: float) -> float:
    """Return the x at which the decreasing ``f`` equals ``target``, by bisection.

    The ends are moved outward until the target lies between.
    """
    while f(high) > target:
        low, high = high, high + 2 * (high - low)
    while f(low) < target:
        low, high = low - 2 * (high - low), low
    while low < (middle := (low + high) / 2) < high:
        if f(middle) > target:
            low = middle
        else:
            high = middle
    return middle
