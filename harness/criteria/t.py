"""Student's t over seeds (Student 1908, doi 10.1093/biomet/6.1.1): the default criterion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.criteria import Criterion, Target
from harness.stats.distributions import t_cdf, t_exceeded

if TYPE_CHECKING:
    import numpy as np


class T(Criterion):
    """One-sample t test of the mean over seeds. A paired contrast is tested on its differences.

    t = (x̄ − cut)/(s/√n). The p-value of "mean ≤ cut" is P(T ≥ t), that of "mean ≥ cut" P(T ≤ t), T
    Student's with n − 1 degrees of freedom.

    Equation:
        t = (x̄ − cut)/(s/√n);  p = P(T_{n−1} ≥ t)

    Use:
        The default. For paired contrasts it tests the differences of each seed.

    Traps:
        With few seeds it rests on normality: bounded or skewed values, such as accuracies near a floor, break it. With
        two seeds it rests on nothing else.
    """

    name: Literal["t"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "seeds are independent and their values normal, or enough of them for the mean to be"
    source: ClassVar[str] = "Student 1908, doi 10.1093/biomet/6.1.1"
    t_test: ClassVar[bool] = True

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return 2, which leaves one degree of freedom."""
        return 2

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return P(T ≥ t) under mean = cut, t = (x̄ − cut)/(s/√n). The values of ``x`` must not be all equal."""
        return t_cdf(-_statistic(x, cut), len(x) - 1)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return P(T ≤ t) under mean = cut. The values of ``x`` must not be all equal."""
        return t_cdf(_statistic(x, cut), len(x) - 1)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return x̄ ± t·s/√n."""
        half = t_exceeded((1 - level) / 2, len(x) - 1) * _standard_error(x)
        return float(x.mean()) - half, float(x.mean()) + half

    def critical_t(self, alpha: float, n: int) -> float:
        """Return the t that Student's t with n − 1 degrees of freedom exceeds with probability ``alpha``."""
        return t_exceeded(alpha, n - 1)


def _standard_error(x: np.ndarray) -> float:
    return float(x.std(ddof=1)) / math.sqrt(len(x))


def _statistic(x: np.ndarray, cut: float) -> float:
    return (float(x.mean()) - cut) / _standard_error(x)


plugin = T
