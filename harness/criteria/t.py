"""Student's t over seeds (Student 1908, doi 10.1093/biomet/6.1.1): the default criterion."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from harness.criteria import Criterion


class T(Criterion):
    """One-sample t test of the mean over seeds; a paired contrast is tested on its differences."""

    name: Literal["t"]
    targets: ClassVar[Literal["mean", "median"]] = "mean"
    assumes: ClassVar[str] = "seeds are independent and their values normal, or enough of them for the mean to be"
    source: ClassVar[str] = "Student 1908, doi 10.1093/biomet/6.1.1"

    def smallest_n(self, alpha: float) -> int:
        """Two: one degree of freedom."""
        return 2

    def p_greater(self, x: np.ndarray, cut: float) -> float:
        """P(T ≥ t) under mean = cut."""
        from scipy import stats

        return float(stats.ttest_1samp(x, cut, alternative="greater").pvalue)

    def p_less(self, x: np.ndarray, cut: float) -> float:
        """P(T ≤ t) under mean = cut."""
        from scipy import stats

        return float(stats.ttest_1samp(x, cut, alternative="less").pvalue)

    def interval(self, x: np.ndarray, level: float) -> tuple[float, float]:
        """x̄ ± t·s/√n."""
        from scipy import stats

        half = stats.t.ppf(0.5 + level / 2, len(x) - 1) * stats.sem(x)
        return float(x.mean() - half), float(x.mean() + half)


plugin = T
