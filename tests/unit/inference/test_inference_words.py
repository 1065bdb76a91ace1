"""The sentences of a decision: today's, and those of stored forms as they were."""

from __future__ import annotations

import pytest

from harness.records import Decision, Hypothesis, Measurements
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    MARGIN,
    MARGIN_PP,
    cosines,
    decide,
    make_hypothesis,
    make_measurements,
    margin,
    margins,
)

REAL = (31.2, 28.9, 33.5, 30.1, 29.4)
OPEN = (26.0, 31.0, 24.0, 29.0, 27.0)
GOOD = (0.01, -0.01, 0.02, 0.0, -0.015)


def several(rule: dict, margin_values: tuple[float, ...], form: int = 3) -> Decision:
    hypothesis = make_hypothesis(
        {"margin": MARGIN_PP, "direction": COSINE},
        {"margin": ("margin", MARGIN), "direction": ("direction", DIRECTION)},
        combine=rule,
    )
    first, second = margins(margin_values), cosines(GOOD)
    merged = [a.model_copy(update={"metrics": {**a.metrics}}) for a in (*first.replicas, *second.replicas)]
    return decide(hypothesis, first.model_copy(update={"replicas": tuple(merged)}), form)


def ratio(seeds: str = "mean", **arms: str) -> tuple[Hypothesis, Measurements]:
    """Training loss in log10: of one arm, or of one over another."""
    estimand = {"metric": "train_loss", "transform": "log10", "seeds": seeds, **arms}
    criterion = {"mean": "t", "median": "median"}[seeds]
    hypothesis = make_hypothesis({"loss": estimand}, {"loss": ("loss", {"low": "(-inf, 0.1]", "high": "(0.1, inf)"})})
    plain = hypothesis.model_dump(mode="json")
    plain["decisions"]["loss"]["criterion"] = {"name": criterion}
    values = {
        ("bp_penalty", "train_loss"): [0.3, 0.33, 0.36, 0.31, 0.32, 0.3],
        ("shallow", "train_loss"): [0.1, 0.1, 0.12, 0.11, 0.1, 0.1],
    }
    return Hypothesis.model_validate(plain), make_measurements(values)


def test_one_decision_in_a_sentence() -> None:
    assert decide(margin(), margins(REAL)).summary == (
        "Test accuracy, BP with penalty − DFA, blocks frozen, mean over seeds: 30.62 pp, 90% interval 28.88 to 32.36 "
        'pp, n = 5; the outcome is "real" (p = .0023).'
    )
    undecided = decide(margin(), margins(OPEN))
    assert undecided.summary.endswith('n = 5; this leaves "partial" and "real" open (p = .12).')
    assert undecided.decisions[0].steps[2] == (
        'Not excluded: "partial" and "real". So the outcome is inconclusive: the boundary at 25 blocks (p = .12, above '
        "α = .05)."
    )


def test_the_page_and_the_sentences_write_an_estimate_alike() -> None:
    decision = decide(margin(), margins((-0.2, 31, 5, 9, 12.5)))
    assert " 11.5 pp, 90% interval 0.1 to 22.8 pp, " in decision.summary
    assert " 11.5 pp from 5 seeds (90% interval 0.1 to 22.8 pp; " in decision.decisions[0].steps[0]


ALL = {
    "rule": "all",
    "holds": {"margin": ["real"], "direction": ["confirmed"]},
    "outcome": "every",
    "otherwise": "not_every",
}


def test_two_decisions_are_both_and_their_outcomes_are_names() -> None:
    shown = several(ALL, REAL)
    assert shown.summary.startswith(
        'The decisions are "real" on margin and "confirmed" on direction; together they give "every" (p = '
    )
    assert shown.combination is not None
    assert shown.combination.startswith(
        'Both decisions must hold: "every" needs both of them shown to hold, each at its α; "not_every" needs one of '
        "them shown to fail, at α/2. Both are shown (largest p = "
    )
    assert shown.combination.endswith(', so the outcome is "every".') and "all 2" not in shown.combination
    undecided = several(ALL, OPEN)
    assert undecided.summary == (
        'The decisions are inconclusive on margin and "confirmed" on direction; together they are inconclusive.'
    )
    some = several({**ALL, "rule": "any"}, REAL).combination
    assert some is not None and some.startswith("One of the two decisions must hold: ")


def test_a_contrast_of_logarithms_is_a_ratio() -> None:
    decision = decide(*ratio(contrast="bp_penalty - shallow"))
    told = "a ratio of 3.049 (2.912 to 3.192)"  # 10 to the power of .4842 (.4642 to .5041)
    assert f": 0.4842, 90% interval 0.4642 to 0.5041, {told}, n = 6; " in decision.summary
    assert f"). That is {told}." in decision.decisions[0].steps[0]


def test_one_arm_in_logarithms_is_a_geometric_mean() -> None:
    assert ", a geometric mean of 0.319" in decide(*ratio(arm="bp_penalty")).summary
    assert " without the logarithm" in decide(*ratio("median", arm="bp_penalty")).summary


@pytest.mark.parametrize("form", [1, 2])
def test_the_sentences_of_stored_forms_are_as_they_were(form: int) -> None:
    real = decide(margin(), margins(OPEN), form)
    assert real.summary == (
        "Inconclusive between partial and real: test accuracy, BP with penalty − DFA, blocks frozen, mean over seeds "
        "is 27.4 pp, 90% interval 24.82 to 29.98, p = 0.118, n = 5."
    )
    assert real.decisions[0].steps[0] == (
        "The estimate of test accuracy, BP with penalty − DFA, blocks frozen, mean over seeds is 27.4 pp from 5 seeds, "
        "with a standard deviation of 2.702 between seeds; 90% interval 24.82 to 29.98."
    )
    assert real.decisions[0].steps[2] == (
        "Not excluded are partial and real, so the outcome is inconclusive: the boundary at 25 blocks (p = 0.118, "
        "above α = 0.05)."
    )
    both = several(ALL, REAL, form)
    assert both.summary.startswith("Margin is real and direction is confirmed: together every (p = 0.00")
    assert both.combination is not None and both.combination.startswith("all 2 decisions must hold: every needs each")
    assert both.model_copy(update={"summary": "", "combination": "", "decisions": ()}) == several(ALL, REAL).model_copy(
        update={"summary": "", "combination": "", "decisions": ()}
    )


TOLD = {
    3: ("−2e-5 lies outside", "margin (1 seed) has seeds", "1 seed was measured, but 5 are registered."),
    2: ("-2e-05 lies outside", "margin (1 seeds) has seeds", "1 seeds were measured, but 5 are registered."),
}


@pytest.mark.parametrize("form", [2, 3])
def test_numbers_and_plurals_are_written_as_people_write_them_and_were_otherwise(form: int) -> None:
    note, blocked, few = TOLD[form]
    hypothesis = make_hypothesis(
        {"margin": {"metric": "train_loss", "arm": "bp_penalty", "transform": "log10"}},
        {"margin": ("margin", {"low": "(-inf, 0)", "high": "[0, inf)"})},
    )
    losses = {("bp_penalty", "train_loss"): [-2e-5, 0.6, 0.7, 0.6, 0.7]}
    decision = decide(hypothesis, make_measurements(losses), form)
    told = decision.decisions[0].estimand.values[0].note
    assert told is not None and note in told
    assert blocked in decision.summary
    alone = decide(margin(), margins([30]), form)
    assert few in alone.warnings
    assert "flaws" not in decision.model_dump(mode="json")["decisions"][0]["estimand"]["values"][0]
