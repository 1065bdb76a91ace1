"""Estimands over tasks: contrasts of like arms, pooled in one interquartile mean over seeds and tasks."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.domain.near_copies import compare, describe, sketch
from harness.domain.normal_form import encode_normal_form
from harness.inference.estimands import evaluate
from harness.inference.power import power
from harness.records import Estimand, Hypothesis
from harness.spec import load
from tests.unit.inference.inference_records import decide, make_hypothesis, make_measurements, spread

ROOT = Path(__file__).parents[3]
TASKS = ["penalized - shallow", "bp_penalty - shallow"]
GAIN = {"metric": "test_accuracy", "tasks": TASKS, "unit": "pp", "seeds": "iqm"}
BANDS = {"loss": "(-inf, 0)", "gain": "[0, inf)"}
BOOTSTRAP = {"name": "iqm_bootstrap"}
RNG = np.random.default_rng(8)
VALUES = {
    arm: (RNG.normal(mean, 0.03, 30)).round(4)
    for arm, mean in (("penalized", 0.5), ("bp_penalty", 0.6), ("shallow", 0.4))
}


def asked(estimand=GAIN, bands=BANDS, criterion=BOOTSTRAP, **more) -> Hypothesis:
    made = make_hypothesis({"gain": estimand}, {"gain": ("gain", bands)}, count=30, **more).model_dump(mode="json")
    made["decisions"]["gain"]["criterion"] = criterion
    return Hypothesis.model_validate(made)


def measured(values=VALUES, **more):
    return make_measurements({(arm, "test_accuracy"): x.tolist() for arm, x in values.items()}, **more)


def pooled() -> np.ndarray:
    return 100 * np.stack([VALUES["penalized"] - VALUES["shallow"], VALUES["bp_penalty"] - VALUES["shallow"]], axis=1)


def test_a_task_is_written_in_the_forms_of_a_contrast() -> None:
    forms = (TASKS, [["penalized", "shallow"], ["bp_penalty", "shallow"]], [{"penalized": 1, "shallow": -1}, TASKS[1]])
    made = [Estimand.model_validate(GAIN | {"tasks": form}) for form in forms]
    assert made[0] == made[1] == made[2]
    assert made[0].weights == {"penalized": 0.5, "shallow": -1.0, "bp_penalty": 0.5}
    assert made[0].model_dump(mode="json")["tasks"] == [["penalized", "shallow"], ["bp_penalty", "shallow"]]
    plain = Estimand.model_validate({"metric": "test_accuracy", "arm": "shallow"})
    assert "tasks" not in plain.model_dump(mode="json")


def test_the_middle_half_is_that_of_all_tasks() -> None:
    sample = evaluate("gain", asked().estimands["gain"], asked(), measured())
    assert sample.data == pytest.approx(pooled(), abs=1e-9)
    assert sample.x == pytest.approx(pooled().mean(axis=1), abs=1e-9)
    assert sample.result.iqm == pytest.approx(stats.trim_mean(pooled(), 0.25, axis=None))
    assert sample.result.mean == pytest.approx(pooled().mean())
    assert sample.result.interval95 == pytest.approx(stats.t.interval(0.95, 29, sample.x.mean(), stats.sem(sample.x)))


def test_a_whole_decision_and_one_seed_too_few() -> None:
    decision = decide(asked(), measured()).decisions[0]
    assert (decision.outcome, decision.status, decision.criterion) == ("gain", "tested", "iqm_bootstrap")
    assert decision.posterior is None and decision.effect_size is None
    low, high = decision.interval
    assert low < decision.estimand.iqm < high
    diverged = {("penalized", 3): 2}
    excluded = asked(exclusions={"diverged": "exclude"})
    fewer = decide(excluded, measured(diverged=diverged)).decisions[0]
    assert (fewer.estimand.n, fewer.status, fewer.outcome) == (29, "too_few", "inconclusive")
    alone = GAIN | {"tasks": None, "contrast": "penalized - shallow"}
    assert decide(asked(alone, exclusions={"diverged": "exclude"}), measured(diverged=diverged)).outcome == "gain"


def test_a_guard_over_tasks_needs_as_many_seeds() -> None:
    guards = {"works": {"estimand": "gain", "above": 5, "otherwise": "It does not."}}
    guard = decide(asked(guards=guards), measured()).guards[0]
    assert (guard.test, guard.status) == ("bootstrap of the interquartile mean", "verified")
    fewer = asked(guards=guards, exclusions={"diverged": "exclude"})
    assert decide(fewer, measured(diverged={("shallow", 0): 2})).guards[0].status == "unverified"


@pytest.mark.parametrize("tasks", [TASKS[::-1], ["bp_penalty - shallow", {"shallow": -1, "penalized": 1}]])
def test_the_order_of_tasks_and_seeds_makes_no_difference(tasks) -> None:
    one, other = asked(), asked(GAIN | {"tasks": tasks})
    order = np.random.default_rng(1).permutation(30)
    shuffled = measured({arm: x[order] for arm, x in VALUES.items()})
    before, after = decide(one, measured()), decide(other, shuffled)
    assert (after.p, after.decisions[0].interval) == (before.p, before.decisions[0].interval)
    assert encode_normal_form(one) == encode_normal_form(other)


def test_the_other_way_round_is_the_mirrored_decision() -> None:
    other = asked(
        GAIN | {"tasks": ["shallow - penalized", "shallow - bp_penalty"]}, {"loss": "(0, inf)", "gain": "(-inf, 0]"}
    )
    assert encode_normal_form(asked()) == encode_normal_form(other)
    assert decide(other, measured()).outcome == decide(asked(), measured()).outcome


def test_twice_the_weights_with_twice_the_cuts_is_the_same_question() -> None:
    bands = {"loss": "(-inf, 4)", "gain": "[4, inf)"}
    double = {"loss": "(-inf, 8)", "gain": "[8, inf)"}
    other = asked(GAIN | {"tasks": [f"2 * ({task})" for task in TASKS]}, double)
    assert encode_normal_form(asked(bands=bands)) == encode_normal_form(other) != encode_normal_form(asked())
    assert decide(other, measured()).p == pytest.approx(decide(asked(bands=bands), measured()).p)


def test_pooled_tasks_are_another_question_than_their_mean() -> None:
    loaded = load(ROOT / "tests/corpus/valid/tasks.yaml").hypothesis
    form = loaded.model_dump(mode="json")
    other = copy.deepcopy(form)
    other["estimands"]["gain"]["tasks"] = None
    other["estimands"]["gain"]["contrast"] = {
        "penalized": 0.5,
        "penalized_wide": 0.5,
        "vanilla": -0.5,
        "vanilla_wide": -0.5,
    }
    changed = copy.deepcopy(form)
    changed["estimands"]["gain"]["tasks"] = [["penalized", "vanilla_wide"], ["penalized_wide", "vanilla"]]
    nearly = json.loads(json.dumps(form).replace("0.001", "0.00105"))
    described = [describe(Hypothesis.model_validate(one)) for one in (form, other, changed, nearly)]
    assert len({one.form for one in described}) == 4
    assert compare(described[0], described[3]) == "near" and sketch(form) & sketch(nearly)


def test_power_needs_as_many_seeds_and_says_what_it_takes_for_the_tasks() -> None:
    report = power(asked(), {"gain": spread(5.0)})
    assert any("stands for its values of all tasks" in note for note in report.notes)
    (decision,) = report.decisions
    number = decision.numbers.index(15)
    assert all(row[-1] == 1.0 for row in decision.chances[1][number]), "15 seeds always leave it inconclusive"
    assert max(row[1] for row in decision.chances[1][decision.numbers.index(30)]) > 0.9
