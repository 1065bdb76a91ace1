"""Bands on absolute values as symmetric bands, and bands as text that gives them back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Band

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("[0, 0.05)", "(-0.05, 0.05)"),
        ("(-inf, 0.05)", "(-0.05, 0.05)"),
        ("[0, 0.05]", "[-0.05, 0.05]"),
        ("[0.05, 0.2)", "(-0.2, -0.05] | [0.05, 0.2)"),
        ("(0, 0.2]", "[-0.2, 0) | (0, 0.2]"),
        ("[0, 0]", "[0, 0]"),
        ("[0.2, inf)", "(-inf, -0.2] | [0.2, inf)"),
        ("[0.2, 1]", "[-1, -0.2] | [0.2, 1]"),
        ("(0, 0.1) | [0.3, 0.4]", "(-0.1, 0) | (0, 0.1) | [-0.4, -0.3] | [0.3, 0.4]"),
        ("(-0.2, -0.05] | [0.05, 0.2)", "(-0.2, -0.05] | [0.05, 0.2)"),
        ("(-0.05, 0.05)", "(-0.05, 0.05)"),
        ("(-inf, inf)", "(-inf, inf)"),
    ],
)
def test_a_band_on_an_absolute_value_becomes_symmetric(text: str, mirrored: str) -> None:
    assert str(Band.parse(text).mirror()) == mirrored
    assert Band.parse(mirrored).mirror() == Band.parse(mirrored)  # once is enough


@given(FINITE, FINITE, st.booleans(), st.booleans(), FINITE)
def test_it_holds_the_numbers_whose_absolute_value_the_band_holds(
    a: float, b: float, left: bool, right: bool, number: float
) -> None:
    low, high = min(a, b), max(a, b)
    if low == high:
        left = right = True
    band = Band.parse(f"{'[' if left else '('}{low!r}, {high!r}{']' if right else ')'}")
    for value in (number, low, high, -low, -high, 0.0):
        assert band.mirror().contains(value) == band.contains(abs(value))


@given(FINITE)
def test_a_band_is_its_text_however_many_digits_its_ends_have(end: float) -> None:
    band = Band.parse(f"(-inf, {end!r}]")
    assert Band.parse(str(band)) == band


def test_short_numbers_stay_short() -> None:
    assert str(Band.parse("[0.05, 0.2) | (1e-07, 25]")) == "[0.05, 0.2) | (1e-07, 25]"
    assert str(Band.parse("[0.12345678, inf)")) == "[0.12345678, inf)"
    assert math.isclose(Band.parse("[0.12345678, inf)")[0].lower or 0.0, 0.12345678, rel_tol=0)
