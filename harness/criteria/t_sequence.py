"""The t confidence sequence (Wang and Ramdas 2023, arXiv 2310.03722): valid at all numbers of seeds simultaneously."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.criteria import NEVER, Criterion, Target
from harness.plugins.fields import Unit
from harness.stats.distributions import LARGEST_T

if TYPE_CHECKING:
    import numpy as np


class TSequence(Criterion):
    """Anytime-valid test of the mean: one may look after every seed and stop as soon as it decides.

    The p-value of "mean ≤ cut" for x̄ above the cut is √(1/r)·[(1 + rm)/(1 + m)]^(n/2), else 1; m = t²/(n − 1),
    r = c²/(n + c²). It is a mixture of scale-invariant likelihood ratios over effect sizes δ ~ N(0, 1/c²). Both
    one-sided tests use the two-sided sequence at their own α: halving α would require that the two errors exclude each
    other over time, which they do not quite do.

    Equation:
        p = √(1/r)·[(1 + rm)/(1 + m)]^(n/2),  m = t²/(n − 1),  r = c²/(n + c²)

    Use:
        To look after every seed and stop at the first decision.

    Traps:
        It pays for the looks: at a fixed number of seeds ``t`` needs fewer. Normality is assumed at all n.
    """

    name: Literal["t_sequence"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "seeds are independent and their values normal"
    source: ClassVar[str] = "Wang and Ramdas 2023, arXiv 2310.03722; Lai 1976, doi 10.1214/aos/1176343406"
    anytime: ClassVar[bool] = True

    c_squared: Annotated[float, Unit("1")] = Field(default=0.5, gt=0, le=100)
    """Tuning constant c². Smaller values tune the test to larger effects; the error rate does not depend on it."""

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds at which r^((n − 1)/2), r = c²/(n + c²), is below ``alpha``.

        However far the data lie from the cut, p is at least that.
        """
        return next((n for n in range(2, 10_001) if self._share(n) ** ((n - 1) / 2) < alpha), NEVER)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return the p-value of the two-sided sequence if the mean lies above the cut, else 1."""
        return self._p(x, cut) if float(x.mean()) > cut else 1.0

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return the p-value of the two-sided sequence if the mean lies below the cut, else 1."""
        return self._p(x, cut) if float(x.mean()) < cut else 1.0

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return x̄ ± s·√[(n − 1)(K − 1)/(n(1 − Kr))], K = (α√r)^(−2/n), α = (1 − level)/2; infinite if Kr ≥ 1.

        The interval at level 90% is therefore the sequence of error 5%, and covers at least 95% at all n
        simultaneously.
        """
        half = float(x.std(ddof=1)) * self.critical_t((1 - level) / 2, len(x)) / math.sqrt(len(x))
        return float(x.mean()) - half, float(x.mean()) + half

    def _share(self, n: int) -> float:
        """Return r = c²/(n + c²)."""
        return self.c_squared / (n + self.c_squared)

    def critical_t(self, alpha: float, n: int) -> float:
        """Return the |t| beyond which the sequence of error ``alpha`` rejects after n seeds."""
        r = self._share(n)
        if not alpha * math.sqrt(r):
            return math.inf
        k = (alpha * math.sqrt(r)) ** (-2 / n)
        return math.sqrt((n - 1) * (k - 1) / (1 - k * r)) if k * r < 1 else math.inf

    def _p(self, x: np.ndarray, cut: float) -> float:
        """Return the α at which the sequence just reaches the cut: [(1 + rm)/(1 + m)]^(n/2)/√r, m = t²/(n − 1)."""
        n = len(x)
        r = self._share(n)
        t = (float(x.mean()) - cut) / (float(x.std(ddof=1)) / math.sqrt(n))
        ratio = r + (1 - r) / (1 + min(abs(t), LARGEST_T) ** 2 / (n - 1))  # (1 + rm)/(1 + m), without overflow
        return min(1.0, math.exp(n / 2 * math.log(ratio) - math.log(r) / 2))


plugin = TSequence
