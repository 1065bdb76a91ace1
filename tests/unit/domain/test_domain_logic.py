"""The logic that several stages share: what one of them says of a case, the others say too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from harness import claims as claim_stage
from harness.domain.claim_graph import find_grounds
from harness.domain.form_differences import ABSENT, find_differences, write_value
from harness.domain.partition import cut_line, find_atoms, split_line
from harness.domain.standard_tests import choose_test
from harness.errors import HarnessError
from harness.ledger.registration import list_differences
from harness.records import Band, Claim, Claims, Estimand, Hypothesis, Implication
from harness.spec import Known, load, load_folder

ROOT = Path(__file__).parents[3]


def banded(**bands: str) -> dict[str, Band]:
    return {name: Band.parse(text) for name, text in bands.items()}


def test_a_gap_is_cut_at_the_bounds_and_what_bands_contain_is_not() -> None:
    found = cut_line(banded(low="(-inf, 0)", high="(0.5, inf)"), (0.0, 1.0))
    assert [(str(one.interval), one.holders, one.possible) for one in found] == [
        ("(-inf, 0)", ("low",), False),
        ("[0, 0.5]", (), True),
        ("(0.5, inf)", ("high",), True),
    ]


def test_bands_that_do_not_tile_have_atoms_for_planning_and_none_for_judging() -> None:
    bands = banded(low="(-inf, 0)", high="[0, 2)", higher="[1, inf)")
    assert [(str(atom.interval), atom.outcome) for atom in find_atoms(bands)] == [
        ("(-inf, 0)", "low"), ("[0, 2)", "high"), ("[2, inf)", "higher"),
    ]  # fmt: skip
    with pytest.raises(HarnessError, match=r"\[1, 2\) belongs to the bands high, higher"):
        split_line(bands)


def test_adjacent_numbers_are_told_apart() -> None:
    after = math.nextafter(1.0, 2.0)
    (low, gap, high) = cut_line(banded(low="(-inf, 1]", high=f"[{after!r}, inf)"))
    assert (low.holders, gap.holders, high.holders) == (("low",), (), ("high",))


def standing(**below: tuple[str, ...]) -> Claims:
    return Claims(claims={name: Claim(statement=name, stands_on=names) for name, names in below.items()})


def test_a_circle_of_claims_and_an_unknown_one_end_the_walk() -> None:
    claims = standing(a=("b",), b=("c", "gone"), c=("a",), d=())
    assert find_grounds(claims, "a") == {"a", "b", "c", "gone"}
    assert find_grounds(claims, "d") == find_grounds(claims, "gone") == set()


def test_what_comes_into_question_is_what_stands_on_the_fallen_claim() -> None:
    claims = standing(a=("b",), b=("c",), c=(), d=())
    moved = claim_stage.find_consequences(claims, Implication(says="It fell.", walks_back=("c",)))
    assert moved.in_question == {name: ("c",) for name in claims.claims if "c" in find_grounds(claims, name)}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("a.b[1]", "2", "3")]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "[1]", "[1, 2]")]),
        ({"a": None}, {}, [("a", "null", "absent")]),
        ({}, {"a": {"b": 1}}, [("a", "absent", '{"b": 1}')]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, []),
    ],
)
def test_differences_are_told_field_by_field(before: Any, now: Any, expected: list[tuple[str, str, str]]) -> None:
    assert [
        (one.field, write_value(one.before), write_value(one.now)) for one in find_differences(before, now)
    ] == expected


def test_an_absent_field_is_none_that_is_null() -> None:
    (one,) = find_differences({"a": None}, {})
    assert one.before is None and one.now is ABSENT


def test_check_names_a_change_of_the_common_setup_once_and_not_again_for_every_arm() -> None:
    path = ROOT / "tests/corpus/valid/criteria.yaml"
    known = load(path).hypothesis
    form = known.model_dump(mode="json")
    last = list(form["arms"])[-1]
    for setup in (form["setup"], *(arm["setup"] for arm in form["arms"].values())):
        setup["epochs"] += 1
    form["arms"][last]["setup"]["batch_size"] += 1
    before = Hypothesis.model_validate(form)
    report = load_folder([path], known=[Known(before, "2026-01-01T00:00:00Z")])
    told = [one.message.split(" was registered")[0] for one in report.findings if "was registered on" in one.message]
    assert sorted(told) == [f"arms.{last}.setup.batch_size", "setup.epochs"]


def test_check_and_the_ledger_name_the_same_fields() -> None:
    path = ROOT / "tests/corpus/valid/criteria.yaml"
    known = load(path).hypothesis
    form = known.model_dump(mode="json")
    form["arms"]["second"]["freeze"] = ["blocks"]
    form["stopping"] = {"kind": "looks", "at": [3, form["seeds"]["count"]]}
    before = Hypothesis.model_validate(form)
    named = [line.split(": ")[0] for line in list_differences(before, known)]
    assert named == ["arms.second.freeze", "stopping.kind", "stopping.at"]
    report = load_folder([path], known=[Known(before, "2026-01-01T00:00:00Z")])
    told = [one.message.split(" was registered")[0] for one in report.findings if "was registered on" in one.message]
    assert sorted(told) == sorted(named)  # in the order of the file


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "one-sample t test"),
        ({"seeds": "median"}, "exact sign test"),
        ({"seeds": "pseudomedian"}, "signed-rank test"),
        ({"pairing": "unpaired"}, "Welch's t test"),
    ],
)
def test_a_guard_is_checked_with_the_test_that_judges_it(more: dict[str, str], name: str) -> None:
    estimand = Estimand.model_validate({"metric": "test_accuracy", "contrast": "a - b", **more})
    test = choose_test(estimand)
    assert test.name == name
    assert test.criterion.targets == estimand.seeds and test.criterion.unpaired == (estimand.pairing == "unpaired")
