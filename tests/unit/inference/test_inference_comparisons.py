"""Comparisons of any number of arms: values per seed, words, domains, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain.near_copies import compare as compare_copies
from harness.domain.near_copies import describe
from harness.domain.normal_form import encode_normal_form
from harness.inference import Spread, power
from harness.inference.estimands import evaluate, find_resolution
from harness.pipeline.power import read_spreads
from harness.records import Estimand, Hypothesis, Measurements
from harness.spec.registered import describe_question
from tests.unit.inference.inference_records import SETUP, decide, make_hypothesis, make_measurements

ARMS = ("a", "b", "c", "d")
HALVES = {"more": "(0, inf)", "less": "(-inf, 0]"}
VALUES = np.array(
    [
        [0.91, 0.83, 0.75, 0.70],
        [0.88, 0.84, 0.71, 0.73],
        [0.93, 0.81, 0.78, 0.72],
        [0.90, 0.86, 0.74, 0.69],
        [0.87, 0.80, 0.77, 0.74],
    ]
)
INTERACTION = "(a - b) - (c - d)"


def arms(names=ARMS, **first):
    """Arms that train differently; ``first``: more about the first."""
    made = {
        name: {
            "label": name.upper(),
            "rule": {"name": "dfa"},
            "setup": SETUP,
            "penalty": {"name": "residual_branch", "strength": 0.01 * (index + 1)},
        }
        for index, name in enumerate(names)
    }
    made[names[0]] |= first
    return made


def asked(comparison, bands=HALVES, *, names=ARMS, more=None, **estimand) -> Hypothesis:
    about = {"metric": "test_accuracy", "contrast": comparison, **estimand}
    return make_hypothesis({"e": about}, {"e": ("e", bands)}, arms=arms(names), **(more or {}))


def measured(values=VALUES, names=ARMS, metric="test_accuracy") -> Measurements:
    found = make_measurements({(name, metric): list(values[:, i]) for i, name in enumerate(names)})
    return found.model_copy(update={"epochs": dict.fromkeys(names, 10)})


def values_of(hypothesis, measurements) -> np.ndarray:
    return evaluate("e", hypothesis.estimands["e"], hypothesis, measurements).x


@pytest.mark.parametrize(
    ("contrast", "weights"),
    [
        ("a - b", [1, -1, 0, 0]),
        (INTERACTION, [1, -1, -1, 1]),
        ("mean(a, b) - c", [0.5, 0.5, -1, 0]),
        ("2*a - b - c", [2, -1, -1, 0]),
        ("mean(a, b, c) - d", [1 / 3, 1 / 3, 1 / 3, -1]),
    ],
)
def test_a_contrast_is_the_weighted_sum_of_its_arms_at_each_seed(contrast, weights):
    assert values_of(asked(contrast), measured()) == pytest.approx(VALUES @ weights, abs=1e-15)
    in_pp = values_of(asked(contrast, unit="pp"), measured())
    assert in_pp == pytest.approx(100 * VALUES @ weights, abs=1e-9)
    assert all(value == round(value, 11) for value in in_pp)


def test_log10_is_taken_of_each_arm_before_the_contrast():
    found = values_of(asked(INTERACTION, transform="log10"), measured())
    assert found == pytest.approx(np.log10(VALUES) @ [1, -1, -1, 1])
    decision = decide(asked(INTERACTION, transform="log10"), measured()).decisions[0]
    assert "That is a ratio of" in decision.steps[0]


def test_seeds_that_an_arm_lacks_are_missing():
    values = VALUES.copy()
    values[2, 3] = np.nan
    given_ = {
        (name, "test_accuracy"): [None if math.isnan(v) else v for v in values[:, i]] for i, name in enumerate(ARMS)
    }
    measurements = make_measurements(given_).model_copy(update={"epochs": dict.fromkeys(ARMS, 10)})
    hypothesis = asked(INTERACTION, more={"exclusions": {"diverged": "exclude"}})
    sample = evaluate("e", hypothesis.estimands["e"], hypothesis, measurements)
    assert sample.missing == (2,)
    assert sample.unusable["d"] == (2,)
    assert sample.result.correlation is None  # there are more than two arms


@pytest.mark.parametrize(
    ("contrast", "words"),
    [
        ("a - b", "A − B"),
        (INTERACTION, "(A − B) − (C − D)"),
        ("mean(a, b) - c", "mean of A and B − C"),
        ("mean(a, b) - mean(c, d)", "mean of A and B − mean of C and D"),
        ("2*a - b - c", "2 × A − (B + C)"),
        ("0.25 a + 0.75 b - c", "0.25 × A + 0.75 × B − C"),
    ],
)
def test_a_contrast_in_words(contrast, words):
    step = decide(asked(contrast), measured()).decisions[0].steps[0]
    assert step.startswith(f"Test accuracy, {words}, mean over seeds: estimated at")


@pytest.mark.parametrize(
    ("contrast", "domain"),
    [("a - b", (-1, 1)), (INTERACTION, (-2, 2)), ("mean(a, b) - c", (-1, 1)), ("2*a - b - c", (-2, 2))],
)
def test_the_domain_follows_the_weights(contrast, domain):
    estimand = Estimand.model_validate({"metric": "test_accuracy", "contrast": contrast})
    assert estimand.domain == domain
    in_pp = Estimand.model_validate({"metric": "test_accuracy", "contrast": contrast, "unit": "pp"})
    assert in_pp.domain == (100 * domain[0], 100 * domain[1])
    unbounded = Estimand.model_validate({"metric": "train_loss", "contrast": contrast})
    assert unbounded.domain == (-math.inf, math.inf)


def test_a_spread_within_one_sample_of_the_test_set_is_no_spread():
    hypothesis, step = asked(INTERACTION), 1 / 360
    assert find_resolution(hypothesis.estimands["e"], hypothesis, measured()) == pytest.approx(step)
    double = asked("2*a - 2*b")
    assert find_resolution(double.estimands["e"], double, measured()) == pytest.approx(2 * step)
    alike = np.tile([0.9, 0.8, 0.7, 0.6], (5, 1))
    assert decide(hypothesis, measured(alike)).decisions[0].status == "degenerate"


@pytest.mark.parametrize("criterion", ["t", "sign_flip", "bca", "bounded", "t_sequence"])
def test_every_criterion_of_paired_seeds_judges_an_interaction_like_its_numbers(criterion):
    """An interaction of four arms decides as the one number per seed that it is."""
    rng = np.random.default_rng(3)
    values = np.clip(rng.normal([0.9, 0.5, 0.5, 0.6], 0.02, (60, 4)), 0, 1)
    hypothesis = asked(INTERACTION, more={"seeds": {"count": 60}})
    plugin = type(hypothesis.decisions["e"])
    spec = plugin.model_validate({**hypothesis.decisions["e"].model_dump(), "criterion": {"name": criterion}})
    decision = decide(hypothesis.model_copy(update={"decisions": {"e": spec}}), measured(values)).decisions[0]
    assert decision.outcome == "more"
    assert (
        decision.p
        == spec.criterion.on((-2.0, 2.0)).p_greater(values @ [1, -1, -1, 1], 0.0)
        == pytest.approx(decision.p)
    )


numbers = st.lists(st.lists(st.floats(0.01, 0.99), min_size=4, max_size=4), min_size=3, max_size=6)


@settings(max_examples=30, deadline=None)
@given(numbers, st.permutations(range(4)))
def test_names_and_order_of_the_arms_change_no_bit(rows, order):
    values = np.array(rows)
    names = [f"arm_{index}" for index in order]
    text = "({} - {}) - ({} - {})"
    first = values_of(asked(text.format(*ARMS)), measured(values))
    renamed = values_of(asked(text.format(*names), names=names), measured(values, names))
    assert first.tobytes() == renamed.tobytes()
    turned = values_of(asked(f"{ARMS[3]} - {ARMS[2]} + ({ARMS[0]} - {ARMS[1]})"), measured(values))
    assert first.tobytes() == turned.tobytes()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_multiplied_weights_multiply_the_values_and_change_no_decision(factor):
    plain = decide(asked("a - mean(b, c)", {"more": "(0.11, inf)", "less": "(-inf, 0.11]"}), measured()).decisions[0]
    bands = {"more": f"({0.11 * factor}, inf)", "less": f"(-inf, {0.11 * factor}]"}
    scaled = decide(asked(f"{factor} * (a - mean(b, c))", bands), measured()).decisions[0]
    assert scaled.estimand.mean == pytest.approx(factor * plain.estimand.mean)
    assert (scaled.outcome, scaled.p) == (plain.outcome, pytest.approx(plain.p))


TENTH = {"more": "(0.1, inf)", "less": "(-inf, 0.1]"}
SAME = [
    ("a - b", HALVES, "b - a", {"less": "[0, inf)", "more": "(-inf, 0)"}),
    ("a - b", HALVES, "2 a - 2 b", HALVES),
    (
        "a - b",
        {"more": "(0.1, inf)", "less": "(-inf, 0.1]"},
        "3 a - 3 b",
        {"more": "(0.3, inf)", "less": "(-inf, 0.3]"},
    ),
    (INTERACTION, HALVES, "a + d - b - c", HALVES),
    (INTERACTION, HALVES, "b - a - (d - c)", {"less": "[0, inf)", "more": "(-inf, 0)"}),
    ("mean(a, b) - c", HALVES, "0.5 b + 0.5 a - c", HALVES),
    ("mean(a, b, c) - d", HALVES, "a + b + c - 3 d", HALVES),
]


@pytest.mark.parametrize(("one", "bands", "other", "others"), SAME)
def test_the_same_contrast_written_otherwise_has_the_same_normal_form(one, bands, other, others):
    first, second = asked(one, bands), asked(other, others)
    assert encode_normal_form(first) == encode_normal_form(second)
    assert compare_copies(describe(first), describe(second)) == "same"


def test_another_contrast_has_another_normal_form_and_asks_another_question():
    forms = {
        encode_normal_form(asked(text)) for text in ("a - b", INTERACTION, "mean(a, b) - c", "2 a - b - c", "a - c")
    }
    assert len(forms) == 5
    questions = [describe_question(one, one.decisions["e"]) for one in (asked("2*a - b - c"), asked("a + b - 2*c"))]
    assert questions[0] != questions[1]


def test_power_takes_the_sd_of_the_contrast_and_no_other_one():
    two = {
        "e": {"metric": "test_accuracy", "contrast": INTERACTION},
        "f": {"metric": "test_accuracy", "contrast": "(a - c) - (b - d)"},
        "g": {"metric": "test_accuracy", "contrast": "a - b"},
    }
    decisions = {name: (name, HALVES) for name in two}
    combine = {"rule": "all", "holds": {name: ["more"] for name in two}, "outcome": "more", "otherwise": "less"}
    hypothesis = make_hypothesis(two, decisions, arms=arms(), seeds={"count": 10, "sd": 0.02}, combine=combine)
    assert list(read_spreads(hypothesis)) == ["e", "f"]
    report = power(hypothesis, {"e": Spread(0.01, 0.02, 0.03, "assumed")})
    assert report.decisions[0].title == "test accuracy, (A − B) − (C − D), mean over seeds"
