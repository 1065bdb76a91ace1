"""Wilcoxon's signed-rank test over seeds (Wilcoxon 1945, doi 10.2307/3001968), through Walsh averages."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.criteria import TIE, Criterion, Target, compute_t_misses, count_signs_needed, walsh_averages
from harness.stats.distributions import t_exceeded

if TYPE_CHECKING:
    import numpy as np

EXACT = 500  # seeds, beyond which the null distribution is taken as normal


class Wilcoxon(Criterion):
    """Signed-rank test of the pseudomedian, which is the median of the mean of two seeds; not of the mean.

    The statistic w is the number of Walsh averages (x_i + x_j)/2, i ≤ j, beyond the cut; p = P(W ≥ w), where W sums
    those of the ranks 1 … n that n fair coins choose. A Walsh average on the cut, which results from a zero or from two
    tied magnitudes, counts against rejection; the null distribution is that without ties. Spreading tied values by
    vanishing symmetric noise shows that p is then never too small.

    Equation:
        w = #{(x_i + x_j)/2 > cut, i ≤ j};  p = P(W ≥ w)

    Use:
        Where values may have heavy tails but are symmetric.

    Traps:
        It tests the pseudomedian and not the mean. Few seeds give coarse p-values: the least is 2⁻ⁿ.
    """

    name: Literal["wilcoxon"]
    targets: ClassVar[Target] = "pseudomedian"
    assumes: ClassVar[str] = "seeds are independent and their values symmetric about the pseudomedian"
    source: ClassVar[str] = "Wilcoxon 1945, doi 10.2307/3001968; Hodges and Lehmann 1963, doi 10.1214/aoms/1177704172"

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds at which the smallest possible p-value, 2⁻ⁿ, is at most ``alpha``."""
        return count_signs_needed(alpha)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return P(W ≥ w), w the number of Walsh averages above the cut."""
        return float(upper_tail(len(x))[_count_above(x - cut)])

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return P(W ≥ w), w the number of Walsh averages below the cut."""
        return float(upper_tail(len(x))[_count_above(cut - x)])

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the interval between two Walsh averages, both included; infinite if 2⁻ⁿ is above (1 − level)/2."""
        import numpy as np

        rejecting = np.flatnonzero(upper_tail(len(x)) <= (1 - level) / 2)
        if not len(rejecting):
            return -math.inf, math.inf
        walsh = walsh_averages(x)
        fewest = int(rejecting[0])
        return float(walsh[len(walsh) - fewest]), float(walsh[fewest - 1])

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability for t with 3/π of the seeds, the efficiency for many normal values.

        For few seeds it is too low by some hundredths.
        """
        if n < count_signs_needed(alpha):
            return 1.0
        return compute_t_misses(distance, sd, 3 / math.pi * n, n - 1, t_exceeded(alpha, n - 1))


def _count_above(d: np.ndarray) -> int:
    """Return the number of Walsh averages of ``d`` that exceed zero by more than rounding."""
    import numpy as np

    d = np.sort(d)
    zero = TIE * float(np.abs(d).max())
    ordered = int((len(d) - np.searchsorted(d, zero - d, side="right")).sum())  # pairs (i, j) in either order
    return (ordered + int((d > zero / 2).sum())) // 2


@lru_cache(maxsize=64)
def upper_tail(n: int) -> np.ndarray:
    """Return P(W ≥ w) for w = 0 … n(n + 1)/2 under the null.

    Each of the ranks 1 … n is in the sum with probability ½.
    """
    import numpy as np

    most = n * (n + 1) // 2
    if n > EXACT:
        from scipy.special import ndtr

        sd = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        normal: np.ndarray = ndtr((most / 2 + 0.5 - np.arange(most + 1)) / sd)
        return normal
    probability = np.zeros(most + 1)
    probability[0] = 1.0
    for rank in range(1, n + 1):
        moved = probability / 2
        probability = moved.copy()
        probability[rank:] += moved[:-rank]
    return np.minimum(np.cumsum(probability[::-1])[::-1], 1.0)


plugin = Wilcoxon
