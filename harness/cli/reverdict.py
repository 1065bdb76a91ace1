"""``harness reverdict``: a stored run judged again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import VerdictsOption, err, out, shown, verb


@app.command()
@verb
def reverdict(
    name: Annotated[str, typer.Argument(help="A hypothesis's id or a run's first digits.", show_default=False)],
    verdicts: VerdictsOption = None,
    figures: Annotated[bool, typer.Option("--figures", help="Draw the figures again too, and compare them.")] = False,
) -> None:
    """Judge a stored run again from its registration and results, and compare the bytes. Needs no GPU and no data."""
    from harness import pipeline

    again = pipeline.reverdict(name, verdicts if verdicts is not None else Path("verdicts"), figures=figures)
    out.print(f"{shown(again.folder)}: {again.outcome}", markup=False)
    if again.differing:
        err.print(f"differs from what is stored: {', '.join(again.differing)}", markup=False)
        raise typer.Exit(4)
    if again.rounded:
        err.print(f"the same but for last digits: {', '.join(again.rounded)}", markup=False)
    if again.redrawn:
        err.print(f"the same numbers, drawn otherwise here: {', '.join(again.redrawn)}", markup=False)
    if not again.rounded and not again.redrawn:
        drawn = "" if again.drawn else ", figures as the ledger names them (--figures draws them again)"
        err.print(f"the same to the byte{drawn}", markup=False)
