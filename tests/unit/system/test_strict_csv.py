"""One reader for CSV that others wrote, below adapters and results: what each says of it stays as it is."""

from __future__ import annotations

import pytest

from harness.adapters import BadRecord
from harness.adapters._exports import read_table
from harness.programs.parse import BadResults, parse_results
from harness.records.program import Results
from harness.system.strict_csv import NoTable, read_rows

ODD = [
    ('a,b\n1,"2', "it is not CSV in UTF-8: cut off, or not written as such",
     "its results are not CSV: cut off, or not written as such"),
    ("", "it is empty", "its results file is empty"),
    ("\n\n", "it is empty", "its results file is empty"),
    ("a,b, a\n1,2,3\n", "a column comes twice", "a column of its results comes twice"),
    ("a,b\n1,2\n\n3\n", "row 3 has 1 fields and not 2: cut off?",
     "row 3 of its results has 1 fields and not 2: cut off?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "by_adapter", "by_results"), ODD)
def test_odd_csv_is_refused_by_all_in_words_of_their_own(text: str, by_adapter: str, by_results: str) -> None:
    with pytest.raises(NoTable):
        list(read_rows(text))
    with pytest.raises(BadRecord) as refused:
        read_table(text.encode())
    assert str(refused.value) == by_adapter
    with pytest.raises(BadResults) as failed:
        parse_results(text.encode(), Results(form="csv", file="metrics.csv"), {})
    assert str(failed.value) == by_results


def test_plain_csv_is_read_without_a_mark_of_its_encoding_and_without_blanks_around_fields() -> None:
    assert list(read_rows('\ufeff a, b\n\n 1 ,"x, y"\n')) == [{"a": "1", "b": "x, y"}]
    assert read_table("\ufeffa,b\n1,2\n".encode()) == [{"a": "1", "b": "2"}]


def test_a_row_is_read_before_a_later_one_is_found_to_be_cut_off() -> None:
    rows = read_rows("a,b\n1,2\n3\n")
    assert next(rows) == {"a": "1", "b": "2"}
    with pytest.raises(NoTable) as refused:
        next(rows)
    assert (refused.value.kind, refused.value.row) == ("row", 3)
