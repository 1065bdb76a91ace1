"""``harness init``: a project of one's own."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import err, out, show_path, verb


@app.command()
@verb
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; made if it is not there.")] = Path(),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave files alone that are there already, and write the others.")
    ] = False,
) -> None:
    """Begin a project: pyproject.toml, hypotheses/ with claims, files for git, a workflow, a pre-commit hook, a README.

    Nothing is ever overwritten: if one of the files is there, nothing is written.
    """
    from harness.ledger.git import find_repository
    from harness.pipeline.begin import begin_project, write_wheel_command

    written, kept = begin_project(folder, keep=keep)
    for path in written:
        out.print(str(show_path(path)), markup=False)
    for path in kept:
        err.print(f"left as it is: {show_path(path)}", markup=False)
    if (command := write_wheel_command(folder)) is not None:
        err.print(
            "harness was not installed from a package index; for others and for the workflow, put its wheel into the "
            f"project and commit it: {command}",
            markup=False,
        )
    steps = ["harness new ID"]
    if find_repository(folder, folder).top is None:
        steps.insert(0, "git init")  # harness changes nothing in git
    if folder.resolve() != Path.cwd():
        steps.insert(0, f"cd {quote(str(folder))}")
    err.print(f"now: {' && '.join(steps)}", markup=False)
