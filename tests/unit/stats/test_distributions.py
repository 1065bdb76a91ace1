"""Plain floats against SciPy, and against mpmath where SciPy has no digits."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from scipy import special, stats

from harness.stats import distributions
from harness.stats.distributions import beta_cdf, beta_quantile, normal_cdf, t_cdf, t_exceeded

DEGREES = [1, 1.3, 2, 3, 4.7, 9, 19, 49, 199.5, 999, 9_998, 19_998]


@pytest.fixture(autouse=True)
def _many_digits():
    with mpmath.workprec(120):
        yield


def exact_tail(t, df):
    """P(T ≤ −t), t > 0, to 30 digits."""
    t, df = mpmath.mpf(t), mpmath.mpf(df)
    return mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2


def random_t(count):
    draw = random.Random(1)
    for _ in range(count):
        yield draw.choice([*DEGREES, 10 ** draw.uniform(0, 4.3)]), 10 ** draw.uniform(-8, 2.5)


def test_students_probabilities_are_exact_to_12_digits():
    for df, t in random_t(300):
        if t * t / (2 + t * t / df) < 650:  # mpmath takes long in the far tail
            assert t_cdf(-t, df) == pytest.approx(float(exact_tail(t, df)), rel=3e-13, abs=0)


def test_students_probabilities_are_scipys():
    pairs = [(df, t) for df, t in random_t(3000) if t > 1e-3]  # SciPy's loses eight digits at the centre
    found = [(t_cdf(-t, df), t_cdf(t, df), special.stdtr(df, -t), special.stdtr(df, t)) for df, t in pairs]
    below, above, wanted_below, wanted_above = np.array(found).T
    assert below == pytest.approx(wanted_below, rel=1e-12, abs=1e-300)
    assert above == pytest.approx(wanted_above, rel=1e-12, abs=0)


@pytest.mark.parametrize("df", DEGREES)
def test_students_probabilities_rise_and_stay_probabilities(df):
    t = np.concatenate([-np.logspace(308, -320, 400), [0.0], np.logspace(-320, 308, 400)])
    p = [t_cdf(float(value), df) for value in (-math.inf, *t, math.inf)]
    assert 0 <= p[0] <= 1e-75
    assert p[-1] == 1
    assert t_cdf(0.0, df) == 0.5
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(p))


def test_far_tails_of_one_and_two_degrees_of_freedom_have_closed_forms():
    for t in (1e3, 1e20, 1e100, 1e150):
        assert t_cdf(-t, 1) == pytest.approx(math.atan(1 / t) / math.pi, rel=1e-13)
        assert t_cdf(-t, 2) == pytest.approx(1 / (2 * t * t), rel=2e-6 if t == 1e3 else 1e-13)
    assert t_cdf(-math.inf, 1) == t_cdf(-1e300, 1) == t_cdf(-1e150, 1) > 0


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("alpha", [0.5, 0.49, 0.2, 0.05, 0.025, 1e-3, 1e-7, 1e-30, 1e-100])
def test_quantiles_turn_the_probabilities_around(df, alpha):
    t = t_exceeded(alpha, df)
    assert t_cdf(-t, df) == pytest.approx(alpha, rel=2e-12 * max(1.0, df**0.5))
    if alpha > 1e-30:
        assert t == pytest.approx(-special.stdtrit(df, alpha), rel=1e-9, abs=1e-12)


def test_a_quantile_that_is_no_number_any_more_is_the_largest():
    assert t_exceeded(1e-300, 1) == 1e150
    assert t_exceeded(5e-324, 2) == 1e150
    assert 38 < t_exceeded(5e-324, 9_999) < 41


def test_a_level_of_nothing_is_reached_by_no_t():
    assert t_exceeded(0.0, 9) == math.inf


def test_where_the_fraction_changes_sides_rounding_changes_nothing():
    """x and y may add up to a little more than 1, so that each of them is above its mean."""
    for df in (20, 125, 264, 1134, 3087):
        middle = math.sqrt(df * 1.5 / (df / 2 + 1))
        t = middle - 20 * math.ulp(middle)
        for _ in range(40):
            t = math.nextafter(t, 2)
            assert t_cdf(-t, df) == pytest.approx(special.stdtr(df, -t), rel=1e-12)


def test_no_number_gives_no_number_without_ten_thousand_steps(monkeypatch):
    asked = []
    monkeypatch.setattr(distributions, "abs", lambda x: asked.append(x) or math.fabs(x), raising=False)
    assert math.isnan(t_cdf(math.nan, 9))
    assert 0 < len(asked) < 10


def test_the_normal_distribution_is_scipys():
    for x in [*np.linspace(-37, 9, 500).tolist(), -math.inf, math.inf, 0.0]:
        assert normal_cdf(x) == pytest.approx(special.ndtr(x), rel=5e-13, abs=0)


@pytest.mark.parametrize("n", [1, 2, 10, 150, 9_999, 300_000])
def test_binomial_probabilities_are_scipys(n):
    draw = random.Random(n)
    for _ in range(60):
        k, p = draw.randint(1, n), draw.random()
        wanted = special.betainc(k, n - k + 1, p)
        assert beta_cdf(p, 1 - p, k, n - k + 1) == pytest.approx(wanted, rel=1e-9, abs=1e-300)
    assert beta_cdf(0.0, 1.0, 1, n) == 0
    assert beta_cdf(1.0, 0.0, 1, n) == 1


@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 50), (3, 48), (50, 1), (0.5, 7.0), (1, 9_999), (40, 300_000)])
@pytest.mark.parametrize("p", [0.025, 0.5, 0.975])
def test_beta_quantiles_are_scipys(a, b, p):
    assert beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), rel=1e-10)


def test_hundreds_of_steps_are_enough_for_ten_thousand_seeds(monkeypatch):
    """The fraction ends by itself: with fewer steps allowed, the same numbers to the last bit."""
    every = [(t, seeds - 1) for seeds in range(2, 10_000, 200) for t in (-40.0, -2.0, -0.01, 1.0)]
    wanted = [t_cdf(t, df) for t, df in every]
    monkeypatch.setattr(distributions, "STEPS", 300)
    assert [t_cdf(t, df) for t, df in every] == wanted
