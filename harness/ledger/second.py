"""Second registrations of a hypothesis, in another trail of its project or in what git has of this one.

A registration derives the seeds: whoever may register the same question twice, in two trails, may choose the draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.ledger.bodies import EventType
from harness.ledger.event import read_fixing
from harness.ledger.git import Repository, find_repository, git
from harness.ledger.in_git import (
    LISTED,
    USE_THAT,
    Kept,
    describe_kept,
    explain_unasked,
    list_kept,
    list_work_trees,
    refuse_missing,
)
from harness.ledger.nearby import explain_unfound, find_base, find_trails, is_outside, is_own_project
from harness.ledger.versions import read_contents
from harness.system.locks import hold_folder
from harness.system.reading import LARGEST_EVENT, read_regular
from harness.wording import format_count

REGISTERED = f'"{EventType.REGISTERED}"'.encode()
"""Stands in every registration: events without it are not parsed."""
TOO_MANY = "the project has too many files to look for other trails in all of its folders"
THIS, OTHER = "another trail of this project", "another project of this repository"
TREE = "another work tree of this repository"
LOCK_SECONDS = 180
"""Seconds to wait for another registration in the project, whose search may ask git several times."""


@dataclass(frozen=True)
class Surroundings:
    """A trail that a registration is to be entered in, and what lies around it."""

    trail: Path
    project: Path
    """The project's folder."""
    data: Path
    """The data folder, which is searched last."""
    own: Path
    """The trail that the project's settings name, or its default: a later registration looks at it, wherever it is."""
    named: tuple[Path, ...] = ()
    """Other trails that are looked at, wherever they are."""
    outer: tuple[Path, ...] = ()
    """Trails of projects around this one."""
    name: Callable[[Path], tuple[Path, ...]] = lambda _: ()
    """The trails that the settings of a project in another work tree name, by its folder."""


@dataclass
class _Asked:
    """The registration that is looked for, and all that is found without forbidding it."""

    hypothesis: str
    entered: set[str]
    """Events of this trail."""
    others: dict[str, str] = field(default_factory=dict)
    """Registrations of the id in other projects: event → place."""
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Note what could not be looked at."""
        if sentence not in self.notes:
            self.notes.append(sentence)


@dataclass(frozen=True)
class _Place:
    """A trail on disk, with the kind of place that it is in."""

    trail: Path
    what: str
    project: Path | None = None
    """The other project that it belongs to; None: it is one of this project."""


@contextmanager
def lock_project(project: Path) -> Iterator[None]:
    """Keep others from looking around and registering in the same project, or in a work tree of its repository.

    Raises:
        StorageFailed: another process does so for long.
    """
    base = find_base(project)
    common = git(base, "rev-parse", "--git-common-dir")
    folder = base if common is None else base / os.fsdecode(common).rstrip("\n")
    with hold_folder(folder if folder.is_dir() else base, LOCK_SECONDS):
        yield


def refuse_second(around: Surroundings, hypothesis: str) -> tuple[str, ...]:
    """Refuse a registration whose id another trail of the project, or git's copy of one, holds already.

    A trail where a later registration would not look is refused, too.

    Returns sentences about what could not be looked at, or won't be by others.

    Raises:
        UsageError: it is registered already; it would not be found; or there are events that cannot be read here.
    """
    asked = _Asked(hypothesis, _list_entered(around.trail))
    base = find_base(around.project)
    where = find_repository(base)
    for place in _list_places(asked, around, base, where):
        _refuse_place(asked, place)
    if (why := explain_unfound(base, around.trail, around.data)) is not None:
        raise UsageError(
            f"a later registration would not find this trail: {why}",
            where=str(around.trail),
            remedy="leave --verdicts and HARNESS_VERDICTS out, or name another folder of the project",
        )
    if is_outside(base, around.trail) and not _same(around.trail, around.own):
        asked.note(
            f"this trail, {around.trail}, lies outside the project: registrations from elsewhere don't know of it, "
            "unless [tool.harness] names it"
        )
    if (why := explain_unasked(base, where)) is not None:
        asked.note(f"not looked at: whether git holds a registration of this id ({why})")
    elif where.top is not None:
        for blobs in list_kept(where, asked.entered, asked.note):
            _refuse_blobs(asked, where.top, blobs)
    if asked.others:
        places = list(dict.fromkeys(asked.others.values()))
        listed = ", ".join(places[:LISTED]) + (f" and {len(places) - LISTED} more" if len(places) > LISTED else "")
        asked.note(
            f"another project of this repository registered the same id: {listed}; if it asks the same question, that "
            "one has two draws of seeds now, and whoever reports one of them owes the other"
        )
    return tuple(asked.notes)


def refuse_later(around: Surroundings, hypothesis: str, event: str, time: str) -> tuple[str, ...]:
    """Refuse a run of a registration, the ``event`` with its claimed ``time``, if an earlier one of its id is here.

    It would be in another trail of the project: of two draws the first counts.

    Returns sentences about later ones.

    Raises:
        UsageError: there is an earlier one.
    """
    asked = _Asked(hypothesis, _list_entered(around.trail))
    base = find_base(around.project)
    said: list[str] = []
    for place in _list_places(asked, around, base, find_repository(base)):
        if place.project is not None:
            continue
        try:
            found = list(_find_registrations(_read_events(place.trail), {hypothesis}))
        except UsageError as error:
            said.append(f"not looked at: {error.where}: {error.message}")
            continue
        for digest, _, registered in found:
            if digest in asked.entered:
                continue
            told = f"{place.what}, {place.trail}, holds another registration of this id, {digest[:12]} ({registered})"
            if (registered, digest) < (time, event):
                raise UsageError(
                    f"{told}, and the one in this trail, {event[:12]} ({time}), is later: the first counts",
                    where=hypothesis,
                    remedy=USE_THAT,
                )
            said.append(f"{told}: the one in this trail is earlier and counts")
    return tuple(dict.fromkeys(said))


@dataclass(frozen=True)
class Elsewhere:
    """A registration in another trail."""

    hypothesis: str
    """The hypothesis's id."""
    event: str
    """Digest of the registration."""
    time: str
    """Claimed time, UTC."""
    what: str
    """The kind of place it is in."""
    place: Path
    """The trail."""
    other_project: bool
    """True if it is in another project of the repository, which may well ask the same."""


def find_registered_elsewhere(around: Surroundings, hypotheses: Collection[str]) -> tuple[list[Elsewhere], list[str]]:
    """Find the registrations of these ids in other trails, and say what could not be looked at.

    Other trails are those where ``refuse_second`` would look. What other branches and commits hold of this very trail
    is not among them.
    """
    asked = _Asked("", _list_entered(around.trail))
    found: dict[str, Elsewhere] = {}

    def look(events: Iterable[tuple[str, bytes]], what: str, place: Path, other_project: bool = False) -> None:
        for digest, hypothesis, time in _find_registrations(events, hypotheses):
            if digest not in asked.entered:
                found.setdefault(digest, Elsewhere(hypothesis, digest, time, what, place, other_project))

    base = find_base(around.project)
    where = find_repository(base)
    for place in _list_places(asked, around, base, where):
        try:
            look(_read_events(place.trail), place.what, place.trail, place.project is not None)
        except UsageError as error:
            asked.note(f"not looked at: {error.where}: {error.message}")
    if (why := explain_unasked(base, where)) is not None:
        asked.note(f"not looked at: what git holds of other trails ({why})")
    elif where.top is not None:
        for blobs in list_kept(where, asked.entered, asked.note):
            there = read_contents(where.top, list(blobs)) if blobs else {}
            for blob, kept in blobs.items():
                if blob in there and not _same(where.top / kept.folder, around.trail):
                    what = "HEAD" if kept.commit == "HEAD" else f"commit {kept.commit[:12]}"
                    look([(kept.digest, there[blob])], f"git ({what})", where.top / kept.folder, kept.other_project)
    return list(found.values()), asked.notes


@dataclass(frozen=True)
class OtherLedger:
    """Another ledger that lies around a trail."""

    trail: Path
    """The folder that it is in."""
    events: dict[str, bytes]
    """Digest, by the file's name → content."""
    other_project: bool
    """True if it is another project's of the repository."""
    work_tree: bool
    """True if it lies in another work tree of the repository."""


def find_other_ledgers(around: Surroundings) -> tuple[OtherLedger, ...]:
    """Find the other ledgers on disk, where ``refuse_second`` would look for them, as far as they can be read."""
    asked = _Asked("", _list_entered(around.trail))
    base = find_base(around.project)
    found = []
    for place in _list_places(asked, around, base, find_repository(base)):
        try:
            events = dict(_read_events(place.trail))
        except UsageError:
            continue  # step 3 names it
        if events:
            found.append(OtherLedger(place.trail, events, place.project is not None, place.what == TREE))
    return tuple(found)


def _list_places(asked: _Asked, around: Surroundings, base: Path, where: Repository) -> Iterator[_Place]:
    """List the other trails on disk: in the project and in those around it, then in other work trees."""
    searched = find_trails(base, around.trail, around.data)
    if not searched.whole:
        asked.note(TOO_MANY)
    if closed := searched.closed:
        listed = ", ".join(map(str, closed[:LISTED])) + (" …" if closed[LISTED:] else "")
        asked.note(f"not looked at: {format_count(len(closed), 'folder')} that can't be read ({listed})")
    places = [_Place(trail, THIS) for trail in (around.own, *around.named)]
    places += [_Place(other.trail, OTHER if other.project else THIS, other.project) for other in searched.trails]
    own = is_own_project(base)
    places += [_Place(trail, OTHER, trail) if own else _Place(trail, THIS) for trail in around.outer]
    for tree in list_work_trees(where.top, asked.note) if where.top is not None else ():
        folder = tree / where.prefix
        named = around.name(folder / around.project.relative_to(base))
        places += [_Place(trail, TREE) for trail in named]
        places += [_Place(one.trail, TREE) for one in find_trails(folder, around.trail).trails if one.project is None]
    seen = {os.path.realpath(around.trail)}
    for place in places:
        if (real := os.path.realpath(place.trail)) not in seen:
            seen.add(real)
            yield place


def _refuse_place(asked: _Asked, place: _Place) -> None:
    try:
        held = _held(_read_events(place.trail), asked.hypothesis)
    except UsageError as error:
        if place.project is None:
            raise
        asked.note(f"not looked at: {error.where}: {error.message}")
        return
    if held is None:
        return
    if place.project is not None:
        asked.others[held[0]] = str(place.project)
        return
    event, time = held
    raise UsageError(
        f"the hypothesis is registered already in {place.what}, {place.trail}, by event {event[:12]} ({time})",
        where=asked.hypothesis,
        remedy=USE_THAT,
    )


def _refuse_blobs(asked: _Asked, top: Path, blobs: dict[str, Kept]) -> None:
    """Refuse what events in git hold; ``blobs``: by their blob ids."""
    there = read_contents(top, list(blobs)) if blobs else {}
    for blob, kept in blobs.items():
        if blob in there and (held := _held([(kept.digest, there[blob])], asked.hypothesis)) is not None:
            if kept.other_project:
                asked.others.setdefault(kept.digest, str(top / kept.folder))
                continue
            what, remedy = describe_kept(top, kept, held[1])
            raise UsageError(f"the hypothesis is registered already: {what}", where=asked.hypothesis, remedy=remedy)
    missing = [kept for blob, kept in blobs.items() if blob not in there and not kept.other_project]
    refuse_missing(top, [kept for kept in missing if kept.commit == "HEAD"], asked.hypothesis)
    if missing:
        asked.note(
            f"{format_count(len(missing), 'event')} of other branches not in this clone: not looked at, whether "
            "one of them registers this id"
        )


def _held(events: Iterable[tuple[str, bytes]], hypothesis: str) -> tuple[str, str] | None:
    """Digest and time of the first registration among events by their digest."""
    return next(((digest, time) for digest, _, time in _find_registrations(events, {hypothesis})), None)


def _find_registrations(
    events: Iterable[tuple[str, bytes]], hypotheses: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield digest, hypothesis and time of the registrations among events by their digest; what is no event is none."""
    for digest, data in events:
        fixing = read_fixing(data) if REGISTERED in data else None
        if fixing is not None and fixing.type == EventType.REGISTERED and fixing.hypothesis in hypotheses:
            yield digest, fixing.hypothesis, fixing.claimed_time


def _list_entered(trail: Path) -> set[str]:
    return {file.stem for file in (trail / "ledger" / "events").glob("*.json")}


def _read_events(trail: Path) -> Iterator[tuple[str, bytes]]:
    """Read the events of a trail, by the digest that each is named by; one that is not there has none.

    Raises:
        UsageError: they are there and cannot be read, so that nobody can tell what is registered.
    """
    folder = trail / "ledger" / "events"
    try:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 (a glob passes over what it may not read)
            if name.endswith(".json") and not name.startswith("."):
                yield name.removesuffix(".json"), read_regular(folder / name, LARGEST_EVENT)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(
            f"can't be read ({error.strerror or error}), so that nobody can tell what is registered there",
            where=str(error.filename or trail),
            remedy="give the command as a user who may read that trail, or have its owner allow it",
        ) from error


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
