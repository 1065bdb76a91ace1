"""``harness paper``: from verdicts what a paper needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    VerdictsOption,
    err,
    find_hypotheses_here,
    open_trail_here,
    out,
    print_error,
    show_path,
    verb,
)
from harness.errors import UsageError
from harness.wording import format_count


@app.command()
@verb
def paper(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME…", help="Ids of hypotheses, or first digits of runs.", show_default=False),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder to write: a new one, an empty one, or an earlier paper. Default: paper. With --form: a file; "
            "default: standard output.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--form", help="Write one registration in the questions of osf or aspredicted.", show_default=False
        ),
    ] = None,
    verdicts: VerdictsOption = None,
) -> None:
    """Write what a paper needs, in LaTeX and Markdown, with figures: results, methods, attempts, a checklist.

    A pre-registration statement is among it. Every number carries its run, and harness audit holds it against that.
    """
    from harness.pipeline.paper import write_form, write_paper

    if form is not None:
        if len(names) > 1:
            raise UsageError("a form is that of one registration", where="--form", remedy="name one hypothesis")
        text = write_form(names[0], form, open_trail_here(verdicts), to)
        if to is None:
            out.write(text)
            return
        out.only_tells()
        out.print(str(show_path(to)), markup=False)
        return
    trail = open_trail_here(verdicts)
    done = write_paper(names, trail, Path("paper") if to is None else to)
    out.only_tells()
    for error in done.undrawn:
        err.print("left out:", markup=False)
        print_error(error)
    err.print(f"{format_count(done.numbers, 'number')}, each marked with its run", markup=False)
    out.print(str(show_path(done.folder / "paper.tex")), markup=False)
    _tell_unseen(done.folder, trail.root, verdicts)
    if done.undrawn:
        raise typer.Exit(max(error.exit_code for error in done.undrawn))


def _tell_unseen(folder: Path, trail: Path, verdicts: Path | None) -> None:
    """Say so where no audit looks for a paper by itself, and how one is told of it; ``trail``: its folder."""
    from harness.pipeline.paper_manifest import find_papers, quote_path
    from harness.pipeline.roots import find_root

    root = find_root(find_hypotheses_here())
    if any(path.samefile(folder) for path in find_papers(root, trail)):
        return
    named = f" --verdicts {quote_path(verdicts)}" if verdicts is not None else ""
    err.print(
        "harness audit does not find this paper by itself: it looks two folders deep in the project, and not in hidden "
        f"ones or links. Name it: harness audit --paper {quote_path(show_path(folder))}{named}",
        markup=False,
    )
