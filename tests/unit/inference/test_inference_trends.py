"""Trends: the slope over arms at each seed, against SciPy's regression, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.domain.near_copies import compare as compare_copies
from harness.domain.near_copies import describe, sketch
from harness.domain.normal_form import encode_normal_form
from harness.inference import Spread, power
from harness.inference.estimands import evaluate, find_resolution, name_unit
from harness.records import Estimand, Hypothesis
from harness.records.trends import Trend
from tests.unit.inference.inference_records import decide, make_hypothesis, make_measurements
from tests.unit.inference.test_inference_comparisons import ARMS, HALVES, VALUES, arms, measured

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
PLACES = {"linear": STRENGTHS, "log_linear": (-4, -3, -2, -1), "ranks": (0, 1, 2, 3)}


def asked(shape="linear", bands=HALVES, *, numbers=STRENGTHS, names=ARMS, more=None, **estimand) -> Hypothesis:
    trend = {"over": "penalty.strength", "arms": dict(zip(names, numbers, strict=True)), "shape": shape}
    about = {"metric": "test_accuracy", "trend": trend, **estimand}
    return make_hypothesis({"e": about}, {"e": ("e", bands)}, arms=arms(names), **(more or {}))


def values_of(hypothesis, values=VALUES, names=ARMS) -> np.ndarray:
    return evaluate("e", hypothesis.estimands["e"], hypothesis, measured(values, names)).x


@pytest.mark.parametrize("shape", PLACES)
@pytest.mark.parametrize("unit", ["raw", "pp"])
def test_the_slope_at_a_seed_is_that_of_the_regression(shape, unit):
    factor = 100 if unit == "pp" else 1
    expected = [stats.linregress(PLACES[shape], factor * row).slope for row in VALUES]
    assert values_of(asked(shape, unit=unit)) == pytest.approx(expected, rel=1e-9)


def test_r_s_women():
    """R: coef(lm(weight ~ height, women)) is −87.51667 and 3.45: per inch, or per step."""
    weight = [115, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164]
    for numbers, shape, slope in (
        ([*range(58, 73)], "linear", 3.45),
        ([*range(29, 44)], "linear", 3.45),
        ([2 * height for height in range(58, 73)], "linear", 3.45 / 2),
        ([10.0**height for height in range(-7, 8)], "log_linear", 3.45),
        ([height**3 for height in range(58, 73)], "ranks", 3.45),
    ):
        trend = Trend.model_validate(
            {"over": "height", "arms": {f"w{k}": float(one) for k, one in enumerate(numbers)}, "shape": shape}
        )
        assert sum(trend.weights[f"w{k}"] * one for k, one in enumerate(weight)) == pytest.approx(slope, abs=1e-9)


def test_its_test_is_student_s_over_the_slopes():
    slopes = [stats.linregress(PLACES["ranks"], row).slope for row in VALUES]
    decision = decide(asked("ranks"), measured()).decisions[0]
    assert decision.outcome == "less"
    assert decision.p == pytest.approx(stats.ttest_1samp(slopes, 0, alternative="less").pvalue)
    assert decision.effect_size is not None


@pytest.mark.parametrize("numbers", [(0, 1e-4, 1e-2, 1e-1), (3, 1, 2, 7), (-5, 0, 5, 10), (1e6, 2e6, 3e6, 4e6)])
def test_uneven_unordered_negative_and_large_numbers(numbers):
    assert values_of(asked(numbers=numbers)) == pytest.approx([stats.linregress(numbers, r).slope for r in VALUES])
    ranks = [stats.linregress(stats.rankdata(numbers), 100 * row).slope for row in VALUES]
    assert values_of(asked("ranks", numbers=numbers, unit="pp")) == pytest.approx(ranks)


def test_tiny_slopes_in_percentage_points_keep_their_digits():
    """The numbers are sizes of training sets: a slope per image is far below the ninth decimal."""
    found = values_of(asked(numbers=(1e7, 2e7, 3e7, 4e7), unit="pp"))
    assert found == pytest.approx([stats.linregress((1e7, 2e7, 3e7, 4e7), 100 * row).slope for row in VALUES], rel=1e-6)


def test_arms_of_a_grid_give_the_slope_over_one_of_its_sides():
    numbers = (0.1, 0.1, 0.2, 0.2)
    main_effect = (VALUES[:, 2:].mean(1) - VALUES[:, :2].mean(1)) / 0.1
    assert values_of(asked(numbers=numbers)) == pytest.approx(main_effect)


@pytest.mark.parametrize(
    ("shape", "words", "unit"),
    [
        ("linear", "slope per unit of penalty.strength over A, B, C and D", "per unit"),
        ("log_linear", "slope per tenfold penalty.strength over A, B, C and D", "per tenfold"),
        ("ranks", "slope per step of penalty.strength over A, B, C and D", "per step"),
    ],
)
def test_a_trend_in_words(shape, words, unit):
    hypothesis = asked(shape)
    step = decide(hypothesis, measured()).decisions[0].steps[0]
    assert step.startswith(f"Test accuracy, {words}, mean over seeds: estimated at ")
    assert name_unit(hypothesis.estimands["e"]) == unit
    assert name_unit(asked(shape, unit="pp").estimands["e"]) == f"pp {unit}"
    factor = decide(asked(shape, transform="log10"), measured()).decisions[0].steps[0]
    assert shape == "linear" or "That is a factor of 0.9" in factor
    assert shape == "linear" or f" {unit} (" in factor


def test_the_title_of_many_arms_names_the_first_and_the_last():
    names = tuple(f"arm_{index}" for index in range(8))
    hypothesis = asked("ranks", numbers=range(8), names=names)
    values = np.random.default_rng(1).normal(0.5, 0.1, (5, 8))
    title = decide(hypothesis, measured(values, names)).decisions[0].estimand.title
    assert "over 8 arms, from ARM_0 to ARM_7" in title


def test_domain_and_resolution_follow_the_weights():
    estimand = asked("ranks").estimands["e"]
    assert estimand.domain == pytest.approx((-0.4, 0.4))  # (3·0.5 + 1·0.5)/5 on each side
    bounded = {"bands": {"more": "(0, 0.4]", "less": "[-0.4, 0]"}}
    assert power(asked("ranks", **bounded), {"e": Spread(0.01, 0.02, 0.03, "assumed")}).decisions[0].unit == "per step"
    steep = asked("linear")
    weights = np.abs(list(steep.estimands["e"].weights.values()))
    assert find_resolution(steep.estimands["e"], steep, measured()) == pytest.approx(weights.max() / 360)
    alike = np.tile(VALUES[0], (5, 1))
    assert decide(steep, measured(alike)).decisions[0].status == "degenerate"
    unbounded = Estimand.model_validate(asked("ranks").estimands["e"].model_dump() | {"metric": {"name": "train_loss"}})
    assert unbounded.domain == (-math.inf, math.inf)


def test_a_bounded_criterion_judges_a_trend_within_its_domain():
    values = np.clip(np.random.default_rng(2).normal([0.2, 0.4, 0.6, 0.8], 0.01, (40, 4)), 0, 1)
    hypothesis = asked("ranks", more={"seeds": {"count": 40}})
    spec = hypothesis.decisions["e"]
    spec = type(spec).model_validate({**spec.model_dump(), "criterion": {"name": "bounded"}})
    assert decide(hypothesis.model_copy(update={"decisions": {"e": spec}}), measured(values)).outcome == "more"


numbers_of_arms = st.lists(st.integers(-50, 50), min_size=4, max_size=4, unique=True)


@settings(max_examples=30, deadline=None)
@given(numbers_of_arms, st.sampled_from(["linear", "ranks"]), st.permutations(range(4)))
def test_names_and_order_of_the_arms_change_nothing(numbers, shape, order):
    first = values_of(asked(shape, numbers=numbers))
    names = tuple(f"arm_{index}" for index in order)
    turned = asked(shape, numbers=[numbers[index] for index in order], names=names)
    assert values_of(turned, VALUES[:, list(order)], names) == pytest.approx(first, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(numbers_of_arms, st.sampled_from([0.01, 3.0, 1000.0]), st.floats(-5, 5))
def test_the_unit_of_the_number_divides_the_slope_and_its_zero_does_not_matter(numbers, factor, shift):
    plain = values_of(asked(numbers=numbers))
    scaled = values_of(asked(numbers=[factor * (number + shift) for number in numbers]))
    assert factor * scaled == pytest.approx(plain, abs=1e-9)
    ranks = values_of(asked("ranks", numbers=[factor * number for number in numbers]))
    assert ranks.tobytes() == values_of(asked("ranks", numbers=numbers)).tobytes()
    raised = [10 ** (number / 50) for number in numbers]
    tenfold = values_of(asked("log_linear", numbers=[factor * number for number in raised]))
    assert tenfold == pytest.approx(values_of(asked("log_linear", numbers=raised)), abs=1e-9)


def test_a_trend_of_two_arms_is_their_difference_over_the_step():
    found = values_of(asked("linear", numbers=(2, 4), names=("a", "b")), VALUES[:, :2], ("a", "b"))
    assert found == pytest.approx((VALUES[:, 1] - VALUES[:, 0]) / 2)
    difference = make_hypothesis(
        {"e": {"metric": "test_accuracy", "contrast": "b - a"}},
        {"e": ("e", {"more": "(0.2, inf)", "less": "(-inf, 0.2]"})},
        arms=arms(("a", "b")),
    )
    slope = asked("linear", {"more": "(0.1, inf)", "less": "(-inf, 0.1]"}, numbers=(2, 4), names=("a", "b"))
    assert encode_normal_form(slope) == encode_normal_form(difference)


def test_equal_weights_have_one_normal_form():
    ranks, tenfold = asked("ranks"), asked("log_linear")
    assert encode_normal_form(ranks) == encode_normal_form(tenfold)
    assert compare_copies(describe(ranks), describe(asked("linear"))) != "same"
    assert sketch(ranks.model_dump(mode="json")) == sketch(tenfold.model_dump(mode="json")) != frozenset()


def test_a_missing_value_of_any_arm_leaves_its_seed_out():
    rows = {(name, "test_accuracy"): VALUES[:, index].tolist() for index, name in enumerate(ARMS)}
    rows["b", "test_accuracy"][1] = None
    measurements = make_measurements(rows).model_copy(update={"epochs": dict.fromkeys(ARMS, 10)})
    hypothesis = asked("ranks", more={"exclusions": {"diverged": "exclude"}})
    assert evaluate("e", hypothesis.estimands["e"], hypothesis, measurements).missing == (1,)
