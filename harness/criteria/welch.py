"""Welch's t over the seeds of two unpaired arms (Welch 1947, doi 10.1093/biomet/34.1-2.28)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from harness.criteria import Criterion, Target, compute_t_misses
from harness.stats.distributions import t_cdf, t_exceeded

if TYPE_CHECKING:
    import numpy as np


class Welch(Criterion):
    """Two-sample t test of a difference of means with unequal variances, for files that register unpaired arms.

    t = (ā − b̄ − cut)/√(s_a²/n + s_b²/m) is compared with Student's T of (s_a²/n + s_b²/m)² / [(s_a²/n)²/(n − 1) +
    (s_b²/m)²/(m − 1)] degrees of freedom.

    Equation:
        t = (ā − b̄ − cut)/√(s_a²/n + s_b²/m), Welch–Satterthwaite degrees of freedom

    Use:
        For arms that share no seeds, so that nothing can be paired.

    Traps:
        It throws away the pairing where there is one, and with it most of the power.
    """

    name: Literal["welch"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "all values are independent and each arm's normal, or enough of them for the means to be"
    source: ClassVar[str] = "Welch 1947, doi 10.1093/biomet/34.1-2.28"
    unpaired: ClassVar[bool] = True
    t_test: ClassVar[bool] = True

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return 2 in each arm, which leaves one degree of freedom for each variance."""
        return 2

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return P(T ≥ t) under mean difference = cut; x [n, 2]."""
        found = compare(x[:, 0], x[:, 1])
        return t_cdf(-found.t(cut), found.df)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return P(T ≤ t) under mean difference = cut; x [n, 2]."""
        found = compare(x[:, 0], x[:, 1])
        return t_cdf(found.t(cut), found.df)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the difference of means ± t·standard error."""
        return compare(x[:, 0], x[:, 1]).interval(level)

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return P(T < t_α), T noncentral t with 2(n − 1) degrees of freedom, Welch's number for equal variances.

        ``sd`` is the square root of the sum of the arms' variances.
        """
        df = 2 * (n - 1)
        return compute_t_misses(distance, sd, n, df, t_exceeded(alpha, df))


class Comparison(NamedTuple):
    """The difference of two samples' means, with its standard error and Welch's degrees of freedom."""

    difference: float
    standard_error: float
    df: float

    def t(self, cut: float) -> float:
        """Return the number of standard errors by which the difference lies above the cut."""
        return (self.difference - cut) / self.standard_error

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided confidence interval at ``level``."""
        half = t_exceeded((1 - level) / 2, self.df) * self.standard_error
        return self.difference - half, self.difference + half


def compare(a: np.ndarray, b: np.ndarray) -> Comparison:
    """Compare ``a`` [n] with ``b`` [m], first minus second; at least one of the two must vary."""
    errors = float(a.std(ddof=1)) / math.sqrt(len(a)), float(b.std(ddof=1)) / math.sqrt(len(b))
    error = math.hypot(*errors)
    shares = [(part / error) ** 4 / (size - 1) for part, size in zip(errors, (len(a), len(b)), strict=True)]
    return Comparison(float(a.mean()) - float(b.mean()), error, 1 / sum(shares))


plugin = Welch
