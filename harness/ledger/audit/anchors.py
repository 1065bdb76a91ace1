"""Step 7: what was kept elsewhere: a head that somebody noted, stamps and signatures over heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.ledger.anchors import ENDINGS
from harness.ledger.audit.evidence import ANCHORS, EVENTS, Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AnchoredBody
from harness.ledger.evidence import Found
from harness.ledger.signatures import check_signature
from harness.ledger.stamps import check_stamp

PROMISE = "the ledger still contains what was kept elsewhere: a noted head, a time stamp, a signature"
SHORTEST_HEAD = 12  # digits


@dataclass(frozen=True)
class Kept:
    """Heads, certificates and keys that the reader kept elsewhere and trusts."""

    head: str | None = None
    """A head that was kept elsewhere, or its first digits."""
    require_anchor: bool = False
    roots: Path | None = None
    """PEM certificates of time-stamp authorities that the reader trusts."""
    allowed_signers: Path | None = None
    """Keys that the reader trusts, in a file as ssh-keygen(1) describes it."""


def check(evidence: Evidence, kept: Kept) -> Iterator[AuditFinding]:
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
        finding = _check_anchor(evidence, anchor.body, kept)
        verified += finding is None
        if finding is not None:
            yield finding
    kinds = {anchor.body.kind for anchor in evidence.index.entries(AnchoredBody)}
    if kept.roots is not None and "tsa" not in kinds:
        yield AuditFinding("trust-unused", "--roots has no effect: this trail has no time stamp", root)
    if kept.allowed_signers is not None and kinds <= {"tsa"}:
        yield AuditFinding("trust-unused", "--allowed-signers has no effect: this trail has no signature", root)
    if kept.require_anchor and not verified:
        yield AuditFinding("no-anchor", "no time stamp and no signature of any head was verified", root)
    if kept.head is None and not verified:
        what = "no head was given to look for (--known-head), and no anchor was verified"
        yield AuditFinding("nothing-kept", what, root)


def _check_anchor(evidence: Evidence, body: AnchoredBody, kept: Kept) -> AuditFinding | None:
    """Say what is wrong with an anchor; None if it was verified."""
    files, path = evidence.files, f"{ANCHORS}{body.head}{ENDINGS[body.kind]}"
    where = files.shown(path)
    if path not in files.paths:
        return AuditFinding("anchor-missing", "an anchor that an event names is missing", where, body.file, "no file")
    try:
        data = files.read(path)
        if (got := files.digest(path)) != body.file:
            return AuditFinding("anchor-bytes", "an anchor is not the one that its event names", where, body.file, got)
        if body.kind == "tsa":
            found = check_stamp(data, body.head, kept.roots)
        else:
            event = files.read(f"{EVENTS}{body.head}.json")
            found = check_signature(data, event, body.by, kept.allowed_signers)
    except (OSError, KeyError):
        found = Found("unchecked", "it cannot be read, or its event cannot")
    except HarnessError as error:
        found = Found("unchecked", error.message)
    if found.status == "verified":
        return None
    code = "anchor-invalid" if found.status == "wrong" else "anchor-not-verified"
    return AuditFinding(code, f"an anchor by {body.by}: {found.problem}", where)
