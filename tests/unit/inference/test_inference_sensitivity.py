from __future__ import annotations

from inference_records import cosines, direction, make_hypothesis, make_measurements

from harness.inference import criteria_names, decide, sensitivity

NEAR = [0.04, 0.07, 0.05, 0.09, 0.06]
CLEAR = [0.11, 0.13, 0.09, 0.12, 0.10]


def test_the_first_row_is_the_verdict():
    h, measured = direction(), cosines(CLEAR)
    rows = sensitivity(h, measured, criteria_names(), ())
    assert rows[0].criterion == "as registered" and rows[0].alpha is None
    assert (rows[0].outcome, rows[0].p) == (decide(h, measured).outcome, decide(h, measured).p)
    assert all(row.criterion != "t" for row in rows[1:])  # that is what was registered


def test_other_levels_give_other_outcomes():
    rows = sensitivity(direction(), cosines(NEAR), ["t"], [0.3, 1e-9])
    assert [(row.criterion, row.alpha, row.outcome) for row in rows] == [
        ("as registered", None, "inconclusive"),
        ("t", 0.3, "partial"),
        ("t", 1e-9, "inconclusive"),
    ]


def test_guards_and_exclusions_stay():
    measured = cosines([*CLEAR[:4], None], diverged={("penalized", 4): 3})
    assert {row.outcome for row in sensitivity(direction(), measured, ["t"], [0.2])} == {"invalid"}


def test_too_few_seeds_is_a_reason():
    rows = sensitivity(direction(count=1), cosines([0.1]), ["t"], [0.1])
    assert [row.outcome for row in rows] == [None, None]
    assert rows[0].reason == "direction: needs 2 seeds at this level, there are 1"


def test_all_decisions_take_the_level():
    halves = {"low": "(-inf, 2)", "high": "[2, inf)"}
    estimands = {"e": {"metric": "train_loss", "arm": "shallow"}, "f": {"metric": "train_loss", "arm": "penalized"}}
    combine = {"rule": "all", "holds": {"a": ["high"], "b": ["high"]}, "outcome": "yes", "otherwise": "no"}
    h = make_hypothesis(estimands, {"a": ("e", halves), "b": ("f", halves)}, combine=combine)
    x = [3.0, 3.3, 2.2, 2.0, 3.1]
    measured = make_measurements({("shallow", "train_loss"): x, ("penalized", "train_loss"): [v + 1 for v in x]})
    rows = sensitivity(h, measured, ["t"], [1e-4])
    assert rows[0].outcome == "yes" and rows[1].outcome == "inconclusive"
    assert {part.alpha for part in rows[1].decisions} == {1e-4}
