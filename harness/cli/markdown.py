"""Markdown on a terminal, with nothing of it cut off: words that are wider than a table's column are folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.markdown import Markdown, TableElement
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


class _FoldedTable(TableElement):
    """rich's own ends a long word, such as a claim's name, in dots."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for drawn in super().__rich_console__(console, options):
            if isinstance(drawn, Table):
                for column in drawn.columns:
                    column.overflow = "fold"
            yield drawn


class Page(Markdown):
    """A page of Markdown, whole at any width."""

    elements: ClassVar = {**Markdown.elements, "table_open": _FoldedTable}
