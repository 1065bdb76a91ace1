"""``harness explore``: results that exist already, read against a file that is not registered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import ExportFormOption, File, VerdictsOption, collect_settings, err, escape, out, verb
from harness.cli.run import reporting


@app.command()
@verb
def explore(
    file: File,
    exports: Annotated[list[Path], typer.Argument(help="Files that tell of the runs.", show_default=False)],
    form: ExportFormOption = None,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Count a seed as failed where an arm lacks it or its run failed."),
    ] = False,
    verdicts: VerdictsOption = None,
) -> None:
    """Read results that exist already against a file that is not registered: exploratory, no attempt, moving no claim.

    No command runs. The ledger says that it was done, and whoever registers the same question later must declare it as
    prior data. The files are kept in the trail as they are.
    """
    from harness.pipeline.explore import explore_results
    from harness.pipeline.session import Session
    from harness.wording import WATERMARK

    with reporting() as reporter:
        session = Session.open(file, collect_settings(verdicts=verdicts), reporter)
        found = explore_results(file, exports, form, session, incomplete=incomplete)
    out.only_tells()
    explored = found.explored
    if found.before:
        err.print(f"explored before, on {explored.time[:10]}: nothing new is entered", markup=False)
    head = f"{explored.hypothesis}: {WATERMARK}"
    out.print(f"[bold]{escape(head)}[/bold] (by the file's rules it would be {escape(explored.body.would_be)})")
    out.print(found.summary, markup=False)
    out.print(f"explored {explored.name}: harness show {explored.name}", markup=False)
    err.print(
        "whoever registers this question declares it: prior_data_seen, level analysed, by that name", markup=False
    )
    err.print(f"ledger head, worth keeping elsewhere: {found.head}", markup=False)
