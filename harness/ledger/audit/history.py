"""Step 2: nothing that git's history ever held of the trail is missing or another now.

Every commit is scanned with the difference to each of its parents, so that what a merge threw away (``-s ours``) is
seen as well. Only blob ids are compared: no content of the history is read, and no configuration of the repository
has a say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from shlex import quote

from harness.ledger.audit import searched
from harness.ledger.audit.evidence import ANCHORS, EVENTS, OBJECTS, Evidence
from harness.ledger.audit.files import is_unlisted
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.carried import find_ignored, is_partial
from harness.ledger.git import State, find_nearest, find_repository, git, write_fetch
from harness.ledger.mending import CHANGED, list_variants, write_renormalising, write_repair
from harness.ledger.versions import OWN, Versions, list_versions
from harness.wording import format_count

PROMISE = "nothing that git's history ever held of the trail is missing or changed now"
SILENT: dict[State, str] = {
    "no git": "no-git",
    "no repository": "no-repository",
    "no commit yet": "no-commit",
    "outside the repository": "outside-repository",
    "git says no": "git-refuses",
}
"""Reason that there is no history → code of the finding."""
UNREADABLE = "unreadable"
LISTED = 3
"""Commits or branches that a finding names."""


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find what history knows and the folder does not."""
    root = evidence.files.root
    shown = str(root)
    where = find_repository(root, evidence.project)
    if (hindrance := find_ignored(where)) is not None:
        yield AuditFinding("ignored", hindrance.what, shown, command=hindrance.remedy)
    if where.state != "answers":
        what = f"{where.problem}: nobody can tell whether something was removed from the trail"
        command = where.remedy if where.state in ("git says no", "no commit yet") else None
        yield AuditFinding(SILENT[where.state], what, shown, command=command)
        return
    if (_run_git(root, "rev-parse", "--is-shallow-repository") or b"true").strip() != b"false":
        what = "a shallow clone: only a part of the history can be checked"
        yield AuditFinding("shallow", what, shown, command=f"{write_fetch(root, '--unshallow')}, then audit again")
    lacking = is_partial(where.top) if where.top is not None else False
    ours, said = list_versions(find_nearest(root), where.prefix, "HEAD")
    if ours is None:
        what = f"{'a partial clone: ' if lacking else ''}git log says no: {said}; the history was not checked"
        command = f"{write_fetch(root)}, then audit again" if lacking else None
        yield AuditFinding("partial" if lacking else "git-refuses", what, shown, command=command)
        return
    if evidence.index.events and not any(path.startswith(EVENTS) for path in ours):
        what = "no commit of this branch holds an event: nobody can tell whether one was removed"
        yield AuditFinding("no-history", what, shown)
        return
    algorithm = (_run_git(root, "rev-parse", "--show-object-format") or b"sha1").strip().decode()
    present = _Present(evidence, algorithm)
    yield from _compare_with_history(evidence, ours, present)
    yield from searched.check(evidence, where, ours, partial_clone=lacking)


def _compare_with_history(evidence: Evidence, ours: Versions, present: _Present) -> Iterator[AuditFinding]:
    named = _list_named_artefacts(evidence)
    converted: dict[bool, list[str]] = {True: [], False: []}  # whether the file here is the right one → paths
    pilots = evidence.pilots  # history alone tells that their files are what they were
    for path, versions in sorted(ours.items()):
        fixed = path.startswith((EVENTS, OBJECTS, ANCHORS, *pilots)) and not is_unlisted(path)
        if not fixed and path not in named:
            continue
        where = evidence.files.shown(path)
        now = present.blob(path)
        commits = ", ".join(sorted({commit[:12] for commit in versions.values()})[:LISTED])
        whose = None if fixed else named[path]
        if now is None and evidence.left_out(path):
            continue  # step 1 names them all
        if now is None:
            what = f"git's history has this file (commit {commits}), and it is gone"
            command = _write_checkout(evidence.files.root, path, next(iter(versions.values())))
            yield AuditFinding("removed", what, where, f"blob {min(versions)}", "no such file", whose, command)
        elif now not in versions and not (not fixed and present.matches_verdict(path)):
            if now != UNREADABLE and present.is_converted(path, versions):
                converted[present.matches_name(path)].append(path)
                continue
            what = f"git's history has another content of this file (commit {commits})"
            only = _write_checkout(evidence.files.root, path, *versions.values()) if len(versions) == 1 else None
            yield AuditFinding("changed", what, where, f"blob {min(versions)}", f"blob {now}", whose, only)
        elif len(versions) > 1 and path not in evidence.files.mended:
            what = f"git's history has {len(versions)} versions of this file; the one here is the one that is named"
            yield AuditFinding("other-version", what, where, hypothesis=whose)
    yield from _report_converted(evidence, converted)
    fresh = [digest for digest in evidence.index.digests if f"{EVENTS}{digest}.json" not in ours]
    if fresh:
        count = f"{format_count(len(fresh), 'event is', 'events are')} in no commit of this branch yet"
        yield AuditFinding("uncommitted", count, evidence.at(fresh[0]))


def _write_checkout(root: Path, path: str, commit: str) -> str:
    """Write the command that gets a file back as a commit has it."""
    there = find_nearest(root).absolute()
    inside = (root.absolute() / path).relative_to(there).as_posix()
    return f"git -C {quote(str(there))} checkout {commit} -- {quote(inside)}"


def _report_converted(evidence: Evidence, converted: dict[bool, list[str]]) -> Iterator[AuditFinding]:
    """Report files whose copies in git's history differ from them in line ends only."""
    root = evidence.files.root
    for right, paths in converted.items():
        if not paths:
            continue
        count = format_count(len(paths), "file")
        first = f"{count}, first {paths[0]}"
        if right:
            what = f"{first}: what was committed has other line ends than what was written, which is here"
            yield AuditFinding("history-ends", what, str(root), command=write_renormalising(root, paths[0]))
        elif not evidence.mended:  # or step 1 has told it; these are pilots' files, whose digests no event names
            yield AuditFinding("changed", f"{first}: {CHANGED}", str(root), command=write_repair(root))


def _list_named_artefacts(evidence: Evidence) -> dict[str, str]:
    """Return the hypothesis of every file that a verdict names, by path."""
    return {
        f"{run.folder}/{name}": run.hypothesis
        for run, verdict in evidence.index.judged()
        for name in verdict.body.files
    }


class _Present:
    """The trail's files as git would name them."""

    def __init__(self, evidence: Evidence, algorithm: str) -> None:
        self.files = evidence.files
        self.algorithm = "sha256" if algorithm == "sha256" else "sha1"
        self.recorded = {
            f"{run.folder}/{name}": digest
            for run, verdict in evidence.index.judged()
            for name, digest in verdict.body.files.items()
        }

    def blob(self, path: str) -> str | None:
        """Return the file's blob id; None if it is not there."""
        if path not in self.files.paths or is_unlisted(path):
            return None
        try:
            data = self.files.read(path)
        except OSError:
            return UNREADABLE
        return hashlib.new(self.algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def matches_name(self, path: str) -> bool:
        """Tell whether the file here has the digest that its name, or an event, says."""
        return path in self.files.expected and self.files.digest(path) == self.files.expected[path]

    def is_converted(self, path: str, versions: Collection[str]) -> bool:
        """Tell whether history's copies and the file here differ by a conversion of line ends."""
        kept = [_run_git(self.files.root, "cat-file", "blob", blob) for blob in sorted(versions)[:LISTED]]
        here = self.files.read(path)
        if self.matches_name(path):
            return any(here in list_variants(copy) for copy in kept if copy is not None)
        return any(copy in list_variants(here) for copy in kept if copy is not None)

    def matches_verdict(self, path: str) -> bool:
        """Tell whether the file is the one that its verdict names: then it is history's version that was a draft."""
        try:
            return self.files.digest(path) == self.recorded[path]
        except OSError:
            return False


def _run_git(root: Path, *arguments: str) -> bytes | None:
    """Run git without replaced objects and without the repository's own helpers."""
    return git(find_nearest(root), *OWN, *arguments)
