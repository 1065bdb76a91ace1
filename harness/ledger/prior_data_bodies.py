"""The bodies of events by which prior data become known: somebody looked before the end, or before the beginning."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from harness.ledger.attempt_records import AttemptProgress
from harness.ledger.body_fields import Run
from harness.ledger.pins import Digest
from harness.plugins.fields import Unit
from harness.records import Record
from harness.records.base import Id, Name
from harness.records.linked import Export


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
    """Progress of the attempt by then; None if nobody could tell."""


class ExploredBody(Record):
    """Prior data: results that existed already were read against a hypothesis that was not registered.

    It is no attempt, gives no outcome that counts, and moves no claim.
    """

    hypothesis: Id
    """The hypothesis's id."""
    raw: Digest
    """Digest of the YAML file; its bytes are an object."""
    canonical: Digest
    """Digest of its meaning, as in ``registered``; its bytes are an object."""
    claims: Digest
    """Digest of the claims file, without which the file can't be read; its bytes are an object."""
    exports: tuple[Export, ...] = Field(min_length=1)
    """Files that tell of the runs, in the order in which they were given; their bytes are objects."""
    incomplete: bool = False
    """True if seeds without a run that counts, or with one that failed, were let count as failed."""
    seeds: Annotated[int, Unit("seeds")]
    """Number of seeds that the runs have."""
    counted: Annotated[int, Unit("runs")]
    """Number of runs that count, of all that are told."""
    would_be: Name
    """Outcome that the file's rules would give; it is exploratory, whatever it is."""
    results: Digest
    """Digest of what the runs came to, in the form of results.json; its bytes are an object."""
    report: Digest
    """Digest of the report, Markdown; its bytes are an object."""
    code: Digest
    """Digest of the code that judged and wrote it, as in an environment."""
