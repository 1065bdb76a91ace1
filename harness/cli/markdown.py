"""Markdown on a terminal, with nothing of it cut off, dropped or shown with its markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.markdown import Markdown, TableElement
from rich.table import Table

from harness.cli.tables import fit_columns

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.console import Console, ConsoleOptions, RenderResult


class _FoldedTable(TableElement):
    """A table whose words stay whole; rich's own breaks them, or ends them in dots."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for drawn in super().__rich_console__(console, options):
            if isinstance(drawn, Table):
                for column in drawn.columns:
                    column.overflow = "fold"
                drawn.show_header = any(str(column.header).strip() for column in drawn.columns)
                fit_columns(drawn, console, options)
            yield drawn


class Page(Markdown):
    """A page of Markdown, whole at any width."""

    elements: ClassVar = {**Markdown.elements, "table_open": _FoldedTable}

    def __init__(self, markup: str, **settings: Any) -> None:
        # Of HTML rich shows nothing: what a browser unfolds under its summary stands under it here.
        super().__init__(re.sub(r"<details><summary>(.*?)</summary>", r"**\1**", markup), **settings)
        for token in self.parsed:
            for child in token.children or ():
                if child.type == "image":  # rich shows the source of its description
                    child.content = _collect_text(child.children or ())


def _collect_text(tokens: Iterable[Token]) -> str:
    """Return the text of Markdown without its markup."""
    return "".join(" " if token.type == "softbreak" else token.content for token in tokens)
