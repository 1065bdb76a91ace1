"""``harness claims``: how the claims stand, and what an outcome would do to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    escape,
    find_hypotheses_here,
    open_trail_here,
    open_trail_of,
    out,
    print_json,
    verb,
)
from harness.errors import UsageError
from harness.wording import format_count, make_plain_line

if TYPE_CHECKING:
    from harness.pipeline.claims import Prospect, Table

FORMATS = ("text", "json", "mermaid", "dot")
STYLES = {"untested": "dim", "supported": "green", "in question": "yellow", "walked back": "red"}


@app.command()
@verb
def claims(
    file: Annotated[
        Path | None, typer.Argument(help="Claims file. Default: hypotheses/claims.yaml.", show_default=False)
    ] = None,
    verdicts: VerdictsOption = None,
    suppose: Annotated[
        list[str] | None,
        typer.Option(
            "--if", help="Show which claims this outcome would change, as HYPOTHESIS=OUTCOME.", show_default=False
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Output format: text, json, mermaid or dot.")] = "text",
) -> None:
    """Show the standing of every claim after all verdicts or, with --if, how an outcome would change it."""
    from harness import claims as drawing
    from harness.pipeline.claims import read_claims, suppose_outcomes
    from harness.spec import CLAIMS

    if form not in FORMATS:
        raise UsageError(f"unknown format {form!r}", where="--format", remedy=f"use {', '.join(FORMATS)}")
    trail = open_trail_of(file, verdicts) if file is not None else open_trail_here(verdicts)
    file = file if file is not None else find_hypotheses_here() / CLAIMS
    if suppose:
        pairs = [_parse_pair(text) for text in suppose]
        if twice := [name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place])]:
            raise UsageError(
                f"an outcome of {twice[0]} is supposed twice", where="--if", remedy="suppose one at a time"
            )
        seen = suppose_outcomes(file, trail, pairs)
        table = seen.then
    else:
        seen, table = None, read_claims(file, trail)
    if form == "json":
        print_json(_make_plain(table, seen))
    elif form == "mermaid":
        out.print(drawing.draw_mermaid(table.claims, table.standings, table.moves, _count(table)), markup=False, end="")
    elif form == "dot":
        out.print(drawing.draw_dot(table.claims, table.standings, table.moves, _count(table)), markup=False, end="")
    elif seen is None:
        _print_table(table)
    else:
        _print_prospect(seen)


def _count(table: Table) -> dict[str, str]:
    """Count who asked each claim, and how many of them have an answer."""
    counts = {}
    for name, asked in ((name, asked) for name, asked in table.asked.items() if asked):
        judged = sum(one.state.outcome is not None for one in asked)
        counts[name] = f"asked {format_count(len(asked), 'time')}, {judged} judged"
    return counts


def _parse_pair(text: str) -> tuple[str, str]:
    name, equals, outcome = text.partition("=")
    if not (name and equals and outcome):
        raise UsageError(f"{text!r} is not HYPOTHESIS=OUTCOME", where="--if", remedy="write for example tiny=better")
    return name, outcome


def _print_table(table: Table) -> None:
    from rich.table import Table as Grid

    shown = Grid(box=None, pad_edge=False)
    for name in ("claim", "standing"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("statement, what it stands on, and the verdicts that its standing follows from", overflow="fold")
    for name, claim in table.claims.claims.items():
        now = table.standings[name]
        lines = [claim.statement]
        lines += [f"stands on {', '.join(claim.stands_on)}"] if claim.stands_on else []
        lines += [f"walked back below it: {', '.join(now.ground)}"] if now.ground else []
        lines += [f"{now.status} because of {_describe_cause(table, verdict)}" for verdict in now.because]
        if asked := table.asked.get(name, ()):
            lines += [f"asked {format_count(len(asked), 'time')}: {', '.join(map(str, asked))}"]
        lines += [table.notes[name]] if name in table.notes else []
        shown.add_row(name, f"[{STYLES[now.status]}]{now.status}[/]", escape("\n".join(map(make_plain_line, lines))))
    out.print(shown)


def _print_prospect(seen: Prospect) -> None:
    for change in seen.changes:
        out.print(f"{change.claim}: {change.before} → {change.after}, {change.verdict}", markup=False)
    if not seen.changes:
        out.print("no claim would change its standing", markup=False)
    for move, banner in seen.concerned:
        what = f"run {move.run} ({move.hypothesis}: {move.outcome}) {banner.did} {banner.claim}"
        out.print(f"would get a banner: {what}, then {banner.now}", markup=False)


def _describe_cause(table: Table, verdict: str) -> str:
    (move,) = [move for move in table.moves if move.verdict == verdict]
    return f"{move.hypothesis}: {move.outcome}, run {move.run}{', deviated' if move.deviated else ''}"


def _make_plain(table: Table, seen: Prospect | None) -> dict[str, object]:
    plain: dict[str, object] = {
        "claims": {
            name: {
                "statement": claim.statement,
                "stands_on": claim.stands_on,
                **table.standings[name].model_dump(mode="json"),
                "note": table.notes.get(name),
                "asked": [{"hypothesis": one.hypothesis, **one.state._asdict()} for one in table.asked.get(name, ())],
            }
            for name, claim in table.claims.claims.items()
        },
        "changes": [change.model_dump() for change in (table.changes if seen is None else seen.changes)],
        "verdicts": {
            move.verdict: {
                "hypothesis": move.hypothesis,
                "run": move.run,
                "outcome": move.outcome,
                "deviated": move.deviated,
            }
            for move in table.moves
        },
    }
    if seen is not None:
        plain["concerned"] = [{"run": move.run, **banner.model_dump(mode="json")} for move, banner in seen.concerned]
    return plain
