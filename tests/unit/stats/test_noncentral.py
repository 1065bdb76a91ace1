from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from harness.stats.noncentral import (
    interpolate_normal_cdf,
    nodes,
    noncentral_t_cdf,
    noncentrality_limits,
    spread_quantile,
)


def test_normal_distribution():
    x = np.concatenate([np.linspace(-9, 9, 4001), [-np.inf, np.inf]])
    assert interpolate_normal_cdf(x) == pytest.approx(stats.norm.cdf(x), abs=2e-9)


@pytest.mark.parametrize("df", [1, 2, 9, 49, 999, 9999])
@pytest.mark.parametrize("t", [-8.0, -0.5, 0.0, 1.7, 6.3, 63.0])
def test_noncentral_probabilities_are_scipys(df, t):
    shifts = [t * part + move for part in (0.5, 1.0, 1.1) for move in (-2.5, 0.0, 1.5)]
    for shift in [shift for shift in shifts if abs(shift) < 30]:  # SciPy's function loses its way beyond
        assert noncentral_t_cdf(t, df, shift) == pytest.approx(special.nctdtr(df, shift, t), abs=1e-11)


@pytest.mark.parametrize("df", [3, 9, 199])
def test_a_step_is_seen_however_steep(df):
    """A noncentrality of a million: the estimated spread alone is uncertain."""
    for part in (0.5, 0.9, 1.0, 1.3):
        chance = stats.chi2.sf(df / part**2, df)  # q ≥ shift/t = 1/part
        assert noncentral_t_cdf(part * 1e6, df, 1e6) == pytest.approx(chance, abs=1e-6)  # but for the normal part
    assert noncentral_t_cdf(1.0, df, math.inf) == 0.0
    assert noncentral_t_cdf(1.0, df, -math.inf) == 1.0
    assert noncentral_t_cdf(0.0, df, 1.5) == pytest.approx(stats.norm.cdf(-1.5), rel=1e-12)


@pytest.mark.parametrize("df", [1, 3, 9, 199, 9999])
@pytest.mark.parametrize("t", [-3000.0, 300.0, 3e5])
def test_a_step_that_is_steep_but_no_jump(df, t):
    """Against SciPy's adaptive quadrature, told where the step is."""
    spread = 1 + np.linspace(-8, 8, 17) / math.sqrt(2 * df)

    def part(low, high, shift):
        def density(q):
            return stats.norm.cdf(t * q - shift) * stats.chi2.pdf(df * q * q, df) * 2 * df * q

        points = np.clip(spread, low, high)
        return integrate.quad(density, low, high, epsabs=1e-13, epsrel=1e-12, limit=400, points=points)[0]

    for shift in (t, t - 1.5, 1.02 * t, 0.5 * t):
        steps = sorted(root for z in (-8, -2, 0, 2, 8) if (root := (shift + z) / t) > 0)
        found = sum(part(*ends, shift) for ends in pairwise([0.0, *steps, 9.0]))
        assert noncentral_t_cdf(t, df, shift) == pytest.approx(found, abs=2e-11)


@pytest.mark.parametrize("df", [1, 2, 9, 49, 9999])
@pytest.mark.parametrize("p", [0.025, 0.2, 0.5, 0.8])
def test_quantiles_of_the_spread_are_those_of_chi_squared(df, p):
    assert spread_quantile(p, df) == pytest.approx(math.sqrt(stats.chi2.ppf(p, df) / df), rel=2e-10)


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
