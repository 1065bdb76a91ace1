"""Step 7: what was kept elsewhere: a head that somebody noted, stamps and signatures over heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.ledger.anchors import ENDINGS, check_time
from harness.ledger.audit.evidence import ANCHORS, EVENTS, Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AnchoredBody, RegisteredBody
from harness.ledger.covered import HEAD_DIGITS, describe_cover
from harness.ledger.evidence import Found
from harness.ledger.index import Entry
from harness.ledger.signatures import check_signature
from harness.ledger.stamps import check_stamp

PROMISE = "the ledger still contains what was kept elsewhere: a noted head, a time stamp, a signature"
SHORTEST_HEAD = HEAD_DIGITS
"""Digits of a kept head: of fewer, somebody could make another ledger that begins as it does."""


@dataclass(frozen=True)
class TrustedInputs:
    """Heads, certificates and keys that the reader kept elsewhere and trusts."""

    head: str | None = None
    """A head that was kept elsewhere, or its first digits."""
    require_anchor: bool = False
    roots: Path | None = None
    """PEM certificates of time-stamp authorities that the reader trusts."""
    allowed_signers: Path | None = None
    """Keys that the reader trusts, in a file as ssh-keygen(1) describes it."""


def check(evidence: Evidence, kept: TrustedInputs) -> Iterator[AuditFinding]:
    """Tell whether the known head and every anchored one are in this ledger."""
    root = str(evidence.files.root)
    if kept.head is not None and not any(digest.startswith(kept.head) for digest in evidence.index.digests):
        what = "the head that was kept is not in this ledger: it was cut off or rebuilt"
        yield AuditFinding("head-unknown", what, root, kept.head, ", ".join(evidence.index.heads) or "an empty ledger")
    for path in sorted(evidence.files.paths):
        head = path.removeprefix(ANCHORS).split(".")[0]
        if (
            path.startswith(ANCHORS)
            and not path.removeprefix(ANCHORS).startswith(".")
            and head not in evidence.index.digests
        ):
            what = "an anchor of an event that is not in this ledger: it was cut off or rebuilt"
            yield AuditFinding("anchor-of-nothing", what, evidence.files.shown(path), head, "not in the ledger")
    verified = 0
    for anchor in evidence.index.entries(AnchoredBody):
        finding = _check_anchor(evidence, anchor, kept)
        verified += finding.code == "anchored"
        yield finding
    kinds = {anchor.body.kind for anchor in evidence.index.entries(AnchoredBody)}
    if kept.roots is not None and "tsa" not in kinds:
        yield AuditFinding("trust-unused", "--roots has no effect: this trail has no time stamp", root)
    witnesses = [entry for entry in evidence.index.entries(RegisteredBody) if entry.body.beacon is not None]
    if kept.allowed_signers is not None and kinds <= {"tsa"} and not witnesses:
        yield AuditFinding("trust-unused", "--allowed-signers has no effect: this trail has no signature", root)
    if kept.require_anchor and not verified:
        yield AuditFinding("no-anchor", "no time stamp and no signature of any head was verified", root)
    if kept.head is None and not verified:
        what = "no head was given to look for (--known-head), and no anchor was verified"
        yield AuditFinding("nothing-kept", what, root)


def _check_anchor(evidence: Evidence, anchor: Entry[AnchoredBody], kept: TrustedInputs) -> AuditFinding:
    """Say what an anchor covers, and from when, if it was verified; else what is wrong with it."""
    body, files = anchor.body, evidence.files
    path = f"{ANCHORS}{body.head}{ENDINGS[body.kind]}"
    where = files.shown(path)
    if path not in files.paths:
        return AuditFinding("anchor-missing", "an anchor that an event names is missing", where, body.file, "no file")
    try:
        data = files.read(path)
        if (got := files.digest(path)) != body.file:
            return AuditFinding("anchor-bytes", "an anchor is not the one that its event names", where, body.file, got)
        if body.kind == "tsa":
            found = check_time(check_stamp(data, body.head, kept.roots), body)
        else:
            event = files.read(f"{EVENTS}{body.head}.json")
            found = check_signature(data, event, body.by, kept.allowed_signers)
    except (OSError, KeyError):
        found = Found("unchecked", "it cannot be read, or its event cannot")
    except HarnessError as error:
        found = Found("unchecked", error.message, remedy=error.remedy)
    code = {"verified": "anchored", "wrong": "anchor-invalid", "unchecked": "anchor-not-verified"}[found.status]
    what = _name(body, found.time, anchor.claimed_time)
    if found.problem is not None:
        what = f"{what}: {found.problem}"
    if found.status != "wrong":
        what = f"{what}: {describe_cover(evidence.index, body.head)}"
    return AuditFinding(code, what, where, command=found.remedy)


def _name(body: AnchoredBody, time: str | None, claimed: str) -> str:
    """Name an anchor with its time: the authority's, or for a signature what its event's writer claimed."""
    if body.kind == "tsa":
        return f"a time stamp by {body.by} over head {body.head}, of {time or 'a time that was not read'}"
    return f"a signature by {body.by} over head {body.head}, entered {claimed} by the writer's own clock"
