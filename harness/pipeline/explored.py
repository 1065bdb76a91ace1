"""Explorations as the trail holds them: without what it takes to make one."""

from __future__ import annotations

from dataclasses import dataclass

from harness import ledger
from harness.ledger import Exploration, Ledger, name_run
from harness.ledger.prior_data_bodies import ExploredBody


@dataclass(frozen=True)
class Explored:
    """A reading of results that exist already."""

    hypothesis: str
    """The hypothesis's id."""
    name: str
    """First digits of its event, by which a registration declares it."""
    body: ExploredBody
    """The event's body."""
    time: str
    """Claimed time of the event, UTC."""
    report: str
    """The report, Markdown."""


def read_shown(name: str, trail: Ledger) -> Explored | None:
    """Read the last exploration of a hypothesis, or the one of these first digits; None if a verdict has that name too.

    Raises:
        UsageError: several begin with these digits.
        Tampered: its report is not what was written.
    """
    if any(ledger.is_called(run, name) for run in trail.index().judged_runs):
        return None
    entry = ledger.find_exploration(trail, name)
    return None if entry is None else describe_entered(entry, trail)


def list_explored(trail: Ledger, hypothesis: str | None = None) -> tuple[Explored, ...]:
    """Read the explorations of a hypothesis, or all, in ledger order.

    Raises:
        Tampered: a report is not what was written.
    """
    return tuple(describe_entered(entry, trail) for entry in ledger.list_explorations(trail, hypothesis))


def describe_entered(entry: Exploration, trail: Ledger) -> Explored:
    """Describe an exploration, with its report.

    Raises:
        Tampered: the report is not what was written.
    """
    report = trail.read_object(entry.body.report).decode(errors="replace")
    return Explored(entry.body.hypothesis, name_run(entry.digest), entry.body, entry.claimed_time, report)
