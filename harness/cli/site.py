"""``harness site``: the trail as static pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    collect_settings,
    err,
    find_hypotheses_here,
    open_trail_here,
    out,
    print_error,
    show_path,
    verb,
)
from harness.system.names import refuse_file_name
from harness.wording import format_count


@app.command()
@verb
def site(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Folder to build in: a new one, an empty one, or an earlier site.", show_default=False
        ),
    ],
    verdicts: VerdictsOption = None,
    title: Annotated[str, typer.Option("--title", help="Name of the site.")] = "Verdicts",
) -> None:
    """Build a static site of the trail: hypotheses, verdicts, claims, and an audit; only what changed is built again.

    It needs no server and no network. Nothing on it is evidence, and every page says so.
    """
    from harness.site import build_site

    refuse_file_name(folder, "OUT", "a site is a folder, whose first page is index.html: name the folder")
    trail = open_trail_here(verdicts)
    built = build_site(folder, trail, find_hypotheses_here(), title, collect_settings(verdicts=verdicts))
    out.only_tells()
    for problem in built.problems:
        err.print("not shown:", markup=False)
        print_error(problem)
    changed = format_count(len(built.written), "file") if built.written else "nothing"
    gone = f", {len(built.removed)} removed" if built.removed else ""
    err.print(f"{format_count(built.pages, 'page')}, {changed} written{gone}", markup=False)
    out.print(str(show_path(folder / "index.html")), markup=False)
    if built.problems:
        raise typer.Exit(max(problem.exit_code for problem in built.problems))
