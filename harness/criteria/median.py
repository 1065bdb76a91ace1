"""The exact sign test of the median over seeds (Arbuthnott 1710, doi 10.1098/rstl.1710.0011)."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.criteria import Criterion, Target, count_signs_needed
from harness.stats.distributions import beta_cdf, normal_cdf

if TYPE_CHECKING:
    import numpy as np

COUNTED = 100  # seeds up to which binomial coefficients are summed exactly, in integers


class Median(Criterion):
    """Sign test of the median, valid for any distribution. It counts the seeds beyond the cut, not those on it.

    The p-value of "median ≤ cut" is P(K ≥ #{x_i > cut}), K binomial with n trials of probability ½.

    Equation:
        k = #{x_i > cut};  p = P(K ≥ k), K ~ Binomial(n, ½)

    Use:
        Where nothing is known of the distribution.

    Traps:
        It ignores how far a value lies beyond the cut and therefore needs more seeds than the others.
    """

    name: Literal["median"]
    targets: ClassVar[Target] = "median"
    assumes: ClassVar[str] = "seeds are independent"
    source: ClassVar[str] = "Arbuthnott 1710; interval by order statistics, Thompson 1936, doi 10.1214/aoms/1177732502"

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds at which the smallest possible p-value, 2⁻ⁿ, is at most ``alpha``."""
        return count_signs_needed(alpha)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return P(at least as many heads in n fair coin tosses as there are values above the cut)."""
        return sign_p(int((x > cut).sum()), len(x))

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return P(at least as many heads in n fair coin tosses as there are values below the cut)."""
        return sign_p(int((x < cut).sum()), len(x))

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the interval between two of the values, both included; infinite if 2⁻ⁿ is above (1 − level)/2."""
        import numpy as np

        n = len(x)
        fewest = _count_fewest(n, (1 - level) / 2)
        if fewest > n:
            return -math.inf, math.inf
        rising = np.sort(x)
        return float(rising[n - fewest]), float(rising[fewest - 1])

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return P(fewer seeds beyond the cut than the test needs), each beyond with probability Φ(distance/sd)."""
        fewest = _count_fewest(n, alpha)
        if fewest > n:
            return 1.0
        return beta_cdf(normal_cdf(-distance / sd), normal_cdf(distance / sd), n - fewest + 1, fewest)


def sign_p(count: int, n: int) -> float:
    """Return P(at least ``count`` heads in ``n`` ≥ 1 fair coin tosses): the exact one-sided sign test."""
    if n <= COUNTED:
        return float(sum(math.comb(n, heads) for heads in range(count, n + 1)) / 2**n)
    return beta_cdf(0.5, 0.5, count, n - count + 1) if count else 1.0


def _count_fewest(n: int, alpha: float) -> int:
    """Return the smallest count beyond the cut whose p-value is at most ``alpha``; n + 1 if there is none."""
    return bisect_left(range(n + 1), True, key=lambda count: sign_p(count, n) <= alpha)


plugin = Median
