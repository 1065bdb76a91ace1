"""``harness export``: a verdict or a run for people and programs that don't know harness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import VerdictsOption, open_trail_here, out, show_path, verb
from harness.errors import UsageError


@app.command()
@verb
def export(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    form: Annotated[str, typer.Option("--as", help="Format of the export: in-toto or ro-crate.", show_default=False)],
    to: Annotated[
        Path, typer.Option("--out", help="File or folder to create; it must not exist yet.", show_default=False)
    ],
    verdicts: VerdictsOption = None,
) -> None:
    """Write a verdict as an in-toto statement, or a run with all attempts and the ledger as an RO-Crate."""
    from harness.pipeline.export import export_crate, export_statement

    exports = {"in-toto": export_statement, "ro-crate": export_crate}
    if form not in exports:
        raise UsageError(f"unknown form {form!r}", where="--as", remedy=f"use {' or '.join(exports)}")
    exports[form](name, open_trail_here(verdicts), to)
    out.only_tells()
    out.print(str(show_path(to)), markup=False)
