from __future__ import annotations

from harness.inference import decide, judge_alternatives, list_criteria
from tests.unit.inference.inference_records import (
    COSINE,
    DIRECTION,
    REFERENCE,
    cosines,
    direction,
    make_hypothesis,
    make_measurements,
    margin,
)

NEAR = [0.04, 0.07, 0.05, 0.09, 0.06]
HALVES = {"low": "(-inf, 2)", "high": "[2, inf)"}
CLEAR = [0.11, 0.13, 0.09, 0.12, 0.10]


def test_the_first_row_is_the_verdict():
    h, measured = direction(), cosines(CLEAR)
    rows = judge_alternatives(h, measured, list_criteria(), ())
    assert rows[0].criterion == "as registered" and rows[0].alpha is None
    assert (rows[0].outcome, rows[0].p) == (decide(h, measured).outcome, decide(h, measured).p)
    assert all(row.criterion != "t" for row in rows[1:])  # that is what was registered


def test_other_levels_give_other_outcomes():
    rows = judge_alternatives(direction(), cosines(NEAR), ["t"], [0.3, 1e-9])
    assert [(row.criterion, row.alpha, row.outcome) for row in rows] == [
        ("as registered", None, "inconclusive"),
        ("t", 0.3, "partial"),
        ("t", 1e-9, "inconclusive"),
    ]


def test_guards_and_exclusions_stay():
    measured = cosines([*CLEAR[:4], None], diverged={("penalized", 4): 3})
    assert {row.outcome for row in judge_alternatives(direction(), measured, ["t"], [0.2])} == {"invalid"}


def test_looks_stay_and_divide_the_level_of_guards_too():
    guards = {"g": {"estimand": "reference", "above": 0.0, "otherwise": "No."}}
    estimands = {"direction": COSINE, "reference": REFERENCE}
    measured = make_measurements({("penalized", "credit_cosine"): CLEAR, ("penalized", "gradient_norm"): [1.0] * 5})
    found, smallest = [], []
    for stopping in ({"kind": "fixed"}, {"kind": "looks", "at": [3, 5]}):
        h = make_hypothesis(estimands, {"direction": ("direction", DIRECTION)}, guards=guards, stopping=stopping)
        registered, flipped = judge_alternatives(h, measured, ["sign_flip"], [])
        assert (registered.outcome, registered.p) == (decide(h, measured).outcome, decide(h, measured).p)
        found.append((registered.outcome, registered.decisions[0].alpha))
        smallest.append(flipped.smallest_n)
    assert found == [("partial", 0.05), ("inconclusive", 0.025)]  # the guard's p is 2⁻⁵, between .05/2 and .05
    assert smallest == [6, 7]  # of an atom between two cuts: 2⁻⁶ ≤ .05/2, 2⁻⁷ ≤ .05/4


def test_only_anytime_valid_criteria_can_be_asked_under_such_a_stopping_rule():
    h = direction(stopping={"kind": "anytime", "at": [3, 5]})
    rows = {row.criterion: row for row in judge_alternatives(h, cosines(CLEAR), ["sign_flip", "t_sequence"], [])}
    assert rows["t_sequence"].reason is None or "seeds" in rows["t_sequence"].reason
    assert rows["sign_flip"].reason == "direction: can't be judged at any number of seeds, as the stopping rule asks"


def test_too_few_seeds_is_a_reason():
    rows = judge_alternatives(direction(count=1), cosines([0.1]), ["t"], [0.1])
    assert [row.outcome for row in rows] == [None, None]
    assert rows[0].reason == "direction: needs 2 seeds at this level, there is 1"


def test_all_decisions_take_the_level():
    estimands = {"e": {"metric": "train_loss", "arm": "shallow"}, "f": {"metric": "train_loss", "arm": "penalized"}}
    combine = {"rule": "all", "holds": {"a": ["high"], "b": ["high"]}, "outcome": "yes", "otherwise": "no"}
    h = make_hypothesis(estimands, {"a": ("e", HALVES), "b": ("f", HALVES)}, combine=combine)
    x = [3.0, 3.3, 2.2, 2.0, 3.1]
    measured = make_measurements({("shallow", "train_loss"): x, ("penalized", "train_loss"): [v + 1 for v in x]})
    rows = judge_alternatives(h, measured, ["t"], [1e-4])
    assert rows[0].outcome == "yes" and rows[1].outcome == "inconclusive"
    assert {part.alpha for part in rows[1].decisions} == {1e-4}


def margins_of(values, **more):
    return make_measurements(
        {
            ("bp_penalty", "test_accuracy"): [0.3 + v / 100 for v in values],
            ("shallow", "test_accuracy"): [0.3, 0.31] * 5,
        },
        **more,
    )


def test_every_installed_criterion_decides_or_says_why_not():
    x = [31.2, 28.9, 33.5, 30.1, 29.4, 32.2, 30.9, 31.7, 29.9, 30.3]
    rows = {row.criterion: row for row in judge_alternatives(margin(count=10), margins_of(x), list_criteria(), ())}
    assert set(rows) == {"as registered", *list_criteria()} - {"t"}
    for name, row in rows.items():
        assert (row.outcome is None) is (row.reason is not None), name
    assert rows["sign_flip"].outcome == rows["wilcoxon"].outcome == rows["welch"].outcome == "real"
    assert rows["wilcoxon"].targets == "pseudomedian" and rows["wilcoxon"].smallest_n == 6
    assert rows["wilcoxon"].decisions[0].interval is not None
    assert rows["bca"].reason == "margin: needs 30 seeds at this level, there are 10"


def test_one_arm_is_no_contrast_and_some_metrics_have_no_bounds():
    h = make_hypothesis({"e": {"metric": "train_loss", "arm": "shallow"}}, {"d": ("e", HALVES)})
    rows = judge_alternatives(h, make_measurements({("shallow", "train_loss"): CLEAR}), ["welch", "bounded"], ())
    assert [row.reason for row in rows[1:]] == [
        "d: compares two arms, and this is about one",
        "d: needs a metric with bounds",
    ]


def test_a_guard_on_the_same_estimand_stays_what_it_was():
    guards = {"g": {"estimand": "e", "above": 0.3, "otherwise": "No."}}
    h = make_hypothesis({"e": {"metric": "train_loss", "arm": "shallow"}}, {"d": ("e", HALVES)}, guards=guards)
    measured = make_measurements({("shallow", "train_loss"): [1.0, 0.1, 0.2, 0.05, 0.5, 0.4]})
    alternative = judge_alternatives(h, measured, ["median"], [])[1]
    assert alternative.decisions[0].estimand.name == "e_of_d"
    assert alternative.outcome == "inconclusive"  # the guard's t test is not verified, as before
