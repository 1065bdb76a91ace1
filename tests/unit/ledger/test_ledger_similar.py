"""Near-duplicates are found through an index of rare leaves: the same ones as by holding each against each."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from harness.ledger.audit.similar import ALIKE, WORDS, find_near_duplicates


def found(forms: dict[str, Any]) -> dict[str, str]:
    """Registration → the first that is like it, where each is of a hypothesis of its own."""
    evidence = SimpleNamespace(
        index=SimpleNamespace(
            entries=lambda _: [SimpleNamespace(digest=name, body=SimpleNamespace(canonical=name)) for name in forms],
            subject=lambda name: name,
        ),
        form=forms.get,
        at=lambda name: name,
    )
    return {finding.where: str(finding.got) for finding in find_near_duplicates(evidence)}  # type: ignore[arg-type]


def each_against_each(forms: dict[str, Any]) -> dict[str, str]:
    texts = {name: str({key: value for key, value in form.items() if key not in WORDS}) for name, form in forms.items()}
    leaves = {name: frozenset(text.split(", ")) for name, text in texts.items()}
    expected = {}
    for place, name in enumerate(forms):
        earlier = list(forms)[:place]
        same = [other for other in earlier if leaves[other] == leaves[name]]
        alike = [
            other
            for other in earlier
            if len(leaves[name] & leaves[other]) >= ALIKE * max(len(leaves[name]), len(leaves[other]))
        ]
        if same or alike:
            expected[name] = (same or alike)[0]
    return expected


@pytest.mark.parametrize("size", [1, 19, 20, 21, 100])
@pytest.mark.parametrize("changed", [0.0, 0.01, 0.05, 0.06, 0.5])
def test_the_index_finds_what_holding_each_against_each_finds(size: int, changed: float) -> None:
    draw = random.Random(f"{size} {changed}")
    forms = {}
    for number in range(40):
        leaves = {f"k{place}": 1.0 if draw.random() > changed else draw.random() for place in range(size)}
        forms[f"h{number}"] = {"id": f"h{number}", "title": "T" * number} | leaves
    assert found(forms) == each_against_each(forms)
    if changed == 0.0:
        assert found(forms) == dict.fromkeys(list(forms)[1:], "h0")


def test_one_leaf_of_twenty_is_alike_and_two_are_not() -> None:
    base = {f"k{place}": place for place in range(20)}
    one, two = base | {"k3": -1}, base | {"k3": -1, "k4": -1}
    assert found({"a": base, "b": one}) == {"b": "a"}
    assert found({"a": base, "b": two}) == {}
    assert found({"a": base, "b": base | {"title": "another", "question": "another?"}}) == {"b": "a"}
