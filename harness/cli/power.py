"""``harness power``: whether the registered seeds can tell the outcomes apart, before any of them trains."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import File, VerdictsOption, escape, escape_json, open_trail_of, out, show_path, verb
from harness.errors import UsageError
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.records import PowerReport
    from harness.verdict.tables import Table as Rows


@app.command()
@verb
def power(
    file: File,
    sd: Annotated[
        list[str] | None,
        typer.Option(
            "--sd", help="Assumed standard deviation between seeds: VALUE, or DECISION=VALUE.", show_default=False
        ),
    ] = None,
    sd_from: Annotated[
        str | None,
        typer.Option(
            "--sd-from", help="Estimate it from a run, a pilot, or the last run of a hypothesis.", show_default=False
        ),
    ] = None,
    effect: Annotated[
        list[float] | None, typer.Option("--effect", help="True value to add to the table.", show_default=False)
    ] = None,
    to: Annotated[
        list[Path] | None,
        typer.Option("--out", help="File for the figure (.svg) or the report (.json, .md).", show_default=False),
    ] = None,
    verdicts: VerdictsOption = None,
    form: Annotated[str, typer.Option("--format", help="Output format: text, json or markdown.")] = "text",
) -> None:
    """Show how likely each outcome is for a range of assumed true effects, and how many seeds the prediction needs."""
    gc.disable()  # a short process
    from harness import verdict
    from harness.pipeline.power import Assumed, compute_power
    from harness.system.storage import write_atomic

    if form not in ("text", "json", "markdown"):
        raise UsageError(f"unknown format {form!r}", where="--format", remedy="use text, json or markdown")
    if odd_effects := [value for value in effect or () if not math.isfinite(value)]:
        raise UsageError(
            f"a true value is finite, and {odd_effects[0]} is not", where="--effect", remedy="give a finite number"
        )
    files = list(to or ())
    if odd := [path for path in files if path.suffix not in (".svg", ".json", ".md")]:
        raise UsageError(f"cannot write {odd[0].name}", where="--out", remedy="name a file in .svg, .json or .md")
    given = [_parse_spread(text) for text in sd or ()]
    if twice := [name for position, (name, _) in enumerate(given) if name in dict(given[:position])]:
        whose = f"of {twice[0]}" if twice[0] else "of all decisions"
        raise UsageError(f"the standard deviation {whose} is given twice", where="--sd", remedy="give it once")
    assumed = Assumed(given=dict(given), run=sd_from)
    trail = open_trail_of(file, verdicts, begun=sd_from is not None)
    report = compute_power(file, trail, assumed, effect or ())
    if form == "json":
        print(escape_json(report.to_json()), end="")
    elif form == "markdown":
        out.print(verdict.power.write_markdown(report), markup=False, end="")
    else:
        _print(report)
    out.flush()  # loading matplotlib takes as long as all before it
    figure = next((path.name for path in files if path.suffix == ".svg"), None)
    for path in files:
        if path.suffix == ".svg":
            data = verdict.power.draw_figure(report)
        elif path.suffix == ".json":
            data = report.to_json().encode()
        else:
            data = verdict.power.write_markdown(report, figure).encode()
        write_atomic(path, data)
        if form == "text":
            out.print(str(show_path(path)), markup=False)


def _print(report: PowerReport) -> None:
    from harness import verdict

    out.print(f"[bold]{escape(report.hypothesis)}[/bold]: {escape(report.title)}")
    out.print(f"{format_count(report.seeds, 'seed')}, predicted: {report.predicted}", markup=False)
    for part in report.decisions:
        out.print(f"\n[bold]{escape(part.name)}[/bold]")
        for text in verdict.power.describe_decision(part):
            out.print(text, markup=False)
        for table in verdict.power.tabulate_decision(part):
            _show(table)
    if (guards := verdict.power.tabulate_guards(report)) is not None:
        _show(guards)
    out.print()
    for line in (verdict.power.describe_together(report), *report.notes):
        if line:
            out.print(line, markup=False)


def _show(table: Rows) -> None:
    from rich.table import Table

    out.print(f"\n{escape(table.title)}")
    grid = Table(box=None, pad_edge=False)
    for index, head in enumerate(table.heads):
        grid.add_column(escape(head), justify="left" if index < 1 else "right")
    for row in table.rows:
        grid.add_row(*(escape(cell) for cell in row))
    out.print(grid)


def _parse_spread(text: str) -> tuple[str, float]:
    """Parse ``VALUE`` or ``DECISION=VALUE``; the decision is empty for the first."""
    name, _, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise UsageError(
            f"{text!r} is not a standard deviation", where="--sd", remedy="write --sd 0.3 or --sd margin=0.8"
        )
    return name, number
