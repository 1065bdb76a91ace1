"""``harness badge``: what an audit has just proved, as a picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    collect_settings,
    find_hypotheses_here,
    open_trail_here,
    out,
    show_path,
    verb,
)


@app.command()
@verb
def badge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="SVG to write.", show_default=False)],
    verdicts: VerdictsOption = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            "--summary", help="File to which the verdicts in a sentence each are appended.", show_default=False
        ),
    ] = None,
) -> None:
    """Audit the trail, and draw what came of it as a badge with its date: green only if that audit passed.

    Exit codes are those of harness audit; the badge is written whatever they are.
    """
    from harness.pipeline.audit import audit_trail
    from harness.site.badge import draw_badge, write_summary
    from harness.system.storage import build_storage_error, write_atomic

    trail, hypotheses = open_trail_here(verdicts), find_hypotheses_here()
    report = audit_trail(trail.root, hypotheses, None, collect_settings(verdicts=verdicts))
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    write_atomic(file, draw_badge(report, date).encode())
    out.print(str(show_path(file)), markup=False)
    if summary is not None:
        try:
            with summary.open("a", encoding="utf-8") as stream:
                stream.write(write_summary(report, trail, hypotheses, date))
        except OSError as error:
            raise build_storage_error(summary, error) from error
    if report.exit_code:
        raise typer.Exit(report.exit_code)
