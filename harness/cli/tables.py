"""Columns of tables on a terminal, as wide as the words in them need: a name is broken only where nothing else fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

UNBOUNDED = 10**6


def fit_columns(table: Table, console: Console, options: ConsoleOptions) -> None:
    """Set the widths of a table's columns so that it fits the terminal and its words stay whole.

    rich by itself takes the missing width from the widest columns, whatever words they hold, and breaks an id before
    it wraps a sentence. Only if the longest words together are too wide are they broken, the longest first.
    """
    columns = table.columns
    if not columns:
        return
    wide = options.update_width(UNBOUNDED)
    ranges = []
    for column in columns:
        cells = [Measurement.get(console, wide, cell) for cell in (column.header, *column.cells)]
        least = max(cell.minimum for cell in cells)
        most = max(cell.maximum for cell in cells)
        if column.max_width is not None:  # a title that may be cut
            least, most = min(least, column.max_width), min(most, column.max_width)
        ranges.append((most if column.no_wrap else least, most))
    for column, (_, most) in zip(columns, ranges, strict=True):
        column.width = most
    room = options.max_width - (Measurement.get(console, wide, table).maximum - sum(most for _, most in ranges))
    if sum(least for least, _ in ranges) <= room:
        widths = _share(ranges, room)
    else:
        widths = _share([(1, least) for least, _ in ranges], room)
    for column, width in zip(columns, widths, strict=True):
        column.width = max(1, width)


def _share(ranges: list[tuple[int, int]], room: int) -> list[int]:
    """Return widths between least and most that fill the room: all that need more than a common limit get that."""

    def cut(limit: int) -> list[int]:
        return [max(least, min(most, limit)) for least, most in ranges]

    limit = max(most for _, most in ranges)
    while limit > 1 and sum(cut(limit)) > room:
        limit -= 1
    widths = cut(limit)
    for index, (_, most) in enumerate(ranges):  # what a limit of whole columns leaves
        if widths[index] == limit < most and sum(widths) < room:
            widths[index] += 1
    return widths
