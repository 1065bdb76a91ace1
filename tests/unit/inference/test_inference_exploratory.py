"""Exploratory estimands have the interval of the summary over seeds that the file asks for, or none."""

from __future__ import annotations

import itertools

import pytest

from harness.records import EstimandResult
from tests.unit.inference.inference_records import COSINE, cosines, decide, direction

VALUES = [0.012, -0.008, 0.021, 0.004, -0.015, 0.033, 0.018, -0.002, 0.009, 0.027]


def explore(values: list[float], summary: str, **more: str) -> EstimandResult:
    hypothesis = direction(exploratory={"x": {**COSINE, "seeds": summary, **more}}, count=len(values))
    return decide(hypothesis, cosines(values)).exploratory[0]


def test_that_of_a_median_lies_between_the_second_values_of_ten() -> None:
    """P(at most one of ten below the median) is 11/1024: twice that is below .05, and with two it is not."""
    found, ordered = explore(VALUES, "median"), sorted(VALUES)
    assert found.summary95 == pytest.approx((ordered[1], ordered[-2]))


def test_that_of_a_pseudomedian_lies_between_walsh_averages() -> None:
    """Of the 1024 sums of ranks, 25 are at most 8 and 33 at most 9, of which 25.6 are allowed."""
    sums = [sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in itertools.product((0, 1), repeat=10)]
    most = max(cut for cut in range(56) if sum(total <= cut for total in sums) <= 0.025 * 1024)
    walsh = sorted((one + other) / 2 for one, other in itertools.combinations_with_replacement(VALUES, 2))
    assert explore(VALUES, "pseudomedian").summary95 == pytest.approx((walsh[most], walsh[-1 - most]))


def test_that_of_an_interquartile_mean_contains_it_and_is_not_that_of_the_mean() -> None:
    found = explore([*VALUES[:-1], 0.9], "iqm")
    assert found.summary95 is not None and found.iqm is not None and found.interval95 is not None
    assert found.summary95[0] < found.iqm < found.summary95[1] and found.summary95 != found.interval95


def test_means_and_too_few_seeds_have_none() -> None:
    assert explore(VALUES, "mean").summary95 is None
    assert explore(VALUES[:5], "median").summary95 is None  # 2/2**5 is above .05
    assert explore(VALUES[:6], "median").summary95 == pytest.approx((min(VALUES[:6]), max(VALUES[:6])))
    assert explore([0.01] * 10, "median").summary95 is None
