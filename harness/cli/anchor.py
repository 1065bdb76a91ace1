"""``harness anchor``: evidence from outside that the ledger's head existed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import VerdictsOption, err, open_trail_here, out, verb
from harness.errors import UsageError


@app.command()
@verb
def anchor(
    tsa: Annotated[
        str | None, typer.Option("--tsa", help="URL of an RFC 3161 time-stamp authority.", show_default=False)
    ] = None,
    sign: Annotated[Path | None, typer.Option("--sign", help="SSH key to sign with.", show_default=False)] = None,
    verdicts: VerdictsOption = None,
) -> None:
    """Have an authority time-stamp the ledger's head, or sign it with an SSH key. harness audit checks both."""
    from harness import ledger

    if tsa is None and sign is None:
        raise UsageError("give either --tsa or --sign", remedy="harness anchor --sign ~/.ssh/id_ed25519")
    trail = open_trail_here(verdicts)
    anchored = ledger.stamp(trail, tsa) if tsa is not None else ledger.sign(trail, sign or Path())
    out.only_tells()
    index = trail.index()
    for entry in anchored:
        how = "stamped by" if tsa is not None else "signed with"
        when = f" at {entry.body.time}" if entry.body.time else "; a signature tells no time"
        out.print(f"{entry.body.head}: {how} {entry.body.by}{when}", markup=False)
        out.print(f"    {ledger.describe_cover(index, entry.body.head)}", markup=False)
    err.print(f"ledger head, worth keeping elsewhere: {anchored[-1].digest}", markup=False)
