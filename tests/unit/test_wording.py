"""Numbers, p values and names, as every page, sentence and terminal writes them."""

from __future__ import annotations

import math

import pytest

from harness.verdict.text import FILTERS, escape
from harness.wording import (
    describe_without_log,
    format_chance,
    format_count,
    format_exact,
    format_for_file,
    format_level,
    format_number,
    format_p,
    format_p_equals,
    format_rough_duration,
    join_words,
    quote_outcome,
    shorten_exponents,
    spell_count,
    typeset,
)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.218, "p = .22"),
        (0.0019354, "p = .0019"),
        (7.69e-6, "p = 7.7e-6"),
        (1e-6, "p = 1e-6"),
        (9e-7, "p < 1e-6"),
        (0.9999, "p > .99"),
        (1.0, "p = 1"),
    ],
)
def test_a_p_value_is_written_one_way_and_reads_the_same_in_a_table_and_in_a_sentence(p: float, text: str) -> None:
    assert format_p_equals(p) == text
    assert FILTERS["p_equals"](p) == escape(format_p_equals(p)) == text
    assert FILTERS["p"](p) in escape(f"It is excluded ({format_p_equals(p)}, at most α).")


def test_a_p_value_beside_its_level_has_digits_enough() -> None:
    assert format_p(0.0500001, 0.05) == ".0500001"
    assert (format_level(0.05), format_level(0.025), format_level(0.05 / 3), format_level(1e-8)) == (
        ".05",
        ".025",
        ".0166666666667",
        "1e-8",
    )


@pytest.mark.parametrize(
    ("text", "people"),
    [("1e-07", "1e-7"), ("5.50e-04 ± 5.4e-05", "5.50e-4 ± 5.4e-5"), ("2.0e+06", "2.0e6"), ("1e-10", "1e-10")],
)
def test_exponents_are_written_as_people_write_them(text: str, people: str) -> None:
    assert shorten_exponents(text) == people


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("-0.5", "−0.5"),
        ("\\-0.5", "−0.5"),  # escaped for Markdown, where a hyphen at the beginning is a list
        ("(-inf, -0.2] | [0.2, inf)", "(−inf, −0.2] | [0.2, inf)"),
        ("low |-.05| [-0.1 *-0.05* 2e-07]", "low |−.05| [−0.1 *−0.05* 2e-7]"),
        ("2026-11-22, ISO 8601-1, SHA-256, adamw-2, 1-3, --seeds -inferred", None),
    ],
)
def test_negative_numbers_have_a_minus_sign_and_nothing_else_has(text: str, people: str | None) -> None:
    assert typeset(text) == (text if people is None else people)


def test_a_number_has_a_minus_sign_where_it_is_read_and_a_hyphen_where_it_is_written_into_a_file() -> None:
    assert (format_number(-27.4), format_exact(-25.0), format_for_file(-25.0)) == ("−27.4", "−25", "-25")


def test_a_chance_is_bounded_by_what_its_simulation_can_tell() -> None:
    assert [format_chance(chance) for chance in (0.0, 0.0009, 0.8034, 1.0)] == ["< 0.1%", "< 0.1%", "80.3%", "> 99.9%"]
    assert [format_chance(chance, 200) for chance in (0.0, 0.005, 0.995, 1.0)] == ["< 0.5%", "0.5%", "99.5%", "> 99.5%"]
    assert [format_chance(chance, 300) for chance in (0.0, 1.0)] == ["< 0.33%", "> 99.67%"]


@pytest.mark.parametrize("text", ["cake-07", "1.5", "commit 9e-x", ""])
def test_nothing_else_is_an_exponent(text: str) -> None:
    assert shorten_exponents(text) == text


def test_a_difference_of_logarithms_is_told_as_a_ratio() -> None:
    told = describe_without_log(math.log10(3.2), (math.log10(2.9), math.log10(3.6)), ratio=True, mean=True)
    assert told == "a ratio of 3.200 (2.900 to 3.600)"
    assert describe_without_log(2.0, None, ratio=False, mean=True) == "a geometric mean of 100"
    assert describe_without_log(2.0, (1.0, 3.0), ratio=False, mean=False) == "100 (10 to 1000) without the logarithm"
    assert describe_without_log(400.0, None, ratio=True, mean=True) is None


def test_names_of_a_file_are_quoted_and_words_of_the_language_are_not() -> None:
    assert [quote_outcome(outcome) for outcome in ("holds", "inconclusive", "invalid")] == [
        '"holds"',
        "inconclusive",
        "invalid",
    ]
    assert join_words([quote_outcome("small"), quote_outcome("wide")]) == '"small" and "wide"'


def test_what_is_counted_agrees_with_its_number() -> None:
    assert [format_count(count, "seed") for count in (0, 1, 2, 12_000)] == [
        "0 seeds",
        "1 seed",
        "2 seeds",
        "12,000 seeds",
    ]
    assert [format_count(count, "event is", "events are") for count in (1, 3)] == ["1 event is", "3 events are"]


def test_a_fixed_number_is_written_in_full() -> None:
    assert [format_exact(value) for value in (0.001, 25.0, 1e-9, 2e16, 0.123456789)] == [
        "0.001",
        "25",
        "1e-9",
        "2e16",
        "0.123456789",
    ]


def test_small_numbers_are_words() -> None:
    assert [spell_count(2), spell_count(9), spell_count(10), spell_count(1000)] == ["two", "nine", "10", "1,000"]
    assert format_number(1.2e-8) == "1.2e-8"


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("p < 1e-6 and q > .99", "p < 1e-6 and q > .99"),
        ("a <b> c", "a &lt;b&gt; c"),
        ("< a", "&lt; a"),
        (" > quoted", " &gt; quoted"),
        ("a &lt; b", "a &amp;lt; b"),
    ],
)
def test_a_sign_between_spaces_is_no_markup(text: str, page: str) -> None:
    assert escape(text) == page


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "1 s"), (89.4, "89 s"), (90.0, "2 min"), (5399.0, "90 min"), (5400.0, "1.5 h")]
)
def test_a_duration_that_is_an_estimate_has_no_more_digits_than_it_deserves(seconds: float, text: str) -> None:
    assert format_rough_duration(seconds) == text
