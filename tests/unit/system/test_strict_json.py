"""One reader for JSON that others wrote, below adapters and results: what each says of it stays as it is."""

from __future__ import annotations

import pytest

from harness.adapters import BadRecord
from harness.adapters._exports import read_json
from harness.programs.parse import BadResults, parse_results
from harness.records.program import Results
from harness.system.strict_json import NotStrict, read_strict

ODD = [
    ('{"a": NaN}', "NaN, which is no number in JSON: write null"),
    ('[-Infinity]', "-Infinity, which is no number in JSON: write null"),
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "a key twice"),
    ('{"a": 1', ""),
    ("[" * 100_000, ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "holds"), ODD)
def test_odd_json_is_refused_by_all_in_words_of_their_own(text: str, holds: str) -> None:
    with pytest.raises(NotStrict) as refused:
        read_strict(text)
    assert refused.value.holds == holds
    no_json = "is not JSON: cut off, or not written as such"
    with pytest.raises(BadRecord) as by_adapter:
        read_json(text.encode())
    assert str(by_adapter.value) == (f"it holds {holds}" if holds else f"it {no_json}")
    with pytest.raises(BadResults) as by_results:
        parse_results(text.encode(), Results(form="json", file="metrics.json"), {})
    diverged = ", or the status diverged" if "null" in holds else ""  # as stored results have it
    expected = f"its results hold {holds}{diverged}" if holds else f"its results file {no_json}"
    assert str(by_results.value) == expected


def test_plain_json_is_read_as_text_and_as_bytes() -> None:
    assert read_strict('{"a": [1, 2.5, null, "\u00e4"]}') == read_strict('{"a": [1, 2.5, null, "\u00e4"]}'.encode())
