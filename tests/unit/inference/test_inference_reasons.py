"""What several decisions give comes with its reason as data; the sentences are made of it afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from harness import inference
from harness.inference.combine import Combined, combine
from harness.records import BandDecision, Combine, EstimandResult, Holding, LookedUp, Notice, Reason
from harness.verdict import word_decision
from harness.verdict.sentences import TODAY
from harness.verdict.sentences_before import BEFORE
from tests.unit.inference.inference_records import ACCURACY, cosines, direction, make_hypothesis

SIDES = {"low": "(-inf, 0.5]", "high": "(0.5, inf)"}


def combined(rule: dict[str, Any], **p: tuple[float, float]) -> Combined:
    """``p``: decision → p of its bands low and high."""
    h = make_hypothesis({"e": ACCURACY}, dict.fromkeys(p, ("e", SIDES)), combine=rule)
    result = EstimandResult(
        name="e", title="e", unit="", values=(), n=5, mean=0.5, median=0.5, sd=0.1, interval90=None, interval95=None
    )
    decisions = []
    for name, values in p.items():
        atoms = tuple(
            {"interval": part, "outcome": band, "p": value, "rejected": value <= 0.05}
            for (band, parts), value in zip(h.decisions[name].bands.items(), values, strict=True)
            for part in parts
        )
        form = {
            "name": name, "estimand": result, "criterion": "t", "alpha": 0.05, "status": "tested", "interval": None,
            "interval_level": 0.9, "atoms": atoms, "bands": SIDES, "outcome": "inconclusive", "alive": (), "p": None,
            "boundary": None, "seeds_needed": None, "seeds_needed_pessimistic": None, "steps": (),
        }  # fmt: skip
        decisions.append(BandDecision.model_validate(form))
    return combine(Combine.model_validate(rule), tuple(decisions))


ALL = {"rule": "all", "holds": {"a": ["high"], "b": ["high"]}, "outcome": "both", "otherwise": "no"}
TABLE = {
    "rule": "table",
    "table": [{"when": {"a": "high", "b": "high"}, "outcome": "both"}, {"when": {}, "outcome": "no"}],
}
ASKED: dict[str, Any] = {"count": 2, "outcome": "both", "otherwise": "no"}


def test_all_that_hold_give_the_largest_p() -> None:
    found = combined(ALL, a=(0.01, 0.9), b=(0.02, 0.9))
    assert found.reasoning == Holding(
        rule="all", count=2, outcome="both", otherwise="no", given="both", p=0.02, shown=None
    )


def test_one_that_fails_is_named_with_its_p_after_holm() -> None:
    found = combined(ALL, a=(0.9, 0.01), b=(0.9, 0.9))
    assert found.reasoning == Holding(
        rule="all", count=2, outcome="both", otherwise="no", given="no", p=0.02, shown={"a": 0.02}
    )


def test_nothing_shown_has_no_p() -> None:
    found = combined({**ALL, "rule": "any"}, a=(0.2, 0.9), b=(0.2, 0.9))
    assert found.reasoning == Holding(
        rule="any", count=2, outcome="both", otherwise="no", given="inconclusive", p=None, shown=None
    )


def test_a_table_says_what_is_left_of_it() -> None:
    open_still = combined(TABLE, a=(0.01, 0.9), b=(0.2, 0.9)).reasoning
    alive: dict[str, tuple[str, ...]] = {"a": ("high",), "b": ("low", "high")}
    assert open_still == LookedUp(alive=alive, options=("both", "no"), given="inconclusive", p=None)
    decided = combined(TABLE, a=(0.01, 0.9), b=(0.02, 0.9)).reasoning
    alive = {"a": ("high",), "b": ("high",)}
    assert decided == LookedUp(alive=alive, options=("both",), given="both", p=0.04)


@pytest.mark.parametrize("rule", [ALL, {**ALL, "rule": "any"}, TABLE])
def test_every_form_has_its_sentence_of_the_same_reason(rule: dict[str, Any]) -> None:
    for a, b in (((0.01, 0.9), (0.02, 0.9)), ((0.9, 0.01), (0.9, 0.02)), ((0.2, 0.9), (0.2, 0.9))):
        found = combined(rule, a=a, b=b)
        assert found.reasoning is not None
        assert found.outcome in TODAY.combination(found.reasoning)
        assert found.outcome in BEFORE.combination(found.reasoning)
        assert TODAY.combination(found.reasoning) != BEFORE.combination(found.reasoning)


def test_a_decision_says_what_gave_it_before_it_is_in_words() -> None:
    h = direction(exclusions={"diverged": "exclude"})
    bare = inference.decide(h, cosines([0.01, -0.01, 0.02, 0.0, -0.015], diverged={("penalized", 3): 2}))
    assert (bare.summary, bare.warnings, bare.decisions[0].steps) == ("", (), ())
    assert bare.reason == Reason(kind="decisions", measured=5)
    assert bare.notices == (Notice(kind="left_out", about="direction", count=1),)
    told = word_decision(h, bare)
    assert told.warnings == ("direction: 1 of 5 seeds is left out.",) and told.summary and told.decisions[0].steps
    blank = {"summary": "", "warnings": (), "decisions": bare.decisions}
    assert told.model_copy(update=blank) == bare  # nothing but words is added

    lost = inference.decide(direction(), cosines([0.01, -0.01, 0.02, 0.0, 0.0], diverged={("penalized", 3): 2}))
    assert lost.reason == Reason(kind="diverged", seeds={"penalized": 1}, measured=5)
