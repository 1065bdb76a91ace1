"""Chances of outcomes against published power values, SciPy, and the criterion's own tests on simulated seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.criteria.t import T
from harness.domain.partition import split_line
from harness.inference import decide
from harness.inference.chances import DRAWS, ExactT, Simulated, compute_t_chances
from harness.stats.distributions import t_exceeded
from tests.unit.inference.inference_records import (
    DIRECTION,
    MARGIN,
    decided,
    make_hypothesis,
    make_measurements,
    spec_of,
)

HALVES = split_line(spec_of({"low": "(-inf, 0]", "high": "(0, inf)"}).bands)
TOST = split_line(spec_of({"less": "(-inf, -19.2]", "same": "(-19.2, 19.2)", "more": "[19.2, inf)"}).bands)


def one(chances, band, effect, sd, n):
    return float(chances([frozenset([band])], np.array([effect]), sd, n)[0, 0])


def test_power_of_the_one_sided_t_test():
    """δ = .8, n = 10, α = .05: .754425 (R's power.t.test)."""
    assert one(ExactT(T(name="t"), HALVES, 0.05), "high", 0.8, 1.0, 10) == pytest.approx(0.754425, abs=5e-7)


@pytest.mark.parametrize(
    ("per_group", "expected"), [(3, 0.038563), (8, 0.288712), (15, 0.693389), (30, 0.943256), (50, 0.994582)]
)
def test_power_of_tost(per_group, expected):
    """Two groups, δ = −4, sd 18, limits ±19.2, α = .05: power of two one-sided t tests."""
    error, df = 18 * math.sqrt(2 / per_group), 2 * per_group - 2
    critical = [t_exceeded(atom.level(0.05), df) for atom in TOST]
    found = compute_t_chances(TOST, critical, [frozenset(["same"])], np.array([-4.0]), error, df)
    assert float(found[0, 0]) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(("shift", "n", "alpha"), [(0.3, 2, 0.05), (1.2, 3, 0.025), (0.5, 30, 0.05), (0.1, 400, 0.01)])
def test_agreement_with_the_noncentral_t(shift, n, alpha):
    df = n - 1
    expected = stats.nct.sf(stats.t.isf(alpha, df), df, shift * math.sqrt(n))
    assert one(ExactT(T(name="t"), HALVES, alpha), "high", shift, 1.0, n) == pytest.approx(expected, abs=1e-7)
    assert 1 - T(name="t").type_two(shift, 1.0, n, alpha) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("bands", "truth", "sd", "n"),
    [(DIRECTION, 0.0, 0.03, 2), (DIRECTION, 0.1, 0.05, 3), (DIRECTION, 0.06, 0.04, 5), (MARGIN, 26.0, 2.0, 8)],
)
def test_agreement_with_the_decisions_own_tests_on_simulated_seeds(bands, truth, sd, n):
    runs = 1200
    rng = np.random.default_rng(n)
    alive = [decided(x, bands) for x in rng.normal(truth, sd, (runs, n))]
    atoms = split_line(spec_of(bands).bands)
    for band in bands:
        expected = one(ExactT(T(name="t"), atoms, 0.05), band, truth, sd, n)
        share = sum(found == (band,) for found in alive) / runs
        assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / runs) + 1e-3)


def test_simulation_through_a_criterions_p_values_agrees_with_the_exact_chances():
    atoms = split_line(spec_of(DIRECTION).bands)
    simulated, exact = Simulated(T(name="t"), atoms, 0.05), ExactT(T(name="t"), atoms, 0.05)
    assert simulated.draws == DRAWS and exact.draws is None
    for truth, sd, n in ((0.0, 0.04, 6), (0.1, 0.05, 5), (0.24, 0.06, 8)):
        for band in DIRECTION:
            expected = one(exact, band, truth, sd, n)
            limit = 4 * math.sqrt(expected * (1 - expected) / DRAWS) + 1e-3
            assert one(simulated, band, truth, sd, n) == pytest.approx(expected, abs=limit)


SLEEP = (-1.2, -2.4, -1.3, -1.3, 0, -1, -1.8, -0.8, -4.6, -1.4)  # Student 1908, R's sleep


def sleep_decision():
    h = make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "penalized - shallow"}},
        {"d": ("e", {"less": "(-inf, -0.5]", "same": "(-0.5, 0.5)", "more": "[0.5, inf)"})},
        count=10,
    )
    first = [5 + value for value in SLEEP]
    return decide(h, make_measurements({("penalized", "train_loss"): first, ("shallow", "train_loss"): [5.0] * 10}))


def test_posterior_of_the_sleep_data_is_the_shifted_t():
    """P(mean beyond a cut) under Jeffreys' prior equals the one-sided p of that cut: TOST's two p values."""
    found = sleep_decision().decisions[0].posterior
    x = np.array(SLEEP)
    centred = stats.t(9, loc=x.mean(), scale=x.std(ddof=1) / math.sqrt(10))
    assert found["less"] == pytest.approx(0.989241, abs=5e-7)
    assert found["same"] == pytest.approx(centred.cdf(0.5) - centred.cdf(-0.5), rel=1e-8)
    assert found["more"] == pytest.approx(0.000231903, abs=5e-10)
    assert sum(found.values()) == pytest.approx(1)


def test_effect_size_of_the_sleep_data():
    """Cohen's d_z = −1.284558; Hedges' factor with 9 degrees of freedom .9140; both intervals by the noncentral t."""
    effect = sleep_decision().decisions[0].effect_size
    assert effect.value / effect.correction == pytest.approx(-1.284558, abs=5e-7)
    assert effect.correction == pytest.approx(0.9139, abs=1e-3)
    low, high = (end / effect.correction * math.sqrt(10) for end in effect.interval95)
    t = -4.062128
    assert stats.nct.sf(t, 9, low) == pytest.approx(0.025, rel=1e-4)
    assert stats.nct.cdf(t, 9, high) == pytest.approx(0.025, rel=1e-4)
