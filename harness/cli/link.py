"""``harness link``: runs of a registered hypothesis that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import ExportFormOption, File, VerdictsOption, collect_settings, out, verb
from harness.cli.run import print_head, print_report, reporting


@app.command()
@verb
def link(
    file: File,
    exports: Annotated[
        list[Path] | None,
        typer.Argument(help="Files that tell of the runs. Default: none, and the runs to make are listed as CSV."),
    ] = None,
    form: ExportFormOption = None,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Count registered seeds without a valid run as failed."),
    ] = False,
    verdicts: VerdictsOption = None,
) -> None:
    """Enter runs that were made elsewhere after the registration, by its seeds and parameters, and judge them.

    Every run is counted, excluded by a rule of the file, or rejected with a reason. The verdict says that it was
    trained outside harness. The files are kept in the trail as they are.
    """
    from harness.pipeline.link import link_runs, write_wanted
    from harness.pipeline.session import Session

    with reporting() as reporter:
        session = Session.open(file, collect_settings(verdicts=verdicts), reporter)
        if not exports:
            out.write(write_wanted(file, session))
            return
        report = link_runs(file, exports, form, session, incomplete=incomplete)
    print_report(report, pilot=False, mark="; trained outside harness")
    print_head(report)
