"""``harness register``, ``harness amend`` and ``harness close``: what is entered into the ledger without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import app
from harness.cli.common import (
    DataOption,
    File,
    RoundOption,
    VerdictsOption,
    collect_settings,
    err,
    open_trail_here,
    out,
    verb,
)
from harness.cli.signals import signals
from harness.wording import make_plain_line

if TYPE_CHECKING:
    from harness.pipeline.session import Reporter

ReasonOption = Annotated[
    str, typer.Option("--reason", help="Reason, which is recorded in the ledger for good.", show_default=False)
]


@app.command()
@verb
def register(file: File, data: DataOption = None, verdicts: VerdictsOption = None) -> None:
    """Register a hypothesis without running it. This fixes its file, its meaning, the code and the data."""
    from harness.pipeline.register import register_hypothesis
    from harness.pipeline.session import Session

    session = Session.open(file, collect_settings(None, data, verdicts), _make_reporter())
    entered = register_hypothesis(file, session)
    out.only_tells()
    out.print(f"{entered.hypothesis.id}: registered as {entered.event.digest[:12]}", markup=False)
    out.print(entered.seeds, markup=False)
    _print_data(entered.data)
    _print_head(entered.event.digest)


@app.command()
@verb
def amend(file: File, reason: ReasonOption, data: DataOption = None, verdicts: VerdictsOption = None) -> None:
    """Amend a registration: record each field that differs now, with the reason and the attempts so far.

    Unless the amendment provably precedes every run, and the round of the file's beacon if it names one, later verdicts
    say that they deviate. Changes of comments and wording are no deviation.
    """
    from harness.pipeline.register import amend_registration
    from harness.pipeline.session import Session

    session = Session.open(file, collect_settings(None, data, verdicts), _make_reporter())
    entered = amend_registration(file, session, reason)
    out.only_tells()
    body = entered.body
    out.print(f"{entered.hypothesis.id}: amended by {entered.event.digest[:12]}", markup=False)
    for difference in body.differences:
        out.print(f"    {difference}", markup=False)
    if body.kind == "comment":
        alone = "" if body.differences else "only comments and layout differ: "
        out.print(f"{alone}the meaning is the registered one", markup=False)
    elif runs := [run[:12] for run, state in body.attempts.items() if state.status != "pilot"]:
        out.print(
            f"after run {', '.join(runs)}: later verdicts deviate from the registration, and say so", markup=False
        )
    elif entered.known is not None:
        out.print(f"{entered.known}: later verdicts deviate from the registration, and say so", markup=False)
    else:
        out.print(f"before any run in this trail{f'; {entered.remark}' if entered.remark else ''}", markup=False)
    _print_data(entered.data)
    _print_head(entered.event.digest)


@app.command()
@verb
def seed(file: File, round_file: RoundOption = None, verdicts: VerdictsOption = None) -> None:
    """Draw the seeds of a registered hypothesis from its beacon's round, without running it.

    A run does this by itself. Use this verb where the machine that trains has no network.
    """
    from harness.pipeline.draw import draw_seeds
    from harness.pipeline.session import Session

    session = Session.open(file, collect_settings(None, None, verdicts, round_file=round_file), _make_reporter())
    found = draw_seeds(file, session)
    out.only_tells()
    out.print(f"{found.hypothesis.id}: {found.seeds}{'' if found.fresh else ', already'}", markup=False)
    _print_head(session.trail.heads()[0])


@app.command()
@verb
def close(
    run: Annotated[str, typer.Argument(help="First digits of an open attempt.", show_default=False)],
    reason: ReasonOption,
    verdicts: VerdictsOption = None,
) -> None:
    """Close an open attempt that will not be resumed. It stays in the ledger and in every later verdict."""
    from harness.ledger import describe_end
    from harness.pipeline.register import close_attempt

    closed = close_attempt(run, open_trail_here(verdicts), reason)
    out.only_tells()
    out.print(f"attempt {closed.body.run[:12]} closed: {make_plain_line(str(describe_end(closed.body)))}", markup=False)
    _print_head(closed.digest)


def _make_reporter() -> Reporter:
    from harness.pipeline.session import Reporter

    return Reporter(say=lambda text: err.print(text, markup=False), heed=signals.heed)


def _print_data(data: Mapping[str, str | None]) -> None:
    for name, fingerprint in data.items():
        known = f"SHA-256 {fingerprint}" if fingerprint else "not here: the run will name its fingerprint"
        out.print(f"data: {name}, {known}", markup=False)


def _print_head(head: str) -> None:
    err.print(f"ledger head, worth keeping elsewhere: {head}", markup=False)
