"""``harness list`` and ``harness show``: what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.app import app
from harness.cli.common import (
    FormatOption,
    VerdictsOption,
    collect_settings,
    err,
    escape,
    find_hypotheses_here,
    open_trail_here,
    out,
    print_json,
    show_path,
    verb,
    wants_json,
)
from harness.wording import format_level, format_p, make_plain, make_plain_line

if TYPE_CHECKING:
    from harness.ledger import Moment
    from harness.pipeline.explored import Explored
    from harness.pipeline.families import Family
    from harness.pipeline.overview import Standing

LEAST_TITLE = 16
"""Columns of a title that still says something; a terminal with less room is left to what cannot be cut."""
NAMED = 5
"""Files with findings that are named."""


@app.command("list")
@verb
def list_hypotheses(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders to list. Default: hypotheses/.", show_default=False)
    ] = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
    family: Annotated[
        bool,
        typer.Option("--family", help="List families instead, with each member's p corrected for multiplicity (Holm)."),
    ] = False,
) -> None:
    """List hypotheses with their registrations, attempts and last outcomes."""
    from harness.pipeline.overview import list_hypotheses as find_hypotheses
    from harness.pipeline.project import Projects

    as_json = wants_json(form)
    paths = paths or [find_hypotheses_here()]
    projects = Projects(collect_settings(verdicts=verdicts))
    found = find_hypotheses(paths, projects)
    if family:
        from harness.pipeline.families import list_families

        _print_families(list_families(paths, found.loaded, projects), as_json)
        return
    if as_json:
        print_json([_make_plain(row) for row in found.rows])
    else:
        _print_table(found.rows)
    if found.findings:
        files = sorted({str(show_path(Path(finding.file))) for finding in found.findings})
        listed = ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} more" if len(files) > NAMED else "")
        err.print(f"{listed}: {'has' if len(files) == 1 else 'have'} findings, see harness check", markup=False)


def _make_plain(row: Standing) -> dict[str, Any]:
    last = row.judged
    return {
        "id": row.hypothesis,
        "title": row.title,
        "file": str(show_path(row.path)) if row.path is not None else None,
        "registered": row.registered,
        "attempts": [attempt.model_dump() | {"deviates": attempt.run in row.deviating} for attempt in row.attempts],
        "predicted": row.predicted,
        "outcome": last.outcome if last is not None else None,
        "deviates": last.run in row.deviating if last is not None else None,
        "measured": row.measured,
        "explored": row.explored,
        "note": row.note,
    }


def _print_table(rows: Sequence[Standing]) -> None:
    from rich.table import Table

    from harness.wording import WATERMARK

    noted = any(row.note is not None for row in rows)
    heads = ("hypothesis", "registered", "attempts", "predicted", "outcome", *(["note"] if noted else []))
    lines = []
    for row in rows:
        outcome = "–"
        if (last := row.judged) is not None:
            marks = [row.deviating[last.run]] if last.run in row.deviating else []
            marks += ["measured again" + (f" {row.measured} times" if row.measured > 1 else "")] if row.measured else []
            outcome = f"{last.outcome} ({', '.join(marks)})" if marks else str(last.outcome)
        if row.explored:
            outcome += f" (earlier results: {WATERMARK})"
        since = row.registered[:10] if row.registered else "no"
        cells = (row.hypothesis, since, _count_attempts(row), row.predicted or "–", outcome)
        lines.append((*cells, *([row.note or ""] if noted else [])))
    table = Table(box=None, pad_edge=False)
    for name in heads:
        table.add_column(name, overflow="fold")
    columns = list(zip(heads, *lines, strict=True))
    spare = out.console.width - sum(max(map(len, column)) + len("  ") for column in columns)
    if spare < LEAST_TITLE:  # cells of several words may take several lines
        words = [[word for cell in column for word in cell.split()] for column in columns]
        spare = min(LEAST_TITLE, out.console.width - sum(max(map(len, found)) + len("  ") for found in words))
    titled = spare >= LEAST_TITLE
    if titled:
        table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=spare)
    for row, line in zip(rows, lines, strict=True):
        shown = (*line, *([row.title or "–"] if titled else []))
        table.add_row(*(escape(make_plain_line(cell)) for cell in shown))
    out.print(table)


def _count_attempts(row: Standing) -> str:
    """Write ``3 (1 open, 1 deviating)``: how many attempts there are, and how many have no verdict or deviate."""
    started = [attempt for attempt in row.attempts if attempt.status != "pilot"]
    kinds = {status: sum(attempt.status == status for attempt in started) for status in ("open", "failed", "aborted")}
    kinds["not judged"] = sum(attempt.status == "finished" and attempt.outcome is None for attempt in started)
    kinds["deviating"] = sum(attempt.run in row.deviating for attempt in started)
    marks = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{len(started)} ({marks})" if marks else str(len(started))


def _print_families(found: tuple[Family, ...], as_json: bool) -> None:
    """Print every family with its members: what each concluded, its p before and after Holm, and whether it holds."""
    from rich.table import Table

    if as_json:
        plain = [
            {
                "family": one.name,
                "alpha": one.alpha,
                "members": [
                    {
                        "id": row.hypothesis,
                        "registered": row.registered,
                        "run": row.verdict.run if row.verdict else None,
                        "outcome": row.verdict.outcome if row.verdict else None,
                        "p": row.verdict.p if row.verdict else None,
                        "p_counted": row.p,
                        "p_adjusted": row.adjusted,
                        "holds": row.holds,
                    }
                    for row in one.rows
                ],
                "not_registered": one.unregistered,
            }
            for one in found
        ]
        print_json(plain)
        return
    for one in found:
        size = len(one.rows)
        out.print(
            f"[bold]{escape(one.name)}[/bold]: {size} registered, α = {format_level(one.alpha)} over all, by Holm"
        )
        table = Table("hypothesis", "outcome", "p", "p after Holm", "", box=None, pad_edge=False)
        for row in one.rows:
            outcome = row.verdict.outcome if row.verdict else "not judged: p = 1"
            raw = "–" if row.verdict is None or row.verdict.p is None else format_p(row.verdict.p)
            table.add_row(
                row.hypothesis, outcome, raw, format_p(row.adjusted), "holds" if row.holds else "does not hold"
            )
        out.print(table)
        for name in one.unregistered:
            out.print(f"{name} declares this family and is not registered: it does not count yet", markup=False)
    if not found:
        err.print("no hypothesis here declares a family: add family: <name> to the files", markup=False)


@app.command()
@verb
def show(
    name: Annotated[
        str, typer.Argument(help="Id of a hypothesis, or the first digits of a run or exploration.", show_default=False)
    ],
    verdicts: VerdictsOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print the Markdown source, even on a terminal.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Print the hypothesis's history instead: every event about it.")
    ] = False,
    form: FormatOption = "text",
) -> None:
    """Print a hypothesis's last verdict, below a note of later verdicts on the claims that it moved.

    Without a verdict, print the report on its last exploration, if earlier results were explored.
    """
    from harness.pipeline.explored import read_shown
    from harness.pipeline.show import read_history, read_verdict

    as_json = wants_json(form)
    trail = open_trail_here(verdicts)
    if history:
        _print_history(read_history(name, trail), as_json)
        return
    if (explored := read_shown(name, trail)) is not None:
        _print_explored(explored, raw=raw, as_json=as_json)
        return
    page = read_verdict(name, trail, numbers=as_json)
    if as_json:
        plain = {
            "hypothesis": page.hypothesis,
            "run": page.run,
            "outcome": page.outcome,
            "file": str(show_path(page.path)),
            "banners": page.banners,
            "verdict": page.verdict,
        }
        print_json(plain)
        return
    text = make_plain(page.text)
    if raw:  # the page to the byte; what happened since goes beside it
        for banner in page.banners:
            err.print(banner, markup=False)
    elif page.banners:
        text = make_plain("\n>\n".join(page.banners)) + f"\n\n{text}"
    _print_page(page.text, text, raw=raw)
    err.print(str(show_path(page.path)), markup=False)


def _print_page(whole: str, text: str, *, raw: bool) -> None:
    """Print a page: to the byte as it is stored, or as ``text``."""
    if raw and not out.on_terminal:
        out.write(whole)
    elif out.on_terminal and not raw:
        from harness.cli.markdown import Page

        out.print(Page(text))
    else:
        print(text, end="")


def _print_explored(explored: Explored, *, raw: bool, as_json: bool) -> None:
    """Print the report on earlier results; it is no verdict, and says so."""
    from harness.wording import WATERMARK

    if not as_json:
        _print_page(explored.report, make_plain(explored.report), raw=raw)
        return
    print_json(
        {
            "hypothesis": explored.hypothesis,
            "explored": explored.name,
            "mark": WATERMARK,
            "outcome": None,
            "would_be": explored.body.would_be,
            "seeds": explored.body.seeds,
            "files": [file.model_dump() for file in explored.body.exports],
            "results": explored.body.results,
            "report": explored.report,
        }
    )


def _print_history(moments: tuple[Moment, ...], as_json: bool) -> None:
    if as_json:
        print_json([moment.model_dump() for moment in moments])
        return
    for moment in moments:
        beside = " (in another branch: not provably after the line above)" if moment.beside else ""
        text = make_plain_line(moment.text)
        out.print(f"{moment.claimed_time}  {moment.digest[:12]}  {text}{beside}", markup=False)
        for detail in moment.details:
            out.print(f"    {make_plain_line(detail)}", markup=False)
