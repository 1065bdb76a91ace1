"""What each type of event says: its body.

| type           | appended                             | body                                                       |
|----------------|--------------------------------------|------------------------------------------------------------|
| `registered`   | before anything is run               | hypothesis, title, raw, canonical, claims, seeds, pins,    |
|                |                                      | data                                                       |
| `run_started`  | before the first seed trains         | hypothesis, registration, raw, canonical, pins, data,      |
|                |                                      | plan, seeds, environment, device, command, deviations      |
| `run_finished` | when results.json is durable         | run, results                                               |
| `run_failed`   | when training stopped for good       | run, reason                                                |
| `run_aborted`  | when a person closes an attempt      | run, reason                                                |
| `verdict`      | when a finished run was judged       | run, outcome, files                                        |
| `pilot`        | before a scaled-down, exploratory run | hypothesis, settings                                       |

``run`` is the full digest of the run_started event. Integers stay below 2^53 (RFC 8785); larger ones are written as
text. A new type is one record here and one line in ``BODIES``; a field added to a type needs a default, because old
events don't have it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from harness.fields import Unit
from harness.ledger.environment import Environment
from harness.ledger.pins import Digest, Pins
from harness.records import Record
from harness.records.base import Id, Name, Text

RelativePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=255)
]
"""A file below a run folder; it cannot lead out of it."""


class RegisteredBody(Record):
    """A pre-registration."""

    hypothesis: Id
    """The hypothesis's id."""
    title: Text
    """Its statement."""
    raw: Digest
    """Of the YAML file; its bytes are an object."""
    canonical: Digest
    """Of the hypothesis with all defaults as RFC 8785 bytes, which are an object too."""
    claims: Digest
    """Of the claims file; its bytes are an object."""
    seeds: Annotated[int | tuple[int, ...], Unit("seeds, or seed numbers")]
    """How many are derived from this event's digest, or the hand-picked ones."""
    pins: Pins
    """Code that the run will use."""
    data: dict[str, Digest]
    """Data-set name → fingerprint, where it was known."""


class RunStartedBody(Record):
    """An attempt."""

    hypothesis: Id
    """The hypothesis's id."""
    registration: Digest
    """Event that registered the hypothesis first."""
    raw: Digest
    """The YAML file as it is run."""
    canonical: Digest
    """The hypothesis as it is run."""
    pins: Pins
    """The code that runs."""
    data: dict[str, Digest] = Field(default_factory=dict)
    """Data-set name → fingerprint of what was loaded, where it was loaded before the start."""
    plan: Digest
    """Of the plan: arms × seeds and how they are grouped."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The seed numbers, in order."""
    environment: Environment
    """Versions, machine and settings."""
    device: str
    """What trains, in words."""
    command: str
    """The command, as another person could give it."""
    deviations: tuple[str, ...] = ()
    """What differs from the registration, one sentence each."""


class RunFinishedBody(Record):
    """The end of an attempt whose results are complete."""

    run: Digest
    """Digest of the run_started event."""
    results: Digest
    """Of results.json."""


class RunClosedBody(Record):
    """The end of an attempt without results: run_failed and run_aborted."""

    run: Digest
    """Digest of the run_started event."""
    reason: Text
    """Why it ended without results."""


class VerdictBody(Record):
    """What came out of a finished attempt."""

    run: Digest
    """Digest of the run_started event."""
    outcome: Name
    """A band's or combination's name, inconclusive or invalid."""
    files: dict[RelativePath, Digest]
    """results.json, verdict.json, verdict.md, env.json and figures: path below the run folder → digest."""


class PilotBody(Record):
    """Prior data: somebody looked."""

    hypothesis: Id
    """The hypothesis's id."""
    settings: dict[str, JsonValue]
    """How it was scaled down."""


BODIES: dict[str, type[Record]] = {
    "registered": RegisteredBody,
    "run_started": RunStartedBody,
    "run_finished": RunFinishedBody,
    "run_failed": RunClosedBody,
    "run_aborted": RunClosedBody,
    "verdict": VerdictBody,
    "pilot": PilotBody,
}
