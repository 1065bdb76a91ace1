"""CSV that other people's programs wrote: a header, and as many fields in every row. Whatever is cut off is no table.

Whoever asks says what the file is called in messages.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Literal


class NoTable(ValueError):
    """Text that is no such table."""

    def __init__(self, kind: Literal["form", "empty", "twice", "row"], row: int = 0, told: str = "") -> None:
        """Take what is wrong: the text's form, that it is empty, a column that comes twice, or a ``row``, from 2.

        ``told``: how many fields the row has, in words.
        """
        super().__init__(kind)
        self.kind, self.row, self.told = kind, row, told


def read_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows that are not empty, column → field, each without white space around it.

    Raises:
        NoTable: It is not CSV, is empty, or names a column twice; or, once it is reached, a row is not whole.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True) if row]
    except csv.Error as error:
        raise NoTable("form") from error
    if not rows:
        raise NoTable("empty")
    heads = [name.strip() for name in rows[0]]
    if len(set(heads)) < len(heads):
        raise NoTable("twice")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(heads):
            raise NoTable("row", number, f"{len(row)} fields and not {len(heads)}: cut off?")
        yield dict(zip(heads, (field.strip() for field in row), strict=True))
