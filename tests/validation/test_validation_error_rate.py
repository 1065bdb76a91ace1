"""P(wrong outcome) ≤ α: data sets drawn with the true value at, near and far from the cuts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.inference.atoms import run_atom_tests
from harness.inference.combine import combine, find_alpha_divisor
from harness.records import BandDecision, Combine
from tests.unit.inference.inference_records import DIRECTION, MARGIN, atoms_of, decided, spec_of

RUNS = 1500


def limit(alpha: float, runs: int = RUNS) -> float:
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize(
    ("bands", "truth", "sd", "n"),
    [
        (MARGIN, 25.0, 2.0, 5),  # on the cut that partial owns: "real" is wrong
        (MARGIN, 25.001, 2.0, 5),  # just beyond it: "partial" is wrong
        (MARGIN, 5.0, 8.0, 3),
        (MARGIN, 15.0, 30.0, 4),  # bands narrow beside the spread: both neighbours tempt
        (DIRECTION, 0.05, 0.03, 5),
        (DIRECTION, 0.0499, 0.03, 10),
        (DIRECTION, -0.2, 0.05, 3),
        ({"out": "(-inf, 0) | (0, inf)", "point": "[0, 0]"}, 0.0, 1.0, 4),
    ],
)
def test_one_decision(bands, truth, sd, n):
    alpha = 0.1
    rng = np.random.default_rng(int(abs(truth) * 1000) + n)
    right = next(name for name, band in spec_of(bands).bands.items() if band.contains(truth))
    wrong = 0
    for x in rng.normal(truth, sd, (RUNS, n)):
        alive = decided(x, bands, alpha)
        wrong += alive != (right,) and len(alive) == 1
    assert wrong / RUNS <= limit(alpha)
    if bands is MARGIN and truth == 25.0:
        assert wrong / RUNS >= 0.03  # it is a test at its level (an interior atom's own: α/2 per side), not a dead one


def part(name, x, bands, alpha):
    spec = spec_of(bands, alpha)
    tests = run_atom_tests(atoms_of(tuple(bands.items())), x, spec.criterion, alpha)
    return BandDecision.model_construct(name=name, alpha=alpha, status="tested", atoms=tests, bands=dict(bands))


HALVES = {"low": "(-inf, 0]", "high": "(0, inf)"}
HOLDS = {"a": ("high",), "b": ("high",)}
ROWS = [
    {"when": {"a": "high", "b": "high"}, "outcome": "yes"},
    {"when": {"a": "low", "b": "low"}, "outcome": "no"},
    {"when": {}, "outcome": "mixed"},
]
FOLLOWS = {
    "all": lambda a, b: "yes" if a and b else "no",
    "any": lambda a, b: "yes" if a or b else "no",
    "table": lambda a, b: "yes" if a and b else "mixed" if a or b else "no",
}


@pytest.mark.parametrize("rule", FOLLOWS)
@pytest.mark.parametrize("truth", [(0.0, 0.0), (0.001, 0.001), (0.0, 3.0), (0.001, -3.0), (0.5, 0.0)])
@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.9])
def test_several_decisions(rule, truth, rho):
    alpha, runs, n = 0.1, 500, 4
    combined = {"table": ROWS} if rule == "table" else {"holds": HOLDS, "outcome": "yes", "otherwise": "no"}
    how = Combine.model_validate({"rule": rule, **combined})
    right = FOLLOWS[rule](truth[0] > 0, truth[1] > 0)
    rng = np.random.default_rng(11)
    data = rng.multivariate_normal(truth, [[1, rho], [rho, 1]], (runs, n))
    outcomes = [
        combine(
            how, tuple(part(d, x[:, i], HALVES, alpha / find_alpha_divisor(how, d)) for i, d in enumerate("ab"))
        ).outcome
        for x in data
    ]
    assert sum(outcome not in (right, "inconclusive") for outcome in outcomes) / runs <= limit(alpha, runs)


@pytest.mark.parametrize("rule", FOLLOWS)
@pytest.mark.parametrize("truth", [(3.0, 3.0), (-3.0, -3.0), (3.0, -3.0)])
def test_several_clear_decisions_give_the_right_outcome(rule, truth):
    combined = {"table": ROWS} if rule == "table" else {"holds": HOLDS, "outcome": "yes", "otherwise": "no"}
    how = Combine.model_validate({"rule": rule, **combined})
    x = np.random.default_rng(5).normal(truth, 0.1, (6, 2))
    found = combine(how, tuple(part(d, x[:, i], HALVES, 0.05 / find_alpha_divisor(how, d)) for i, d in enumerate("ab")))
    assert found.outcome == FOLLOWS[rule](truth[0] > 0, truth[1] > 0)
    assert found.p is not None and found.p <= 0.05
