"""The grammar of contrasts: what a text comes to, and where one that is wrong is wrong."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Estimand
from harness.records.contrasts import NotAContrast, parse_contrast, sums_to_zero

COMES_TO = {
    "a - b": {"a": 1, "b": -1},
    "-b + a": {"a": 1, "b": -1},
    "a_1-b2": {"a_1": 1, "b2": -1},
    "(dfa_ln - bp_ln) - (dfa_noln - bp_noln)": {"dfa_ln": 1, "bp_ln": -1, "dfa_noln": -1, "bp_noln": 1},
    "mean(a, b) - c": {"a": 0.5, "b": 0.5, "c": -1},
    "mean(mean(a, b), c) - d": {"a": 0.25, "b": 0.25, "c": 0.5, "d": -1},
    "mean(a - b, c - d)": {"a": 0.5, "b": -0.5, "c": 0.5, "d": -0.5},
    "0.5 a + 0.5 b - c": {"a": 0.5, "b": 0.5, "c": -1},
    "2*a - b - c": {"a": 2, "b": -1, "c": -1},
    "a*2 - 2(b)": {"a": 2, "b": -2},
    "(a + b)/2 - (c + d)/2": {"a": 0.5, "b": 0.5, "c": -0.5, "d": -0.5},
    "a - (b - (c - (d)))": {"a": 1, "b": -1, "c": 1, "d": -1},
    "1e-1 a + .2 b - 0.3 c": {"a": 0.1, "b": 0.2, "c": -0.3},
    "mean - b": {"mean": 1, "b": -1},  # an arm may have this name
    "a - b + c - c": {"a": 1, "b": -1, "c": 0},
}
WRONG = {
    "": "expected an arm, a number or '(' at the end",
    "a -": "expected an arm, a number or '(' at the end",
    "a - - b": "found '-', at character 5",
    "a b": "expected an operator, found 'b', at character 3",
    "a - (b - c": "the bracket opened at character 5 is not closed",
    "a - b)": "no bracket is open here, at character 6",
    "mean(a, a) - b": "the mean has the same twice, which would count twice, at character 8",
    "mean(a - b, c, a - b)": "the mean has the same twice, which would count twice, at character 15",
    "mean(a, b": "the bracket opened at character 5 is not closed",
    "mean(a, ) - b": "found ')', at character 9",
    "mean() - b": "found ')', at character 6",
    "a, b": "expected an operator, found ',', at character 2",
    "a * b": "arms are multiplied, but a contrast is a weighted sum, at character 3",
    "a / b": "something is divided by an arm, but a contrast is a weighted sum, at character 3",
    "a / 0 - b": "nothing can be divided by zero, at character 3",
    "a - b + 1": "its number 1 belongs to no arm",
    "7": "its number 7 belongs to no arm",
    "A - b": "'A' does not belong in a contrast, at character 1",
    "a \N{MINUS SIGN} b": "'\N{MINUS SIGN}' does not belong in a contrast, at character 3",
    "1e999999999 a - b": "1e999999999 is not a weight between 1e-06 and 1e+06, at character 1",
    f"{'(' * 21}a{')' * 21} - b": "more than 20 brackets are open, at character 21",
    f"a{' + a' * 1000}": "the contrast is longer than 2,000 characters",
}
ARMS = [f"arm{i}" for i in range(5)]


@pytest.mark.parametrize("text", COMES_TO)
def test_a_contrast_is_the_weights_of_its_arms(text: str) -> None:
    assert parse_contrast(text) == COMES_TO[text]
    assert list(parse_contrast(text)) == list(COMES_TO[text])
    assert sums_to_zero(parse_contrast(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_contrast_says_where(text: str) -> None:
    with pytest.raises(NotAContrast) as refused:
        parse_contrast(text)
    assert WRONG[text] in str(refused.value)
    assert refused.value.remedy


def expressions() -> st.SearchStrategy[tuple[str, dict[str, Fraction]]]:
    """Texts of the grammar with what they come to, added up here."""
    leaf = st.sampled_from(ARMS).map(lambda arm: (arm, {arm: Fraction(1)}))

    def scaled(pair: tuple[int, tuple[str, dict[str, Fraction]]]) -> tuple[str, dict[str, Fraction]]:
        factor, (text, weights) = pair
        return f"{factor / 4} * ({text})", {arm: weight * factor / 4 for arm, weight in weights.items()}

    def joined(parts: list[tuple[str, dict[str, Fraction]]], of: str) -> tuple[str, dict[str, Fraction]]:
        total: dict[str, Fraction] = {}
        for place, (_, weights) in enumerate(parts):
            sign = Fraction(1, len(parts)) if of == "mean" else Fraction(-1 if of == "-" and place else 1)
            for arm, weight in weights.items():
                total[arm] = total.get(arm, Fraction()) + sign * weight
        texts = [f"({text})" for text, _ in parts]
        return f"mean({', '.join(texts)})" if of == "mean" else f" {of} ".join(texts), total

    def grow(inner):
        return st.one_of(
            st.tuples(st.integers(1, 40), inner).map(scaled),
            *(st.lists(inner, min_size=2, max_size=3).map(lambda parts, of=of: joined(parts, of)) for of in "+-"),
            st.lists(inner, min_size=1, max_size=3, unique_by=lambda part: tuple(sorted(part[1].items()))).map(
                lambda parts: joined(parts, "mean")
            ),
        )

    return st.recursive(leaf, grow, max_leaves=8)


@given(expressions())
def test_any_expression_comes_to_what_arithmetic_says(made: tuple[str, dict[str, Fraction]]) -> None:
    text, weights = made
    if any(weight and not 1e-6 <= abs(weight) <= 1e6 for weight in weights.values()):
        return
    assert parse_contrast(text) == {arm: float(weight) for arm, weight in weights.items()}


@given(st.text(alphabet="ab12 ()+-*/,.emn", max_size=40))
def test_any_text_is_a_contrast_or_refused_in_words(text: str) -> None:
    with suppress(NotAContrast):
        assert parse_contrast(text)


def test_a_difference_is_stored_as_two_arms_and_any_other_contrast_as_weights() -> None:
    for given_as in ("a - b", ["a", "b"], {"a": 1, "b": -1}, {"b": -1, "a": 1}):
        estimand = Estimand.model_validate({"metric": "test_accuracy", "contrast": given_as})
        assert estimand.model_dump(mode="json")["contrast"] == ["a", "b"]
        assert estimand.arms == ("a", "b")
    estimand = Estimand.model_validate({"metric": "test_accuracy", "contrast": "mean(a, b) - c"})
    stored = estimand.model_dump(mode="json")
    assert stored["contrast"] == {"a": 0.5, "b": 0.5, "c": -1}
    assert Estimand.model_validate(stored) == estimand
