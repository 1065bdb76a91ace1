"""The two languages that a paper is written in, LaTeX and Markdown: the same text, tables and figures in both.

A sentence is plain text, in which ``code`` and ``mark_number`` set off names and numbers. Everything else in it is
text, whoever wrote it, and is escaped when it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from harness.paper.characters import escape_tex
from harness.paper.numbers import BETWEEN, CLOSE, OPEN
from harness.verdict.text import escape, format_code
from harness.wording import OWN as OWN_OUTCOMES
from harness.wording import make_plain, typeset

CODE_OPEN, CODE_CLOSE = "\ue000", "\ue001"
PARTS = re.compile(
    f"{CODE_OPEN}(?P<code>[^{CODE_CLOSE}]*){CODE_CLOSE}|"
    f"{OPEN}(?P<place>[^{BETWEEN}]*){BETWEEN}(?P<number>[^{CLOSE}]*){CLOSE}"
)
OWN = re.compile(f"[{CODE_OPEN}{CODE_CLOSE}{OPEN}{BETWEEN}{CLOSE}]")
TALL = 40
"""Lines of a table from which on it may be broken over pages."""
LONGEST = 150
"""Longest title in characters where it heads something: page styles repeat headings, and tables have little room."""
LINE = 95
"""Characters of a table's line, in all columns."""


def code(name: str) -> str:
    """Return a name, a digest or a command as such, for a sentence."""
    return f"{CODE_OPEN}{OWN.sub('', name)}{CODE_CLOSE}"


def foreign(text: str) -> str:
    """Return what somebody wrote for a sentence: on one line, and with no marks of ours in it."""
    return OWN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


def quoted(outcome: str) -> str:
    """Return an outcome or a band for a sentence: in quotation marks, except inconclusive and invalid."""
    return outcome if outcome in OWN_OUTCOMES else f"“{foreign(outcome)}”"


def head(short: str, title: str) -> str:
    """Return a hypothesis's name and title as a heading, cut if the title is long."""
    title = foreign(title)
    return f"{short}. {title if len(title) <= LONGEST else f'{title[: LONGEST - 1].rstrip()}…'}"


class Table(NamedTuple):
    """A table of sentences."""

    caption: str
    label: str
    """Name by which a text refers to it."""
    heads: tuple[str, ...]
    widths: tuple[float, ...]
    """Share of the line that each column takes; they add up to 1."""
    rows: tuple[tuple[str, ...], ...]
    """Cells; a row of one cell is a heading over all columns."""


class Figure(NamedTuple):
    """A figure that is a file beside the text."""

    path: str
    caption: str
    label: str


class Language(NamedTuple):
    """A language as the templates use it."""

    text: Callable[[str], str]
    heading: Callable[[int, str], str]
    items: Callable[[Sequence[str]], str]
    table: Callable[[Table], str]
    figure: Callable[[Figure], str]
    strong: Callable[[str], str]


def write_tex(text: str) -> str:
    """Return a sentence as LaTeX."""
    return "".join(
        escape_tex_keeping_blanks(plain)
        if kind == "plain"
        else rf"\texttt{{{escape_tex(plain, name=True)}}}"
        if kind == "code"
        else rf"\fromtrail{{{place}}}{{{escape_tex(typeset(plain))}}}"
        for kind, plain, place in _split(text)
    )


def escape_tex_keeping_blanks(text: str) -> str:
    """Return a part of a sentence as LaTeX, with the blanks at its ends that part it from its neighbours."""
    blank = not text.strip()
    before, after = text[:1].isspace(), text[-1:].isspace() and not blank
    return f"{' ' if before else ''}{escape_tex(text)}{' ' if after else ''}"


def write_markdown(text: str) -> str:
    """Return a sentence as Markdown."""
    return "".join(
        escape(make_plain(plain))
        if kind == "plain"
        else format_code(make_plain(plain))
        if kind == "code"
        else f"<!--fromtrail {place}-->{escape(typeset(plain))}<!--/-->"
        for kind, plain, place in _split(text)
    )


def _split(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the parts of a sentence: plain, code, or a number, with its text and its place."""
    at = 0
    for found in PARTS.finditer(text):
        if found.start() > at:
            yield "plain", text[at : found.start()], ""
        if found["code"] is not None:
            yield "code", found["code"], ""
        else:
            yield "number", found["number"], found["place"]
        at = found.end()
    if at < len(text):
        yield "plain", text[at:], ""


def strip_marks(text: str) -> str:
    """Return a sentence without marks, as its characters are read."""
    return "".join(plain for _, plain, _ in _split(text))


def _head_tex(level: int, text: str) -> str:
    command = ("section", "subsection", "paragraph")[level - 1]
    return f"\\{command}{{{write_tex(text)}}}"


def _list_tex(items: Sequence[str]) -> str:
    rows = "\n".join(f"\\item {write_tex(item)}" for item in items)
    return f"\\begin{{itemize}}\n{rows}\n\\end{{itemize}}" if items else ""


def _count_lines(table: Table) -> int:
    return sum(
        1 + len(row[0]) // LINE
        if len(row) == 1
        else max(
            1 + int(len(strip_marks(cell)) / (LINE * width)) for cell, width in zip(row, table.widths, strict=True)
        )
        for row in table.rows
    )


def _table_tex(table: Table) -> str:
    columns = "".join(f"H{{{width:g}}}" for width in table.widths)
    head = " & ".join(write_tex(text) for text in table.heads) + r" \\"
    caption = rf"\caption{{{write_tex(table.caption)}}}\label{{{table.label}}}"
    rows = "\n".join(_rows_tex(table))
    if _count_lines(table) <= TALL:
        return (
            f"\\begin{{table}}[htbp]\n\\centering\\small\\renewcommand{{\\arraystretch}}{{1.15}}\n"
            f"\\setlength{{\\belowcaptionskip}}{{6pt}}\n{caption}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
            f"{head}\n\\midrule\n{rows}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}"
        )
    return (
        f"{{\\small\\renewcommand{{\\arraystretch}}{{1.15}}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n"
        f"\\begin{{longtable}}{{{columns}}}\n{caption} \\\\\n\\toprule\n{head}\n\\midrule\n\\endfirsthead\n"
        f"\\toprule\n{head}\n\\midrule\n\\endhead\n\\midrule\n\\endfoot\n\\bottomrule\n\\endlastfoot\n"
        f"{rows}\n\\end{{longtable}}}}"
    )


def _rows_tex(table: Table) -> Iterator[str]:
    for number, row in enumerate(table.rows):
        if len(row) == 1:
            rule = "\\addlinespace\n" if number else ""
            width = r"\dimexpr\linewidth-2\tabcolsep\relax"
            yield (
                f"{rule}\\multicolumn{{{len(table.heads)}}}{{p{{{width}}}}}"
                f"{{\\raggedright\\hspace{{0pt}}\\emph{{{write_tex(row[0])}}}}} \\\\*"
            )
        else:
            yield " & ".join(write_tex(cell) for cell in row) + r" \\"


def _figure_tex(figure: Figure) -> str:
    return (
        f"\\begin{{figure}}[htbp]\n\\centering\n\\includegraphics[width=\\linewidth]{{{figure.path}}}\n"
        f"\\caption{{{write_tex(figure.caption)}}}\\label{{{figure.label}}}\n\\end{{figure}}"
    )


def _table_markdown(table: Table) -> str:
    def write(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [
        write([f"*{write_markdown(row[0])}*", *[""] * (len(table.heads) - 1)])
        if len(row) == 1
        else write(map(write_markdown, row))
        for row in table.rows
    ]
    head = write(map(write_markdown, table.heads))
    return "\n".join([write_markdown(table.caption), "", head, write(["---"] * len(table.heads)), *rows])


def _figure_markdown(figure: Figure) -> str:
    return f"[Figure]({figure.path}): {write_markdown(figure.caption)}"


TEX = Language(
    text=write_tex,
    heading=_head_tex,
    items=_list_tex,
    table=_table_tex,
    figure=_figure_tex,
    strong=lambda text: rf"\textbf{{{write_tex(text)}}}",
)
MARKDOWN = Language(
    text=write_markdown,
    heading=lambda level, text: f"{'#' * (level + 1)} {write_markdown(text)}",
    items=lambda items: "\n".join(f"- {write_markdown(item)}" for item in items),
    table=_table_markdown,
    figure=_figure_markdown,
    strong=lambda text: f"**{write_markdown(text)}**",
)
