"""The BCa bootstrap of the mean over seeds (Efron 1987, doi 10.1080/01621459.1987.10478410)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.criteria import NEVER, Criterion, Target, compute_t_misses, draw_seeds
from harness.plugins.fields import Unit
from harness.stats.distributions import t_exceeded

if TYPE_CHECKING:
    import numpy as np

ENOUGH = 30  # seeds; with fewer, its interval covers too little (docs/calibration.md)
CHUNK = 1000  # resamples drawn at once
BEYOND = 20  # resamples that must lie beyond an end for it to be meaningful


class Bca(Criterion):
    """Bias-corrected and accelerated bootstrap of the mean. It is approximate, so below 30 seeds it only describes.

    The interval's ends are the quantiles of the resampled means at Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))), where z₀ is the
    bias and a the acceleration; p is the α at which an end equals the cut. Efron's own interval is too narrow for few
    seeds, as if t were normal, and errs more often than α says even with 30 normal values. ``expanded`` (Hesterberg
    2015) takes the quantiles of the bootstrap distribution that t would need. The resamples depend on n alone, and the
    seeds are sorted first, so that the same values always give the same bytes. No p is below 1/(resamples + 1).

    Equation:
        interval ends: quantiles at Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))) of the resampled means

    Use:
        With 30 seeds and more, if values are skewed.

    Traps:
        Below 30 seeds it only describes: bootstraps of small samples are too narrow.
    """

    name: Literal["bca"]
    targets: ClassVar[Target] = "mean"
    assumes: ClassVar[str] = (
        "seeds are independent, with finite variance, and enough of them for the bootstrap's distribution of the mean "
        "to be near the true one"
    )
    source: ClassVar[str] = (
        "Efron 1987, doi 10.1080/01621459.1987.10478410; "
        "expansion by Hesterberg 2015, doi 10.1080/00031305.2015.1089789"
    )

    resamples: Annotated[int, Unit("samples")] = Field(default=9999, ge=9999, le=99_999)
    """Number of bootstrap samples. They are the same for all data of n seeds, so that fewer would shift the error rate.
    """
    expanded: bool = True
    """True if the interval is widened for small n. Without that it is Efron's own, which never decides."""

    def smallest_n(self, alpha: float, cut: float | None = None) -> int:
        """Return 30, if at least 20 resamples lie beyond the end of an interval at ``alpha``; else NEVER."""
        return ENOUGH if self.expanded and alpha * self.resamples >= BEYOND else NEVER

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """Return the α at which the interval's lower end equals the cut."""
        return self._p(x, cut, 1)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """Return the α at which the interval's upper end equals the cut."""
        return self._p(x, cut, -1)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """Return the quantiles of the resampled means at Φ(z₀ + (z₀ ± z)/(1 − a(z₀ ± z))), also below n = 30.

        z is the normal quantile for ``level``; if expanded, √(n/(n − 1)) times that of t.
        """
        import numpy as np
        from scipy.special import ndtr, ndtri, stdtrit

        alpha, n = (1 - level) / 2, len(x)
        quantile = float(stdtrit(n - 1, alpha)) * math.sqrt(n / (n - 1)) if self.expanded else float(ndtri(alpha))
        means = _resample(np.sort(x).tobytes(), self.resamples)
        bias, acceleration = _estimate_corrections(x, means)
        z = bias + quantile * np.array([1, -1])
        low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z))).tolist()
        return low, high

    def type_two(self, distance: float, sd: float, n: int, alpha: float) -> float | None:
        """Return the probability for t, which this test approaches for normal values; 1 below its smallest n."""
        if n < self.smallest_n(alpha):
            return 1.0
        return compute_t_misses(distance, sd, n, n - 1, t_exceeded(alpha, n - 1))

    def _p(self, x: np.ndarray, cut: float, side: int) -> float:
        import numpy as np
        from scipy.special import ndtr, stdtr

        n = len(x)
        means = _resample(np.sort(x).tobytes(), self.resamples)
        bias, acceleration = _estimate_corrections(x, means)
        beyond = _find_normal_quantile(means, cut) - bias
        stretch = 1 + acceleration * beyond  # the interval's formula, solved for z
        z = beyond / stretch - bias if stretch > 0 else math.copysign(math.inf, beyond)
        p = float(stdtr(n - 1, side * z * math.sqrt((n - 1) / n)) if self.expanded else ndtr(side * z))
        return min(1.0, max(p, 1 / (self.resamples + 1)))


@lru_cache(maxsize=4)
def _resample(data: bytes, resamples: int) -> np.ndarray:
    """Return the means of resamples of the values in ascending order, float64 [resamples]."""
    import numpy as np

    x = np.frombuffer(data)
    n = len(x)
    means = []
    for chunk, start in enumerate(range(0, resamples, CHUNK)):
        means.append(x[draw_seeds(n, min(CHUNK, resamples - start), "criteria/bca", chunk)].mean(axis=1))
    return np.sort(np.concatenate(means))


def _find_normal_quantile(means: np.ndarray, value: float) -> float:
    """Return Φ⁻¹ of the fraction of resampled means below a value, counting equal ones half; never infinite.

    Only means equal to the last bit are equal; ``iqm_bootstrap`` calls more of them equal.
    """
    import numpy as np
    from scipy.special import ndtri

    below = (np.searchsorted(means, value, side="left") + np.searchsorted(means, value, side="right")) / 2
    least = 1 / (len(means) + 1)
    return float(ndtri(min(max(below / len(means), least), 1 - least)))


def _estimate_corrections(x: np.ndarray, means: np.ndarray) -> tuple[float, float]:
    """Return bias z₀ and acceleration a, by the jackknife: for a mean, a sixth of the skewness over √n."""
    import numpy as np

    d = x - x.mean()
    d = d / np.abs(d).max()
    return _find_normal_quantile(means, float(x.mean())), float((d**3).sum()) / (6 * float((d**2).sum()) ** 1.5)


plugin = Bca
