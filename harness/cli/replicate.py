"""``harness replicate``: a run trained again on this machine, and compared."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    VerdictsOption,
    collect_settings,
    err,
    open_session_here,
    out,
    verb,
)
from harness.cli.run import reporting


@app.command()
@verb
def replicate(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    compile_programs: Annotated[
        str, typer.Option("--compile", help="Compile the programs of a GPU: auto (where it saves time), on or off.")
    ] = "auto",
) -> None:
    """Train a run again with its registered seeds and compare: bits on the same device and plan, else statistics.

    This is not a new attempt; it is entered in the ledger whatever the result.
    """
    from harness.pipeline.replicate import replicate_run

    settings = collect_settings(device, data, verdicts, compile=compile_programs)
    with reporting() as reporter:
        again = replicate_run(name, open_session_here(settings, reporter))
    out.only_tells()
    said = {
        "bits": "the same results to the bit",
        "statistics": "the same statistics within the registered tolerance",
        "none": "it does not agree",
    }
    out.print(f"{again.hypothesis} {again.run}: {said[again.agreement]}; outcome {again.outcome}", markup=False)
    for sentence in again.differences:
        out.print(f"    {sentence}", markup=False)
    if again.expected == "bits":
        out.print("expected: the same bits, on the same device, plan, code and packages", markup=False)
    else:
        out.print("expected: the same statistics, because other than in the run", markup=False)
        for sentence in again.circumstances:
            out.print(f"    {sentence}", markup=False)
    err.print(f"ledger head, worth keeping elsewhere: {again.head}", markup=False)
    if not again.holds:
        raise typer.Exit(4)
