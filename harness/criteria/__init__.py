"""Criteria: the statistical tests that decide on which side of a cut an estimand lies. NumPy and SciPy only."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from harness.plugins.fields import Unit
from harness.plugins.registry import Plugin

if TYPE_CHECKING:
    import numpy as np

Target = Literal["mean", "median", "pseudomedian"]
NEVER = 10**9
"""As a smallest number of seeds: more than any file may register."""
LARGEST_SHIFT = 1e6  # a noncentrality that is far enough: no chance changes beyond
TIE = 1e-12  # of the largest deviation: numbers that differ by less are equal but for rounding


class Criterion(Plugin):
    """Interface of a criterion plug-in.

    ``x`` holds one finite number per seed, float64 [n], not all the same; for criteria of unpaired arms the two arms'
    numbers, float64 [n, 2].
    """

    targets: ClassVar[Target]
    """The parameter of the distribution over seeds that it tests."""
    assumes: ClassVar[str]
    """What must hold for its error rate, in words."""
    source: ClassVar[str]
    """Where it comes from."""
    unpaired: ClassVar[bool] = False
    """It compares two arms whose seeds are not paired, instead of testing one number per seed."""
    anytime: ClassVar[bool] = False
    """Its error rate holds at all numbers of seeds together, so one may look after every seed."""
    needs_bounds: ClassVar[bool] = False
    """It works only where the estimand's values lie between known bounds."""
    t_test: ClassVar[bool] = False
    """It is a t test: with two seeds it rests wholly on their values being normal, of which a verdict warns."""

    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Largest probability of a wrong outcome, α."""

    def on(self, domain: tuple[float, float]) -> Self:
        """The criterion for values that lie in ``domain``; only those that need bounds make use of it."""
        return self

    @abstractmethod
    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """The fewest seeds with which a one-sided test can reject at ``alpha``; NEVER if none can.

        Where that depends on the cut: the fewest for both sides of ``cut``, or without one for the easiest cut.
        """

    @abstractmethod
    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """One-sided p of the null "parameter ≤ cut": small when the data lie above the cut."""

    @abstractmethod
    def p_less(self, x: np.ndarray, cut: float) -> float:
        """One-sided p of the null "parameter ≥ cut": small when the data lie below the cut."""

    @abstractmethod
    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Two-sided confidence interval at ``level``: the cuts that neither one-sided test at (1 − level)/2 rejects."""

    def p_by_look(self, runs: np.ndarray, cut: float, looks: Sequence[int], *, above: bool) -> np.ndarray:
        """``p_greater`` (``above``) or ``p_less`` of many runs after each of the numbers of seeds ``looks``, rising.

        ``runs`` is float64 [run, n], for unpaired arms [run, n, 2]; the answer float64 [look, run]. Values that are all
        the same are not tested: 1. A criterion that needs bounds is simulated through this, so it should be quick.
        """
        import numpy as np

        p = self.p_greater if above else self.p_less
        return np.array([[p(x[:n], cut) if np.ptp(x[:n], axis=0).any() else 1.0 for x in runs] for n in looks])

    def critical_t(self, alpha: float, n: int) -> float | None:
        """Return the t beyond which the one-sided tests at ``alpha`` reject after ``n`` ≥ 2 seeds; infinite if none.

        For criteria that look at one number per seed and at nothing of it but t = (x̄ − cut)/(s/√n): the null
        "parameter ≤ cut" is rejected at t or above, "parameter ≥ cut" at −t or below. Their chances are then computed
        from means and spreads, exactly at a fixed number of seeds, instead of simulated through p values. None, at
        every ``alpha`` and ``n``, for all others.
        """
        return None

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability that the one-sided test at ``alpha`` misses a cut at ``distance`` from the parameter.

        ``n`` seeds, whose values are normal with standard deviation ``sd`` > 0; for planning how many are needed. None
        where the criterion has no such formula: neither its own nor, by the noncentral t, that of a ``critical_t``.
        """
        critical = self.critical_t(alpha, n)
        if critical is None or math.isinf(critical):
            return None if critical is None else 1.0
        return t_misses(distance, sd, n, n - 1, critical)


def t_misses(distance: float, sd: float, n: float, df: float, critical: float) -> float:
    """P(T < critical), T noncentral t with ``df`` degrees of freedom and noncentrality √n·distance/sd."""
    from harness.stats.noncentral import noncentral_t_cdf  # loads NumPy

    shift = min(max(distance / sd * math.sqrt(n), -LARGEST_SHIFT), LARGEST_SHIFT)
    return noncentral_t_cdf(critical, df, shift)


def estimate(target: Target, x: np.ndarray) -> float:
    """The point estimate of a parameter from one number per seed, float64 [n], n ≥ 1."""
    import numpy as np

    if target == "mean":
        return float(x.mean())
    rising = np.sort(x) if target == "median" else walsh_averages(x)
    return float(rising[(len(rising) - 1) // 2] + rising[len(rising) // 2]) / 2  # np.median loads masked arrays


def walsh_averages(x: np.ndarray) -> np.ndarray:
    """(x_i + x_j)/2 for all i ≤ j, rising, float64 [n(n + 1)/2]. Their median is Hodges and Lehmann's estimate.

    Source: Hodges and Lehmann 1963, doi 10.1214/aoms/1177704172.
    """
    import numpy as np

    first, second = np.triu_indices(len(x))
    return np.sort(x[first] / 2 + x[second] / 2)


def signs_needed(alpha: float) -> int:
    """The fewest seeds of a test whose smallest p is 2⁻ⁿ: all values on one side of the cut."""
    n = 1
    while 0.5**n > alpha:
        n += 1
    return n


def last_rejected(
    p: Callable[[float], float], rejected: float, kept: float, alpha: float, precision: float = 1e-12
) -> float:
    """Where a one-sided p crosses ``alpha``, between a rejected cut and one that is kept.

    ``precision`` is in units of their distance; the answer errs to the rejected side.
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
