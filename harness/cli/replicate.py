"""``harness replicate``: a run trained again, here or at a place, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    DeviceOption,
    GpusOption,
    OnOption,
    ParallelOption,
    VerdictsOption,
    YesOption,
    collect_settings,
    err,
    open_session_here,
    out,
    verb,
)
from harness.cli.run import reporting
from harness.wording import append_unit, format_together, typeset

if TYPE_CHECKING:
    from harness.pipeline.project import Settings


@app.command()
@verb
def replicate(
    name: Annotated[str, typer.Argument(help="Id of a hypothesis, or the first digits of a run.", show_default=False)],
    device: DeviceOption = None,
    data: DataOption = None,
    verdicts: VerdictsOption = None,
    on: OnOption = None,
    compile_programs: Annotated[
        str, typer.Option("--compile", help="Compile the programs of a GPU: auto (where it saves time), on or off.")
    ] = "auto",
    fresh: Annotated[
        str | None,
        typer.Option(
            "--fresh",
            help="Repeat it with other seeds instead, which follow from a nonce of your own (openssl rand -hex 16).",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    parallel: ParallelOption = None,
    gpus: GpusOption = None,
) -> None:
    """Train a run again with its registered seeds and compare: bits on the same device and plan, else statistics.

    This is not a new attempt; it is entered in the ledger whatever the result.
    """
    from harness.pipeline.replicate import replicate_run

    settings = collect_settings(
        device, data, verdicts, compile=compile_programs, yes=yes, parallel=parallel, gpus=gpus, on=on
    )
    if fresh is not None:
        _repeat(name, fresh, settings)
        return
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


def _repeat(name: str, nonce: str, settings: Settings) -> None:
    """Repeat a run with seeds from a nonce, and print how both agree and what they estimate together."""
    from harness.pipeline.repeat import repeat_run

    with reporting() as reporter:
        again = repeat_run(name, nonce, open_session_here(settings, reporter))
    out.only_tells()
    agrees = "it does not agree" if again.body.differences else "it agrees"
    told = f"{again.body.outcome} with seeds from the nonce, {again.verdict} by the verdict, which stays: {agrees}"
    out.print(f"{again.hypothesis} {again.run}: {told}", markup=False)
    for sentence in again.body.differences:
        out.print(f"    {sentence}", markup=False)
    for decision, numbers in again.body.combined.items():
        mean, *ends = format_together(list(numbers))
        told = append_unit(mean, again.units[decision])
        if ends:
            told += ", 95% interval " + append_unit(" to ".join(ends), again.units[decision])
        out.print(typeset(f"{decision}, over the seeds of both: {told}"), markup=False)
    err.print(f"ledger head, worth keeping elsewhere: {again.head}", markup=False)
    if again.body.differences:
        raise typer.Exit(4)
