from __future__ import annotations

import pytest

from harness.claims import find_consequences
from harness.records import Claims, Implication

CHAIN = Claims.model_validate(
    {
        "claims": {
            "base": {"statement": "b"},
            "middle": {"statement": "m", "stands_on": ["base"]},
            "top": {"statement": "t", "stands_on": ["middle", "other"]},
            "other": {"statement": "o"},
        }
    }
)


def test_walking_back_brings_everything_above_into_question() -> None:
    moved = find_consequences(CHAIN, Implication(says="x", walks_back=("base",)))
    assert moved.walked_back == ("base",)
    assert moved.in_question == {"middle": ("base",), "top": ("base",)}


def test_a_claim_that_is_walked_back_itself_is_not_in_question() -> None:
    moved = find_consequences(CHAIN, Implication(says="x", walks_back=("middle", "base")))
    assert moved.walked_back == ("base", "middle")  # the file's order
    assert moved.in_question == {"top": ("base", "middle")}


def test_several_grounds_are_all_named() -> None:
    moved = find_consequences(CHAIN, Implication(says="x", walks_back=("other", "base")))
    assert moved.in_question == {"middle": ("base",), "top": ("base", "other")}


def test_support_and_restoring_question_nothing() -> None:
    moved = find_consequences(CHAIN, Implication(says="x", supports=("top",), restores=("base",)))
    assert (moved.supported, moved.restored, moved.in_question) == (("top",), ("base",), {})
    assert moved.moves


def test_nothing_moves() -> None:
    assert not find_consequences(CHAIN, Implication(says="x")).moves


def test_a_circle_ends() -> None:
    claims = Claims.model_validate(
        {"claims": {"a": {"statement": "a", "stands_on": ["b"]}, "b": {"statement": "b", "stands_on": ["a"]}}}
    )
    assert find_consequences(claims, Implication(says="x", walks_back=("a",))).in_question == {"b": ("a",)}


def test_an_unknown_claim_is_an_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        find_consequences(CHAIN, Implication(says="x", supports=("nowhere",)))
