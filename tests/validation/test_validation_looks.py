"""P(wrong outcome) ≤ α where seeds are judged as they come, and where hypotheses are read together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.domain.partition import split_line
from harness.inference import decide, holm
from harness.inference.atoms import run_atom_tests
from harness.inference.outcome import judge
from harness.records import Hypothesis
from tests.unit.inference.inference_records import make_hypothesis, make_measurements, spec_of

ALPHA, RUNS = 0.2, 200
AT = [2, 4, 6, 8, 10]
HALVES = {"low": "(-inf, 1]", "high": "(1, inf)"}


def limit(runs: int) -> float:
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def hypothesis(kind: str, criterion: str) -> Hypothesis:
    h = make_hypothesis(
        {"e": {"metric": "train_loss", "arm": "shallow"}},
        {"d": ("e", HALVES, ALPHA)},
        count=AT[-1],
        stopping={"kind": kind, "at": AT},
    )
    plain = h.model_dump(mode="json")
    plain["decisions"]["d"]["criterion"]["name"] = criterion
    return Hypothesis.model_validate(plain)


def measured(x: np.ndarray):
    return make_measurements({("shallow", "train_loss"): list(x)})


@pytest.mark.parametrize(("kind", "criterion"), [("looks", "t"), ("anytime", "t_sequence")])
def test_looking_again_and_again_errs_no_more_often_than_alpha(kind: str, criterion: str) -> None:
    """The truth is on the cut, where "high" is wrong and as likely as it ever is."""
    h = hypothesis(kind, criterion)
    data = np.random.default_rng(21).normal(1.0, 0.5, (RUNS, AT[-1]))
    outcomes = [decide(h, measured(x)).outcome for x in data]
    assert outcomes.count("high") / RUNS <= limit(RUNS)
    assert outcomes.count("low") > 0, "it is a test at its level, not a dead one"


def test_without_a_stopping_rule_looking_again_and_again_errs_more_often() -> None:
    """What the rule is there for: the same looks, each at the whole α, until one decides."""
    h = hypothesis("looks", "t")
    wrong = 0
    for x in np.random.default_rng(21).normal(1.0, 0.5, (RUNS, AT[-1])):
        peeks = (judge(h, measured(x).take_first(n)).outcome for n in AT)
        wrong += next((outcome for outcome in peeks if outcome != "inconclusive"), None) == "high"
    assert wrong / RUNS > limit(RUNS)


@pytest.mark.parametrize("truths", [(1.0, 1.0, 1.0), (1.0, 1.0, 9.0), (1.0, 1.001, -9.0)])
def test_any_wrong_outcome_of_a_family_that_still_holds(truths: tuple[float, ...]) -> None:
    """Members have seeds of their own, so they err independently."""
    spec, runs, n = spec_of(HALVES, ALPHA), 1000, 5
    atoms, rng = split_line(spec.bands), np.random.default_rng(5)
    wrong = 0
    for _ in range(runs):
        found = []
        for truth in truths:
            low, high = run_atom_tests(atoms, rng.normal(truth, 1.0, n), spec.criterion, ALPHA)
            outcome, p = ("high", low.p) if low.p < high.p else ("low", high.p)
            found.append((outcome != ("low" if truth <= 1 else "high"), p))
        adjusted = holm([p for _, p in found])
        wrong += any(bad and p <= ALPHA for (bad, _), p in zip(found, adjusted, strict=True))
    assert wrong / runs <= limit(runs)
