"""Reference values computed with R's and Python's packages, and agreement with SciPy's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.criteria.t import T
from harness.inference import decide
from tests.unit.inference.inference_records import (
    cosines,
    direction,
    make_hypothesis,
    make_measurements,
    margin,
    margins,
)

STUDENT = T(name="t")
SLEEP = np.array([-1.2, -2.4, -1.3, -1.3, 0, -1, -1.8, -0.8, -4.6, -1.4])  # Student 1908, R's sleep


def test_sleep_t_and_intervals():
    assert 2 * STUDENT.p_less(SLEEP, 0) == pytest.approx(0.002832890, abs=5e-10)
    assert STUDENT.interval(SLEEP, 0.90) == pytest.approx((-2.293005, -0.866995), abs=5e-7)
    assert STUDENT.interval(SLEEP, 0.95) == pytest.approx((-2.459886, -0.700114), abs=5e-7)


def test_sleep_through_a_whole_decision_with_tost_bands():
    h = make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "penalized - shallow"}},
        {"d": ("e", {"less": "(-inf, -0.5]", "same": "(-0.5, 0.5)", "more": "[0.5, inf)"})},
        count=10,
    )
    measured = make_measurements({("penalized", "train_loss"): 5 + SLEEP, ("shallow", "train_loss"): [5.0] * 10})
    decision = decide(h, measured).decisions[0]
    assert decision.estimand.interval90 == pytest.approx((-2.293005, -0.866995), abs=5e-7)
    assert decision.interval == pytest.approx(decision.estimand.interval90, abs=1e-12)
    assert decision.estimand.interval95 == pytest.approx((-2.459886, -0.700114), abs=5e-7)
    tost = {test.outcome: test.p for test in decision.atoms}
    assert tost["less"] == pytest.approx(0.989241, abs=5e-7)
    assert tost["more"] == pytest.approx(0.000231903, abs=5e-10)
    assert decision.outcome == "less"


def test_darwin():
    darwin = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75.0])
    assert 2 * STUDENT.p_greater(darwin, 0) == pytest.approx(0.049703, abs=5e-7)
    assert STUDENT.interval(darwin, 0.95) == pytest.approx((0.031193, 41.835473), abs=5e-7)


def test_power_of_a_one_sided_t_test():
    assert 1 - STUDENT.type_two(0.8, 1.0, 10, 0.05) == pytest.approx(0.754425, abs=5e-7)
    assert STUDENT.type_two(1e9, 1e-9, 2, 0.05) == pytest.approx(0, abs=1e-12)
    assert STUDENT.type_two(0, 1.0, 5, 0.05) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("values", "outcome", "alive", "p"),
    [
        ([0.012, -0.008, 0.021, 0.004, -0.015], "confirmed", ("confirmed",), 0.001935),
        ([0.11, 0.13, 0.09, 0.12, 0.10], "partial", ("partial",), 0.001058),
        ([0.04, 0.07, 0.05, 0.09, 0.06], "inconclusive", ("confirmed", "partial"), 0.235496),
    ],
)
def test_bands_of_the_direction_decision(values, outcome, alive, p):
    d = decide(direction(), cosines(values))
    assert (d.outcome, d.decisions[0].alive) == (outcome, alive)
    assert d.p == d.decisions[0].p == pytest.approx(p, abs=5e-7)
    assert d.decisions[0].boundary == (0.05 if outcome == "inconclusive" else None)


@pytest.mark.parametrize(
    ("values", "outcome", "alive", "p", "boundary", "needed"),
    [
        ([31.2, 28.9, 33.5, 30.1, 29.4], "real", ("real",), 0.002340, None, (None, None)),
        ([26, 31, 24, 29, 27], "inconclusive", ("partial", "real"), 0.117955, 25, (13, 27)),
        ([12, 18, 9], "partial", ("partial",), 0.047089, None, (None, None)),
    ],
)
def test_bands_of_the_margin_decision(values, outcome, alive, p, boundary, needed):
    decision = decide(margin(), margins(values)).decisions[0]
    assert (decision.outcome, decision.alive, decision.boundary) == (outcome, alive, boundary)
    assert decision.p == pytest.approx(p, abs=5e-7)
    assert (decision.seeds_needed, decision.seeds_needed_pessimistic) == needed


def test_no_number_of_seeds_for_an_estimate_on_a_cut_or_too_near_it():
    assert decide(margin(), margins([24, 26, 25, 23, 27])).decisions[0].seeds_needed is None
    assert decide(margin(), margins([24.01, 26.01, 25.01, 23.01, 27.01])).decisions[0].seeds_needed is None


def test_agreement_with_scipy_on_random_data():
    rng = np.random.default_rng(3)
    for n in (2, 3, 10, 50):
        x, cut = rng.normal(1, 2, n), float(rng.normal())
        assert STUDENT.p_greater(x, cut) == pytest.approx(
            stats.ttest_1samp(x, cut, alternative="greater").pvalue, rel=1e-12
        )
        assert STUDENT.p_less(x, cut) == pytest.approx(stats.ttest_1samp(x, cut, alternative="less").pvalue, rel=1e-12)
        expected = stats.ttest_1samp(x, 0).confidence_interval(0.9)
        assert STUDENT.interval(x, 0.9) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_type_two_is_the_share_of_simulated_samples_that_miss():
    rng = np.random.default_rng(4)
    x = rng.normal(0.7, 1.0, (20_000, 8))
    t = x.mean(axis=1) / (x.std(axis=1, ddof=1) / np.sqrt(8))
    missed = float((t < stats.t.isf(0.025, 7)).mean())
    expected = STUDENT.type_two(0.7, 1.0, 8, 0.025)
    assert missed == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / 20_000))
