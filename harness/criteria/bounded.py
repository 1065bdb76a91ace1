"""A test by betting for means of bounded values (Waudby-Smith and Ramdas 2024, doi 10.1093/jrsssb/qkad009)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import PrivateAttr

from harness.criteria import NEVER, Criterion, Target, find_last_rejected

if TYPE_CHECKING:
    import numpy as np

MOST_SEEDS = 10_000
POINTS = 3  # of the rule in a stretch of π/√n, for a relative error of the wealth of 1e-7


class Bounded(Criterion):
    """Distribution-free test of the mean between known bounds [a, b]: p is one over the wealth of a gambler.

    If the mean is at most the cut, betting the fraction f of one's wealth on "above" multiplies it by
    1 − f + f(x − a)/(cut − a), at most 1 on average. The wealth is averaged over f ~ Beta(½, ½) (Cover's universal
    portfolio), so that it depends on no order of the seeds, no tuning, and no random numbers. It is valid at all n
    simultaneously (Ville 1939). It needs many seeds unless the data lie far from the cut in units of b − a.

    Equation:
        p = 1/∫ Π_i [1 − f + f(x_i − a)/(cut − a)] dBeta(½, ½)(f)

    Use:
        Where only the bounds of the metric are known, and where one wants to look after every seed.

    Traps:
        It needs many seeds unless the values lie far from the cut in units of the bounds' distance.
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
        """Return the criterion for values that lie in ``domain``."""
        copy = self.model_copy()
        copy._domain = domain
        return copy

    @property
    def _boundless(self) -> bool:
        return math.isinf(self._domain[1] - self._domain[0])

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds whose values, all on one bound, bring enough wealth to reject.

        One value is enough if the cut lies next to the other bound.
        """
        low, high = self._domain
        if self._boundless:
            return NEVER
        if cut is None:
            return 1
        if not low < cut < high:
            return NEVER
        share = min((cut - low) / (high - low), (high - cut) / (high - low))
        return _count_fewest(1 - share, alpha)

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return one over the wealth won by betting on values above the cut; 1 if the values have no bounds."""
        if self._boundless:
            return 1.0
        return _p(*self._from_bound(x, cut, above=True))

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return one over the wealth won by betting on values below the cut; 1 if the values have no bounds."""
        if self._boundless:
            return 1.0
        return _p(*self._from_bound(x, cut, above=False))

    def p_by_look(self, runs: np.ndarray, cut: float, looks: Sequence[int], *, above: bool) -> np.ndarray:
        """Return the p-values in one pass: the wealth at every fraction f is a product over the seeds so far."""
        import numpy as np

        seeds = np.array(looks) - 1
        varied = np.logical_or.accumulate(runs != runs[:, :1], axis=1)[:, seeds].T
        if self._boundless:
            return np.ones(varied.shape)
        return np.where(varied, _p_by_look(*self._from_bound(runs, cut, above=above), looks), 1.0)

    def _from_bound(self, x: np.ndarray, cut: float, *, above: bool) -> tuple[np.ndarray, float]:
        """Return values and cut as distances from the bound on the null's side, in units of b − a."""
        low, high = self._domain
        if above:
            return (x - low) / (high - low), (cut - low) / (high - low)
        return (high - x) / (high - low), (high - cut) / (high - low)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the cuts that neither side's gambler rejects; the bounds themselves if he rejects none."""
        low, high = self._domain
        if self._boundless:
            return low, high
        alpha, mean = (1 - level) / 2, float(x.mean())
        return (
            find_last_rejected(lambda cut: self.p_greater(x, cut), low, mean, alpha),
            find_last_rejected(lambda cut: self.p_less(x, cut), high, mean, alpha),
        )


def _p(y: np.ndarray, cut: float) -> float:
    """Return the p-value for values y on [0, 1] and the null "mean ≤ cut"."""
    if cut >= 1:
        return 1.0
    if cut <= 0:  # then all values are 0
        return 0.0 if cut < 0 or bool((y > 0).any()) else 1.0
    return min(1.0, math.exp(-_log_wealth(y / max(cut, 1e-300))))


def _log_wealth(gain: np.ndarray) -> float:
    """Return the log of the mean over f of Π(1 − f + f·gain).

    It is exact, because Gauss–Chebyshev quadrature is exact for a polynomial in f.
    """
    import numpy as np

    f = _choose_shares(len(gain) // 2 + 1)
    logs = np.log1p(f[:, None] * (gain - 1)).sum(axis=1)
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).mean()))


def _choose_shares(count: int) -> np.ndarray:
    """Return the nodes f = cos²(θ/2) of Gauss–Chebyshev quadrature, with θ evenly spaced."""
    import numpy as np

    theta = (2 * np.arange(count) + 1) * (math.pi / (2 * count))
    return np.asarray((1 + np.cos(theta)) / 2)


def _p_by_look(y: np.ndarray, cut: float, looks: Sequence[int]) -> np.ndarray:
    """Return ``_p`` of the first values of each row of ``y`` [run, n], float64 [look, run].

    A p-value that was once below 1e-300 may stay 0. The rule that is exact for n seeds is exact for fewer. In θ, no
    product of n such factors has a peak narrower than about 1/√n, so that the rule for many seeds needs no more than a
    few points for each.
    """
    import numpy as np

    if cut >= 1:
        return np.ones((len(looks), len(y)))
    if cut <= 0:
        positive = np.logical_or.accumulate(y > 0, axis=1)[:, np.array(looks) - 1].T
        return np.where(positive | (cut < 0), 0.0, 1.0)
    n = looks[-1]
    f = _choose_shares(min(n // 2 + 1, math.ceil(POINTS * math.sqrt(n))))[:, None]
    extra = y.T / max(cut, 1e-300) - 1  # [seed, run]
    evenly = np.full(len(f), 1 / len(f))
    wealth, found = np.ones((len(f), len(y))), []
    factor = np.empty_like(wealth)
    with np.errstate(over="ignore"):
        for before, after in pairwise((0, *looks)):
            for more in extra[before:after]:
                np.multiply(f, more, out=factor)
                factor += 1
                wealth *= factor
            found.append(evenly @ wealth)
    return np.minimum(1.0, 1 / np.array(found))


def _count_fewest(cut: float, alpha: float) -> int:
    """Return the smallest n at which n values of 1 reject "mean ≤ cut"."""
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
