"""Student's t by quadrature, in NumPy alone: SciPy takes longer to load than all of this takes to compute.

Seeds' values are normal. Then their standard deviation is sd·q with q = √(χ²/df), independent of their mean, which is
normal: given q, everything about the mean is a normal probability, and what is left is an integral over q alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np

SPREADS = 8.5  # the density of q beyond so many of its standard deviations is below 1e-12
POINTS = 64  # of Gauss and Legendre's rule, in each stretch
TABLE_STEP = 2.0**-12


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Φ(x), to 2e-9: between the points of a table."""
    points, values = _table()
    return np.asarray(np.interp(x, points, values))


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    points = np.arange(-8.5, 8.5 + TABLE_STEP, TABLE_STEP)
    return points, np.array([*map(math.erfc, (points / -math.sqrt(2)).tolist())]) / 2


@cache
def _rule() -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    return points, weights


def nodes(df: int, kinks: Iterable[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Points q and weights w, Σw = 1, such that E f(√(χ²/df)) = Σ w·f(q) for an f that is smooth between ``kinks``.

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
    log_density = (2 * df - 1) * np.log(root) - df * root**4 / 2  # of √q, but for a constant
    density = (half * weights).ravel() * np.exp(log_density - log_density.max())
    return root**2, density / density.sum()


@cache
def quantile(alpha: float, df: int) -> float:
    """The t that is exceeded with probability ``alpha`` < .5."""
    q, w = nodes(df)
    return _where_falling_to(alpha, lambda t: float(w @ normal_cdf(-t * q)), 0.0, 2.0)


def noncentrality_limits(t: float, df: int, level: float) -> tuple[float, float]:
    """Two-sided confidence limits at ``level`` for the noncentrality of which the finite ``t`` is one draw.

    At each limit a t at least as far out as this one, on its side, has probability (1 − level)/2 (Steiger and Fouladi
    1997; Cumming and Finch 2001, doi 10.1177/0013164401614002).
    """

    def below(noncentrality: float) -> float:
        step = noncentrality / t if t else 0.0  # Φ rises from 0 to 1 here, steeply for a large t
        q, w = nodes(df, [step])
        return float(w @ normal_cdf(t * q - noncentrality))

    tail = (1 - level) / 2
    reach = 10 + 2 * abs(t)
    return _where_falling_to(1 - tail, below, t - reach, t), _where_falling_to(tail, below, t, t + reach)


def _where_falling_to(target: float, f: Callable[[float], float], low: float, high: float) -> float:
    """The x at which the falling ``f`` is ``target``, by bisection; the ends are moved out until it lies between."""
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
