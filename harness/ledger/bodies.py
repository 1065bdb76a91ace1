"""The bodies of events: what each type says.

| type           | appended                             | body                                                       |
|----------------|--------------------------------------|------------------------------------------------------------|
| `registered`   | before anything is run               | hypothesis, title, raw, canonical, claims, seeds, pins,    |
|                |                                      | data, beacon                                               |
| `amended`      | when a registration is changed       | hypothesis, registration, amends, raw, canonical, claims,  |
|                |                                      | seeds, pins, data, kind, differences, reason, attempts,    |
|                |                                      | beacon                                                     |
| `seeded`       | when the beacon's round is there     | hypothesis, registration, amendment, form, record, value,  |
|                |                                      | time, derivation                                           |
| `run_started`  | before the first seed trains         | hypothesis, registration, amendment, seeded, raw,          |
|                |                                      | canonical, pins, data, plan, seeds, environment, device,   |
|                |                                      | arithmetic, command, deviations, words, together, linked   |
| `tuned`        | when a search has chosen             | run, search, chosen                                        |
| `look`         | when the seeds so far were judged    | run, seeds, outcome, p, results                            |
| `run_resumed`  | when a stopped attempt goes on       | run, progress                                              |
| `run_finished` | when results.json is durable         | run, results                                               |
| `run_failed`   | when training stopped for good       | run, reason, progress                                      |
| `run_aborted`  | when a person closes an attempt      | run, reason, progress                                      |
| `verdict`      | when a finished run was judged       | run, outcome, files                                        |
| `walk_back`    | after a verdict that walks back      | verdict, hypothesis, outcome, claims, in_question, concerns|
| `replicated`   | when a run was trained again         | run, expected, agreement, differences, outcome, results,   |
|                |                                      | search, plan, environment, device, arithmetic              |
| `repeated`     | when a reader repeated a run         | run, nonce, form, results, outcome, differences,           |
|                |                                      | combined, plan, environment, device, arithmetic            |
| `measured`     | when stored weights were remeasured  | run, metrics, epochs, weights, results, plugins, data, …   |
| `pilot`        | before a scaled-down, exploratory run | hypothesis, settings                                       |
| `peeked`       | before an open attempt's values show | run, progress                                              |
| `explored`     | before earlier results are shown     | hypothesis, raw, canonical, claims, exports, results, …    |
| `anchored`     | when a head was stamped or signed    | head, kind, file, by, time                                 |

``run`` is the digest of the run_started event. Integers stay below 2^53 (RFC 8785); larger ones are text. A new type is
one member of ``EventType``, one record here and one line in ``BODIES``; an added field needs a default for old events.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from harness.ledger.attempt_records import AttemptProgress, AttemptState
from harness.ledger.body_fields import ABSENT, RelativePath, Run, Time
from harness.ledger.environment import Environment
from harness.ledger.measured_body import MeasuredBody
from harness.ledger.pins import Digest, Pins
from harness.ledger.prior_data_bodies import ExploredBody, PeekedBody, PilotBody
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.plugins.fields import Unit
from harness.records import Companion, Record
from harness.records.base import Id, Name, Text
from harness.records.linked import Link

Parameters = dict[str, JsonValue]  # a plug-in's; a reader may not have it


class EventType(StrEnum):
    """The types of events that this version writes; the ledger of a later one may hold others."""

    REGISTERED = "registered"
    AMENDED = "amended"
    SEEDED = "seeded"
    RUN_STARTED = "run_started"
    TUNED = "tuned"
    LOOK = "look"
    RUN_RESUMED = "run_resumed"
    RUN_FINISHED = "run_finished"
    RUN_FAILED = "run_failed"
    RUN_ABORTED = "run_aborted"
    VERDICT = "verdict"
    WALK_BACK = "walk_back"
    REPLICATED = "replicated"
    REPEATED = "repeated"
    MEASURED = "measured"
    PILOT = "pilot"
    PEEKED = "peeked"
    EXPLORED = "explored"
    ANCHORED = "anchored"


class RegisteredBody(Record):
    """A pre-registration."""

    hypothesis: Id
    """The hypothesis's id."""
    title: Text
    """Statement of the hypothesis."""
    raw: Digest
    """Digest of the YAML file; its bytes are an object."""
    canonical: Digest
    """Digest of the hypothesis with all defaults as RFC 8785 bytes, which are an object too."""
    claims: Digest
    """Digest of the claims file; its bytes are an object."""
    seeds: Annotated[int | tuple[int, ...], Unit("seeds, or seed numbers")]
    """The number of seeds that are derived, or the hand-picked seeds."""
    pins: Pins
    """Code that the run will use."""
    data: dict[str, Digest]
    """Data-set name → fingerprint, where it was known."""
    beacon: Parameters | None = ABSENT
    """The beacon from which seeds are derived, with its parameters; None: they are derived from this event's digest."""


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
    """Digest of the YAML file as it is from here on; its bytes are an object."""
    canonical: Digest
    """Digest of its meaning, as in ``registered``."""
    claims: Digest
    """Digest of the claims file; its bytes are an object."""
    seeds: Annotated[int | tuple[int, ...], Unit("seeds, or seed numbers")]
    """The number of seeds that are derived, or the hand-picked seeds."""
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
    beacon: Parameters | None = ABSENT
    """The beacon that the registration fixed, which no amendment changes."""


class SeededBody(Record):
    """The draw of a registration's seeds: a beacon's round, and what it was drawn for.

    Seeds follow from ``form`` and ``value`` alone, so that nothing else in the ledger can be varied to get others.
    """

    hypothesis: Id
    """The hypothesis's id."""
    registration: Digest
    """Event that registered the hypothesis first, and fixed the beacon and with it the round."""
    amendment: Digest | None = None
    """The last amendment before, if there was one; ``form`` is of it."""
    form: Digest
    """Digest of the normal form (``harness.domain.normal_form``); its bytes are an object."""
    record: Digest
    """Digest of the round's record, from which anybody verifies it; its bytes are an object."""
    value: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64}|[0-9a-f]{128})$")]
    """The round's value, hexadecimal."""
    time: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,6})?Z$")]
    """The beacon's own time of the round, UTC."""
    derivation: Annotated[str, StringConstraints(pattern=r"^[a-z0-9/._-]+$", max_length=64)]
    """Name of the rule by which seeds follow from ``form`` and ``value``."""


class RunStartedBody(Record):
    """An attempt."""

    hypothesis: Id
    """The hypothesis's id."""
    registration: Digest
    """Event that registered the hypothesis first."""
    amendment: Digest | None = None
    """The last amendment, if there was one; the attempt is held against it."""
    seeded: Digest | None = ABSENT
    """The event that drew the seeds; None if they follow from the registration alone, or are hand-picked."""
    raw: Digest
    """The YAML file as it is run."""
    canonical: Digest
    """The hypothesis as it is run."""
    pins: Pins
    """The code that runs."""
    data: dict[str, Digest] = Field(default_factory=dict)
    """Data-set name → fingerprint of what was loaded, where it was loaded before the start."""
    plan: Digest
    """Digest of the plan: arms × seeds and how they are grouped."""
    together: tuple[Companion, ...] = Field(default=(), exclude_if=lambda value: not value)
    """The hypotheses whose replicas train in cohorts with those of this attempt, itself among them, in the order from
    which the plan follows; empty if it trains alone."""
    linked: Link | None = ABSENT
    """The files that tell of runs made elsewhere, from which its results were taken; None if it was trained here."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The seed numbers, in order."""
    environment: Environment
    """Versions, machine and settings."""
    device: str
    """The device that trains, in words."""
    arithmetic: dict[str, str] | None = None
    """Variables that are set and libraries, which also select its arithmetic; None in events from before they were
    noted, which says nothing."""
    command: str
    """The command, as another person could give it."""
    deviations: tuple[str, ...] = ()
    """Differences from the registration, one sentence each."""
    words: str | None = None
    """Other differences, in what is meant for words: templates, and code that reports, checks and keeps records. Runs
    from before it was told apart name templates among the deviations."""


class TunedBody(Record):
    """The choice of a search, before the first deciding seed trains."""

    run: Run
    """Digest of the run_started event."""
    search: Digest
    """Digest of search.json: what all candidates came to."""
    chosen: Annotated[dict[Name, dict[str, bool | int | float | str]], Unit("that of the setting")]
    """Arm → path inside it → chosen value."""


class LookBody(Record):
    """A judgement of the seeds trained so far, where the file asks for looks."""

    run: Run
    """Digest of the run_started event."""
    seeds: Annotated[int, Unit("seeds")]
    """The number of seeds that were judged, the first ones."""
    outcome: Name | None
    """The outcome that ended the run; None: nothing was decided, so the next seeds were trained."""
    p: Annotated[float | None, Unit("probability")]
    """The outcome's p or, where nothing was decided, that of what blocked it; on the scale of α."""
    results: Digest
    """Digest of results.json as it was with these seeds."""


class RunResumedBody(Record):
    """The beginning of another session of an attempt that had been stopped."""

    run: Run
    """Digest of the run_started event."""
    progress: AttemptProgress | None = None
    """Progress of the attempt by then; None if nobody could tell."""


class RunFinishedBody(Record):
    """The end of an attempt whose results are complete."""

    run: Run
    """Digest of the run_started event."""
    results: Digest
    """Digest of results.json."""


class RunClosedBody(Record):
    """The end of an attempt without results."""

    run: Run
    """Digest of the run_started event."""
    reason: Text
    """The reason that it ended without results."""
    progress: AttemptProgress | None = None
    """Progress of the attempt by then; None if its working files were elsewhere, and in events from before this was
    noted."""


class RunFailedBody(RunClosedBody):
    """The end of an attempt whose training or judging stopped for good."""


class RunAbortedBody(RunClosedBody):
    """The end of an attempt that a person closed."""


class VerdictBody(Record):
    """The outcome of a finished attempt."""

    run: Run
    """Digest of the run_started event."""
    outcome: Name
    """A band's or combination's name, inconclusive or invalid."""
    files: dict[RelativePath, Digest]
    """results.json, verdict.json, verdict.md, env.json and figures: path below the run folder → digest."""


class WalkBackBody(Record):
    """Notice of what a verdict's registered implication does to claims.

    It adds nothing of its own: the standing of claims follows from the verdicts, and a notice that says otherwise is
    wrong.
    """

    verdict: Digest
    """The verdict event that walks back."""
    hypothesis: Id
    """The hypothesis's id."""
    outcome: Name
    """The verdict's outcome."""
    claims: tuple[Id, ...] = Field(min_length=1)
    """The claims that are walked back, in the order of the registered claims file."""
    in_question: dict[Id, tuple[Id, ...]] = Field(default_factory=dict)
    """Claim → the walked-back claims that it stands on."""
    concerns: tuple[Digest, ...] = ()
    """Earlier verdict events that had supported one of all these claims, in ledger order."""


class AnchoredBody(Record):
    """Evidence from outside that a head existed: ledger/anchors/<head>.tsr or .sig."""

    head: Digest
    """Digest of the event that is vouched for, and with it of all before it."""
    kind: Literal["tsa", "ssh"]
    """An RFC 3161 time stamp over the head's event file, or an SSH signature of it."""
    file: Digest
    """Digest of the anchor file."""
    by: Text
    """The one who vouches: the authority's address, or the public key's fingerprint."""
    time: Time | None = ABSENT
    """The time that a stamp tells, UTC; None for a signature, and in events from before it was noted."""


BODIES: Mapping[str, type[Record]] = {
    EventType.REGISTERED: RegisteredBody,
    EventType.AMENDED: AmendedBody,
    EventType.SEEDED: SeededBody,
    EventType.RUN_STARTED: RunStartedBody,
    EventType.TUNED: TunedBody,
    EventType.LOOK: LookBody,
    EventType.RUN_RESUMED: RunResumedBody,
    EventType.RUN_FINISHED: RunFinishedBody,
    EventType.RUN_FAILED: RunFailedBody,
    EventType.RUN_ABORTED: RunAbortedBody,
    EventType.VERDICT: VerdictBody,
    EventType.WALK_BACK: WalkBackBody,
    EventType.REPLICATED: ReplicatedBody,
    EventType.REPEATED: RepeatedBody,
    EventType.MEASURED: MeasuredBody,
    EventType.PILOT: PilotBody,
    EventType.PEEKED: PeekedBody,
    EventType.EXPLORED: ExploredBody,
    EventType.ANCHORED: AnchoredBody,
}
"""Type of event → its body's record."""
TYPES: Mapping[type[Record], EventType] = {body: EventType(name) for name, body in BODIES.items()}
"""Body's record → type of event."""
