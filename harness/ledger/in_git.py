"""Events that git holds of trails, whatever is checked out: in HEAD, and in every commit that this clone knows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from harness.errors import UsageError
from harness.ledger.carried import find_left_out, write_put_back
from harness.ledger.git import Repository, find_repository, git, write_fetch
from harness.ledger.nearby import HYPOTHESES
from harness.ledger.versions import OWN, list_versions

EVENT = re.compile(r"(?P<trail>(?:.+?/)??)(?:(?:ledger/)?events/)?(?P<digest>[0-9a-f]{64})\.json", re.DOTALL)
"""An event by its name, wherever somebody moved it."""
ASKING = re.compile(rf"(?P<project>.+/){HYPOTHESES}/[^/]+\.yaml", re.DOTALL)
EVENTS = f":(top,glob)**/{'[0-9a-f]' * 64}.json"
USE_THAT = (
    "use that trail: name it with --verdicts or, for good, as verdicts in [tool.harness]; a new question has a new id"
)
LISTED = 3
"""Branches or projects that are named."""


@dataclass(frozen=True)
class Kept:
    """An event in git."""

    folder: str
    """The trail's folder, below the repository's top."""
    digest: str
    """The event's digest, by its name."""
    path: str
    """Path of the event's file, below the repository's top."""
    commit: str = "HEAD"
    """A commit that has it."""
    other_project: bool = False
    """True if it is in another project of the repository."""


@dataclass(frozen=True)
class Layout:
    """Files of HEAD by their place, and those among them that belong to another project."""

    there: Mapping[str, str]
    """File, below the repository's top → its blob."""
    prefix: str
    """The project's folder, ending in a slash; empty at the top."""
    inner: tuple[str, ...]
    """Folders of projects inside it."""

    def is_other(self, path: str) -> bool:
        """Tell whether a file is another project's."""
        return not path.startswith(self.prefix) or path.startswith(self.inner)


def read_layout(where: Repository, note: Callable[[str], None]) -> Layout:
    """Read what HEAD has; ``where``: the repository, with the project's folder as its prefix."""
    there = {path: meta.split()[2] for meta, path in _list_head(where, note)}
    asking = {match["project"] for path in there if (match := ASKING.fullmatch(path))}
    ours = f"{where.prefix}{HYPOTHESES}/"
    inner = tuple(
        folder
        for folder in asking
        if f"{folder}pyproject.toml" in there and len(folder) > len(where.prefix) and not folder.startswith(ours)
    )
    return Layout(there, where.prefix, inner)


def list_kept(where: Repository, entered: Collection[str], note: Callable[[str], None]) -> Iterator[dict[str, Kept]]:
    """List the events in git that are not among the ``entered`` ones, by their blobs.

    Those that HEAD has are first, then those of every commit. What could not be looked at is noted.
    """
    assert where.top is not None
    layout = read_layout(where, note)

    def keep(path: str, commit: str = "HEAD") -> Kept | None:
        match = EVENT.fullmatch(path)
        if match is None or match["digest"] in entered:
            return None
        return Kept(match["trail"], match["digest"], path, commit, layout.is_other(path))

    yield {blob: one for path, blob in layout.there.items() if (one := keep(path)) is not None}
    if (git(where.top, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true":
        note(
            "not looked at: commits that this shallow clone lacks; one of them may hold a registration of this id: "
            + write_fetch(where.top, "--unshallow")
        )
    everywhere, said = list_versions(where.top, "", "--all", "--reflog", files=EVENTS)
    if everywhere is None:
        note(f"not looked at: whether another branch holds a registration of this id ({said})")
        return
    yield {
        blob: one
        for path, blobs in everywhere.items()
        for blob, commit in blobs.items()
        if path not in layout.there and (one := keep(path, commit)) is not None
    }


def _list_head(where: Repository, note: Callable[[str], None]) -> list[tuple[str, str]]:
    """List what HEAD has: mode, type and blob, and the path; a branch without a commit has nothing."""
    assert where.top is not None
    if where.state == "no commit yet":
        return []
    listed = git(where.top, *OWN, "ls-tree", "-r", "-z", "--full-tree", "HEAD")
    if listed is None:
        note("not looked at: whether HEAD holds a registration of this id (git can't list its files)")
    parts = (entry.partition("\t") for entry in os.fsdecode(listed or b"").split("\0") if entry)
    return [(meta, path) for meta, _, path in parts]


def explain_unasked(base: Path, where: Repository) -> str | None:
    """Say why git can't be asked about the repository around a folder, as a clause.

    None if it can, or if there is no repository.
    """
    if where.state in ("answers", "no commit yet"):
        return None
    if where.state in ("no git", "no repository"):
        marks = [folder / ".git" for folder in (base, *base.parents)]
        there = next((mark for mark in marks if os.path.lexists(mark)), None)
        return f"{there} is there, but {where.problem}" if there is not None else None
    return where.problem


def describe_kept(top: Path, kept: Kept, time: str) -> tuple[str, str]:
    """Describe where git holds a registration, and what gets it back."""
    folder = top / kept.folder
    event = f"event {kept.digest[:12]} ({time})"
    if kept.commit == "HEAD":
        here = (top / kept.path).exists()
        what = f"HEAD holds its registration in {folder}, {event}, and it is not {'in this trail' if here else 'here'}"
        return what, USE_THAT if here else f"get it back: {write_back(folder)}"
    if git(top, "merge-base", "--is-ancestor", kept.commit, "HEAD") is not None:
        what = f"an earlier commit of this branch, {kept.commit[:12]}, holds its registration in {folder}, {event}"
        return what, f"get it back: {_checkout(top, kept)}"
    if branches := list_branches(top, kept.commit):
        listed = ", ".join(branches[:LISTED])
        what = f"another branch, {listed}, holds its registration in {folder}, {event}"
        if git(top, "merge-base", "HEAD", kept.commit) is None:  # no commit here, or no common one
            return what, f"get it back: {_checkout(top, kept)}"
        command = f"git -C {quote(str(top))} merge {quote(branches[0])}"
        return what, f"go on with that one, since events never conflict: {command}"
    what = f"a commit that no branch has any more, {kept.commit[:12]}, holds its registration in {folder}, {event}"
    return what, f"get it back: {_checkout(top, kept)}"


def refuse_missing(top: Path, missing: list[Kept], hypothesis: str) -> None:
    """Refuse to go on where HEAD has events that are not here.

    Raises:
        UsageError: there are some.
    """
    if not missing:
        return
    lacking = top / missing[0].folder
    raise UsageError(
        f"HEAD has {len(missing)} event{'s' if missing[1:] else ''} of the trail {lacking} that this folder lacks, so "
        "that nobody can tell whether the hypothesis is registered already",
        where=hypothesis,
        remedy=f"get them: {write_back(lacking)}",
    )


def write_back(folder: Path) -> str:
    """Write the command that puts back what git has of a trail and the folder lacks."""
    where = find_repository(folder)
    lacking = find_left_out(folder, where)
    return lacking.remedy if lacking is not None else write_put_back(where)


def list_work_trees(top: Path, note: Callable[[str], None]) -> list[Path]:
    """List the other work trees of a repository that are there."""
    listed = git(top, "worktree", "list", "--porcelain", "-z")
    if listed is None:  # git before 2.36, which can't tell of names with line ends
        listed = (git(top, "worktree", "list", "--porcelain") or b"").replace(b"\n", b"\0")
    fields = os.fsdecode(listed).split("\0")
    if not any(fields):
        note("not looked at: other work trees of this repository (git can't list them)")
    trees = [Path(field.removeprefix("worktree ")) for field in fields if field.startswith("worktree ")]
    own = os.path.realpath(top)
    return [tree for tree in trees if os.path.realpath(tree) != own and os.path.lexists(tree / ".git")]


def _checkout(top: Path, kept: Kept) -> str:
    return f"git -C {quote(str(top))} checkout {kept.commit} -- {quote(kept.folder or '.')}"


def list_branches(top: Path, commit: str) -> list[str]:
    """List the branches that have a commit, those of this repository first, and the tags."""
    asked = ("for-each-ref", "--format=%(refname:short)", f"--contains={commit}", "refs/heads", "refs/remotes")
    return os.fsdecode(git(top, *asked, "refs/tags") or b"").split()
