"""Tidy tables: plain rows, and pandas data frames where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from harness.api import html
from harness.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame

    from harness.pipeline.tidy import Column, TidyTable

Row = TypeVar("Row", bound=tuple[Any, ...])
SHOWN = 10
"""Rows that a notebook shows of a table."""


class Table(Sequence[Row], Generic[Row]):
    """A table with one number per row. It is a sequence of named tuples, and becomes a data frame on request."""

    def __init__(self, tidy: TidyTable[Any]) -> None:
        """Take a table of ``harness.pipeline.tidy``."""
        self._tidy = tidy

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, each with its type, its unit and what it holds."""
        return self._tidy.columns

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows."""
        return self._tidy.rows

    @property
    def dictionary(self) -> list[dict[str, str]]:
        """The data dictionary: what each column, and each value that needs it, means."""
        from harness.pipeline.tidy import list_dictionary

        return list_dictionary(self._tidy)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each row as column → value."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def to_pandas(self) -> DataFrame:
        """Return a data frame of pandas. Whole numbers that may be missing have the type Int64.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            remedy = "pip install 'prereg-harness[notebook]', or use rows or to_dicts()"
            raise UsageError("pandas is not installed", where="to_pandas", remedy=remedy) from None
        types = {"integer": "Int64", "number": "float64"}
        parts = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        frame = pandas.DataFrame({column.name: list(part) for column, part in zip(self.columns, parts, strict=True)})
        return frame.astype({one.name: types[one.type] for one in self.columns if one.type in types})

    def __len__(self) -> int:
        return len(self._tidy.rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __repr__(self) -> str:
        return f"<{self._tidy.name}: {len(self)} rows, {', '.join(column.name for column in self.columns)}>"

    def _repr_html_(self) -> str:
        shown = [["" if cell is None else str(cell) for cell in row] for row in self.rows[:SHOWN]]
        more = f", the first {SHOWN} of them" if len(self) > SHOWN else ""
        heads = [column.name for column in self.columns]
        return html.section(f"{self._tidy.name}: {len(self):,} rows{more}", html.table(heads, shown))
