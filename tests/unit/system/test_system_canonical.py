"""Canonical JSON that is written fast is, to the byte, what the library writes."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from harness.system.canonical import dumps

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
)


@given(VALUES)
def test_any_value_has_the_bytes_of_the_library(value: Any) -> None:
    assert dumps(value) == rfc8785.dumps(value)


@given(st.integers(-25, 25), st.floats(1, 10, exclude_max=True))
def test_numbers_of_any_size_are_written_alike(power: int, times: float) -> None:
    for value in (times * 10.0**power, -(10.0**power), round(times) * 10.0**power):
        assert dumps(value) == rfc8785.dumps(value)


def test_keys_are_sorted_as_utf_16() -> None:
    value = {"\ue000": 1, "\U00010000": (2, 0.0, -0.0), "é": {}, "": [], "b": "\x7f\x1f\u2028/", "a": 1e16}
    assert dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 2**53, {1: 2}, ["\ud800"], {"a": b""}, object()])
def test_what_has_no_canonical_form_is_refused_alike(value: Any) -> None:
    with pytest.raises(ValueError, match="") as library:
        rfc8785.dumps(value)
    with pytest.raises(type(library.value)):
        dumps([value])
