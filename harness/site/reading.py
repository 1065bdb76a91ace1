"""The read model of the site: what a trail holds, arranged by page. Nothing is computed that a verb doesn't tell."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from harness import ledger, spec
from harness.errors import HarnessError
from harness.ledger import Ledger, Moment, StartedRun
from harness.ledger.bodies import RegisteredBody
from harness.ledger.index import Entry, Fixing, LedgerIndex
from harness.pipeline.claims import Table, foresee_outcomes, list_banners, read_claims, tabulate_claims
from harness.pipeline.explored import Explored, list_explored
from harness.pipeline.families import Row, read_families
from harness.pipeline.outlines import Outline, Outlines
from harness.pipeline.run_files import read_registered
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.records import Attempt, Banner, Change, Claims, Hypothesis, Move, Registered
from harness.wording import format_count

DIFF_LINES = 400
"""Longest difference of a file that is shown whole."""


class Snapshot(Ledger):
    """A ledger as it was when it was first read: all pages tell of the same events, and none reads them again."""

    @cached_property
    def _objects_read(self) -> dict[str, bytes]:
        return {}

    def read_object(self, digest: str) -> bytes:
        """Read the object of this digest, once.

        Raises:
            ValueError: not a digest.
            Tampered: it is missing or its content is another.
        """
        if (known := self._objects_read.get(digest)) is None:
            known = self._objects_read[digest] = super().read_object(digest)
        return known

    @cached_property
    def _read_once(self) -> LedgerIndex:
        return super().index()

    def index(self) -> LedgerIndex:
        """Return the events as they were.

        Raises:
            Tampered: as ``Ledger.events``.
        """
        return self._read_once


@dataclass(frozen=True)
class CurrentFile:
    """The hypothesis file as it is now, beside what is registered."""

    name: str
    """Name of the file; empty if there is none."""
    diff: tuple[str, ...]
    """Lines of a unified diff from the registered text to the file; empty if they are the same."""
    differences: tuple[str, ...]
    """Differences field by field, as far as the meaning differs; of an invalid file, what is wrong with it."""


@dataclass(frozen=True)
class Sheet:
    """A hypothesis as the ledger tells it, without the numbers of its runs."""

    id: str
    """The hypothesis's id."""
    title: str
    """Statement of the hypothesis, or its id if neither a registration nor an exploration has one."""
    outline: Outline | None
    """The part of the registration in force that all tables show; None if it can't be read."""
    fixed: str
    """Digest of the registered form in force; empty if there is none."""
    registered: str | None
    """Claimed time of the registration, UTC; None if there were only pilots."""
    seeds: str
    """Kind of the seeds, in a few words."""
    attempts: tuple[Attempt, ...]
    """All attempts, pilots among them, in ledger order."""
    deviating: Mapping[str, str]
    """Short names of the attempts that deviate from the registration, with a word or two about it."""
    explored: tuple[Explored, ...]
    """Readings of earlier results that existed before the registration: exploratory, and no attempts."""
    moments: tuple[Moment, ...]
    """All events about it, in ledger order."""
    text: str | None
    """The registered file; None if it is not in the trail."""
    now: CurrentFile
    """The file as it is now."""
    banners: tuple[tuple[Banner, tuple[Move, ...]], ...]
    """Effects of later verdicts on the claims that its last verdict moved, with these verdicts."""
    prospects: Mapping[str, tuple[Change, ...]]
    """Outcome → what it would change about the claims, from where they stand now."""
    memberships: tuple[tuple[str, Row], ...]
    """Families that it belongs to, each with its row there."""

    @property
    def judged(self) -> Attempt | None:
        """Return the last judged attempt; None if there is none."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.outcome is not None), None)

    @property
    def started(self) -> tuple[Attempt, ...]:
        """Return the attempts without pilots."""
        return tuple(attempt for attempt in self.attempts if attempt.status != "pilot")


class Trail:
    """A trail and the hypothesis files beside it, as the site tells them."""

    def __init__(self, trail: Ledger, hypotheses: Path, valid: Set[str] = frozenset()) -> None:
        """Read ``trail`` with the files in the folder ``hypotheses``, which need not be there.

        ``valid``: digests of registered forms that this very code has found valid, and need not check again.
        """
        self.ledger = Snapshot(trail.root)
        self.hypotheses = hypotheses
        self.valid = set(valid)
        """Digests of the registered forms that are valid by this code."""
        self._outlines = Outlines(self.ledger)
        self._forms: dict[str, Hypothesis | None] = {}
        self._claims: dict[str, Claims] = {}
        self.problems: list[HarnessError] = []
        """Errors of what could not be shown, to be told to whoever builds the site."""

    @cached_property
    def claims(self) -> Table:
        """Return the claims as they stand.

        Raises:
            InvalidHypothesis: the claims file is invalid.
            Tampered: as ``Ledger.events``.
        """
        there = self.claims_file.exists()  # a trail may be shown without the files that it is about
        if there:
            return read_claims(self.claims_file, self.ledger, self._outlines)
        return tabulate_claims(Claims(), self.ledger, self._outlines)

    @property
    def claims_file(self) -> Path:
        """Return the path of the claims file."""
        return self.hypotheses / spec.CLAIMS

    @cached_property
    def sheets(self) -> tuple[Sheet, ...]:
        """Return every hypothesis that an event names, in the order of registration, the newest first.

        Raises:
            Tampered: as ``Ledger.events``.
        """
        index = self.ledger.index()
        fixed = {name: index.fixing(name) for name in index.hypotheses}
        outlines = {name: self._read_outline(entries) for name, entries in fixed.items()}
        implied = {name: outline.implications for name, outline in outlines.items() if outline is not None}
        prospects = foresee_outcomes(self.claims, implied)
        banners = list_banners(self.claims.moves)
        files, members = _find_files(self.hypotheses, self.claims_file), self._find_memberships()
        found = [
            self._describe(
                name, fixed[name], outlines[name], files.get(name), members.get(name, ()), banners, prospects
            )
            for name in index.hypotheses
        ]
        place = {event.digest: number for number, event in enumerate(index.events)}
        found.sort(key=lambda sheet: place[sheet.moments[0].digest], reverse=True)
        return tuple(found)

    def read_judged(self, sheet: Sheet) -> JudgedRun | HarnessError | None:
        """Read the run of a hypothesis's last verdict; None if there is none, the error if it can't be shown."""
        if sheet.judged is None:
            return None
        try:
            return read_judged_run(self.ledger, sheet.judged.run, self._read_registered)
        except HarnessError as error:
            return error

    def list_recorded(self, sheet: Sheet) -> Mapping[str, str]:
        """Return file → digest of the run that a page shows, as the ledger has it."""
        if sheet.judged is None:
            return {}
        starts = self.ledger.index().starts(sheet.id)
        return ledger.list_recorded_files(
            self.ledger, next(run for run in starts if run.name == sheet.judged.run).digest
        )

    def read_form(self, sheet: Sheet) -> Hypothesis | None:
        """Read the registration in force as a whole; None if it can't be read."""
        return self._read_form(sheet.fixed) if sheet.outline is not None else None

    def _read_form(self, canonical: str) -> Hypothesis | None:
        """Read a registered form; None if this version can't.

        Raises:
            Tampered: it is not what was written.
        """
        if canonical not in self._forms:
            data = self.ledger.read_object(canonical)
            try:
                self._forms[canonical] = Hypothesis.model_validate_json(data)
                self.valid.add(canonical)
            except ValidationError:
                self._forms[canonical] = None
        return self._forms[canonical]

    def _read_outline(self, fixed: Sequence[Entry[Fixing]]) -> Outline | None:
        """Read the outline of the registration in force, if the whole of it is valid or was found to be."""
        if not fixed:
            return None
        canonical = fixed[-1].body.canonical
        try:
            known = canonical in self.valid or self._read_form(canonical) is not None
            return self._outlines.get(canonical) if known else None
        except HarnessError as error:
            self.problems.append(error)
            return None

    def _read_registered(self, run: StartedRun) -> Registered:
        """Read what a run was started under, without applying the rules again to a text that means what it should.

        Raises:
            Tampered: the registered files are not those that the ledger names.
            InvalidHypothesis: by this version they say nothing.
        """
        form = self._read_form(run.body.canonical)
        if form is None or form.tuning is not None or run.body.linked is not None:
            return read_registered(self.ledger, run)
        if (written := spec.parse_form(self.ledger.read_object(run.body.raw), run.hypothesis)) != form:
            return read_registered(self.ledger, run)
        registration = ledger.find_registration_of(self.ledger.index(), run)
        claims = self._read_claims(registration.claims)
        return Registered(hypothesis=written, claims=claims, registration=registration.digest, seeds=registration.seeds)

    def _read_claims(self, digest: str) -> Claims:
        if digest not in self._claims:
            self._claims[digest] = spec.parse_claims(self.ledger.read_object(digest))
        return self._claims[digest]

    def _find_memberships(self) -> dict[str, list[tuple[str, Row]]]:
        found: dict[str, list[tuple[str, Row]]] = {}
        try:
            for family in read_families(self.ledger, ()):
                for row in family.rows:
                    found.setdefault(row.hypothesis, []).append((family.name, row))
        except HarnessError as error:  # of one member: no p of its family holds without it
            self.problems.append(error)
        return found

    def _describe(
        self,
        name: str,
        fixed: Sequence[Entry[Fixing]],
        outline: Outline | None,
        file: Path | None,
        memberships: Sequence[tuple[str, Row]],
        banners: Mapping[str, tuple[tuple[Banner, tuple[Move, ...]], ...]],
        prospects: Mapping[tuple[str, str], tuple[Change, ...]],
    ) -> Sheet:
        attempts = ledger.list_attempts(self.ledger, name)
        judged = next((attempt.run for attempt in reversed(attempts) if attempt.outcome is not None), "")
        text = self._read_text(fixed)
        first = next((entry.body for entry in fixed if isinstance(entry.body, RegisteredBody)), None)
        explored = self._read_explored(name)
        title = outline.title if outline is not None else first.title if first is not None else None
        canonical = fixed[-1].body.canonical if fixed else ""
        return Sheet(
            id=name,
            title=title if title is not None else self._read_explored_title(explored) or name,
            outline=outline,
            fixed=canonical,
            registered=fixed[0].claimed_time if fixed else None,
            seeds=describe_seeds(first) if first is not None else "none yet",
            attempts=attempts,
            deviating=ledger.find_deviating(self.ledger, name),
            explored=explored,
            moments=ledger.read_timeline(self.ledger, name),
            text=text,
            now=_compare(text, lambda: self._read_form(canonical) if outline is not None else None, file),
            banners=banners.get(judged, ()),
            prospects={outcome: prospects[name, outcome] for outcome in (outline.implications if outline else ())},
            memberships=tuple(memberships),
        )

    def _read_explored(self, name: str) -> tuple[Explored, ...]:
        try:
            return list_explored(self.ledger, name)
        except HarnessError as error:
            self.problems.append(error)
            return ()

    def _read_explored_title(self, explored: Sequence[Explored]) -> str | None:
        """Read the title that the last explored file gave; None if there is none, or it can't be read."""
        try:
            return self._outlines.get(explored[-1].body.canonical).title if explored else None
        except (HarnessError, ValidationError):  # its report is shown all the same, and the audit says what is wrong
            return None

    def _read_text(self, fixed: Sequence[Entry[Fixing]]) -> str | None:
        if not fixed:
            return None
        try:
            return self.ledger.read_object(fixed[-1].body.raw).decode(errors="replace")
        except HarnessError as error:
            self.problems.append(error)
            return None


def describe_seeds(body: RegisteredBody) -> str:
    """Return the kind of a registration's seeds: who could have chosen them."""
    if not isinstance(body.seeds, int):
        return "hand-picked"
    if body.beacon is not None:
        return f"beacon {body.beacon.get('name')}"
    return "derived, choosable"


def _find_files(hypotheses: Path, claims: Path) -> dict[str, Path]:
    """Find hypothesis → its file as it is now, in a folder in which ``claims`` is the claims file."""
    found: dict[str, Path] = {}
    try:
        there = spec.list_folder(hypotheses)
    except HarnessError:  # a trail may be shown without the files that it is about
        return found
    for path in there.files:
        try:
            name = spec.read_id(spec.read_bytes(path)) if path != claims else None
        except HarnessError:  # ``harness check`` says what is wrong with it
            continue
        if name is not None:
            found.setdefault(name, path)
    return found


def _compare(text: str | None, read: Callable[[], Hypothesis | None], file: Path | None) -> CurrentFile:
    """Compare the registered text, and if need be the form that ``read`` reads, with the file as it is now."""
    if file is None:
        return CurrentFile("", (), ())
    try:
        raw = spec.read_bytes(file)
    except HarnessError as error:
        return CurrentFile(file.name, (), (error.message,))
    if text is None or hashlib.sha256(raw).digest() == hashlib.sha256(text.encode()).digest():
        return CurrentFile(file.name, (), ())
    now = raw.decode(errors="replace")
    lines = list(difflib.unified_diff(text.splitlines(), now.splitlines(), "registered", file.name, n=2, lineterm=""))
    if len(lines) > DIFF_LINES:
        lines = [*lines[:DIFF_LINES], f"… and {format_count(len(lines) - DIFF_LINES, 'more line')}"]
    try:
        meant = spec.load(file).hypothesis
    except HarnessError as error:
        return CurrentFile(file.name, tuple(lines), (f"the file is not valid any more: {error.message}",))
    form = read()
    return CurrentFile(file.name, tuple(lines), ledger.list_differences(form, meant) if form is not None else ())
