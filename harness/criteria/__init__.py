"""Criteria: statistical tests of the side of a cut on which an estimand lies. They use only NumPy and SciPy."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    import numpy as np

Target = Literal["mean", "median", "pseudomedian", "iqm"]
NEVER = 10**9
"""A smallest number of seeds that stands for "never": more than any file may register."""
LARGEST_SHIFT = 1e6  # noncentrality beyond which no probability changes
FEW = 2**16  # drawn seeds of one chunk of resamples that are kept
TIE = 1e-12  # relative to the largest deviation: numbers that differ by less are equal up to rounding


class Criterion(Plugin):
    """Interface of a criterion plug-in.

    ``x`` holds one finite number per seed, float64 [n], not all equal; for criteria of unpaired arms, the numbers of
    both arms, float64 [n, 2]; for criteria that pool tasks, also the numbers of all tasks, float64 [n, tasks].
    """

    targets: ClassVar[Target]
    """Parameter of the distribution over seeds that the criterion tests."""
    assumes: ClassVar[str]
    """Assumptions under which the criterion's error rate holds."""
    source: ClassVar[str]
    """Publication that describes the criterion."""
    unpaired: ClassVar[bool] = False
    """True if the criterion compares two arms whose seeds are not paired, instead of testing one number per seed."""
    anytime: ClassVar[bool] = False
    """True if the criterion's error rate holds at all numbers of seeds simultaneously, so that one may look after every
    seed."""
    needs_bounds: ClassVar[bool] = False
    """True if the criterion works only if the estimand's values lie between known bounds."""
    t_test: ClassVar[bool] = False
    """True if the criterion is a t test. With two seeds it relies entirely on their values being normal, of which a
    verdict warns."""

    pools: ClassVar[bool] = False
    """True if the criterion can pool tasks: it then tests a parameter of the values of all tasks at all seeds."""

    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Significance level α: the largest acceptable probability of a wrong outcome."""

    def on(self, domain: tuple[float, float]) -> Self:
        """Return the criterion for values that lie in ``domain``; only criteria that need bounds use it."""
        return self

    def over(self, tasks: int) -> Self:
        """Return the criterion for the values of so many tasks at each seed; only criteria that pool tasks use it."""
        return self

    @abstractmethod
    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds with which a one-sided test can reject at ``alpha``; NEVER if none can.

        If that depends on the cut, it is the fewest for both sides of ``cut``, or for the easiest cut if none is given.
        """

    @abstractmethod
    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return the one-sided p-value of the null "parameter ≤ cut": small if the data lie above the cut."""

    @abstractmethod
    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return the one-sided p-value of the null "parameter ≥ cut": small if the data lie below the cut."""

    @abstractmethod
    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the two-sided confidence interval at ``level``.

        It consists of the cuts that neither one-sided test at (1 − level)/2 rejects.
        """

    def p_by_look(self, runs: np.ndarray, cut: float, looks: Sequence[int], *, above: bool) -> np.ndarray:
        """Return ``p_greater`` (``above``) or ``p_less`` of many runs after each number of seeds in ``looks``.

        The numbers of seeds ascend. ``runs`` is float64 [run, n], or [run, n, 2] for unpaired arms; the result is
        float64 [look, run]. Values that are all equal are not tested and give 1. A criterion that needs bounds is
        simulated through this method, so it should be fast.
        """
        import numpy as np

        p = self.p_greater if above else self.p_less
        return np.array([[p(x[:n], cut) if np.ptp(x[:n], axis=0).any() else 1.0 for x in runs] for n in looks])

    def critical_t(self, alpha: float, n: int) -> float | None:
        """Return the t beyond which the one-sided tests at ``alpha`` reject after ``n`` ≥ 2 seeds; infinity if none.

        This is for criteria that depend on one number per seed only through t = (x̄ − cut)/(s/√n): the null "parameter
        ≤ cut" is rejected at t or above, "parameter ≥ cut" at −t or below. Their probabilities are then computed from
        means and standard deviations, exactly at a fixed number of seeds, instead of simulated through p-values. All
        other criteria return None at every ``alpha`` and ``n``.
        """
        return None

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability that the one-sided test at ``alpha`` misses a cut at ``distance`` from the parameter.

        The values of the ``n`` seeds are normal with standard deviation ``sd`` > 0; this plans how many seeds are
        needed. None if the criterion has no such formula, neither its own nor, by the noncentral t, that of a
        ``critical_t``.
        """
        critical = self.critical_t(alpha, n)
        if critical is None or math.isinf(critical):
            return None if critical is None else 1.0
        return compute_t_misses(distance, sd, n, n - 1, critical)


def compute_t_misses(distance: float, sd: float, n: float, df: float, critical: float) -> float:
    """Return P(T < critical), T noncentral t with ``df`` degrees of freedom and noncentrality √n·distance/sd."""
    from harness.stats.noncentral import noncentral_t_cdf  # loads NumPy

    shift = min(max(distance / sd * math.sqrt(n), -LARGEST_SHIFT), LARGEST_SHIFT)
    return noncentral_t_cdf(critical, df, shift)


def estimate_parameter(target: Target, x: np.ndarray) -> float:
    """Return the point estimate of a parameter from one number per seed, float64 [n], n ≥ 1.

    The interquartile mean is also taken of several tasks' numbers, float64 [n, tasks].
    """
    import numpy as np

    if target == "mean":
        return float(x.mean())
    if target == "iqm":
        return float(trim_quarters(x.ravel()).mean())
    rising = np.sort(x) if target == "median" else walsh_averages(x)
    return float(rising[(len(rising) - 1) // 2] + rising[len(rising) // 2]) / 2  # np.median loads masked arrays


def draw_seeds(n: int, rows: int, purpose: str, chunk: int) -> np.ndarray:
    """Return ``rows`` resamples of n seeds, int64 [rows, n]: places that follow from ``n``, ``purpose`` and ``chunk``.

    Those of few seeds are kept, since the resamples of all data of n seeds are the same.
    """
    return (_draw_again if rows * n <= FEW else _draw)(n, rows, purpose, chunk)


def _draw(n: int, rows: int, purpose: str, chunk: int) -> np.ndarray:
    from harness.batched import keyed

    drawn = keyed.integers(n, rows * n, 0, purpose, chunk).reshape(rows, n)
    drawn.setflags(write=False)
    return drawn


_draw_again = lru_cache(maxsize=128)(_draw)


def trim_quarters(x: np.ndarray) -> np.ndarray:
    """Return the middle half of the values along the last axis, ascending: ⌊n/4⌋ of n are left out on either side."""
    import numpy as np

    left_out = x.shape[-1] // 4
    return np.sort(x, axis=-1)[..., left_out : x.shape[-1] - left_out]


def walsh_averages(x: np.ndarray) -> np.ndarray:
    """Return (x_i + x_j)/2 for all i ≤ j in ascending order, float64 [n(n + 1)/2].

    Their median is the Hodges–Lehmann estimate. Source: Hodges and Lehmann 1963, doi 10.1214/aoms/1177704172.
    """
    import numpy as np

    first, second = np.triu_indices(len(x))
    return np.sort(x[first] / 2 + x[second] / 2)


def count_signs_needed(alpha: float) -> int:
    """Return the fewest seeds for a test whose smallest p-value, 2⁻ⁿ, needs all values on one side of the cut."""
    n = 1
    while 0.5**n > alpha:
        n += 1
    return n


def find_last_rejected(
    p: Callable[[float], float], rejected: float, kept: float, alpha: float, precision: float = 1e-12
) -> float:
    """Return the point between a rejected and a kept cut at which a one-sided p-value crosses ``alpha``.

    ``precision`` is relative to their distance; the result errs to the rejected side.
    """
    width = precision * abs(kept - rejected)
    while abs(kept - rejected) > width:
        middle = rejected / 2 + kept / 2
        if middle in (rejected, kept):
            break
        if p(middle) <= alpha:
            rejected = middle
        else:
            kept = middle
    return rejected
