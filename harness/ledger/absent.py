"""Events that git holds somewhere and a trail does not.

Somewhere is all of git's history, under any path, what no branch reaches any more, and the repositories around and
inside. Names are looked at first, in every commit; contents only of events that the trail lacks. Of objects that
nothing reaches, git tells no names: the small ones are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

from harness.ledger.git import Repository, find_repository, git
from harness.ledger.in_git import EVENT, EVENTS, Layout, read_layout
from harness.ledger.versions import OWN, list_versions, read_contents

Standing = Literal["history", "branch", "dropped"]
"""history: a commit of this branch has it. branch: another branch, tag or stash. dropped: nothing that git would hand
on: the reflog, the index, or an object that nothing reaches."""
SEARCHES: tuple[tuple[Standing, tuple[str, ...]], ...] = (
    ("history", ("HEAD",)),
    ("branch", ("--all", "--not", "HEAD")),
    ("dropped", ("--reflog", "--not", "--all", "HEAD")),
)
BARE = ("--git-dir=.", "--work-tree=.")
"""Options of git in a git folder, whose own settings may name a work tree that is gone."""
BEGINNING = b'{"actor":'
"""Beginning of every event, whose keys are in order."""
LARGEST_UNNAMED = 2**20
"""Bytes of an object without a name up to which it is read."""
AT_ONCE = 1000
"""Commits or objects that one call of git is asked about."""
DEEPEST = 8
"""Folders of git's modules, and repositories around one another, that are looked into."""


@dataclass(frozen=True)
class Absent:
    """An event that git holds and the trail does not."""

    digest: str
    """Digest of the event, by its file's name or, without one, by its content."""
    data: bytes | None
    """Content of the event; None if this clone lacks it."""
    standing: Standing
    top: Path
    """The repository's folder."""
    blob: str
    """Name of its blob in git."""
    path: str | None = None
    """Path of its file below ``top``; None for an object without a name."""
    commit: str | None = None
    """A commit that has it."""
    around: bool = False
    """True if the repository is another one: around the trail's, or inside it."""
    other_project: bool = False
    """True if it lies in another project of the repository."""
    there: bool = False
    """True if the commit that is checked out has the file."""

    @property
    def place(self) -> str:
        """Return where it is, for a person."""
        named = f"commit {self.commit[:12]}" if self.commit is not None else f"object {self.blob[:12]}"
        return f"{named} of {self.top}" if self.around else named

    def write_back(self, trail: Path) -> str:
        """Write the command that puts it into a trail."""
        folder = f"--git-dir={quote(str(self.top))}" if self.around else f"-C {quote(str(self.top))}"
        file = trail.absolute() / "ledger" / "events" / f"{self.digest}.json"
        return f"git {folder} cat-file blob {self.blob} > {quote(str(file))}"


def list_absent(
    where: Repository, entered: Collection[str], unread: Callable[[str], None], unnamed: Callable[[str], None]
) -> list[Absent]:
    """List the events that git holds and that are not among the ``entered`` ones, each once.

    ``where``: the trail's repository, which has a commit. A part of the history that could not be looked at is told to
    ``unread``; if objects that nothing reaches could not be, that is told to ``unnamed``.
    """
    assert where.top is not None
    found: dict[str, Absent] = {}
    layout = read_layout(where, unread)
    lost = _list_unreachable(where.top, unnamed)
    for one in _search(where.top, (), entered, layout, unread, lost):
        found.setdefault(one.digest, one)
    for folder, how in _list_repositories(where.top):
        for one in _search(folder, how, entered, None, unread, ([], [])):
            found.setdefault(one.digest, one)
    return list(found.values())


def _search(
    top: Path,
    how: tuple[str, ...],
    entered: Collection[str],
    layout: Layout | None,
    unread: Callable[[str], None],
    lost: tuple[list[str], list[str]],
) -> Iterator[Absent]:
    """Search one repository; ``lost``: commits and blobs that nothing reaches."""
    head = git(top, *how, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is not None
    searches = [(standing, tuple(c for c in commits if head or c != "HEAD")) for standing, commits in SEARCHES]
    commits, loose = lost
    parts = (commits[start : start + AT_ONCE] for start in range(0, len(commits), AT_ONCE))
    searches += [("dropped", (*part, "--not", "--all", "--reflog")) for part in parts]
    named: dict[str, tuple[Standing, str, str | None]] = {}
    for standing, chosen in searches:
        if not chosen:
            continue
        versions, said = list_versions(top, "", *chosen, files=EVENTS, how=how)
        if versions is None:
            unread(f"not looked at: a part of the history of {top} ({said})")
            continue
        for path, blobs in versions.items():
            for blob, commit in blobs.items():
                named.setdefault(blob, (standing, path, commit))
    for file, blob in _list_index(top, how):
        named.setdefault(blob, ("dropped", file, None))
    wanted = {blob: at for blob, at in named.items() if _name(at[1]) not in entered}
    contents = _read(top, how, wanted)
    for blob, (standing, path, at) in wanted.items():
        other = layout is not None and layout.is_other(path)
        there = layout is not None and path in layout.there
        yield Absent(_name(path), contents.get(blob), standing, top, blob, path, at, layout is None, other, there)
    for blob, data in _read(top, how, _choose_small(top, how, loose)).items():
        if data.startswith(BEGINNING) and (digest := hashlib.sha256(data).hexdigest()) not in entered:
            yield Absent(digest, data, "dropped", top, blob)


def _name(path: str) -> str:
    match = EVENT.fullmatch(path)
    return match["digest"] if match is not None else ""


def _list_index(top: Path, how: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    listed = os.fsdecode(git(top, *OWN, *how, "ls-files", "-s", "-z", "--", EVENTS) or b"")
    for entry in listed.split("\0"):
        meta, _, path = entry.partition("\t")
        if len(fields := meta.split()) == 3 and EVENT.fullmatch(path):
            yield path, fields[1]


def _list_unreachable(top: Path, note: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """List commits and blobs that are there and that no branch, tag, stash, reflog or index reaches."""
    listed = git(top, *OWN, "fsck", "--connectivity-only", "--unreachable", "--no-dangling", "--no-progress")
    if listed is None:
        note("not looked at: objects that nothing in git reaches (git fsck gives no answer)")
    rows = [line.split() for line in (listed or b"").decode(errors="replace").splitlines()]
    kinds: dict[str, list[str]] = {"commit": [], "blob": []}
    for row in rows:
        if len(row) == 3 and row[0] == "unreachable" and row[1] in kinds:
            kinds[row[1]].append(row[2])
    return kinds["commit"], kinds["blob"]


def _choose_small(top: Path, how: tuple[str, ...], blobs: list[str]) -> list[str]:
    if not blobs:
        return []
    given = "".join(f"{blob}\n" for blob in blobs).encode()
    sizes = git(top, *OWN, *how, "cat-file", "--batch-check=%(objectname) %(objectsize)", given=given) or b""
    rows = [line.split() for line in sizes.decode().splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].isdecimal() and int(row[1]) <= LARGEST_UNNAMED]


def _read(top: Path, how: tuple[str, ...], blobs: Iterable[str]) -> dict[str, bytes]:
    wanted: list[str] = list(blobs)
    found: dict[str, bytes] = {}
    for start in range(0, len(wanted), AT_ONCE):
        found |= read_contents(top, wanted[start : start + AT_ONCE], how)
    return found


def _list_repositories(top: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """List the other repositories: those around, and the submodules of all, also of those that are gone."""
    seen = {_git_folder(top)}
    tops, above = [top], top.parent
    for _ in range(DEEPEST):
        if (around := find_repository(above).top) is None or around in tops:
            break
        tops.append(around)
        above = around.parent
    for number, one in enumerate(tops):
        own = _git_folder(one)
        if number and own not in seen:
            seen.add(own)
            yield own, BARE
        for folder in _list_modules(one, own):
            if (real := Path(os.path.realpath(folder))) not in seen:
                seen.add(real)
                yield real, BARE


def _list_modules(top: Path, own: Path) -> Iterator[Path]:
    """List the git folders of a repository's submodules, wherever git keeps them."""
    for folder, names, files in os.walk(own / "modules"):
        if len(Path(folder).relative_to(own).parts) > DEEPEST:
            names.clear()
        if "HEAD" in files and "objects" in names:
            names[:] = ["modules"] if "modules" in names else []
            yield Path(folder)
    listed = os.fsdecode(git(top, *OWN, "ls-files", "-s", "-z") or b"").split("\0")
    for entry in listed:
        inside = top / entry.partition("\t")[2]
        if entry.startswith("160000 ") and inside.is_dir() and (its := _git_folder(inside)) != own:
            yield its


def _git_folder(top: Path) -> Path:
    told = git(top, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(os.path.realpath(os.fsdecode(told or b"").removesuffix("\n") or top))
