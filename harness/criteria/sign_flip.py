"""The sign-flip test over seeds (Fisher 1935, The Design of Experiments, section 21): exact under symmetry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.criteria import TIE, Criterion, Target, compute_t_misses, count_signs_needed, find_last_rejected
from harness.stats.distributions import t_exceeded

if TYPE_CHECKING:
    import numpy as np

EXACT = 30  # seeds; 2¹⁵ sums for either half
FINENESS = 50  # grid steps per standard deviation of the sum, for one seed; times n for n seeds
MOST_CELLS = 2**20


class SignFlip(Criterion):
    """Exact randomisation test of the mean: the fraction of the 2ⁿ sign patterns that give at least as large a sum.

    With d_i = x_i − cut, the p-value of "mean ≤ cut" is #{signs ε ∈ {−1, 1}ⁿ: Σ ε_i d_i ≥ Σ d_i} / 2ⁿ. Up to 30 seeds,
    all patterns are counted. Beyond, the values are rounded to a grid in the direction that makes p larger, by about 2%
    of itself at p = .05 up to 300 seeds. It is never too small, and needs no random numbers either.

    Equation:
        p = #{ε ∈ {−1, 1}ⁿ: Σ ε_i d_i ≥ Σ d_i}/2ⁿ,  d = x − cut

    Use:
        An exact test of the mean where ``t`` seems too bold.

    Traps:
        It needs symmetry, for which no number of seeds makes up exactly. At α = .05 fewer than 5 seeds can't decide
        anything.
    """

    name: Literal["sign_flip"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "seeds are independent and their values symmetric about the mean"
    source: ClassVar[str] = "Fisher 1935; interval by subset means, Hartigan 1969, doi 10.1080/01621459.1969.10501057"

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds at which the smallest possible p-value, 2⁻ⁿ, is at most ``alpha``."""
        return count_signs_needed(alpha)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return the fraction of sign patterns of x − cut whose sum is at least the observed one; equal sums count."""
        return _compute_share_of_flips(x - cut)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return the fraction of sign patterns of cut − x whose sum is at least the observed one; equal sums count."""
        return _compute_share_of_flips(cut - x)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the interval between two means of subsets of ``x``; infinite if 2⁻ⁿ is above (1 − level)/2."""
        alpha = (1 - level) / 2
        if len(x) < count_signs_needed(alpha):
            return -math.inf, math.inf
        low, high = float(x.min()), float(x.max())
        beyond = (high - low) * 1e-3  # where all values lie on one side
        precision = 1e-12 if len(x) <= EXACT else 1e-6
        return (
            find_last_rejected(lambda cut: self.p_greater(x, cut), low - beyond, high, alpha, precision),
            find_last_rejected(lambda cut: self.p_less(x, cut), high + beyond, low, alpha, precision),
        )

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability for t, which this test approaches for normal values.

        For few seeds it is too low by some hundredths.
        """
        if n < count_signs_needed(alpha):
            return 1.0
        return compute_t_misses(distance, sd, n, n - 1, t_exceeded(alpha, n - 1))


def _compute_share_of_flips(d: np.ndarray) -> float:
    """Return the fraction of the 2ⁿ subsets of ``d`` whose sum is at most 0.

    Flipping the signs of a subset leaves the sum of all at least as large if and only if the subset's sum is ≤ 0.
    """
    import numpy as np

    scale = float(np.abs(d).max())
    if scale == 0:
        return 1.0
    d = d / scale
    return _count_exactly(d) if len(d) <= EXACT else _count_on_grid(d)


def _count_exactly(d: np.ndarray) -> float:
    """Count exactly: each sum over the first half meets the sorted sums over the second."""
    import numpy as np

    half = len(d) // 2
    left, right = _list_subset_sums(d[:half]), np.sort(_list_subset_sums(d[half:]))
    return float(np.searchsorted(right, TIE - left, side="right").sum()) / 2.0 ** len(d)


def _list_subset_sums(d: np.ndarray) -> np.ndarray:
    import numpy as np

    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums, sums + value])
    return sums


def _count_on_grid(d: np.ndarray) -> float:
    """Return an upper bound: values are rounded down to whole steps, whose sums are counted cell by cell."""
    import numpy as np

    size = float(np.abs(d).sum())
    steps = min(FINENESS * len(d) * size / math.sqrt(float(d @ d)), MOST_CELLS)
    whole = np.floor(d * (steps / size)).astype(np.int64)
    lowest = int(whole[whole < 0].sum())
    cells = np.zeros(int(whole[whole > 0].sum()) - lowest + 1)
    cells[-lowest] = 1.0  # the empty subset
    for value in whole.tolist():
        moved = cells / 2
        cells = moved.copy()
        if value > 0:
            cells[value:] += moved[:-value]
        elif value < 0:
            cells[:value] += moved[-value:]
        else:
            cells += moved
    return min(1.0, float(cells[: 1 - lowest].sum()))


plugin = SignFlip
