"""The bootstrap of the interquartile mean over seeds and tasks (Agarwal et al. 2021, arXiv 2108.13264)."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, PrivateAttr

from harness.criteria import (
    NEVER,
    TIE,
    Criterion,
    Target,
    compute_t_misses,
    draw_seeds,
    estimate_parameter,
    trim_quarters,
)
from harness.plugins.fields import Unit
from harness.stats.distributions import normal_cdf, t_cdf, t_exceeded

if TYPE_CHECKING:
    import numpy as np

ENOUGH, ENOUGH_POOLED = 8, 30  # seeds; with fewer, it errs more often than α says (docs/decisions/0054)
MOST_SEEDS = 10_000
BEYOND = 20  # resamples that must lie beyond an end for it to be meaningful
CHUNK = 1000  # resamples drawn at once
MOST_NUMBERS = 2**20  # sorted at once
EFFICIENCY = 0.837  # of the interquartile mean of many normal values, beside their mean
NORMAL = NormalDist()


class IqmBootstrap(Criterion):
    """Bias-corrected, accelerated and widened bootstrap of the interquartile mean, which resamples whole seeds.

    The interquartile mean is that of the middle half of the values: ⌊n/4⌋ of them are left out on either side. The
    interval's ends are the quantiles of the resampled means at Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))), where z₀ is the bias,
    a the acceleration, and z is √(n/(n − 1)) times the quantile of t with n − 1 degrees of freedom (Hesterberg 2015); p
    is the α at which an end equals the cut. If the estimand pools tasks, the middle half is that of all values of all
    tasks, and a seed is resampled together with its values of all tasks: each task keeps its share of every resample,
    and tasks may depend on one another through the seeds that they share. The percentile interval of Agarwal et al.
    resamples each task by itself, which is too narrow if they do, and errs more often for few seeds. The resamples
    depend on n alone, and the seeds are sorted first, so that the same values always give the same bytes. No p is below
    1/(resamples + 1).

    Equation:
        mean of the middle half of the values, intervals by resampled seeds (BCa, widened)

    Use:
        For several tasks whose seeds are summarised together, as usual in reinforcement learning.

    Traps:
        The interquartile mean is another parameter than the mean: a failure of one seed in five may go unseen. Values
        on a coarse grid break the bootstrap.
    """

    name: Literal["iqm_bootstrap"]
    targets: ClassVar[Target] = "iqm"
    assumes: ClassVar[str] = (
        "seeds are independent (several tasks of one seed need not be), their values differ in steps of at most half "
        "their spread, and skewed tasks overlap, or else there are enough seeds for the bootstrap's distribution to be "
        "near the true one"
    )
    source: ClassVar[str] = (
        "Agarwal et al. 2021, arXiv 2108.13264; Efron 1987, doi 10.1080/01621459.1987.10478410; "
        "expansion by Hesterberg 2015, doi 10.1080/00031305.2015.1089789"
    )
    pools: ClassVar[bool] = True

    resamples: Annotated[int, Unit("samples")] = Field(default=9999, ge=9999, le=99_999)
    """Number of bootstrap samples. They are the same for all data of n seeds, so that fewer would shift the error rate.
    """
    _tasks: int = PrivateAttr(default=1)

    def over(self, tasks: int) -> Self:
        """Return the criterion for ``tasks`` values at each seed."""
        copy = self.model_copy()
        copy._tasks = tasks
        return copy

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return the fewest seeds, 8 or 30 of several tasks, at which 20 resamples lie beyond the end at ``alpha``.

        It is NEVER if so many resamples lie beyond it with no number of seeds.
        """
        return _count_fewest(alpha, self.resamples, self._least)

    @property
    def _least(self) -> int:
        """Fewest seeds for any α."""
        return ENOUGH if self._tasks == 1 else ENOUGH_POOLED

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return the α at which the interval's lower end equals the cut.

        It is 1 with too few seeds for any α, and if the middle half does not vary.
        """
        return self._p(x, cut, 1)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return the α at which the interval's upper end equals the cut.

        It is 1 with too few seeds for any α, and if the middle half does not vary.
        """
        return self._p(x, cut, -1)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the quantiles of the resampled means at Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))), also with too few seeds.

        It is the whole line if the middle half does not vary.
        """
        import numpy as np

        found, n = self._resample(x), len(x)
        if found is None:
            return -math.inf, math.inf
        z = [found.bias + sign * _widen(t_exceeded((1 - level) / 2, n - 1), n) for sign in (-1, 1)]
        shares = [normal_cdf(found.bias + each / (1 - found.acceleration * each)) for each in z]
        low, high = np.quantile(found.means, shares).tolist()
        return low, high

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability for t with 84% of the seeds, the efficiency for many normal values.

        For few seeds it is too low by some hundredths, and 1 below its smallest n. Of several tasks, ``sd`` is that of
        a seed's mean over tasks.
        """
        if n < self.smallest_n(alpha):
            return 1.0
        return compute_t_misses(distance, sd, EFFICIENCY * n, n - 1, t_exceeded(alpha, n - 1))

    def _resample(self, x: np.ndarray) -> _Resamples | None:
        ordered = sort_seeds(x)
        return _resample(ordered.tobytes(), ordered.shape, self.resamples)

    def _p(self, x: np.ndarray, cut: float, side: int) -> float:
        found, n = self._resample(x), len(x)
        if found is None or n < self._least:
            return 1.0
        beyond = _find_rounded_quantile(found.means, cut) - found.bias
        stretch = 1 + found.acceleration * beyond  # the interval's formula, solved for z
        z = beyond / stretch - found.bias if stretch > 0 else math.copysign(math.inf, beyond)
        p = t_cdf(side * z * math.sqrt((n - 1) / n), n - 1)
        return min(1.0, max(p, 1 / (self.resamples + 1)))


class _Resamples(NamedTuple):
    """The bootstrap distribution of an interquartile mean, with its corrections."""

    means: np.ndarray
    """Ascending, float64 [resamples]."""
    bias: float
    acceleration: float


def _widen(z: float, n: int) -> float:
    return z * math.sqrt(n / (n - 1))


@lru_cache(maxsize=256)
def _count_fewest(alpha: float, resamples: int, least: int) -> int:
    """Return the fewest seeds with which enough resamples lie beyond an end of the interval; more never leave fewer."""

    def enough(n: int) -> bool:
        return normal_cdf(-_widen(t_exceeded(alpha, n - 1), n)) * resamples >= BEYOND

    if not enough(MOST_SEEDS):
        return NEVER
    low, high = least, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def sort_seeds(x: np.ndarray) -> np.ndarray:
    """Return seeds in an order that follows from their values alone, each with its tasks' values ascending."""
    import numpy as np

    if x.ndim == 1:
        return np.sort(x)
    seeds = np.sort(x, axis=1)
    return seeds[np.lexsort(seeds.T[::-1])]


@lru_cache(maxsize=4)
def _resample(data: bytes, shape: tuple[int, ...], resamples: int) -> _Resamples | None:
    """Return the resamples of sorted seeds; None if the middle half does not vary, so that no mean would."""
    import numpy as np

    x = np.frombuffer(data).reshape(shape)
    middle = trim_quarters(x.ravel())
    if middle[-1] - middle[0] <= TIE * float(np.abs(middle).max()):
        return None
    n, ordered = len(x), np.sort(x, axis=None)
    # Ranks of 32 bits are sorted faster than values, and lead to the same ones.
    ranks = np.empty((n, x.size // n), np.int32)
    ranks.ravel()[np.argsort(x, axis=None, kind="stable")] = np.arange(x.size)
    means = []
    for chunk, start in enumerate(range(0, resamples, CHUNK)):
        drawn = draw_seeds(n, min(CHUNK, resamples - start), "criteria/iqm_bootstrap", chunk)
        for part in np.array_split(drawn, max(1, drawn.size * (x.size // n) // MOST_NUMBERS)):
            middles = trim_quarters(ranks.take(part, axis=0).reshape(len(part), -1))
            means += [ordered.take(middles).mean(axis=1)]
    found = np.sort(np.concatenate(means))
    left_out = np.array([estimate_parameter("iqm", np.delete(x, seed, axis=0)) for seed in range(n)])
    d = left_out.mean() - left_out
    largest = float(np.abs(d).max())
    d = d / largest if largest else d
    acceleration = float((d**3).sum()) / (6 * float((d**2).sum()) ** 1.5) if largest else 0.0
    return _Resamples(found, _find_rounded_quantile(found, estimate_parameter("iqm", x)), acceleration)


def _find_rounded_quantile(means: np.ndarray, value: float) -> float:
    """Return Φ⁻¹ of the fraction of resampled means below a value, counting equal ones half; never infinite.

    Means are equal that differ by rounding alone. ``bca`` compares them to the last bit instead: p-values of verdicts
    that are stored rest on either, so that each keeps its own.
    """
    import numpy as np

    rounding = TIE * float(means[-1] - means[0])
    ends = np.searchsorted(means, value - rounding, side="left"), np.searchsorted(means, value + rounding, side="right")
    below = sum(ends) / 2
    least = 1 / (len(means) + 1)
    return NORMAL.inv_cdf(min(max(float(below) / len(means), least), 1 - least))


plugin = IqmBootstrap
