"""Ratios: tested on the log10, read on their own scale, from the bands of the file to the page."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.domain.near_copies import compare as compare_copies
from harness.domain.near_copies import describe
from harness.domain.normal_form import encode_normal_form
from harness.inference import Spread, power
from harness.inference.estimands import evaluate
from harness.inference.guards import Truth
from harness.inference.replication import list_disagreements
from harness.inference.sensitivity import judge_alternatives
from harness.pipeline.power import read_spreads
from harness.records import Hypothesis
from harness.verdict.bands import draw_bands
from tests.unit.inference.inference_records import decide, make_hypothesis
from tests.unit.inference.test_inference_comparisons import ARMS, arms, measured

BANDS = {"smaller": "(0, 0.5)", "similar": "[0.5, 2]", "larger": "(2, inf)"}
LOGS = {"smaller": "(-inf, -0.3010299956639812)", "similar": "[-0.3010299956639812, 0.3010299956639812]"}
LOGS["larger"] = "(0.3010299956639812, inf)"
LOSSES = np.array(
    [[6.1, 2.0, 1.1, 0.9], [4.9, 2.2, 1.0, 1.1], [7.3, 1.9, 1.3, 1.0], [5.2, 2.1, 0.8, 0.7], [6.6, 2.4, 1.2, 1.3]]
)
RATIOS = LOSSES[:, 0] / LOSSES[:, 1]


def asked(ratio="a / b", bands=None, *, more=None, **estimand) -> Hypothesis:
    about = {"metric": "train_loss", "ratio": ratio, **estimand}
    return make_hypothesis({"e": about}, {"e": ("e", bands or BANDS)}, arms=arms(), **(more or {}))


def judged(hypothesis: Hypothesis, values=LOSSES):
    return decide(hypothesis, measured(values, metric="train_loss"))


def test_a_ratio_is_tested_on_its_logarithm_and_read_as_a_ratio():
    decision = judged(asked()).decisions[0]
    result, logs = decision.estimand, np.log10(RATIOS)
    assert [seed.value for seed in result.values] == pytest.approx(list(RATIOS))
    assert result.mean == pytest.approx(stats.gmean(RATIOS))
    assert result.median == pytest.approx(np.median(RATIOS))
    assert result.sd == pytest.approx(logs.std(ddof=1))
    error = logs.std(ddof=1) / math.sqrt(5)
    assert result.interval95 == pytest.approx(10 ** np.array(stats.t.interval(0.95, 4, logs.mean(), error)))
    assert decision.interval == pytest.approx(10 ** np.array(stats.t.interval(0.90, 4, logs.mean(), error)))
    assert decision.p == pytest.approx(2 * min(p for p in both_sides(logs)))
    assert (decision.outcome, result.unit) == ("larger", "ratio")
    assert decision.bands == BANDS


def both_sides(logs):
    """p of the middle band: the smaller of its two one-sided tests, which takes it twice."""
    cut = math.log10(2)
    above, below = (
        stats.ttest_1samp(logs, cut, alternative="greater"),
        stats.ttest_1samp(logs, -cut, alternative="less"),
    )
    return above.pvalue, below.pvalue


def test_it_decides_as_the_contrast_of_logarithms_does():
    ratio = judged(asked()).decisions[0]
    logs = make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "a - b", "transform": "log10"}}, {"e": ("e", LOGS)}, arms=arms()
    )
    other = judged(logs).decisions[0]
    assert (ratio.outcome, ratio.alive, ratio.p) == (other.outcome, other.alive, pytest.approx(other.p))
    assert ratio.posterior == pytest.approx(other.posterior)
    assert ratio.effect_size == other.effect_size
    assert ratio.estimand.mean == pytest.approx(10**other.estimand.mean)
    assert compare_copies(describe(asked()), describe(logs)) is not None


def test_a_boundary_that_blocks_is_named_as_it_was_written():
    close = LOSSES.copy()
    close[:, 0] = LOSSES[:, 1] * [2.3, 1.8, 2.2, 1.9, 2.4]
    decision = judged(asked(), close).decisions[0]
    assert (decision.outcome, decision.boundary) == ("inconclusive", 2.0)
    assert any("the boundary at 2 blocks" in step for step in decision.steps)
    assert decision.seeds_needed > 5
    assert [str(test.interval) for test in decision.atoms] == ["(-inf, 0.5)", "[0.5, 2]", "(2, inf)"]


def test_a_ratio_in_words():
    decision = judged(asked())
    step = decision.decisions[0].steps[0]
    assert step.startswith("Training loss, A / B, geometric mean over seeds: estimated at 2.8")
    assert "in log10, the scale of the test and of the standard deviation." in step
    assert "geometric mean over seeds: 2.8" in decision.summary
    of_ratios = judged(asked("(a / b) / (c / d)")).decisions[0]
    assert of_ratios.estimand.title == "training loss, (A / B) / (C / D), geometric mean over seeds"
    assert of_ratios.estimand.mean == pytest.approx(stats.gmean(RATIOS / (LOSSES[:, 2] / LOSSES[:, 3])))


def test_its_figure_is_drawn_over_its_own_bands():
    hypothesis = asked()
    decision = judged(hypothesis).decisions[0]
    drawing = draw_bands(decision, hypothesis.decisions["e"], decision.estimand.mean, pilot=False)
    assert b"<svg" in drawing.svg()
    assert "bands smaller (0, 0.5); similar [0.5, 2]; larger (2, inf)" in drawing.alt


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_zero_and_negative_values_have_no_ratio(bad):
    values = LOSSES.copy()
    values[1, 1] = bad
    found = judged(asked(), values)
    assert found.outcome == "invalid"
    note = found.decisions[0].estimand.values[1].note
    assert "has no logarithm" in note or "lies outside the bounds" in note


def test_unpaired_arms_are_compared_by_welch_on_their_logarithms():
    hypothesis = asked(pairing="unpaired")
    spec = hypothesis.decisions["e"]
    spec = type(spec).model_validate({**spec.model_dump(), "criterion": {"name": "welch"}})
    decision = judged(hypothesis.model_copy(update={"decisions": {"e": spec}})).decisions[0]
    logs = np.log10(LOSSES)
    expected = stats.ttest_ind(logs[:, 0], logs[:, 1], equal_var=False).confidence_interval(0.90)
    assert decision.interval == pytest.approx(10 ** np.array(expected))
    assert decision.outcome == "larger"


def test_a_guard_is_a_ratio_too():
    more = {"guards": {"grows": {"estimand": "e", "above": 1.5, "otherwise": "It does not grow."}}}
    guard = judged(asked(more=more)).guards[0]
    expected = stats.ttest_1samp(np.log10(RATIOS), math.log10(1.5), alternative="greater").pvalue
    assert (guard.p, guard.status, guard.holding) == (pytest.approx(expected), "verified", 5)


def test_exploratory_ratios_have_the_p_of_no_difference():
    more = {"exploratory": {"x": {"metric": "train_loss", "ratio": "c / d"}}}
    p, _ = judged(asked(more=more)).exploratory_p["x"]
    assert p == pytest.approx(stats.ttest_rel(*np.log10(LOSSES[:, 2:]).T).pvalue)


def test_power_is_computed_on_the_logarithm_and_shown_as_ratios():
    more = {"seeds": {"count": 10, "sd": 0.1}, "guards": {"g": {"estimand": "e", "above": 1.5, "otherwise": "No."}}}
    hypothesis = asked(more=more)
    spreads = read_spreads(hypothesis)
    assert spreads["e"].value == 0.1
    report = power(hypothesis, spreads, (3.0,), {"g": Truth(3.0, 0.1, "assumed")})
    part = report.decisions[0]
    assert part.cuts == (0.5, 2.0)
    assert {0.5, 1.0, 2.0} <= set(part.landmarks)
    asked_for = next(row for row in part.prediction if row.effect == 3.0)
    assert asked_for.where == "as asked"
    logs = make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "a - b", "transform": "log10"}},
        {"e": ("e", LOGS)}, arms=arms(), seeds={"count": 10},
    )  # fmt: skip
    other = power(logs, {"e": Spread(*(getattr(spreads["e"], key) for key in ("low", "value", "high")), "s")})
    assert part.greatest == pytest.approx(other.decisions[0].greatest, abs=1e-6)
    assert report.guards[0].verified > 0.99


def test_an_assumed_sd_of_a_ratio_is_none_of_a_difference_and_looks_work_on_its_logarithm():
    two = {"e": {"metric": "train_loss", "ratio": "a / b"}, "f": {"metric": "train_loss", "contrast": "a - b"}}
    decisions = {"e": ("e", BANDS), "f": ("f", LOGS)}
    combine = {"rule": "all", "holds": {"e": ["larger"], "f": ["larger"]}, "outcome": "yes", "otherwise": "no"}
    both = make_hypothesis(two, decisions, arms=arms(), seeds={"count": 10, "sd": 0.1}, combine=combine)
    assert list(read_spreads(both)) == ["e"]
    spread = Spread(0.1, 0.2, 0.3, "assumed")
    looks = {"seeds": {"count": 12}, "stopping": {"kind": "looks", "at": (6, 12)}}
    ratio = power(asked(more=looks), {"e": spread}, (-1.0,)).decisions[0]
    of_logs = {"e": {"metric": "train_loss", "contrast": "a - b", "transform": "log10"}}
    logs = power(make_hypothesis(of_logs, {"e": ("e", LOGS)}, arms=arms(), **looks), {"e": spread}).decisions[0]
    assert ratio.looks == logs.looks == (6, 12)
    assert ratio.greatest == pytest.approx(logs.greatest, abs=1e-5)


def test_another_criterion_and_a_rerun_judge_the_logarithm():
    hypothesis = asked()
    names = ("sign_flip", "t_sequence")
    found = judge_alternatives(hypothesis, measured(LOSSES, metric="train_loss"), names, ())
    assert {one.criterion: one.outcome for one in found}["as registered"] == "larger"
    before, now = judged(hypothesis), judged(hypothesis, LOSSES * [2.0, 1, 1, 1])
    assert list_disagreements(before, before, 0.99) == ()
    (said,) = list_disagreements(before, now, 0.99)
    assert "the mean moved from 2.8" in said
    assert "by more than a factor of 1." in said


positive = st.lists(st.lists(st.floats(0.01, 100), min_size=4, max_size=4), min_size=3, max_size=6)


@settings(max_examples=30, deadline=None)
@given(positive, st.sampled_from([1e-3, 0.5, 10.0]))
def test_the_metric_s_unit_changes_no_ratio_and_the_other_way_round_is_the_inverse(rows, factor):
    values = np.array(rows)
    plain, inverse = asked(), asked("b / a")

    def values_of(hypothesis, numbers):
        return evaluate("e", hypothesis.estimands["e"], hypothesis, measured(numbers, metric="train_loss")).x

    assert values_of(plain, values) == pytest.approx(values_of(plain, factor * values), abs=1e-12)
    assert values_of(inverse, values) == pytest.approx(-values_of(plain, values))


def test_a_ratio_the_other_way_round_has_the_same_normal_form():
    around = {"larger": "(0, 0.5)", "similar": "[0.5, 2]", "smaller": "(2, inf)"}
    assert encode_normal_form(asked()) == encode_normal_form(asked("b / a", around))
    uneven = {"smaller": "(0, 0.5)", "similar": "[0.5, 3]", "larger": "(3, inf)"}
    assert encode_normal_form(asked("a / b", uneven)) != encode_normal_form(asked("b / a", uneven))
    assert encode_normal_form(asked("(a / b) / (c / d)")) == encode_normal_form(asked("a * d / (b * c)"))


def test_a_plain_ratio_is_stored_as_two_arms():
    estimand = asked().estimands["e"].model_dump(mode="json")
    assert (estimand["ratio"], estimand["contrast"]) == (["a", "b"], None)
    assert "ratio" not in make_hypothesis(
        {"e": {"metric": "train_loss", "contrast": "a - b"}}, {"e": ("e", LOGS)}, arms=arms()
    ).estimands["e"].model_dump(mode="json")
    assert asked("a * b / (c * d)").estimands["e"].arms == ARMS


def test_values_too_large_for_a_ratio_are_missing():
    values = LOSSES.copy()
    values[0, :2] = 1e149, 1e-149
    found = judged(asked(), values)
    assert "is too large to compute with" in found.decisions[0].estimand.values[0].note
