"""The refusal of a hypothesis that is registered in another trail of its project, or in what git has of this one.

A registration derives the seeds: whoever may register the same question twice, in two trails, may choose the draw.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from harness.errors import UsageError
from harness.ledger.bodies import EventType
from harness.ledger.carried import find_left_out, write_put_back
from harness.ledger.event import read_fixing
from harness.ledger.git import Repository, find_repository, git
from harness.ledger.nearby import Nearby, explain_unfound, find_base, find_trails, is_outside
from harness.ledger.versions import OWN, list_versions, read_contents
from harness.wording import format_count

EVENT = re.compile(r"(?P<trail>(?:.+/)?)ledger/events/(?P<digest>[0-9a-f]{64})\.json")
ASKING = re.compile(r"(?P<project>.+/)hypotheses/[^/]+\.yaml")
REGISTERED = f'"{EventType.REGISTERED}"'.encode()
"""Stands in every registration: events without it are not parsed."""
EVENTS = ":(top,glob)**/ledger/events/*.json"
USE_THAT = (
    "use that trail: name it with --verdicts or, for good, as verdicts in [tool.harness]; a new question has a new id"
)
TOO_MANY = "the project has too many files to look for other trails in all of its folders"
LISTED = 3
"""Branches or projects that are named."""


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


@dataclass
class _Asked:
    """The hypothesis that is looked for, and findings that do not forbid it."""

    hypothesis: str
    trail: Path
    entered: set[str]
    """Events of this trail."""
    others: dict[str, str] = field(default_factory=dict)
    """Registrations of the id in other projects: event → place."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Kept:
    """An event in git."""

    folder: str
    """The trail's, below the repository's top."""
    digest: str
    path: str
    commit: str = "HEAD"
    other_project: bool = False


def refuse_second(around: Surroundings, hypothesis: str) -> tuple[str, ...]:
    """Refuse a registration whose id another trail of the project, or git's copy of one, holds already, and a trail
    where a later registration would not look.

    Returns sentences about what could not be looked at, or won't be by others.

    Raises:
        UsageError: it is registered already; it would not be found; or HEAD has events that cannot be read here.
    """
    entered = {file.stem for file in (around.trail / "ledger" / "events").glob("*.json")}
    asked = _Asked(hypothesis, around.trail, entered)
    base = find_base(around.project)
    _refuse_what_folders_hold(asked, base, around)
    if (why := explain_unfound(base, around.trail, around.data)) is not None:
        raise UsageError(
            f"a later registration would not find this trail: {why}",
            where=str(around.trail),
            remedy="leave --verdicts and HARNESS_VERDICTS out, or name another folder of the project",
        )
    if is_outside(base, around.trail) and not _same(around.trail, around.own):
        asked.notes.append(
            f"this trail, {around.trail}, lies outside the project: registrations from elsewhere don't know of it, "
            "unless [tool.harness] names it"
        )
    where = find_repository(base)
    if where.state == "git says no":
        asked.notes.append(f"not looked at: whether git holds a registration of this id ({where.problem})")
    if where.state == "answers":
        _refuse_what_git_holds(asked, where)
    if where.top is not None:
        _refuse_what_work_trees_hold(asked, where)
    if asked.others:
        places = list(dict.fromkeys(asked.others.values()))
        listed = ", ".join(places[:LISTED]) + (f" and {len(places) - LISTED} more" if len(places) > LISTED else "")
        asked.notes.append(
            f"another project of this repository registered the same id: {listed}; if it asks the same question, that "
            "one has two draws of seeds now, and whoever reports one of them owes the other"
        )
    return tuple(asked.notes)


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
    """Find the registrations of these ids in other trails, where ``refuse_second`` would look for them, and say what
    could not be looked at.

    What other branches and commits hold of this very trail is not among them.
    """
    entered = {file.stem for file in (around.trail / "ledger" / "events").glob("*.json")}
    asked = _Asked("", around.trail, entered)
    found: dict[str, Elsewhere] = {}

    def look(events: Iterable[tuple[str, bytes]], what: str, place: Path, other_project: bool = False) -> None:
        for digest, hypothesis, time in _read_registrations(events, hypotheses):
            if digest not in entered:
                found.setdefault(digest, Elsewhere(hypothesis, digest, time, what, place, other_project))

    base = find_base(around.project)
    beside, whole = find_trails(base, around.trail, around.data)
    if not whole:
        asked.notes.append(TOO_MANY)
    for trail in dict.fromkeys((around.own, *around.named)):
        if not _same(trail, around.trail):
            look(_stored(trail), "another trail of this project", trail)
    for other in beside:
        inner = other.project is not None
        what = "another project of this repository" if inner else "another trail of this project"
        look(_stored(other.trail), what, other.trail, inner)
    where = find_repository(base)
    if where.state == "git says no":
        asked.notes.append(f"not looked at: what git holds of other trails ({where.problem})")
    if where.top is None:
        return list(found.values()), asked.notes
    for other in _find_in_work_trees(asked, where):
        if other.project is None:
            look(_stored(other.trail), "another work tree of this repository", other.trail)
    for blobs in _find_in_git(asked, where) if where.state == "answers" else ():
        there = read_contents(where.top, list(blobs)) if blobs else {}
        for blob, kept in blobs.items():
            if blob in there and not _same(where.top / kept.folder, around.trail):
                what = "HEAD" if kept.commit == "HEAD" else f"commit {kept.commit[:12]}"
                look([(kept.digest, there[blob])], f"git ({what})", where.top / kept.folder, kept.other_project)
    return list(found.values()), asked.notes


def _refuse_what_folders_hold(asked: _Asked, base: Path, around: Surroundings) -> None:
    found, whole = find_trails(base, around.trail, around.data)
    named = [one for one in dict.fromkeys((around.own, *around.named)) if not _same(one, around.trail)]
    for trail in named:
        _refuse_held(asked, trail, "another trail of this project")
    for other in found:
        if other.project is None:
            _refuse_held(asked, other.trail, "another trail of this project")
        elif (held := _held(_stored(other.trail), asked.hypothesis)) is not None:
            asked.others[held[0]] = str(other.project)
    if not whole:
        asked.notes.append(TOO_MANY)


def _refuse_held(asked: _Asked, trail: Path, what: str) -> None:
    if (held := _held(_stored(trail), asked.hypothesis)) is not None:
        event, time = held
        raise UsageError(
            f"the hypothesis is registered already in {what}, {trail}, by event {event[:12]} ({time})",
            where=asked.hypothesis,
            remedy=USE_THAT,
        )


def _refuse_what_git_holds(asked: _Asked, where: Repository) -> None:
    for blobs in _find_in_git(asked, where):
        _refuse_blobs(asked, where, blobs)


def _find_in_git(asked: _Asked, where: Repository) -> Iterator[dict[str, _Kept]]:
    """Yield the events in git that this trail does not have, by their blobs: first HEAD's, then every commit's."""
    assert where.top is not None
    listed = git(where.top, *OWN, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    if listed is None:
        asked.notes.append("not looked at: whether git holds a registration of this id (it can't list HEAD's files)")
        return
    entries = [entry.partition("\t")[::2] for entry in os.fsdecode(listed).split("\0") if entry]
    there = {path for _, path in entries}
    asking = {match["project"] for path in there if (match := ASKING.fullmatch(path))}
    inner = tuple(folder for folder in asking if f"{folder}pyproject.toml" in there and len(folder) > len(where.prefix))

    def kept(path: str, commit: str = "HEAD") -> _Kept | None:
        match = EVENT.fullmatch(path)
        if match is None or match["digest"] in asked.entered:
            return None
        other = not path.startswith(where.prefix) or path.startswith(inner)
        return _Kept(match["trail"], match["digest"], path, commit, other)

    yield {meta.split()[2]: one for meta, path in entries if (one := kept(path)) is not None}
    everywhere, said = list_versions(where.top, "", "--all", "--reflog", files=EVENTS)
    if everywhere is None:
        asked.notes.append(f"not looked at: whether another branch holds a registration of this id ({said})")
        return
    yield {
        blob: one
        for path, blobs in everywhere.items()
        for blob, commit in blobs.items()
        if path not in there and (one := kept(path, commit)) is not None
    }


def _refuse_blobs(asked: _Asked, where: Repository, blobs: dict[str, _Kept]) -> None:
    """Refuse what events in git hold; ``blobs``: by their blob ids."""
    assert where.top is not None
    there = read_contents(where.top, list(blobs)) if blobs else {}
    for blob, kept in blobs.items():
        if blob in there and (held := _held([(kept.digest, there[blob])], asked.hypothesis)) is not None:
            if kept.other_project:
                asked.others.setdefault(kept.digest, str(where.top / kept.folder))
            else:
                raise _registered_in_git(asked, where.top, kept, held[1])
    missing = [kept for blob, kept in blobs.items() if blob not in there and not kept.other_project]
    if missing and missing[0].commit != "HEAD":
        asked.notes.append(
            f"{format_count(len(missing), 'event')} of other branches not in this clone: not looked at, whether "
            "one of them registers this id"
        )
    elif missing:
        lacking = where.top / missing[0].folder
        raise UsageError(
            f"HEAD has {format_count(len(missing), 'event')} of the trail {lacking} that this folder lacks, so "
            "that nobody can tell whether the hypothesis is registered already",
            where=asked.hypothesis,
            remedy=f"get them: {_back(lacking)}",
        )


def _registered_in_git(asked: _Asked, top: Path, kept: _Kept, time: str) -> UsageError:
    folder = top / kept.folder
    event = f"event {kept.digest[:12]} ({time})"
    if kept.commit == "HEAD":
        here = (top / kept.path).exists()
        what = f"HEAD holds its registration in {folder}, {event}, and it is not {'in this trail' if here else 'here'}"
        remedy = USE_THAT if here else f"get it back: {_back(folder)}"
    elif git(top, "merge-base", "--is-ancestor", kept.commit, "HEAD") is not None:
        what = f"an earlier commit of this branch, {kept.commit[:12]}, holds its registration in {folder}, {event}"
        remedy = f"get it back: {_checkout(top, kept)}"
    elif branches := _branches(top, kept.commit):
        listed = ", ".join(branches[:LISTED])
        what = f"another branch, {listed}, holds its registration in {folder}, {event}"
        remedy = (
            f"go on with that one, since events never conflict: git -C {quote(str(top))} merge {quote(branches[0])}"
        )
    else:
        what = f"a commit that no branch has any more, {kept.commit[:12]}, holds its registration in {folder}, {event}"
        remedy = f"get it back: {_checkout(top, kept)}"
    return UsageError(f"the hypothesis is registered already: {what}", where=asked.hypothesis, remedy=remedy)


def _checkout(top: Path, kept: _Kept) -> str:
    return f"git -C {quote(str(top))} checkout {kept.commit} -- {quote(kept.folder or '.')}"


def _branches(top: Path, commit: str) -> list[str]:
    """Branches, of this repository first, and tags that have a commit."""
    asked = ("for-each-ref", "--format=%(refname:short)", f"--contains={commit}", "refs/heads", "refs/remotes")
    return os.fsdecode(git(top, *asked, "refs/tags") or b"").split()


def _refuse_what_work_trees_hold(asked: _Asked, where: Repository) -> None:
    """Refuse what other work trees of the repository hold, committed or not."""
    for other in _find_in_work_trees(asked, where):
        if other.project is None:
            _refuse_held(asked, other.trail, "another work tree of this repository")


def _find_in_work_trees(asked: _Asked, where: Repository) -> Iterator[Nearby]:
    """Yield the trails in other work trees of the repository."""
    assert where.top is not None
    listed = os.fsdecode(git(where.top, "worktree", "list", "--porcelain") or b"")
    for line in listed.splitlines():
        top = Path(line.removeprefix("worktree "))
        base = top / where.prefix
        if not line.startswith("worktree ") or _same(top, where.top) or not (top / ".git").exists():
            continue
        yield from find_trails(base, asked.trail)[0]


def _back(folder: Path) -> str:
    where = find_repository(folder)
    lacking = find_left_out(folder, where)
    return lacking.remedy if lacking is not None else write_put_back(where)


def _held(events: Iterable[tuple[str, bytes]], hypothesis: str) -> tuple[str, str] | None:
    """Return digest and time of the first registration among events by their digest; None if there is none."""
    return next(((digest, time) for digest, _, time in _read_registrations(events, {hypothesis})), None)


def _read_registrations(
    events: Iterable[tuple[str, bytes]], hypotheses: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield digest, hypothesis and time of registrations among events; what cannot be read is none."""
    for digest, data in events:
        fixing = read_fixing(data) if REGISTERED in data else None
        if fixing is not None and fixing.type == EventType.REGISTERED and fixing.hypothesis in hypotheses:
            yield digest, fixing.hypothesis, fixing.claimed_time


def _stored(trail: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted((trail / "ledger" / "events").glob("*.json")):
        try:
            yield file.stem, file.read_bytes()
        except OSError:
            continue


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
