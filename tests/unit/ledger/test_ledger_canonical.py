"""Bytes that are taken for canonical without being written again are what RFC 8785 writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger.event import _read

KEYS = st.text(st.characters(max_codepoint=300, exclude_categories=["Cs"]), max_size=4)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(max_codepoint=300, exclude_categories=["Cs"]), max_size=6)
)
OBJECTS = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)), max_size=4
)


def canonical(value: Any) -> bytes | None:
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        return None


@given(OBJECTS, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_what_counts_as_canonical_is(value: Any, ordered: bool, escaped: bool, separators: tuple[str, str]) -> None:
    for data in (
        json.dumps(value, sort_keys=ordered, ensure_ascii=escaped, separators=separators).encode(),
        canonical(value) or b"{}",
    ):
        found, certainly = _read(data)
        if certainly:
            assert canonical(found) == data


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1.0}', b'{"a":1e2}', b'{"a":-0}', b'{"a":9007199254740993}', b'{"b":1,"a":1}', b'{"a":1,"a":1}',
        b'{"a": 1}', b'{"a":1}\n', b'{"a":"\\u0041"}', b'{"a":"\\/"}', b'{"a":[{"c":1,"b":2}]}', '{"a":"ü"}'.encode(),
        b'{"a":NaN}', b'{"a":"\\u001F"}',
    ],
)  # fmt: skip
def test_what_may_be_written_in_another_way_is_not_taken_for_canonical(data: bytes) -> None:
    assert not _read(data)[1]


def test_plain_events_are_read_once() -> None:
    for data in (b"{}", b'{"a":[],"b":{"c":-12,"d":true},"e":"\\n\\u001f\\"","f":null}'):
        assert _read(data) == (json.loads(data), True)
