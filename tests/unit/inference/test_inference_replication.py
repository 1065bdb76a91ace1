from __future__ import annotations

import math

import numpy as np
import pytest

from harness.inference import decide, list_disagreements
from tests.unit.inference import inference_records as records

VALUES = [0.01, 0.02, -0.01, 0.0, 0.03]
T_995_4 = 4.604095  # a table's


def judged(values, hypothesis=None):
    return decide(hypothesis or records.direction(), records.cosines(values))


def test_the_same_numbers_agree() -> None:
    assert list_disagreements(judged(VALUES), judged(VALUES), 0.99) == ()


@pytest.mark.parametrize(("share", "agrees"), [(0.98, True), (-0.98, True), (1.02, False), (-1.02, False)])
def test_the_mean_may_move_as_far_as_that_of_a_repetition(share, agrees) -> None:
    limit = T_995_4 * np.std(VALUES, ddof=1) * math.sqrt(2 / 5)
    wide = records.make_hypothesis(
        {"direction": records.COSINE}, {"direction": ("direction", {"low": "(-inf, 0.9)", "high": "[0.9, inf)"})}
    )
    moved = judged([value + share * limit for value in VALUES], wide)
    found = list_disagreements(judged(VALUES, wide), moved, 0.99)
    assert (found == ()) is agrees
    assert agrees or "direction: the mean moved from 0.0100 to" in found[0]


def test_another_outcome_never_agrees() -> None:
    found = list_disagreements(judged(VALUES), judged([value + 0.5 for value in VALUES]), 0.99)
    assert found[0] == 'the outcome is "rejected", it was "confirmed"'


def test_values_that_are_gone_are_told() -> None:
    found = list_disagreements(judged(VALUES), judged([None] * 5), 0.99)
    assert "direction: one of the two has no value at all" in found


def test_without_a_spread_only_the_same_number_agrees() -> None:
    one = records.direction(count=2)
    before, same = judged([0.5], one), judged([0.5 + 1e-12], one)
    assert list_disagreements(before, same, 0.99) == ()
    assert list_disagreements(before, judged([0.5001], one), 0.99)


def test_a_faithful_repetition_fails_as_often_as_the_level_says() -> None:
    """Independent repetitions of one experiment, level 0.9: 10% of 400 leave the interval, within three errors."""
    random = np.random.default_rng(20240501)
    wide = records.make_hypothesis(
        {"direction": records.COSINE}, {"direction": ("direction", {"low": "(-inf, 0.9)", "high": "[0.9, inf)"})}
    )
    pairs = [(judged(random.normal(0, 0.1, 6), wide), judged(random.normal(0, 0.1, 6), wide)) for _ in range(400)]
    rate = sum(bool(list_disagreements(before, now, 0.9)) for before, now in pairs) / len(pairs)
    assert rate == pytest.approx(0.1, abs=3 * math.sqrt(0.1 * 0.9 / 400))
