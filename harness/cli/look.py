"""``harness list`` and ``harness show``: what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    FormatOption,
    VerdictsOption,
    err,
    escape,
    hypotheses_here,
    out,
    settings_from,
    shown,
    trail_here,
    verb,
    wants_json,
)
from harness.errors import UsageError
from harness.wording import p_value

if TYPE_CHECKING:
    from harness.ledger import Moment
    from harness.pipeline import Family


@app.command("list")
@verb
def list_hypotheses(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: hypotheses/.", show_default=False)
    ] = None,
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
    family: Annotated[
        bool, typer.Option("--family", help="Families instead, each member's p corrected for being several (Holm).")
    ] = False,
) -> None:
    """List hypotheses with their registration, attempts and last outcome."""
    from rich.table import Table

    from harness import pipeline, spec

    as_json = wants_json(form)
    settings = settings_from(verdicts=verdicts)
    report = spec.load_folder(paths or [hypotheses_here()])
    if family:
        list_families(pipeline.families_of(paths or [hypotheses_here()], report.loaded, settings), as_json)
        return
    rows = pipeline.standings(report.loaded, settings)
    if as_json:
        plain = [
            {
                "id": row.hypothesis.id,
                "title": row.hypothesis.title,
                "file": str(shown(row.path)),
                "registered": row.registered,
                "attempts": [attempt.model_dump() for attempt in row.attempts],
                "predicted": row.hypothesis.prediction.outcome,
                "outcome": row.outcome,
            }
            for row in rows
        ]
        print(json.dumps(plain, indent=1, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("hypothesis", "registered", "attempts", "predicted", "outcome"):
            table.add_column(name, overflow="fold")
        table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=max(10, out.console.width - 75))
        for row in rows:
            table.add_row(
                row.hypothesis.id,
                row.registered[:10] if row.registered else "no",
                str(sum(attempt.status != "pilot" for attempt in row.attempts)),
                row.hypothesis.prediction.outcome,
                row.outcome or "–",
                escape(row.hypothesis.title),
            )
        out.print(table)
    if report.findings:
        files = len({finding.file for finding in report.findings})
        err.print(f"{files} {'file has' if files == 1 else 'files have'} findings: see harness check", markup=False)


def list_families(found: tuple[Family, ...], as_json: bool) -> None:
    """Every family with its members: what each concluded, its p raw and after Holm, and whether it still holds."""
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
        print(json.dumps(plain, indent=1, ensure_ascii=False))
        return
    for one in found:
        size = len(one.rows)
        out.print(f"[bold]{escape(one.name)}[/bold]: {size} registered, α = {one.alpha:g} over all, by Holm")
        table = Table("hypothesis", "outcome", "p", "p after Holm", "", box=None, pad_edge=False)
        for row in one.rows:
            outcome = row.verdict.outcome if row.verdict else "not judged: p = 1"
            raw = "–" if row.verdict is None or row.verdict.p is None else p_value(row.verdict.p)
            table.add_row(
                row.hypothesis, outcome, raw, p_value(row.adjusted), "holds" if row.holds else "does not hold"
            )
        out.print(table)
        for name in one.unregistered:
            out.print(f"{name} declares this family and is not registered: it does not count yet", markup=False)
    if not found:
        err.print("no hypothesis here declares a family: add family: <name> to the files", markup=False)


@app.command()
@verb
def show(
    name: Annotated[str, typer.Argument(help="A hypothesis's id or a run's first digits.", show_default=False)],
    verdicts: VerdictsOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="The Markdown as it is, on a terminal too.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="The hypothesis's life instead: every event about it.")
    ] = False,
    form: FormatOption = "text",
) -> None:
    """Print the last verdict on a hypothesis; above it, what later verdicts did to the claims that it moved."""
    from harness import pipeline

    as_json = wants_json(form)
    trail = trail_here(verdicts)
    if history:
        _print_history(pipeline.history(name, trail), as_json)
        return
    if as_json:
        raise UsageError("the page is Markdown", where="--format", remedy="its numbers are in verdict.json beside it")
    page = pipeline.read_verdict(name, trail)
    text = page.text
    if raw:  # the page to the byte; what happened since goes beside it
        for banner in page.banners:
            err.print(banner, markup=False)
    elif page.banners:
        text = "\n>\n".join(page.banners) + f"\n\n{text}"
    if raw:
        out.write(text)
    elif out.console.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(text))
    else:
        print(text, end="")
    err.print(str(shown(page.path)), markup=False)


def _print_history(moments: tuple[Moment, ...], as_json: bool) -> None:
    if as_json:
        print(json.dumps([moment.model_dump() for moment in moments], indent=1, ensure_ascii=False))
        return
    for moment in moments:
        beside = " (in another branch: not provably after the line above)" if moment.beside else ""
        out.print(f"{moment.claimed_time}  {moment.digest[:12]}  {moment.text}{beside}", markup=False)
        for detail in moment.details:
            out.print(f"    {detail}", markup=False)
