"""``harness jobs``: what a run trains elsewhere; ``harness worker``, which jobs are started with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import FormatOption, err, find_project_here, out, print_json, verb, wants_json
from harness.cli.run import reporting
from harness.errors import UsageError

CODES = {"done": 0, "stopped": 75, "differs": 78, "failed": 1}
"""End of a worker → its exit code: those of sysexits.h for what may be tried again, and for other settings."""


@app.command()
@verb
def jobs(
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="Place whose jobs are meant: a name of [tool.harness.on], or tls://HOST:PORT. Variable: HARNESS_ON.",
            show_default=False,
            envvar="HARNESS_ON",
            show_envvar=False,
        ),
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the jobs that wait or run, with checkpoints where they train.")
    ] = False,
    form: FormatOption = "text",
) -> None:
    """List the jobs of runs that train at a place of [tool.harness.on], and how far each has come; or end them.

    Files of a run's jobs are kept until the run has its verdict.
    """
    from harness.pipeline.job_list import cancel_jobs, list_jobs
    from harness.pipeline.places import find_place

    if on is None:
        raise UsageError("no place is named", where="--on", remedy="name one of [tool.harness.on] in pyproject.toml")
    place = find_place(on, find_project_here())
    if cancel:
        err.print(f"{cancel_jobs(place)} ended at {place.name}", markup=False)
        return
    found = list_jobs(place)
    if wants_json(form):
        print_json([one.model_dump() for one in found])
        return
    for one in found:
        out.print(one.describe(), markup=False)
    if not found:
        err.print(f"no run has jobs at {place.name}", markup=False)


@app.command(hidden=True)
@verb
def worker(folder: Annotated[Path, typer.Argument(help="Folder of the job.")]) -> None:
    """Train what lies in a job's folder; started by harness run --on."""
    from harness.pipeline.worker import work

    with reporting() as reporter:
        end = work(folder, reporter)
    if end.message:
        err.print(f"{end.how}: {end.message}", markup=False)
    raise typer.Exit(CODES[end.how])
