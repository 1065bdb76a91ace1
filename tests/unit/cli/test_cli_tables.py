"""Widths of a table's columns on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from harness.cli.tables import fit_columns

LONG = "a-name-of-twenty-two-c"


def draw(width: int, *rows: tuple[str, ...], **column: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    table = Table(box=None, pad_edge=False)
    for index in range(len(rows[0])):
        table.add_column(f"c{index}", overflow="fold", **(column if index == 0 else {}))
    for row in rows:
        table.add_row(*row)
    fit_columns(table, console, console.options)
    with console.capture() as shown:
        console.print(table)
    return [line.rstrip() for line in shown.get().splitlines()]


def test_a_sentence_is_wrapped_before_a_name_is_broken() -> None:
    lines = draw(46, (LONG, "a sentence of several short words that goes on", "x"))
    assert any(line.startswith(f"{LONG}  a sentence") for line in lines)
    assert max(map(len, lines)) <= 46


def test_what_fits_keeps_its_width() -> None:
    assert draw(80, (LONG, "two words")) == ["c0                      c1", f"{LONG}  two words"]


@pytest.mark.parametrize("width", [8, 20, 33])
def test_only_words_that_cannot_fit_are_broken_and_the_longest_first(width: int) -> None:
    lines = draw(width, (LONG * 2, "short", "ids"))
    assert max(map(len, lines)) <= width
    assert "".join(line.split("  ")[0].strip() for line in lines).endswith(LONG * 2)
    if width >= 20:
        assert any("short" in line and "ids" in line for line in lines)


def test_a_column_that_does_not_wrap_keeps_its_line() -> None:
    lines = draw(30, ("walked back", "a sentence of several short words"), no_wrap=True)
    assert any(line.startswith("walked back  ") for line in lines)
