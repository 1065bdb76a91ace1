"""``harness export``: a verdict or a run for people and programs that don't know harness."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import VerdictsOption, err, open_trail_here, out, show_path, verb
from harness.errors import UsageError
from harness.exporters import export_run, find_exporter, list_formats


@app.command()
@verb
def export(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option("--as", help=f"Format of the export: {', '.join(list_formats())}.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File or folder to create; nothing is overwritten.", show_default=False),
    ] = None,
    verdicts: VerdictsOption = None,
) -> None:
    """Write a run for other programs: as statement or crate, as tidy tables, or for a tracker. Nothing is read back.

    Without --as, the formats are listed, each with what it writes and where to.
    """
    if form is None:
        raise UsageError("an export needs a format", where="--as", remedy=f"use one of these:\n{_list_formats()}")
    exporter = find_exporter(form)
    if to is None:
        remedy = f"add --out PATH; {form} writes {exporter.about}"
        raise UsageError("an export needs a place", where="--out", remedy=remedy)
    written = export_run(name, form, open_trail_here(verdicts), to)
    out.only_tells()
    for path in written:
        out.print(str(show_path(path)), markup=False)
    if exporter.shown_by is not None:
        err.print(f"to look at it: {exporter.shown_by.format(out=quote(str(show_path(to))))}", markup=False)


def _list_formats() -> str:
    return "\n".join(f"      {form}: {find_exporter(form).about}" for form in list_formats())
