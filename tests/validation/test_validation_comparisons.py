"""P(wrong outcome) ≤ α for contrasts, ratios and trends of correlated arms, under every criterion that may judge."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from harness.domain.scales import choose_scale
from harness.inference.atoms import run_atom_tests
from harness.inference.bands import judge_bands
from harness.inference.combine import combine, find_alpha_divisor
from harness.inference.comparisons import compare
from harness.records import BandDecision, Combine, DecisionSpec, Estimand
from tests.calibration.batch import one_sided, outcomes, scaled, wrong
from tests.calibration.scenarios import CRITERIA
from tests.unit.inference.inference_records import atoms_of, sample_of, spec_of

ALPHA, RUNS, N = 0.05, 2000, 8
SPREADS = (1.0, 0.3, 2.0, 0.7)  # of the arms, beside what all arms of a seed share
TREND = {"over": "penalty.strength", "arms": {"a": 1e-4, "b": 1e-3, "c": 5e-2, "d": 1e-1}}
COMPARISONS = {
    "interaction": {"contrast": "(a - b) - (c - d)"},
    "mean of arms": {"contrast": "mean(a, b, c) - d"},
    "weights": {"contrast": "2 a - 0.5 b - 1.5 c"},
    "ratio": {"ratio": "a / b"},
    "ratio of ratios": {"ratio": "(a / b) / (c / d)"},
    "linear": {"trend": TREND | {"shape": "linear"}},
    "log_linear": {"trend": TREND | {"shape": "log_linear"}},
    "ranks": {"trend": TREND | {"shape": "ranks"}},
}
HALVES = {"low": "(-inf, 0]", "high": "(0, inf)"}
PAIRED = [name for name, criterion in CRITERIA.items() if not criterion.unpaired and not criterion.needs_bounds]


def limit(runs: int = RUNS) -> float:
    return ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def estimand_of(comparison: str, metric: str = "train_loss") -> Estimand:
    return Estimand.model_validate({"metric": metric, **COMPARISONS[comparison]})


@cache
def readings(n: int, runs: int) -> np.ndarray:
    """What an estimand reads of four arms that share their seeds and differ in nothing on average, [runs, n, 4]."""
    rng = np.random.default_rng([11, n, runs])
    return rng.normal(size=(runs, n, 1)) + rng.normal(size=(runs, n, 4)) * SPREADS


def values_of(estimand: Estimand, n: int = N, runs: int = RUNS) -> np.ndarray:
    """One number per seed, float64 [runs, n]; of a ratio, its log10. Its true value is 0."""
    columns = ["abcd".index(arm) for arm in estimand.arms]
    return readings(n, runs)[:, :, columns] @ np.array([*estimand.weights.values()])


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_the_simulated_values_are_those_that_harness_compares(comparison):
    estimand = estimand_of(comparison)
    columns = ["abcd".index(arm) for arm in estimand.arms]
    for row, x in zip(readings(N, RUNS)[:20], values_of(estimand)[:20], strict=True):
        assert [compare(estimand, seed[columns]) for seed in row] == pytest.approx(x.tolist(), abs=1e-9)


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("name", PAIRED)
def test_wrong_outcomes_are_as_rare_as_alpha_says(comparison, name):
    n, runs = (30, 1000) if name == "bca" else (N, RUNS)
    x = values_of(estimand_of(comparison), n, runs)
    sd = x.std()
    tests, cut = one_sided(CRITERIA[name], x / sd), 0.5 * sd
    bands = {"low": f"(-inf, {-cut})", "middle": f"[{-cut}, {cut}]", "high": f"({cut}, inf)"}
    for truth in (cut, cut * (1 + 1e-9), -cut, 0.0):
        assert wrong(scaled(tests, truth, sd), bands, ALPHA, truth) <= limit(runs)
    rates = [wrong(scaled(tests, truth, sd), HALVES, ALPHA, truth) for truth in (0.0, 1e-9)]
    assert max(rates) <= limit(runs)
    if name != "t_sequence":  # it must hold at any number of seeds, and so errs less at each
        assert max(rates) >= 0.02  # these are tests at their level, not dead ones


@pytest.mark.parametrize("name", ["interaction", "mean of arms", "ranks"])
def test_bounded_contrasts_and_trends_of_fractions(name):
    """Accuracies that are 0 or 1 with the probability that makes the true value 0: the hardest case for a mean."""
    estimand = estimand_of(name, "test_accuracy")
    criterion, weights = CRITERIA["bounded"].on(estimand.test_domain), np.array([*estimand.weights.values()])
    rng = np.random.default_rng(5)
    for share in (0.5, 0.9, 0.02):
        x = (rng.random((RUNS, N, len(weights))) < share) @ weights
        assert wrong(one_sided(criterion, x), HALVES, ALPHA, 0.0) <= limit()


def test_unpaired_ratios_by_welch():
    logs = readings(N, RUNS)[:, :, :2]
    tests, bands = one_sided(CRITERIA["welch"], logs), {"low": "(-inf, 0.3]", "high": "(0.3, inf)"}
    for truth in (0.3, 0.3 + 1e-9):
        assert wrong(scaled(tests, truth, 1.0), bands, ALPHA, truth) <= limit()


@pytest.mark.parametrize("name", ["t", "wilcoxon", "t_sequence"])
def test_a_ratio_s_outcomes_are_those_of_its_logarithms(name):
    """Harness's own decisions, with bands written as ratios, are the simulated ones about logarithms."""
    estimand, criterion = estimand_of("ratio"), CRITERIA[name]
    estimand = estimand.model_copy(update={"seeds": criterion.targets})
    spec = spec_of({"low": "(0, 0.5)", "middle": "[0.5, 2]", "high": "(2, inf)"}, ALPHA, criterion)
    cut = math.log10(2)
    logs = {"low": f"(-inf, {-cut})", "middle": f"[{-cut}, {cut}]", "high": f"({cut}, inf)"}
    x = values_of(estimand)[:150] / 4 + np.random.default_rng(3).choice([-0.6, 0.0, 0.6], (150, 1))
    found = [judged(row, spec, estimand).outcome for row in x]
    expected = outcomes(one_sided(criterion, x), logs, ALPHA)
    assert found == [[*logs, "inconclusive"][index] for index in expected]
    assert len(set(found)) >= 3


def judged(row: np.ndarray, spec: DecisionSpec, estimand: Estimand) -> BandDecision:
    sample = sample_of(row)
    own = {key: 10 ** getattr(sample.result, key) for key in ("mean", "median", "pseudomedian")}
    sample = replace(sample, result=sample.result.model_copy(update=own), scale=choose_scale(estimand))
    return judge_bands("d", spec, sample, estimand.domain, ALPHA)


STEPS = Combine.model_validate(
    {
        "rule": "all",
        "holds": {f"step_{k}": ["rises"] for k in (1, 2, 3)},
        "outcome": "monotone",
        "otherwise": "not_monotone",
    }
)
RISES = {"rises": "(0, inf)", "does_not": "(-inf, 0]"}


@pytest.mark.parametrize(
    ("steps", "false"),
    [
        ((9.0, 0.0, 9.0), "monotone"),  # one step is flat, and nothing else keeps it from being monotone
        ((0.0, 0.0, 0.0), "monotone"),
        ((1e-9, 9.0, 9.0), "not_monotone"),
        ((1e-9, 1e-9, 1e-9), "not_monotone"),  # each step tempts
    ],
)
def test_a_monotone_family_is_wrong_no_more_often_than_alpha_says(steps, false):
    """Neighbouring steps share an arm, so that their tests depend on each other."""
    runs = 1000
    arms = readings(N, runs) + np.concatenate([[0.0], np.cumsum(steps)])
    share = find_alpha_divisor(STEPS, "step_1")
    found = []
    for row in arms:
        parts = []
        for k, x in enumerate(np.diff(row, axis=1).T, 1):
            spec = spec_of(RISES, ALPHA / share)
            tests = run_atom_tests(atoms_of(tuple(RISES.items())), x, spec.criterion, ALPHA / share)
            parts.append(
                BandDecision.model_construct(
                    name=f"step_{k}", alpha=ALPHA / share, status="tested", atoms=tests, bands=RISES
                )
            )
        found.append(combine(STEPS, tuple(parts)).outcome)
    assert share == 1
    assert found.count(false) / runs <= limit(runs)
    if sum(step < 1 for step in steps) == 1:
        assert found.count(false) / runs >= 0.01  # it is a test at its level
