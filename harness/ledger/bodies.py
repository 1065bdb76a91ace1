"""What each type of event says: its body.

| type           | appended                             | body                                                       |
|----------------|--------------------------------------|------------------------------------------------------------|
| `registered`   | before anything is run               | hypothesis, title, raw, canonical, claims, seeds, pins,    |
|                |                                      | data                                                       |
| `amended`      | when a registration is changed       | hypothesis, registration, amends, raw, canonical, claims,  |
|                |                                      | seeds, pins, data, kind, differences, reason, attempts     |
| `run_started`  | before the first seed trains         | hypothesis, registration, amendment, raw, canonical, pins, |
|                |                                      | data, plan, seeds, environment, device, arithmetic,        |
|                |                                      | command, deviations, words                                 |
| `look`         | when the seeds so far were judged    | run, seeds, outcome, p, results                            |
| `run_finished` | when results.json is durable         | run, results                                               |
| `run_failed`   | when training stopped for good       | run, reason                                                |
| `run_aborted`  | when a person closes an attempt      | run, reason                                                |
| `verdict`      | when a finished run was judged       | run, outcome, files                                        |
| `walk_back`    | after a verdict that walks back      | verdict, hypothesis, outcome, claims, in_question, concerns|
| `replicated`   | when a run was trained again         | run, expected, agreement, differences, outcome, results,   |
|                |                                      | plan, environment, device, arithmetic                      |
| `pilot`        | before a scaled-down, exploratory run | hypothesis, settings                                       |
| `anchored`     | when a head was stamped or signed    | head, kind, file, by                                       |

``run`` is the full digest of the run_started event. Integers stay below 2^53 (RFC 8785); larger ones are written as
text. A new type is one record here and one line in ``BODIES``; a field added to a type needs a default, because old
events don't have it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from harness.ledger.environment import Environment
from harness.ledger.pins import Digest, Pins
from harness.plugins.fields import Unit
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


class AttemptState(Record):
    """What an amendment's author could have seen of an attempt."""

    status: Literal["open", "finished", "failed", "aborted", "pilot"]
    """pilot, or how far it had come."""
    outcome: Name | None = None
    """If it was judged."""


class AmendedBody(Record):
    """A change to a registration, with what was known of the results when it was made.

    The fields that it shares with ``registered`` hold what is registered from here on. It is before a run if it is an
    ancestor of its run_started event, and no clock says otherwise; ``attempts`` is what the writer's ledger held.
    """

    hypothesis: Id
    """The hypothesis's id."""
    registration: Digest
    """Event that registered the hypothesis first. Seeds stay derived from it."""
    amends: Digest
    """The registration or the amendment that ``differences`` are against."""
    raw: Digest
    """Of the YAML file as it is from here on; its bytes are an object."""
    canonical: Digest
    """Of its meaning, as in ``registered``."""
    claims: Digest
    """Of the claims file; its bytes are an object."""
    seeds: Annotated[int | tuple[int, ...], Unit("seeds, or seed numbers")]
    """How many are derived from the first registration, or the hand-picked ones."""
    pins: Pins
    """Code that later runs will use."""
    data: dict[str, Digest]
    """Data-set name → fingerprint, where it was known."""
    kind: Literal["comment", "surroundings", "meaning"]
    """comment: the file's text, templates and what else is meant for words; surroundings: code that is meant for more,
    claims or data too; meaning: the hypothesis."""
    differences: tuple[str, ...]
    """Field by field, "arms.penalized.penalty.strength: 0.01 → 0.02"; empty where only the file's text differs."""
    reason: Text
    """The author's, in words."""
    attempts: dict[Digest, AttemptState]
    """Every attempt and pilot of the hypothesis up to here: run_started or pilot event → what had become of it."""


class RunStartedBody(Record):
    """An attempt."""

    hypothesis: Id
    """The hypothesis's id."""
    registration: Digest
    """Event that registered the hypothesis first."""
    amendment: Digest | None = None
    """The last amendment, if there was one; the attempt is held against it."""
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
    arithmetic: dict[str, str] | None = None
    """What selects its arithmetic besides: variables that are set, and libraries; None in events from before it was
    noted, which says nothing."""
    command: str
    """The command, as another person could give it."""
    deviations: tuple[str, ...] = ()
    """What differs from the registration, one sentence each."""
    words: str | None = None
    """What differs besides and is meant for words: templates, and code that reports, checks and keeps records. Runs
    from before it was told apart name templates among the deviations."""


class LookBody(Record):
    """A judgement of the seeds trained so far, where the file asks for looks."""

    run: Digest
    """Digest of the run_started event."""
    seeds: Annotated[int, Unit("seeds")]
    """The first so many seeds."""
    outcome: Name | None
    """What ended the run; None: nothing was decided, so the next seeds were trained."""
    p: Annotated[float | None, Unit("probability")]
    """Of the outcome or, where nothing was decided, of what blocked it; on the scale of α."""
    results: Digest
    """Of results.json as it was with these seeds."""


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


class WalkBackBody(Record):
    """Notice of what a verdict's registered implication does to claims. It adds nothing of its own: the standing of
    claims follows from the verdicts, and a notice that says otherwise is wrong."""

    verdict: Digest
    """The verdict event that walks back."""
    hypothesis: Id
    """The hypothesis's id."""
    outcome: Name
    """The verdict's."""
    claims: tuple[Id, ...] = Field(min_length=1)
    """Walked back, in the order of the registered claims file."""
    in_question: dict[Id, tuple[Id, ...]] = Field(default_factory=dict)
    """Claim → the walked-back claims that it stands on."""
    concerns: tuple[Digest, ...] = ()
    """Earlier verdict events that had supported one of all these claims, in ledger order."""


class ReplicatedBody(Record):
    """A run trained again from its registered seeds. No attempt: it adds no data and gives no outcome."""

    run: Digest
    """Digest of the run_started event."""
    expected: Literal["bits", "statistics"]
    """What was promised: the same bits on the same device, plan, code and packages; elsewhere the same statistics."""
    agreement: Literal["bits", "statistics", "none"]
    """What was found."""
    circumstances: tuple[str, ...] = ()
    """What differed from the run's circumstances, one sentence each; empty if bits were expected."""
    differences: tuple[str, ...] = ()
    """What came out otherwise, one sentence each."""
    outcome: Name
    """That the rerun's results would give."""
    results: Digest
    """Of the rerun's results.json. Where it is not the run's own, its bytes are an object."""
    plan: Digest
    """Of the plan that was trained."""
    environment: Environment
    """Versions, machine and settings of the rerun."""
    device: str
    """What trained, in words."""
    arithmetic: dict[str, str] | None = None
    """As in ``run_started``."""


class AnchoredBody(Record):
    """Evidence from outside that a head existed: ledger/anchors/<head>.tsr or .sig."""

    head: Digest
    """Digest of the event that is vouched for, and with it of all before it."""
    kind: Literal["tsa", "ssh"]
    """An RFC 3161 time stamp over the head's event file, or an SSH signature of it."""
    file: Digest
    """Of the anchor file."""
    by: Text
    """Who: the authority's address, or the public key's fingerprint."""


class PilotBody(Record):
    """Prior data: somebody looked."""

    hypothesis: Id
    """The hypothesis's id."""
    settings: dict[str, JsonValue]
    """How it was scaled down."""


BODIES: dict[str, type[Record]] = {
    "registered": RegisteredBody,
    "amended": AmendedBody,
    "run_started": RunStartedBody,
    "look": LookBody,
    "run_finished": RunFinishedBody,
    "run_failed": RunClosedBody,
    "run_aborted": RunClosedBody,
    "verdict": VerdictBody,
    "walk_back": WalkBackBody,
    "replicated": ReplicatedBody,
    "pilot": PilotBody,
    "anchored": AnchoredBody,
}
