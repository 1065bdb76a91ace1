"""The interval of a divergence rate (Clopper and Pearson 1934) against SciPy's search, statsmodels, its definition."""

from __future__ import annotations

import pytest
from scipy import stats

from harness.inference.readings import estimate_divergence_rate

COUNTS = [(failed, replicas) for replicas in (1, 2, 3, 10, 50, 1000) for failed in {0, 1, replicas // 2, replicas}]


@pytest.mark.parametrize(("failed", "replicas"), COUNTS)
def test_divergence_rates_have_the_exact_interval(failed: int, replicas: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    rate, low, high = estimate_divergence_rate(failed, replicas)
    assert rate == failed / replicas
    searched = stats.binomtest(failed, replicas).proportion_ci(confidence_level=0.95, method="exact")
    assert (low, high) == pytest.approx((searched.low, searched.high), rel=1e-8)
    assert (low, high) == pytest.approx(proportion_confint(failed, replicas, alpha=0.05, method="beta"), rel=1e-12)
    if failed:
        assert stats.binom.sf(failed - 1, replicas, low) == pytest.approx(0.025, rel=1e-10)
    if failed < replicas:
        assert stats.binom.cdf(failed, replicas, high) == pytest.approx(0.025, rel=1e-10)
