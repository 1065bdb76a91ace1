"""Git and a trail: how it is told to carry it as it was written, what keeps it from that, and commands that help.

Nothing here runs a command that changes anything: harness writes two files beside a new trail and names the rest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Literal

from harness.ledger.git import Repository, find_repository, git
from harness.system.storage import write_atomic
from harness.wording import format_count

ATTRIBUTES = "# What is here is named by the digest of its bytes: no conversion of line ends, ever.\n** -text\n"
IGNORED = """\
# Git carries this, whatever ignore files above say.
!/*/
!/*/*/
!/*/*/figures/
!/ledger/events/*.json
!/ledger/anchors/*
!/objects/sha256/*
!/*/*/*.json
!/*/*/*.md
!/*/*/figures/*
# Working files, locks, trained weights and output of programs: named by digest in env.json, and not for everybody.
/*/*/work/
/*/*/weights/
/*/*/logs/
/*/replicating-*/
/*/repeating-*/
/ledger/.lock
/*/.lock
.lock.held/
.*.tmp
"""
BESIDE = {".gitattributes": ATTRIBUTES, ".gitignore": IGNORED}
"""Files for git that lie in a trail and belong to no event."""
SAMPLES = {
    "ledger/events/*.json": f"ledger/events/{'0' * 64}.json",
    "ledger/anchors/*": f"ledger/anchors/{'0' * 64}.tsr",
    "objects/sha256/*": f"objects/sha256/{'0' * 64}",
    "*/*/*.json": "any/000000000000/verdict.json",
    "*/*/*.md": "any/000000000000/verdict.md",
    "*/*/figures/*": "any/000000000000/figures/any.svg",
}
"""Pattern below the trail that git must take → a file of that kind that is in no trail yet."""


@dataclass(frozen=True)
class Hindrance:
    """One thing that keeps git from carrying the trail."""

    code: Literal["ignored", "left-out", "partial"]
    """Name of the hindrance, which is also a code of the audit."""
    what: str
    """The hindrance, as a clause."""
    remedy: str
    paths: frozenset[str] = frozenset()
    """left-out: the files that are not here, below the trail."""


def prepare(root: Path) -> None:
    """Write the files that tell git how to keep a trail, where they are missing; what is there stays as it is.

    Raises:
        StorageFailed: one could not be written.
    """
    for name, text in BESIDE.items():
        if not os.path.lexists(root / name):
            write_atomic(root / name, text.encode())


def find_hindrances(root: Path, where: Repository | None = None) -> tuple[Hindrance, ...]:
    """Return what keeps git from carrying the trail at ``root``, which need not be there; without git, nothing."""
    where = where if where is not None else find_repository(root)
    if where.top is None:
        return ()
    found = (find_ignored(where), find_left_out(root, where))
    return tuple(hindrance for hindrance in found if hindrance is not None)


def find_left_out(root: Path, where: Repository | None = None) -> Hindrance | None:
    """Find files of the trail that git has and, as it was told to (a sparse checkout), has not put here."""
    where = where if where is not None else find_repository(root)
    if where.top is None:
        return None
    pathspec = f":(top,literal){where.prefix}" if where.prefix else ":/"
    listed = os.fsdecode(git(where.top, "ls-files", "-t", "-z", "--", pathspec) or b"")
    skipped = (entry[2:] for entry in listed.split("\0") if entry.startswith("S "))
    absent = frozenset(path[len(where.prefix) :] for path in skipped if not os.path.lexists(where.top / path))
    if not absent:
        return None
    sparse = (git(where.top, "config", "--type=bool", "core.sparseCheckout") or b"").strip() == b"true"
    folder = where.prefix.rstrip("/") or "."
    add = f"git -C {quote(str(where.top))} sparse-checkout add {quote(folder)}"
    how = "a sparse checkout" if sparse else "a skip-worktree mark"
    count = format_count(len(absent), "file")
    what = f"git has {count} of this trail that {how} leaves out here"
    inside = f"git -C {quote(str(where.top / where.prefix).rstrip('/'))}"
    unmark = f"{inside} ls-files -z | {inside} update-index -z --no-skip-worktree --stdin && {write_put_back(where)}"
    return Hindrance("left-out", what, add if sparse else unmark, absent)


def write_put_back(where: Repository) -> str:
    """Write the command that puts every file of the trail here as HEAD has it, to the byte.

    Its entries are dropped from the index first: git takes a file that it converted itself for unchanged, and would
    leave it as it is. Files that HEAD doesn't have are left alone.
    """
    inside = quote(str((where.top or Path()) / where.prefix).rstrip("/"))
    if where.top is not None and not (where.top / where.prefix).is_dir():  # there is no such folder to stand in
        return f"git -C {quote(str(where.top))} checkout HEAD -- {quote(where.prefix)}"
    return f"git -C {inside} rm -r -q --cached . && git -C {inside} checkout -q HEAD -- ."


def is_partial(top: Path) -> bool:
    """Tell whether the repository is a partial clone, which lacks objects that it could fetch."""
    return bool(git(top, "config", "--get-regexp", r"^remote\..*\.(promisor|partialclonefilter)$"))


def find_ignored(where: Repository) -> Hindrance | None:
    """Tell whether an ignore file keeps new files of the trail out of git; ``where``: the trail's repository."""
    if where.top is None:
        return None
    top, prefix = where.top, where.prefix
    parents = [f"{parent}/" for parent in reversed(PurePosixPath(prefix).parents) if str(parent) != "."]
    folders = [*parents, prefix] if prefix else []
    asked = [*folders, *(prefix + sample for sample in SAMPLES.values())]
    answer = git(top, "check-ignore", "-v", "-z", "--stdin", given="\0".join(asked).encode() + b"\0")
    fields = os.fsdecode(answer or b"").split("\0")
    rows = [fields[start : start + 4] for start in range(0, len(fields) - 3, 4)]
    hits = {path: (source, line, pattern) for source, line, pattern, path in rows if not pattern.startswith("!")}
    if not hits:
        return None
    path = next(path for path in asked if path in hits)
    source, line, pattern = hits[path]
    file = Path(source) if Path(source).is_absolute() else top / source
    what = f"git ignores new files of this trail, by line {line} of {file}: {pattern}"
    return Hindrance(
        "ignored", what, _write_inclusion(top, prefix, file, line, [one for one in asked if one in hits], folders)
    )


def _write_inclusion(top: Path, prefix: str, file: Path, line: str, hit: list[str], folders: list[str]) -> str:
    """Write the command by which git takes the trail in again: further lines of the file that keeps it out."""
    trail = top / prefix
    if file.name != ".gitignore":
        file = top / ".gitignore"  # which counts before .git/info/exclude and a user's own file
    if file.parent.resolve().is_relative_to(trail.resolve()) and prefix:
        return f"take line {line} out of {file}, then: git -C {quote(str(trail))} add ."
    base = file.parent.resolve().relative_to(top.resolve()).as_posix()
    cut = 0 if base == "." else len(base) + 1
    if hit[0] in folders:
        below = folders[folders.index(hit[0]) :]
        lines = [part for folder in below for part in (f"!/{folder[cut:]}", f"/{folder[cut:]}*")][:-1]
    else:
        kinds = [kind for kind, sample in SAMPLES.items() if prefix + sample in hit]
        parts = [PurePosixPath(kind) for kind in kinds]
        above = [f"{parent}/" for part in parts for parent in reversed(part.parents) if str(parent) != "."]
        lines = [f"!/{prefix[cut:]}{below}" for below in dict.fromkeys([*above, *kinds])]
    added = " ".join(quote(text) for text in lines)
    return f"printf '%s\\n' {added} >> {quote(str(file))} && git -C {quote(str(trail))} add ."
