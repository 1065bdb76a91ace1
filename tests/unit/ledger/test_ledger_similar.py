"""Near-copies in a ledger are found by sketches first: the same ones as by holding each against each."""

from __future__ import annotations

import copy
import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from harness.domain.near_copies import compare, describe
from harness.ledger.audit.similar import find_near_duplicates
from harness.records import Hypothesis
from tests.unit.domain.test_near_copies import FORMS, changed


def found(
    forms: dict[str, Any],
    remembered: frozenset[str] = frozenset(),
    sound: set[str] | None = None,
    normal_forms: dict[str, str] | None = None,
) -> dict[str, str]:
    """Event → the first event whose hypothesis is like its own; "a.2" is an amendment of the hypothesis "a"."""
    evidence = SimpleNamespace(
        index=SimpleNamespace(
            fixing=lambda: [
                SimpleNamespace(digest=name, body=SimpleNamespace(canonical=name, hypothesis=name.split(".")[0]))
                for name in forms
            ],
            subject=lambda name: name.split(".")[0],
        ),
        form=forms.get,
        object=lambda name: json.dumps(forms[name]).encode() if name in forms else None,
        normal_forms={} if normal_forms is None else normal_forms,
        at=lambda name: name,
        remembered=remembered,
        sound=set() if sound is None else sound,
    )
    return {finding.where: str(finding.got) for finding in find_near_duplicates(evidence)}  # type: ignore[arg-type]


def each_against_each(forms: dict[str, Any]) -> set[str]:
    """The events of hypotheses that are like one that is like none before it."""
    described = {name: describe(Hypothesis.model_validate(form)) for name, form in forms.items()}
    heads: list[str] = []
    alike = set()
    for name in forms:
        if any(compare(described[other], described[name]) for other in heads):
            alike.add(name)
        else:
            heads.append(name)
    return alike


def draw_forms(seed: int) -> dict[str, Any]:
    """Hypotheses of which many are like others."""
    draw = random.Random(seed)
    forms: dict[str, Any] = {}
    for number in range(30):
        form = copy.deepcopy(FORMS[draw.choice(sorted(FORMS))])
        settings = {
            "optimizer__lr": draw.choice([0.001, 0.00105, 0.1]),
            "model__width": draw.choice([256, 260, 64]),
            "epochs": draw.choice([30, 31, 3]),
            "batch_size": draw.choice([128, 16]),
            "optimizer__weight_decay": draw.choice([0.01, 0.3]),
        }
        for decision in form["decisions"].values():
            decision["criterion"]["alpha"] = draw.choice([0.05, 0.01])
        forms[f"h{number}"] = changed(form, **settings) | {"id": f"h{number}", "exploratory": {}}
    return forms


@pytest.mark.parametrize("seed", range(3))
def test_sketches_find_what_holding_each_against_each_finds(seed: int) -> None:
    forms = draw_forms(seed)
    assert set(found(forms)) == each_against_each(forms)
    assert 0 < len(found(forms)) < 29


def test_a_copy_that_an_amendment_makes_is_found_once() -> None:
    base = FORMS["bp_penalty_control"]
    forms = {"first": base, "other": FORMS["mode2_direction"], "other.2": changed(base, epochs=31), "other.3": base}
    assert found(forms) == {"other.2": "first"}


def test_what_todays_records_refuse_is_compared_as_it_is() -> None:
    base = FORMS["bp_penalty_control"]
    old = {**base, "arms": {name: {**arm, "gone": 1} for name, arm in base["arms"].items()}}
    assert found({"a": old, "b": {**old, "title": "Another"}, "c": base}) == {"b": "a"}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_to_be_like_none_is_found_like_what_comes_later_or_in_between(seed: int) -> None:
    forms = draw_forms(seed)
    sound: set[str] = set()
    earlier = random.Random(seed).sample(sorted(forms), 12)  # the others are merged from a branch, in between them
    described: dict[str, str] = {}
    before = found({name: form for name, form in forms.items() if name in earlier}, frozenset(), sound, described)
    assert described
    assert sound == {f"unlike {name} {name}" for name in earlier if name not in before}
    again: set[str] = set()
    whole = found(forms)
    assert found(forms, frozenset(sound), again, described) == whole
    assert again == {f"unlike {name} {name}" for name in forms if name not in whole}
    unlike = {name: form for name, form in forms.items() if name not in whole}
    assert found(unlike, frozenset(again), sound) == {}
    assert sound >= again, "what is known stays known"


def test_what_is_known_is_not_read_again() -> None:
    forms, sound = {"a": FORMS["bp_penalty_control"], "b": FORMS["mode2_direction"]}, set[str]()
    assert found(forms, sound=sound) == {}
    assert found(dict.fromkeys(forms), frozenset(sound)) == {}
    assert found({**forms, "c": FORMS["mode2_direction"]}, frozenset(sound)) == {"c": "b"}
