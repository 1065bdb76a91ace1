"""Near-copies: the same question under other names, in another order, with numbers a little apart."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from harness.domain.near_copies import compare, describe, sketch
from harness.records import Hypothesis
from harness.spec import load

ROOT = Path(__file__).parents[3]
NAMES = ("bp_penalty_control", "mode2_direction", "quickstart_digits")
FORMS = {name: load(ROOT / f"hypotheses/{name}.yaml").hypothesis.model_dump(mode="json") for name in NAMES}
BASE = FORMS["bp_penalty_control"]


def changed(form: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A form with other values in every arm: ``optimizer__lr=…``."""
    form = copy.deepcopy(form)
    for setup in (form["setup"], *(arm["setup"] for arm in form["arms"].values())):
        for path, value in settings.items():
            *parents, last = path.split("__")
            inner = setup
            for name in parents:
                inner = inner[name]
            inner[last] = value(inner[last]) if callable(value) else value
    return form


def found(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """How near they are; and what is near has a sketch in common."""
    described = [describe(Hypothesis.model_validate(form)) for form in (one, other)]
    near = compare(*described)
    assert near == compare(*reversed(described))
    assert near is None or sketch(one) & sketch(other)
    return near


def test_names_order_and_the_other_way_round_are_the_same() -> None:
    renamed = copy.deepcopy(BASE) | {"id": "another", "title": "Another", "family": "many"}
    renamed["arms"] = {f"arm_{name}": arm for name, arm in reversed(renamed["arms"].items())}
    for estimand in (*renamed["estimands"].values(), *renamed["exploratory"].values()):
        for key in ("arm", "contrast"):
            told = estimand[key]
            estimand[key] = [f"arm_{one}" for one in told] if isinstance(told, list) else told and f"arm_{told}"
    assert found(BASE, renamed) == "same"


def test_every_number_a_little_apart_is_near() -> None:
    """What a researcher would vary to draw again: everything, by so little that nothing else changes."""
    form = changed(
        BASE,
        optimizer__lr=lambda lr: lr * 1.05, optimizer__weight_decay=lambda decay: decay * 0.95,
        optimizer__eps=lambda eps: eps * 1.01, epochs=lambda epochs: epochs + 1,
        batch_size=lambda size: size - 8, model__width=lambda width: width + 16,
    )  # fmt: skip
    form["seeds"]["count"] += 3
    (decision,) = form["decisions"].values()
    decision["criterion"]["alpha"] = 0.049
    assert found(BASE, form) == "near"


def test_a_layer_or_an_epoch_more_is_near() -> None:
    def about(**places: Any) -> dict[str, Any]:
        form = copy.deepcopy(FORMS["mode2_direction"])
        for estimand in form["estimands"].values():
            estimand.update(places)
        return form

    assert found(about(layer=[1, 2, 3, 4]), about(layer=[4, 3, 2, 1])) == "same"
    assert found(about(layer=[1, 2, 3, 4]), about(layer=[1, 2, 3])) == "near"
    assert found(about(layer=[1, 2, 3, 4]), about(layer=[1, 2, 3, 4], layers="min")) == "near"
    assert found(about(layer=[2]), about(layer=2)) == "same"
    assert found(about(layer=[1, 2]), about(layer=2)) is None
    assert found(about(layer=2), about(layer=2, epoch=50)) == "near"
    assert found(about(layer=2, epoch=[50, 100]), about(layer=2, epoch=[45, 100])) == "near"
    assert found(about(layer=2), about(layer=2, epoch={"best": "train_loss"})) is not None


def test_another_criterion_other_bands_and_a_guard_more_are_near() -> None:
    form = copy.deepcopy(BASE)
    (decision,) = form["decisions"].values()
    decision["criterion"] = {"name": "wilcoxon", "alpha": 0.01}
    form["estimands"][decision["estimand"]]["seeds"] = "pseudomedian"
    form["guards"] = {"trains": {"estimand": decision["estimand"], "above": -90, "otherwise": "It did not train."}}
    assert found(BASE, form) == "near"


def test_the_contrast_the_other_way_round_with_another_number_is_near() -> None:
    form = changed(BASE, optimizer__lr=lambda lr: lr * 3)
    (decision,) = form["decisions"].values()
    form["estimands"][decision["estimand"]]["contrast"].reverse()
    decision["bands"] = {"artifact": "(-5, inf)", "partial": "[-25, -5]", "real": "(-inf, -25)"}
    assert found(BASE, form) == "near"


@pytest.mark.parametrize(
    "other",
    [
        {"model__width": 512, "optimizer__lr": 0.1, "epochs": 3, "batch_size": 16, "model__blocks": 9},
        {"dataset": {"name": "digits", "augment": []}},
    ],
    ids=["another scale", "other data"],
)
def test_another_experiment_is_no_copy(other: dict[str, Any]) -> None:
    assert found(BASE, changed(BASE, **other)) is None


@pytest.mark.parametrize(
    ("parts", "near"),
    [
        ({"labels": {"name": "shuffled"}}, None),
        ({"labels": {"name": "random"}}, None),
        ({"subset": {"classes": [0, 1]}}, None),
        ({"labels": {"name": "noisy", "share": 0.001}}, "near"),
        ({"subset": {"size": 49_000}}, "near"),
        ({"validation": {"count": 10}}, "near"),
    ],
)
def test_other_labels_and_classes_are_another_question_and_a_little_of_either_is_none(
    parts: dict[str, Any], near: str | None
) -> None:
    form = copy.deepcopy(BASE)
    for arm in form["arms"].values():
        arm["setup"].update(parts)
    assert found(BASE, form) == near


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ({"feedback": "fresh"}, None),
        ({"probe_samples": 512}, "near"),
        ({"probe_split": "train"}, "near"),
        ({"probe_samples": 1024}, "same"),
    ],
)
def test_fresh_feedback_is_another_question_and_another_probe_batch_is_none(
    metric: dict[str, Any], near: str | None
) -> None:
    form = copy.deepcopy(FORMS["mode2_direction"])
    for estimand in form["estimands"].values():
        estimand["metric"] |= metric if estimand["metric"]["name"] == "credit_cosine" else {}
    assert found(FORMS["mode2_direction"], form) == near


def test_stored_weights_are_another_question_and_those_of_another_run_are_none() -> None:
    def start(run: str) -> dict[str, Any]:
        form = copy.deepcopy(BASE)
        for arm in form["arms"].values():
            arm["init_from"] = {"run": run, "arm": "dfa"}
        return form

    assert found(BASE, start("76d31344c971")) is None
    assert found(start("76d31344c971"), start("76d31344c971")) == "same"
    assert found(start("76d31344c971"), start("ffffffffffff")) == "near"


def test_another_rule_penalty_or_frozen_part_is_no_copy() -> None:
    (decision,) = BASE["decisions"].values()
    first, second = BASE["estimands"][decision["estimand"]]["contrast"]
    for name, change in (
        (first, {"rule": {"name": "dfa", "clip": 1.0}}),
        (first, {"penalty": None}),
        (second, {"freeze": []}),
    ):
        form = copy.deepcopy(BASE)
        assert form["arms"][name] != form["arms"][name] | change
        form["arms"][name] |= change
        assert found(BASE, form) is None


def test_the_projects_hypotheses_are_no_copies() -> None:
    for one in NAMES:
        assert found(FORMS[one], FORMS[one]) == "same"
        for other in set(NAMES) - {one}:
            assert found(FORMS[one], FORMS[other]) is None


@pytest.mark.parametrize("form", [{}, {"decisions": None}, {"decisions": {"a": 1}}, BASE | {"arms": []}])
def test_what_is_no_form_has_no_sketch(form: dict[str, Any]) -> None:
    assert sketch(form) == frozenset()
