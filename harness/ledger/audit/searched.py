"""Step 2, beyond the trail's own files: events that git holds anywhere and the trail lacks, and other ledgers.

An event belongs to this ledger if its parents or its descendants lead to an event that is here, or if it lay in this
folder. Whatever else of a project's events was thrown away is gone as well; other projects' are only named.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from shlex import quote
from typing import Literal

from harness.ledger.absent import Absent, list_absent
from harness.ledger.audit.evidence import EVENTS, Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.event import Event, parse_event
from harness.ledger.git import Repository, find_repository, git, write_fetch
from harness.ledger.in_git import list_branches
from harness.ledger.nearby import find_base
from harness.ledger.second import OtherLedger, find_other_ledgers
from harness.ledger.versions import OWN, Versions
from harness.wording import format_count

Code = Literal["removed", "attempts-elsewhere", "events-elsewhere", "partial"]
LISTED = 5
"""Hypotheses of another ledger, or branches, that are named."""


def check(evidence: Evidence, where: Repository, ours: Versions, *, partial_clone: bool) -> Iterator[AuditFinding]:
    """Find events that the trail lacks; ``ours``: what this branch ever had of it, which is compared elsewhere."""
    base = find_base(evidence.around.project) if evidence.around is not None else evidence.files.root.absolute().parent
    project = find_repository(base)
    if project.top != where.top:  # the trail lies in a repository of its own
        project = where
    unread: list[str] = []
    unnamed: list[str] = []
    entered = {path.removeprefix(EVENTS).removesuffix(".json") for path in evidence.files.paths}
    found = list_absent(project, entered, unread.append, unnamed.append)
    absent = [one for one in found if not _is_told(evidence, where, ours, one)]
    beside = find_other_ledgers(evidence.around) if evidence.around is not None else ()
    family = _Family(evidence, absent, beside)
    yield from _report_absent(evidence, absent, family, where, partial_clone=partial_clone)
    for ledger in beside:
        yield from _report_ledger(evidence, ledger, family)
    for code, problems in (("history-unread", unread), ("objects-unread", unnamed)):
        for problem in dict.fromkeys(problems):
            yield AuditFinding(code, problem, str(evidence.files.root))


def _is_told(evidence: Evidence, where: Repository, ours: Versions, one: Absent) -> bool:
    """Tell whether the comparison with this branch, or step 1, names the event."""
    if one.around or one.path is None or not one.path.startswith(where.prefix):
        return False
    path = one.path.removeprefix(where.prefix)
    return path in ours or evidence.left_out(path)


class _Family:
    """Events that belong to one ledger, those that are not here among them."""

    def __init__(self, evidence: Evidence, absent: list[Absent], beside: tuple[OtherLedger, ...]) -> None:
        self.evidence = evidence
        contents = {one.digest: one.data for one in absent}
        contents |= {digest: data for ledger in beside for digest, data in ledger.events.items()}
        self.events: dict[str, Event] = {}
        for digest, data in contents.items():
            if digest not in evidence.index.digests and (event := _parse(data)) is not None:
                self.events[digest] = event
        near: dict[str, set[str]] = defaultdict(set)
        for digest, event in self.events.items():
            for parent in event.parents:
                near[digest].add(parent)
                near[parent].add(digest)
        todo = [digest for digest in near if digest in evidence.index.digests]
        self.own: set[str] = set(todo)
        """Digests that parents and descendants connect with an event that is here."""
        while todo:
            new = near[todo.pop()] - self.own
            self.own |= new
            todo.extend(new)

    def subject(self, digest: str) -> str | None:
        """Return the hypothesis that an event is about, directly or through its run's event."""
        event = self.events.get(digest)
        if event is None:
            return self.evidence.index.subject(digest) if digest in self.evidence.index.digests else None
        hypothesis, run = event.body.get("hypothesis"), event.body.get("run")  # also of a type that a later version has
        if isinstance(hypothesis, str):
            return hypothesis
        return self.subject(run) if isinstance(run, str) and run != digest else None


def _parse(data: bytes | None) -> Event | None:
    try:
        return parse_event(data or b"", "")
    except Exception:  # whatever it is, it is no event that could be counted
        return None


def _report_absent(
    evidence: Evidence, absent: list[Absent], family: _Family, where: Repository, *, partial_clone: bool
) -> Iterator[AuditFinding]:
    found: dict[tuple[Code, str, str | None], list[Absent]] = defaultdict(list)
    for one in absent:
        subject = family.subject(one.digest)
        inside = not one.around and one.path is not None and one.path.startswith(where.prefix + EVENTS)
        code = _choose_code(evidence, one, subject, own=inside or one.digest in family.own)
        if one.data is None and partial_clone:
            code = "partial"
        if code is not None:
            found[code, one.place, subject].append(one)
    for (code, place, subject), events in found.items():
        count, first = format_count(len(events), "event"), events[0]
        about = f"{count} on {subject or 'something else'}"
        command, whose = None, subject if code == "attempts-elsewhere" else None
        if code == "removed":
            kept = first.path or "an object without a name"
            what = f"git has {about} ({kept}), and {'it is' if len(events) == 1 else 'they are'} not in this trail"
            command = first.write_back(evidence.files.root)
        elif code == "partial":
            what = f"a partial clone: {count} in a commit outside this branch cannot be read here"
            command = f"{write_fetch(evidence.files.root)}, then audit again"
        else:
            outside, command = _describe_outside(first)
            what = f"{about} {outside}"
            what += ": attempts may be missing here, until it is merged" if code == "attempts-elsewhere" else ""
        yield AuditFinding(code, what, place, got=first.digest, hypothesis=whose, command=command)


def _describe_outside(one: Absent) -> tuple[str, str | None]:
    """Describe where git holds an event that is on no commit of this branch; and the command that merges it."""
    branches = list_branches(one.top, one.commit) if one.commit is not None and not one.around else []
    if not branches:  # a stash, or another repository
        return "in a commit outside this branch", None
    more = f" and {len(branches) - LISTED} more" if branches[LISTED:] else ""
    related = git(one.top, *OWN, "merge-base", "HEAD", branches[0]) is not None
    command = f"git -C {quote(str(one.top))} merge {quote(branches[0])}" if related else None
    return f"on {', '.join(branches[:LISTED])}{more}, and not on this branch", command


def _choose_code(evidence: Evidence, one: Absent, subject: str | None, *, own: bool) -> Code | None:
    """Choose what to say of an event; None if the ledger that it lies in is named instead.

    ``own``: it belongs to this ledger.
    """
    about = subject in evidence.index.hypotheses
    if own and one.standing != "branch":
        return "removed"
    if not own and (one.other_project or one.around):
        return "events-elsewhere"
    if not own and one.there and evidence.around is not None and _is_on_disk(one):
        return None
    if not own and (one.standing == "history" or (one.standing == "dropped" and about)) and not one.there:
        return "removed"
    return "attempts-elsewhere" if about else "events-elsewhere"


def _is_on_disk(one: Absent) -> bool:
    return one.path is not None and os.path.lexists(one.top / one.path)


def _report_ledger(evidence: Evidence, ledger: OtherLedger, family: _Family) -> Iterator[AuditFinding]:
    """Name another ledger that lies in the tree; in another work tree of the repository, only what is missing here."""
    new = [digest for digest in ledger.events if digest not in evidence.index.digests]
    names = sorted({subject for digest in new if (subject := family.subject(digest)) is not None})
    listed = ", ".join(names[:LISTED]) + (" …" if names[LISTED:] else "")
    own = [digest for digest in new if digest in family.own]
    if ledger.work_tree:
        for name in sorted({family.subject(digest) or "" for digest in own} & {*evidence.index.hypotheses}):
            what = f"another work tree holds events on {name} that are not here: attempts may be missing here"
            yield AuditFinding("attempts-elsewhere", what, str(ledger.trail), hypothesis=name)
        return
    what = f"another ledger lies in {ledger.trail}: {format_count(len(ledger.events), 'event')}"
    what += f", {len(new)} of them not here" if new else ", all of which are here, too"
    what += f", on {listed}" if listed else ""
    what += f"; {len(own)} of them continue this ledger" if own else ""
    grave = bool(own) or (bool(new) and not ledger.other_project)
    yield AuditFinding("other-ledger" if grave else "ledger-beside", what, str(ledger.trail))
