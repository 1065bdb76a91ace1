"""Chances under stopping rules: against exact ones, raw simulated seeds, the decisions themselves, and α."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.criteria.t import T
from harness.criteria.t_sequence import TSequence
from harness.criteria.welch import Welch
from harness.domain.partition import split_line
from harness.inference import decide
from harness.inference.chances import ExactT
from harness.inference.stops import Sequential
from tests.unit.inference.inference_records import DIRECTION, MARGIN, direction, margins, spec_of
from tests.unit.inference.inference_records import margin as margin_hypothesis

HALVES = split_line(spec_of({"low": "(-inf, 0]", "high": "(0, inf)"}).bands)
THREE = split_line(spec_of(DIRECTION).bands)


def within(chance: float, draws: int, others: float = 0.0) -> float:
    """Four standard errors of a simulated chance, and of another one that it is compared with."""
    return 4 * math.sqrt(max(chance * (1 - chance), 1e-3) / draws + others)


@pytest.mark.parametrize(("truth", "sd"), [(0.0, 0.03), (0.1, 0.05), (0.24, 0.06), (0.05, 0.02)])
def test_a_single_look_has_the_exact_chances(truth, sd):
    for n in (2, 6, 20):
        one = Sequential(T(name="t"), THREE, 0.05, (n,))
        for band in DIRECTION:
            groups, effect = [frozenset([band])], np.array([truth])
            exact = ExactT(T(name="t"), THREE, 0.05)(groups, effect, sd, n)[0, 0]
            assert one(groups, effect, sd, n)[0, 0] == pytest.approx(exact, abs=within(exact, one.draws))


def test_t_looks_agree_with_raw_seeds_and_scipy():
    """20,000 runs of seeds drawn one by one, tested with SciPy's quantiles."""
    looks, alpha, truth, runs = (4, 7, 15), 0.05 / 3, 0.45, 20_000
    x = np.random.default_rng(7).normal(truth, 1.0, (runs, looks[-1]))
    going, by_look, seeds = np.ones(runs, dtype=bool), [], 0.0
    for before, n in zip((0, *looks), looks, strict=False):
        seeds += (n - before) * going.mean()
        t = x[:, :n].mean(axis=1) / (x[:, :n].std(axis=1, ddof=1) / math.sqrt(n))
        high, low = t >= stats.t.isf(alpha, n - 1), t <= -stats.t.isf(alpha, n - 1)
        by_look.append([(going & low).mean(), (going & high).mean()])
        going &= ~(high | low)
    found = Sequential(T(name="t"), HALVES, alpha, looks)
    expected = np.cumsum(by_look, axis=0)
    assert found.by_look(np.array([truth]), 1.0)[:, 0] == pytest.approx(expected, abs=0.02)
    assert found.seeds_trained(np.array([truth]), 1.0)[0] == pytest.approx(seeds, abs=0.15)
    assert (
        found([frozenset(["high"])], np.array([truth]), 1.0, 10)[0, 0] == found.by_look(np.array([truth]), 1.0)[1, 0, 1]
    )
    assert found([frozenset(["high"])], np.array([truth]), 1.0, 3)[0, 0] == 0.0


def test_agreement_with_decide_on_simulated_runs():
    h = margin_hypothesis(count=9, stopping={"kind": "looks", "at": [3, 6, 9]})
    runs, truth, sd = 300, 26.5, 2.0
    x = np.random.default_rng(3).normal(truth, sd, (runs, 9))
    decisions = [decide(h, margins(list(values))) for values in x]
    found = Sequential(T(name="t"), split_line(spec_of(MARGIN).bands, (-100.0, 100.0)), 0.05 / 3, (3, 6, 9))
    for n in (3, 6, 9):
        share = sum(d.outcome == "real" and d.looks[-1].seeds <= n for d in decisions) / runs
        expected = found([frozenset(["real"])], np.array([truth]), sd, n)[0, 0]
        assert share == pytest.approx(expected, abs=within(expected, runs))
    average = sum(d.looks[-1].seeds for d in decisions) / runs
    assert found.seeds_trained(np.array([truth]), sd)[0] == pytest.approx(average, abs=0.5)


@pytest.mark.parametrize(
    ("criterion", "alpha", "looks"),
    [(T(name="t"), 0.05 / 5, (4, 8, 12, 16, 20)), (TSequence(name="t_sequence"), 0.05, tuple(range(2, 61)))],
)
def test_a_wrong_outcome_stays_as_rare_as_alpha_says(criterion, alpha, looks):
    """On the cut, the only wrong band is the one that does not hold the cut."""
    found = Sequential(criterion, HALVES, alpha, looks)
    wrong = found([frozenset(["high"])], np.array([0.0]), 1.0, looks[-1])[0, 0]
    assert 0.005 < wrong <= 0.05 + within(0.05, found.draws)


def test_other_criteria_are_judged_on_the_first_seeds_of_each_run():
    found = Sequential(Welch(name="welch"), HALVES, 0.025, (6, 12))
    assert found.draws == 200
    chances = [found([frozenset(["high"])], np.array([1.0]), 1.0, n)[0, 0] for n in (6, 12)]
    # Welch of equal variances has 2(n − 1) degrees of freedom; the difference's sd is 1
    alone = [stats.nct.sf(stats.t.isf(0.025, 2 * n - 2), 2 * n - 2, math.sqrt(n)) for n in (6, 12)]
    assert chances[0] == pytest.approx(alone[0], abs=within(alone[0], 200))
    assert alone[1] - within(alone[1], 200) <= chances[1] <= 1.0
    assert found.seeds_trained(np.array([1.0]), 1.0)[0] == pytest.approx(12 - 6 * chances[0])


def test_chances_of_all_bands_are_a_distribution_and_rise_with_the_looks():
    h = direction(count=12, stopping={"kind": "looks", "at": [4, 8, 12]})
    found = Sequential(h.decisions["direction"].criterion, THREE, 0.05 / 3, h.looks)
    by_look = found.by_look(np.linspace(-0.3, 0.3, 13), 0.05)
    assert (np.diff(by_look, axis=0) >= 0).all() and (by_look.sum(axis=2) <= 1 + 1e-12).all()
    rejected = [atom.outcome for atom in THREE].index("rejected")
    assert (by_look[-1, [0, -1], rejected] > 0.95).all()
