from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.inference.student import nodes, noncentrality_limits, normal_cdf, quantile


def test_normal_distribution():
    x = np.concatenate([np.linspace(-9, 9, 4001), [-np.inf, np.inf]])
    assert normal_cdf(x) == pytest.approx(stats.norm.cdf(x), abs=2e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 9, 49, 999, 9999])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.025, 0.001])
def test_quantiles_are_scipys(df, alpha):
    assert quantile(alpha, df) == pytest.approx(stats.t.isf(alpha, df), rel=1e-7)


@pytest.mark.parametrize("df", [1, 4, 30])
def test_nodes_integrate_over_the_distribution_of_q(df):
    q, w = nodes(df, [0.5, 1.0])
    assert float(w.sum()) == pytest.approx(1)
    assert float(w @ q**2) == pytest.approx(1, rel=1e-9)  # E χ²/df
    assert float(w @ (q < 1)) == pytest.approx(stats.chi2.cdf(df, df), rel=1e-9)  # a jump at a kink


@pytest.mark.parametrize(("t", "df"), [(0.0, 2), (0.5, 1), (3.0, 4), (-4.06, 9), (20.0, 199), (-91.0, 9)])
def test_noncentrality_limits_leave_the_tails_that_they_should(t, df):
    low, high = noncentrality_limits(t, df, 0.95)
    assert stats.nct.sf(t, df, low) == pytest.approx(0.025, rel=1e-4)
    assert stats.nct.cdf(t, df, high) == pytest.approx(0.025, rel=1e-3)
    assert noncentrality_limits(-t, df, 0.95) == pytest.approx((-high, -low))


def test_noncentrality_limits_of_an_enormous_t():
    low, high = noncentrality_limits(1e9, 9, 0.95)  # then q alone is uncertain
    ends = [1e9 * math.sqrt(stats.chi2.ppf(p, 9) / 9) for p in (0.025, 0.975)]
    assert (low, high) == pytest.approx(ends, rel=1e-6)
