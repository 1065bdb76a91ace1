"""A test by betting for means of bounded values (Waudby-Smith and Ramdas 2024, doi 10.1093/jrsssb/qkad009)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import PrivateAttr

from harness.criteria import NEVER, Criterion, Target, last_rejected

if TYPE_CHECKING:
    import numpy as np

MOST_SEEDS = 10_000


class Bounded(Criterion):
    """Distribution-free test of the mean between known bounds [a, b]: p is one over the wealth of a gambler.

    If the mean is at most the cut, betting the share f of one's wealth on "above" multiplies it by
    1 − f + f(x − a)/(cut − a), at most 1 on average. The wealth is averaged over f ~ Beta(½, ½) (Cover's universal
    portfolio), so it depends on no order of the seeds, on no tuning, and no random number. Valid at all n together
    (Ville 1939). It asks for many seeds unless the data lie far from the cut in units of b − a.
    """

    name: Literal["bounded"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = "seeds are independent and their values lie between the metric's bounds"
    source: ClassVar[str] = (
        "Waudby-Smith and Ramdas 2024, doi 10.1093/jrsssb/qkad009; Cover and Ordentlich 1996, doi 10.1109/18.485708; "
        "Orabona and Jun 2024, arXiv 2110.14099"
    )
    anytime: ClassVar[bool] = True
    needs_bounds: ClassVar[bool] = True

    _domain: tuple[float, float] = PrivateAttr(default=(-math.inf, math.inf))

    def on(self, domain: tuple[float, float]) -> Self:
        """The criterion for values that lie in ``domain``."""
        copy = self.model_copy()
        copy._domain = domain
        return copy

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """All values on one bound must bring enough wealth; with a cut next to the other bound, one value does."""
        low, high = self._domain
        if math.isinf(high - low):
            return NEVER
        if cut is None:
            return 1
        if not low < cut < high:
            return NEVER
        share = min((cut - low) / (high - low), (high - cut) / (high - low))
        return _fewest(1 - share, alpha)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """One over the wealth won by betting on values above the cut; 1 where the values have no bounds."""
        low, high = self._domain
        if math.isinf(high - low):
            return 1.0
        return _p((x - low) / (high - low), (cut - low) / (high - low))

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """One over the wealth won by betting on values below the cut; 1 where the values have no bounds."""
        low, high = self._domain
        if math.isinf(high - low):
            return 1.0
        return _p((high - x) / (high - low), (high - cut) / (high - low))

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """The cuts that neither side's gambler rejects; the bounds themselves where he rejects none."""
        low, high = self._domain
        if math.isinf(high - low):
            return low, high
        alpha, mean = (1 - level) / 2, float(x.mean())
        return (
            last_rejected(lambda cut: self.p_greater(x, cut), low, mean, alpha),
            last_rejected(lambda cut: self.p_less(x, cut), high, mean, alpha),
        )


def _p(y: np.ndarray, cut: float) -> float:
    """For values y on [0, 1] and the null "mean ≤ cut"."""
    if cut >= 1:
        return 1.0
    if cut <= 0:  # then all values are 0
        return 0.0 if cut < 0 or bool((y > 0).any()) else 1.0
    return min(1.0, math.exp(-_log_wealth(y / max(cut, 1e-300))))


def _log_wealth(gain: np.ndarray) -> float:
    """log of the mean over f of Π(1 − f + f·gain): exact, as Gauss and Chebyshev's rule is for a polynomial in f."""
    import numpy as np

    count = len(gain) // 2 + 1
    f = (1 + np.cos((2 * np.arange(count) + 1) * (math.pi / (2 * count)))) / 2
    logs = np.log1p(f[:, None] * (gain - 1)).sum(axis=1)
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).mean()))


def _fewest(cut: float, alpha: float) -> int:
    """Smallest n at which n values of 1 reject "mean ≤ cut"."""
    import numpy as np

    def enough(n: int) -> bool:
        return -_log_wealth(np.full(n, 1 / cut)) <= math.log(alpha)

    low, high = 1, 1
    while not enough(high):  # from below: 10,000 seeds take a second
        if high == MOST_SEEDS:
            return NEVER
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:  # more values on the bound bring more wealth
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


plugin = Bounded
