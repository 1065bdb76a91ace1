"""P(wrong outcome) ≤ α for every criterion, reduced: tests/calibration/full.py writes docs/calibration.md."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.criteria.bca import Bca
from harness.plugins.registry import find_members
from tests.calibration.batch import one_sided, outcomes
from tests.calibration.scenarios import COLLAPSED, CRITERIA, EXPONENTIAL, SYMMETRIC, WITHIN, coverage, stopped, worst
from tests.unit.inference.inference_records import judged

ALPHA, RUNS = 0.05, 2000
RESAMPLED = ("bca", "iqm_bootstrap")
WIDE = {"low": "(-inf, -0.3)", "middle": "[-0.3, 0.3]", "high": "(0.3, inf)"}


def limit(runs: int = RUNS, standard_errors: float = 4) -> float:
    """What the largest of a few dozen simulated rates stays below if the true ones are α or less."""
    return ALPHA + standard_errors * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_every_criterion_is_calibrated():
    assert set(CRITERIA) == set(find_members("criteria"))


@pytest.mark.parametrize("name", CRITERIA)
def test_the_batch_is_the_criterion_itself(name):
    """The same p values and the same outcomes, on random data with ties and without."""
    criterion = CRITERIA[name]
    rng = np.random.default_rng(8)
    n, runs = (30, 12) if name in RESAMPLED else (9, 40)
    x = rng.normal(0, 0.1, (runs, n, 2) if criterion.unpaired else (runs, n))
    middle = rng.choice([-0.85, 0.0, 0.3, 0.85], (runs, 1))
    if criterion.unpaired:
        x[:, :, 0] += middle
    else:
        x += middle
    x[::2] = x[::2].round(1 if name not in RESAMPLED else 4)
    x = x.clip(-1, 1)
    for cut in (-0.3, 0.1, 0.3):
        above, below = one_sided(criterion, x)(cut)
        rel = 1e-2 if name in RESAMPLED else 1e-9  # its batch is in single precision
        assert above == pytest.approx([criterion.p_greater(row, cut) for row in x], rel=rel)
        assert below == pytest.approx([criterion.p_less(row, cut) for row in x], rel=rel)
    domain = (-1.0, 1.0) if criterion.needs_bounds else (-math.inf, math.inf)
    found = outcomes(one_sided(criterion, x), WIDE, 0.3)
    assert len(set(found.tolist())) > 1
    if name not in RESAMPLED:  # single precision may tip one near α
        real = [judged(row, WIDE, criterion, domain, 0.3).outcome for row in x]
        assert real == [[*WIDE, "inconclusive"][index] for index in found]


@pytest.mark.parametrize("name", CRITERIA)
def test_wrong_outcomes_are_as_rare_as_alpha_says(name):
    criterion = CRITERIA[name]
    n, runs = (30 if name == "bca" else 8, 1000 if name in RESAMPLED else RUNS)
    for distribution in WITHIN.get(name, (SYMMETRIC["normal"],))[: None if name == "iqm_bootstrap" else 2]:
        rate = worst(criterion, distribution, n, ALPHA, runs, spreads=(0.1,))
        assert rate <= limit(runs), distribution.words


@pytest.mark.parametrize("name", ["t", "sign_flip", "wilcoxon", "median"])
def test_planned_looks_share_alpha(name):
    assert stopped(CRITERIA[name], (6, 8), ALPHA / 2, 1000) <= limit(1000)


@pytest.mark.parametrize("name", [name for name, criterion in CRITERIA.items() if criterion.anytime])
def test_an_anytime_valid_criterion_may_be_looked_at_after_every_seed(name):
    assert stopped(CRITERIA[name], tuple(range(2, 21, 2)), ALPHA, 400) <= limit(400)


def test_t_may_not():
    """The same looks without a correction err too often: the simulation would notice."""
    assert stopped(CRITERIA["t"], tuple(range(2, 21)), ALPHA, 500) > limit(500)


@pytest.mark.parametrize(
    ("n", "t", "bca", "collapsed"),
    [
        (3, 0.95, 0.69, 0.30),
        (5, 0.95, 0.84, 0.41),
        (10, 0.95, 0.90, 0.65),
        (20, 0.95, 0.92, 0.88),
        (50, 0.95, 0.94, 0.89),
    ],
)
def test_coverage_of_nominal_95_percent_intervals(n, t, bca, collapsed):
    """Reference 9 of the design, simulated there: normal data for t and Efron's BCa, 10% collapsed seeds for t."""
    assert coverage(CRITERIA["t"], SYMMETRIC["normal"], n, 8000) == pytest.approx(t, abs=0.01)
    efron = Bca(name="bca", expanded=False)
    assert coverage(efron, SYMMETRIC["normal"], n, 2000) == pytest.approx(bca, abs=0.025)
    assert coverage(CRITERIA["t"], COLLAPSED, n, 8000) == pytest.approx(collapsed, abs=0.02)


def test_the_sign_test_covers_whatever_the_distribution():
    for distribution in (EXPONENTIAL, COLLAPSED):
        assert coverage(CRITERIA["median"], distribution, 10, RUNS) >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / RUNS)
