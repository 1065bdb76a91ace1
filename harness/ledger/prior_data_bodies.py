"""The bodies of events by which prior data become known: somebody looked before the end."""

from __future__ import annotations

from pydantic import JsonValue

from harness.ledger.attempt_records import AttemptProgress
from harness.ledger.body_fields import Run
from harness.records import Record
from harness.records.base import Id


class PilotBody(Record):
    """Prior data: somebody looked."""

    hypothesis: Id
    """The hypothesis's id."""
    settings: dict[str, JsonValue]
    """The numbers that it was scaled down to."""


class PeekedBody(Record):
    """Prior data: somebody had the values of an attempt shown before its end, from here on."""

    run: Run
    """Digest of the run_started event."""
    progress: AttemptProgress | None = None
    """Its progress by then; None if nobody could tell."""
