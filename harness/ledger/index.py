"""A ledger as it is read: every event with its typed body, found by type, by hypothesis and by run.

Whoever asks what the ledger holds asks here, so that only ``harness.ledger`` knows names of types and fields of bodies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, KeysView
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast

from harness.ledger.ancestry import Ancestry
from harness.ledger.bodies import (
    AmendedBody,
    LookBody,
    RegisteredBody,
    RunAbortedBody,
    RunFailedBody,
    RunFinishedBody,
    RunResumedBody,
    RunStartedBody,
    TunedBody,
    VerdictBody,
    WalkBackBody,
)
from harness.ledger.body_fields import RunDigest, RunName
from harness.ledger.event import Event
from harness.ledger.prior_data_bodies import PeekedBody, PilotBody
from harness.records import Record

Body = TypeVar("Body", bound=Record, covariant=True)
Fixing = RegisteredBody | AmendedBody
"""A body that says what is registered from there on."""
Closing = RunFinishedBody | RunFailedBody | RunAbortedBody
"""A body that ends an attempt."""
RUN_DIGITS = 12


def name_run(digest: str) -> RunName:
    """Return the short name of an attempt, and of its folder: the first 12 digits of its run_started event."""
    return RunName(digest[:RUN_DIGITS])


@dataclass(frozen=True, slots=True)
class Entry(Generic[Body]):
    """An event and its body."""

    event: Event
    """The event as it is stored."""
    body: Body
    """Body of the event as the record of its type."""

    @property
    def digest(self) -> str:
        """Return the event's digest, which names it."""
        return self.event.digest

    @property
    def claimed_time(self) -> str:
        """Return what the writer's clock said, UTC."""
        return self.event.claimed_time


@dataclass(frozen=True, slots=True)
class StartedRun(Entry[RunStartedBody]):
    """An attempt, by the event that started it."""

    @property
    def digest(self) -> RunDigest:
        """Return the event's digest, by which other events name the run."""
        return RunDigest(self.event.digest)

    @property
    def name(self) -> RunName:
        """Return the short name by which people name the run."""
        return name_run(self.event.digest)

    @property
    def hypothesis(self) -> str:
        """Return the id of the hypothesis that it tests."""
        return self.body.hypothesis

    @property
    def folder(self) -> str:
        """Return where its files lie, below the trail: ``<hypothesis>/<run>``."""
        return f"{self.body.hypothesis}/{self.name}"


def read_start(event: Event) -> StartedRun:
    """Return the attempt that a run_started event starts."""
    body = event.content
    assert isinstance(body, RunStartedBody)
    return StartedRun(event, body)


class Entered(Protocol):
    """Events that were entered by some moment: a ledger's by now, or those that an audit finds before an event."""

    def index(self) -> LedgerIndex:
        """Return the index of these events."""
        ...


class EventIndex:
    """Events by type, by hypothesis and by run. Those of a type that this version doesn't know have no entry."""

    def __init__(self, events: Iterable[Event], ancestry: Ancestry | None = None) -> None:
        """Index ``events``, which come parents first; ``ancestry``: that of the ledger that they are a part of."""
        if ancestry is not None:
            self.ancestry = ancestry
        self.events = tuple(events)
        """All events in ledger order."""
        self._events = {event.digest: event for event in self.events}
        self._entries: dict[str, Entry[Any]] = {}
        self._kinds: dict[type[Record], list[Entry[Any]]] = defaultdict(list)
        self._subjects: dict[str, dict[type[Record], list[Entry[Any]]]] = defaultdict(lambda: defaultdict(list))
        self._by_run: dict[tuple[str, type[Record]], list[Entry[Any]]] = defaultdict(list)
        for event in self.events:
            if (body := event.content) is not None:
                self._add(StartedRun(event, body) if isinstance(body, RunStartedBody) else Entry(event, body))

    def _add(self, entry: Entry[Any]) -> None:
        kind, fields = type(entry.body), vars(entry.body)  # a record takes long to say that it lacks an attribute
        self._entries[entry.digest] = entry
        self._kinds[kind].append(entry)
        if (hypothesis := fields.get("hypothesis")) is not None:
            self._subjects[hypothesis][kind].append(entry)
        if (run := fields.get("run")) is not None:
            self._by_run[run, kind].append(entry)

    @property
    def digests(self) -> KeysView[str]:
        """Return the digests of all events."""
        return self._events.keys()

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Return the digests of the events that no other names as a parent, sorted."""
        parents = {parent for event in self.events for parent in event.parents}
        return tuple(sorted(self._events.keys() - parents))

    @cached_property
    def ancestry(self) -> Ancestry:
        """Return which event is before which."""
        return Ancestry(self.events)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {event.digest: place for place, event in enumerate(self.events)}

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """Return every hypothesis that an event names, sorted."""
        return tuple(sorted(self._subjects))

    def event(self, digest: str) -> Event | None:
        """Return the event of a digest, whatever its type; None if there is none."""
        return self._events.get(digest)

    def entry(self, digest: str) -> Entry[Record] | None:
        """Return the entry of an event; None if there is none, or its type is not known."""
        return self._entries.get(digest)

    def body(self, digest: str) -> Record | None:
        """Return the body of an event; None if there is none, or its type is not known."""
        entry = self._entries.get(digest)
        return None if entry is None else entry.body

    def type_of(self, digest: str) -> str:
        """Return the type of an event that is there, by its name."""
        return self._events[digest].type

    def before(self, earlier: str, later: str) -> bool:
        """Tell whether the first event is there and an ancestor of the second: the only meaning of "before"."""
        return earlier in self._events and later in self._events and self.ancestry.before(earlier, later)

    def subject(self, digest: str) -> str | None:
        """Return the hypothesis that an event is about, through its run if need be; None if it is about none."""
        body = self.body(digest)
        fields = {} if body is None else vars(body)
        if (hypothesis := fields.get("hypothesis")) is not None:
            return str(hypothesis)
        run = fields.get("run")
        return self.subject(run) if run is not None and run in self._events else None

    def entries(self, kind: type[Body]) -> tuple[Entry[Body], ...]:
        """Return all events with bodies of a kind, in ledger order."""
        return tuple(self._kinds.get(kind, ()))

    def of(self, hypothesis: str, kind: type[Body]) -> tuple[Entry[Body], ...]:
        """Return the events with bodies of a kind that name a hypothesis, in ledger order."""
        return tuple(self._subjects[hypothesis][kind]) if hypothesis in self._subjects else ()

    def _about(self, run: str, kind: type[Body]) -> tuple[Entry[Body], ...]:
        return tuple(self._by_run.get((run, kind), ()))

    def _merged(self, hypothesis: str | None, kinds: tuple[type[Record], ...]) -> tuple[Entry[Any], ...]:
        found = [
            entry
            for kind in kinds
            for entry in (self._kinds.get(kind, ()) if hypothesis is None else self.of(hypothesis, kind))
        ]
        return tuple(sorted(found, key=lambda entry: self._places[entry.digest]))


class LedgerIndex(EventIndex):
    """The events of a ledger: the questions that are asked of it, each in one place."""

    def index(self) -> LedgerIndex:
        """Return this index: it stands for the ledger that it was read from."""
        return self

    def past(self, hypothesis: str, moment: str) -> LedgerIndex:
        """Return the events about a hypothesis that are before another event."""
        known = (event for event in self._stories[hypothesis] if self.before(event.digest, moment))
        return LedgerIndex(known, self.ancestry)

    @cached_property
    def _stories(self) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if (hypothesis := self.subject(event.digest)) is not None:
                found[hypothesis].append(event)
        return found

    def may_concern(self, hypothesis: str) -> list[Event]:
        """Return the events that may concern a hypothesis, in ledger order: those about it, and those about several."""
        found = {event.digest: event for event in (*self._stories.get(hypothesis, ()), *self._shared)}
        return sorted(found.values(), key=lambda event: self._places[event.digest])

    @cached_property
    def _shared(self) -> tuple[Event, ...]:
        """Return the events that are about no hypothesis, or may be about others than the one that they name."""
        return tuple(
            event
            for event in self.events
            if isinstance(event.content, WalkBackBody) or self.subject(event.digest) is None
        )

    def fixing(self, hypothesis: str | None = None) -> tuple[Entry[Fixing], ...]:
        """Return the registrations and amendments, of one hypothesis or of all, in ledger order."""
        return self._merged(hypothesis, (RegisteredBody, AmendedBody))

    def starts(self, hypothesis: str | None = None) -> tuple[StartedRun, ...]:
        """Return the attempts, at one hypothesis or at all, in ledger order."""
        found = self.entries(RunStartedBody) if hypothesis is None else self.of(hypothesis, RunStartedBody)
        return cast("tuple[StartedRun, ...]", found)

    def start(self, digest: str | None) -> StartedRun | None:
        """Return the attempt of a run_started event; None if there is no such event."""
        entry = self._entries.get(digest or "")
        return entry if isinstance(entry, StartedRun) else None

    def fixed(self, digest: str) -> Entry[Fixing] | None:
        """Return the registration or amendment of a digest; None if it is none."""
        entry = self._entries.get(digest)
        return entry if entry is not None and isinstance(entry.body, Fixing) else None

    def closings(self, run: str) -> tuple[Entry[Closing], ...]:
        """Return what ended an attempt, in ledger order; of several, which branches entered, the first counts."""
        found: list[Entry[Closing]] = [
            *self._about(run, RunFinishedBody),
            *self._about(run, RunFailedBody),
            *self._about(run, RunAbortedBody),
        ]
        return tuple(sorted(found, key=lambda entry: self._places[entry.digest]) if found[1:] else found)

    def finished(self, run: str) -> tuple[Entry[RunFinishedBody], ...]:
        """Return the events that say that an attempt's results are complete, in ledger order."""
        return self._about(run, RunFinishedBody)

    def verdicts(self, run: str) -> tuple[Entry[VerdictBody], ...]:
        """Return the verdicts on an attempt, in ledger order; of several, the first counts."""
        return self._about(run, VerdictBody)

    def verdict(self, run: str) -> Entry[VerdictBody] | None:
        """Return the verdict on an attempt that counts; None if it has none."""
        return next(iter(self._about(run, VerdictBody)), None)

    def tuned(self, run: str) -> Entry[TunedBody] | None:
        """Return the choice of an attempt's search, the first; None if it has none."""
        return next(iter(self._about(run, TunedBody)), None)

    def looks(self, run: str) -> tuple[Entry[LookBody], ...]:
        """Return the looks that an attempt took, in ledger order."""
        return self._about(run, LookBody)

    def peeks(self, run: str) -> tuple[Entry[PeekedBody], ...]:
        """Return the events that say that values of an attempt were shown before its end, in ledger order."""
        return self._about(run, PeekedBody)

    def resumptions(self, run: str) -> tuple[Entry[RunResumedBody], ...]:
        """Return the events by which an attempt went on, in ledger order."""
        return self._about(run, RunResumedBody)

    @cached_property
    def judged_runs(self) -> tuple[StartedRun, ...]:
        """Return the attempts that verdicts are on, in the order of the verdicts; one for each verdict."""
        found = (self.start(verdict.body.run) for verdict in self.entries(VerdictBody))
        return tuple(start for start in found if start is not None)

    def judged(self) -> tuple[tuple[StartedRun, Entry[VerdictBody]], ...]:
        """Return the attempts that have a verdict, with the first of it, in the order of the attempts."""
        found = ((start, self.verdict(start.digest)) for start in self.starts())
        return tuple((start, verdict) for start, verdict in found if verdict is not None)

    def attempts_and_pilots(self, hypothesis: str) -> tuple[str, ...]:
        """Return the digests of a hypothesis's attempts and pilots, in ledger order."""
        return tuple(entry.digest for entry in self._merged(hypothesis, (RunStartedBody, PilotBody)))
