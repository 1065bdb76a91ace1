"""``harness compare``: two verdicts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import FormatOption, VerdictsOption, escape, open_trail_here, out, print_json, verb, wants_json

if TYPE_CHECKING:
    from harness.domain.form_differences import Difference
    from harness.pipeline.compare import Comparison, Part

NAME = "Id of a hypothesis (its last verdict), or the first digits of a run."


@app.command()
@verb
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=NAME, show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help=NAME, show_default=False)],
    verdicts: VerdictsOption = None,
    form: FormatOption = "text",
) -> None:
    """Show two runs or verdicts side by side: what differs, what they estimate, and whether they contradict each other.

    Arms are the same if they are trained alike, whatever their names, and b - a is compared as the negative of a - b.
    They contradict each other if they decide on the same quantity (the same comparison of arms that are trained alike)
    and no true value is left possible by the tests of both. If only the comparison is the same, they are opposed.
    """
    from harness.api.comparisons import DECISIONS, ComparisonView
    from harness.pipeline.compare import compare_runs

    as_json = wants_json(form)
    found = compare_runs(first, second, open_trail_here(verdicts))
    if as_json:
        print_json(_make_plain(found))
        return
    seen = ComparisonView(found)
    for line in seen.sides:
        out.print(line, markup=False)
    _show(DECISIONS, seen.decisions)
    if seen.settings:
        _show(("setting", "first", "second"), seen.settings)
    if seen.circumstances:
        _show(("circumstance", "first", "second"), seen.circumstances)
    for line in (*seen.claims, seen.conclusion):
        out.print(line, markup=False)


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def _make_plain(found: Comparison) -> dict[str, object]:
    return {
        "first": asdict(found.first),
        "second": asdict(found.second),
        "same_seeds": found.same_seeds,
        "arms": dict(found.arms),
        "contradict": found.contradict,
        "conclusion": found.conclusion,
        "decisions": [
            {
                "name": pair.name,
                "other_name": pair.other_name,
                "first": _plain_part(pair.first),
                "second": _plain_part(pair.second),
                "relation": pair.relation,
                "why": pair.why,
                "difference": pair.difference,
                "difference95": pair.difference95,
                "compared": pair.turn.told,
            }
            for pair in found.decisions
        ],
        "settings": [_plain_difference(one) for one in found.settings],
        "circumstances": [_plain_difference(one) for one in found.circumstances],
        "claims": [asdict(one) for one in found.claims],
    }


def _plain_part(part: Part | None) -> dict[str, object] | None:
    if part is None:
        return None
    ends = part.interval and [_plain_number(end) for end in part.interval]
    return {
        "outcome": part.outcome,
        "estimate": None if part.estimate is None else _plain_number(part.estimate),
        "interval": ends,
        "level": part.level,
        "p": part.p,
        "n": part.n,
        "unit": part.unit,
        "possible": [str(interval) for interval in part.possible],
    }


def _plain_number(value: float) -> float | str:
    """Return a number as verdict.json writes it: JSON has no infinite ones."""
    return value if abs(value) != float("inf") else "inf" if value > 0 else "-inf"


def _plain_difference(one: Difference) -> dict[str, object]:
    from harness.domain.form_differences import ABSENT

    return {
        "field": one.field,
        "first": None if one.before is ABSENT else one.before,
        "second": None if one.now is ABSENT else one.now,
    }
