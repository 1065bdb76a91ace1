"""Distribution functions of single numbers in plain floats: loading SciPy's takes longer than a whole verdict.

tests/unit/stats/test_distributions.py compares them with SciPy and, where SciPy has no value, with mpmath.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

LARGEST_T = 1e150  # large enough; its square is still finite
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
STEPS = 10_000  # limit for the continued fraction: hundreds suffice for a million degrees of freedom


def normal_cdf(x: float) -> float:
    """Return Φ(x)."""
    return math.erfc(-x / math.sqrt(2)) / 2


def t_cdf(t: float, df: float) -> float:
    """Return P(T ≤ t), T Student's with ``df`` > 0 degrees of freedom, to 12 digits even at 1e-300.

    A t beyond ±1e150 counts as ±1e150.
    """
    square = min(abs(t), LARGEST_T) ** 2
    tail = beta_cdf(df / (df + square), square / (df + square), df / 2, 0.5) / 2
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=4096)
def t_exceeded(alpha: float, df: float) -> float:
    """Return the t that is exceeded with probability ``alpha`` ≤ ½, at most 1e150; infinity if ``alpha`` is 0.

    It uses Newton's method on log P(T ≥ t) as a function of log t, which is nearly straight in the tails.
    """
    if alpha == 0.5:
        return 0.0
    if alpha == 0:  # the rest of a level that rounds to 1
        return math.inf
    z = -NormalDist().inv_cdf(alpha)
    t = z + (z**3 + z) / (4 * df)
    for _ in range(100):
        p = t_cdf(-t, df)
        if not p:
            break
        step = math.log(p / alpha) * p / _density(df / (df + t * t), t * t / (df + t * t), df / 2, 0.5)
        t = min(t * math.exp(step), LARGEST_T)
        if abs(step) < 1e-8:  # the next would be below 1e-16
            break
    return t


def beta_cdf(x: float, y: float, a: float, b: float) -> float:
    """Return P(X ≤ x) for a beta-distributed X, the regularised incomplete beta function.

    ``y`` is 1 − x, in full precision. Source: Didonato and Morris 1992, doi 10.1145/131766.131776, their BFRAC.
    """
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly
        return 1 - _density(y, x, b, a) / _fraction(y, x, b, a)
    return _density(x, y, a, b) / _fraction(x, y, a, b)


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the x with P(X ≤ x) = p, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if beta_cdf(middle, 1 - middle, a, b) < p:
            low = middle
        else:
            high = middle
    return middle


def _fraction(x: float, y: float, a: float, b: float) -> float:
    """Return x^a·y^b/B(a, b) over I_x(a, b), a continued fraction.

    It is evaluated by Lentz's method (1976, doi 10.1364/AO.15.000668).
    """
    off = a * y - b * x  # zero at the mean
    total = c = a * (off + 1) / (a + 1)
    d = 0.0
    for m in range(1, STEPS):
        odd = a + 2 * m - 1
        above = m * (a + m - 1) * ((a + b + m - 1) / odd) * ((b - m) / odd) * x * x
        below = m + m * (b - m) * x / odd + (a + m) * (off + 1 + m * (1 + y)) / (odd + 2)
        d = 1 / (below + above * d)
        c = below + above / c
        total *= c * d
        if not abs(c * d - 1) > 1e-16:  # nor if it is NaN
            break
    return total


def _density(x: float, y: float, a: float, b: float) -> float:
    """Return x^a·y^b/B(a, b), without the digits lost when large logarithms cancel (Loader 2000)."""
    off = b * x - a * y  # zero at the mean
    power = a * _log(x * (a + b) / a, off / a) + b * _log(y * (a + b) / b, -off / b)
    return math.exp(power + _stirling_error(a + b) - _stirling_error(a) - _stirling_error(b)) * math.sqrt(
        a * (b / (a + b)) / (2 * math.pi)
    )


def _log(ratio: float, off: float) -> float:
    """Return log(ratio), computed from off = ratio − 1 where that has more digits."""
    return math.log1p(off) if abs(off) < 0.5 else math.log(ratio)


def _stirling_error(a: float) -> float:
    """Return log Γ(a) minus Stirling's formula."""
    if a < 16:
        return math.lgamma(a) - (a - 0.5) * math.log(a) + a - math.log(2 * math.pi) / 2
    return math.fsum(part / a ** (2 * k + 1) for k, part in enumerate(STIRLING))
