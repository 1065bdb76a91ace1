"""A difference of two metrics of one replica: its values, what it lacks, and both ways to write it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain.near_copies import compare as compare_copies
from harness.domain.near_copies import describe, sketch
from harness.domain.normal_form import encode_normal_form
from harness.inference.estimands import evaluate
from harness.inference.samples import Sample
from harness.ledger.pins import pin_code
from harness.pipeline.power import read_spreads
from harness.records import Hypothesis, Measurements
from harness.spec.registered import Known, find_opposed, find_reruns
from tests.unit.inference.inference_records import make_hypothesis, make_measurements
from tests.unit.inference.test_inference_comparisons import arms

EPOCHS, LAYERS, SEEDS = (1, 5, 10), 5, 4
BOTH = {"metric": "perturbation_correlation", "minus": "stacked_cosine", "layer": 2}
SWAPPED = {"metric": "stacked_cosine", "minus": "perturbation_correlation", "layer": 2}
ARM, PAIR = {"arm": "penalized"}, {"contrast": "penalized - shallow"}
UP, DOWN = {"more": "(0.1, inf)", "less": "(-inf, 0.1]"}, {"more": "(-inf, -0.1)", "less": "[-0.1, inf)"}


def asked(bands=None, **about) -> Hypothesis:
    return make_hypothesis({"e": about}, {"e": ("e", bands or UP)}, count=SEEDS, arms=arms(("penalized", "shallow")))


def measured(values) -> Measurements:
    """``values``: (arm, metric) → its numbers, [seed, epoch, layer], or with samples a mapping of such."""
    plain = make_measurements({key: [0.5] * SEEDS for key in values}, epochs=EPOCHS).model_dump(mode="json")
    for replica in plain["replicas"]:
        for metric in replica["metrics"]:
            found = values[replica["arm"], metric]
            summaries = found if isinstance(found, dict) else {"value": found}
            rows = {key: np.asarray(one)[replica["seed_index"]].tolist() for key, one in summaries.items()}
            replica["metrics"][metric] = {"epochs": EPOCHS, "values": rows}
    return Measurements.model_validate_json(json.dumps(plain))


def drawn(key: int) -> dict[tuple[str, str], np.ndarray]:
    rng = np.random.default_rng(key)
    keys = [(arm, metric) for arm in ("penalized", "shallow") for metric in (BOTH["metric"], BOTH["minus"])]
    return {one: rng.uniform(-1, 1, (SEEDS, len(EPOCHS), LAYERS)) for one in keys}


def sampled(values, **about) -> Sample:
    hypothesis = asked(**about)
    return evaluate("e", hypothesis.estimands["e"], hypothesis, measured(values))


FORMS = [
    {},
    {"layer": [1, 2, 4], "layers": "slope"},
    {"layer": [0, 3], "layers": "max", "epoch": 5},
    {"layer": [0, 3], "layers": "min", "epochs": "max"},
    {"epochs": "area"},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("of", [ARM, PAIR], ids=["arm", "contrast"])
@settings(max_examples=10, deadline=None)
@given(key=st.integers(0, 2**32 - 1))
def test_exchanging_the_metrics_turns_the_sign_of_every_number(of, form, key: int) -> None:
    """The greatest of some differences is the smallest of their negatives."""
    turned = {name: {"max": "min", "min": "max"}.get(str(value), value) for name, value in form.items()}
    here, there = sampled(drawn(key), **BOTH | of | form), sampled(drawn(key), **SWAPPED | of | turned)
    assert there.x.tolist() == pytest.approx((-here.x).tolist(), rel=1e-12, abs=1e-15)
    assert here.result.interval95 is not None and there.result.interval95 is not None
    assert there.result.interval95[::-1] == pytest.approx([-end for end in here.result.interval95])
    assert there.result.sd == pytest.approx(here.result.sd)


def test_layers_and_samples_are_those_of_the_metric_that_has_them() -> None:
    values = drawn(0)
    means, whole = values["penalized", "stacked_cosine"], np.full((SEEDS, len(EPOCHS), 1), 0.25)
    given = {("penalized", "site_cosine"): {"mean": means, "std": means, "median": -means}}
    given["penalized", "head_update_cosine"] = whole
    about = {"metric": "site_cosine", "minus": "head_update_cosine", "layer": 3, "samples": "mean", **ARM}
    assert sampled(given, **about).x == pytest.approx(means[:, -1, 3] - 0.25)


@pytest.mark.parametrize("lacking", ["perturbation_correlation", "stacked_cosine"])
def test_a_seed_that_lacks_one_of_the_two_has_no_value_and_says_which(lacking: str) -> None:
    values = drawn(1)
    holed = values["shallow", lacking].astype(object)
    holed[2, -1, 2] = None
    found = sampled(values | {("shallow", lacking): holed}, **BOTH | PAIR)
    assert found.missing == (2,)
    (flaw,) = found.result.values[2].flaws
    assert flaw.problem == f"no finite {lacking} at epoch 10"
    assert all(not value.flaws for value in found.result.values if value.seed_index != 2)


def test_what_lies_outside_a_metric_s_own_bounds_is_no_value() -> None:
    """The difference, .5, would be a possible one."""
    values = {key: np.full((SEEDS, len(EPOCHS), LAYERS), 0.5) for key in drawn(0)}
    values["penalized", "perturbation_correlation"] += 1.0
    values["penalized", "stacked_cosine"] += 0.5
    found = sampled(values, **BOTH | ARM)
    assert found.missing == (0, 1, 2, 3)
    assert "outside the bounds of perturbation_correlation" in str(found.result.values[0].flaws)


def test_no_worst_value_stands_in_for_a_diverged_replica() -> None:
    about = {"metric": "train_accuracy", "minus": "test_accuracy", **ARM}
    hypothesis = make_hypothesis({"e": about}, {"e": ("e", UP)}, exclusions={"diverged": "worst_case"})
    values = {("penalized", metric): [0.5, 0.6, 0.7] for metric in ("train_accuracy", "test_accuracy")}
    found = evaluate(
        "e", hypothesis.estimands["e"], hypothesis, make_measurements(values, diverged={("penalized", 1): 4})
    )
    assert found.missing == (1,)


def test_a_spread_of_rounding_is_told_from_one_of_the_seeds() -> None:
    """Differences of numbers near 1 that are a unit in the last place apart."""
    cosine = np.full((SEEDS, len(EPOCHS), LAYERS), 0.9)
    other = cosine + np.arange(SEEDS)[:, None, None] * np.finfo(float).eps / 2
    values = {("penalized", "perturbation_correlation"): other, ("penalized", "stacked_cosine"): cosine}
    assert len(set(sampled(values, **BOTH | ARM).x)) > 1
    assert sampled(values, **BOTH | ARM).degenerate
    spread = values | {("penalized", "perturbation_correlation"): other - np.arange(SEEDS)[:, None, None] * 1e-9}
    assert not sampled(spread, **BOTH | ARM).degenerate


def test_a_step_of_either_metric_bounds_what_seeds_can_show() -> None:
    """One of 360 test images moves the difference of two accuracies by .0028, one of 1,437 training images by .0007."""
    about = {"metric": "train_accuracy", "minus": "test_accuracy", **ARM}
    hypothesis = make_hypothesis({"e": about}, {"e": ("e", UP)})
    trained = [1000 / 1437, 1001 / 1437, 1000 / 1437, 1001 / 1437]
    values = {("penalized", "train_accuracy"): trained, ("penalized", "test_accuracy"): [0.5] * 4}
    assert evaluate("e", hypothesis.estimands["e"], hypothesis, make_measurements(values)).degenerate
    values["penalized", "test_accuracy"] = [180 / 360, 182 / 360, 181 / 360, 179 / 360]
    assert not evaluate("e", hypothesis.estimands["e"], hypothesis, make_measurements(values)).degenerate


def test_what_a_difference_can_be_follows_from_both() -> None:
    estimands = make_hypothesis(
        {
            "cosines": BOTH | ARM,
            "between": BOTH | PAIR,
            "points": {"metric": "train_accuracy", "minus": "test_accuracy", "unit": "pp", **ARM},
            "spreads": {"metric": "site_cosine", "minus": "credit_cosine", "layer": 1, "samples": "std", **ARM},
            "accuracy": {"metric": "test_accuracy", **ARM},
        },
        {"e": ("cosines", UP)},
    ).estimands
    domains = {name: estimand.domain for name, estimand in estimands.items()}
    assert domains["cosines"] == (-2, 2) and domains["between"] == (-4, 4)
    assert domains["points"] == (-100, 100) and domains["spreads"] == (-2, 2)
    assert domains["accuracy"] == (0, 1)


SAME = [
    (BOTH | ARM, UP, SWAPPED | ARM, DOWN),
    (BOTH | PAIR, UP, SWAPPED | PAIR, DOWN),
    (BOTH | PAIR, UP, SWAPPED | {"contrast": "shallow - penalized"}, UP),
    (BOTH | PAIR, UP, BOTH | {"contrast": "shallow - penalized"}, DOWN),
    (BOTH | ARM | {"epochs": "max"}, UP, SWAPPED | ARM | {"epochs": "min"}, DOWN),
]


@pytest.mark.parametrize(("one", "bands", "other", "others"), SAME)
def test_the_same_difference_written_otherwise_has_the_same_normal_form(one, bands, other, others) -> None:
    first, second = asked(bands, **one), asked(others, **other)
    assert encode_normal_form(first) == encode_normal_form(second)
    assert compare_copies(describe(first), describe(second)) == "same"


def test_another_difference_is_another_question() -> None:
    kinds = [
        asked(UP, **BOTH | ARM),
        asked(DOWN, **BOTH | ARM),
        asked(UP, **SWAPPED | ARM),
        asked(UP, **{"metric": "perturbation_correlation", "layer": 2} | ARM),
        asked(UP, **{"metric": "perturbation_correlation", "minus": "sign_agreement", "layer": 2} | ARM),
        asked(UP, **BOTH | {"minus": {"name": "stacked_cosine", "feedback": "fresh"}} | ARM),
        asked(UP, **BOTH | {"minus": {"name": "stacked_cosine", "probe_samples": 64}} | ARM),
        asked(UP, **BOTH | {"metric": {"name": "perturbation_correlation", "probe_samples": 64}} | ARM),
    ]
    # The second and the third are one another's mirror image.
    assert len({encode_normal_form(one) for one in kinds}) == len(kinds) - 1
    assert compare_copies(describe(kinds[0]), describe(kinds[3])) is None
    assert compare_copies(describe(kinds[0]), describe(kinds[4])) is None


def test_a_registered_difference_is_recognised_the_other_way_round() -> None:
    known = Known(asked(UP, **BOTH | ARM), "2026-01-01T00:00:00Z")
    again = asked(DOWN, **SWAPPED | ARM).model_copy(update={"id": "another-id"})
    alone = asked(UP, metric="stacked_cosine", layer=2, **ARM).model_copy(update={"id": "third-id"})
    (found,) = find_reruns(again, [known])
    assert "asks the same question as 'some-hypothesis'" in found.message
    assert list(find_reruns(alone, [known])) == []
    forms = [json.loads(one.model_dump_json()) for one in (known.form, again, alone)]
    assert sketch(forms[0]) == sketch(forms[1]) != sketch(forms[2])


@pytest.mark.parametrize(("other", "bands"), [(SWAPPED | ARM, DOWN), (BOTH | ARM, UP)])
def test_outcomes_that_mean_the_opposite_are_found_either_way_round(other, bands) -> None:
    def saying(about, bands, verb: str, name: str) -> Hypothesis:
        moved = {"more": {"says": "m", verb: ["claim"]}, "less": {"says": "l"}}
        found = make_hypothesis({"e": about}, {"e": ("e", bands)}, implications=moved)
        return found.model_copy(update={"id": name})

    one = saying(BOTH | ARM, UP, "supports", "one")
    (told,) = find_opposed(one, saying(other, bands, "walks_back", "other"))
    assert told.path == ("implications", "more", "supports") and "above 0.1" in told.message
    assert list(find_opposed(one, saying(other, bands, "supports", "other"))) == []


def test_an_estimand_of_one_metric_keeps_the_form_that_it_had() -> None:
    about = asked(metric="stacked_cosine", layer=2, **ARM).estimands["e"].model_dump(mode="json")
    assert "minus" not in about
    assert about.keys() == {"metric", "arm", "contrast", "layer", "epoch", "samples", "seeds", "transform", "unit"}


def test_an_assumed_sd_is_that_of_the_same_difference_alone() -> None:
    estimands = {"e": BOTH | ARM, "f": BOTH | ARM | {"layer": 3}, "g": {"metric": BOTH["metric"], "layer": 2} | ARM}
    combine = {"rule": "all", "holds": {name: ["more"] for name in estimands}, "outcome": "more", "otherwise": "less"}
    decisions = {name: (name, UP) for name in estimands}
    hypothesis = make_hypothesis(estimands, decisions, seeds={"count": 10, "sd": 0.02}, combine=combine)
    assert list(read_spreads(hypothesis)) == ["e", "f"]


def test_both_metrics_are_pinned(tmp_path: Path) -> None:
    pinned = pin_code(asked(**BOTH | ARM), tmp_path).plugins
    assert {"metrics/perturbation_correlation", "metrics/stacked_cosine"} <= pinned.keys()
    assert "metrics/stacked_cosine" not in pin_code(asked(metric=BOTH["metric"], layer=2, **ARM), tmp_path).plugins
