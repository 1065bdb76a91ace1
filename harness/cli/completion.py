"""``harness completion``: the shell completes verbs, options, ids and runs."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import out, verb
from harness.cli.shells import SCRIPTS
from harness.errors import UsageError


@app.command()
@verb
def completion(
    shell: Annotated[str, typer.Argument(help="Kind of shell: bash, zsh or fish.", show_default=False)],
) -> None:
    """Print what makes a shell complete verbs, options, ids and runs; its first line says where it belongs."""
    if shell not in SCRIPTS:
        raise UsageError(f"unknown shell {shell!r}", where="harness completion", remedy="use bash, zsh or fish")
    out.write(SCRIPTS[shell])


@app.command(hidden=True)
def complete(words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print what may come next after the words, the last of which may be begun: a line each, with what it is.

    It never says anything else: whoever types would see it in the middle of a line.
    """
    from contextlib import suppress

    from harness.cli.completing import complete as find_candidates
    from harness.wording import make_plain_line

    with suppress(Exception):
        for word, about in find_candidates(words or [""]):
            if word == make_plain_line(word) and not word.isspace():
                out.write(f"{word}\t{make_plain_line(about)}\n")
