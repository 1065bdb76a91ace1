"""Step 7: what was kept elsewhere: a head that somebody noted, stamps and signatures over heads."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ledger.audit.evidence import ANCHORS, Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AnchoredBody

PROMISE = "the ledger still contains what was kept elsewhere: a noted head, a time stamp, a signature"
SHORTEST_HEAD = 12  # digits


def check(evidence: Evidence, known_head: str | None, *, require_anchor: bool) -> Iterator[AuditFinding]:
    """Whether the known head and every anchored one are in this ledger."""
    root = str(evidence.files.root)
    if known_head is not None and not any(digest.startswith(known_head) for digest in evidence.events):
        what = "the head that was kept is not in this ledger: it was cut off or rebuilt"
        yield AuditFinding("head-unknown", what, root, known_head, ", ".join(evidence.heads) or "an empty ledger")
    anchored = {}
    for digest in evidence.types["anchored"]:
        body = evidence.bodies[digest]
        assert isinstance(body, AnchoredBody)
        anchored[f"{ANCHORS}{body.head}.{'tsr' if body.kind == 'tsa' else 'sig'}"] = body.file
    there = [path for path in sorted(evidence.files.sizes) if path.startswith(ANCHORS)]
    for path in there:
        head = path.removeprefix(ANCHORS).split(".")[0]
        if head not in evidence.events:
            what = "an anchor of an event that is not in this ledger: it was cut off or rebuilt"
            yield AuditFinding("anchor-of-nothing", what, evidence.files.shown(path), head, "not in the ledger")
    for path, digest in anchored.items():
        where = evidence.files.shown(path)
        if path not in evidence.files.sizes:
            what = "an anchor that an event names is missing"
            yield AuditFinding("anchor-missing", what, where, digest, "no such file")
            continue
        try:
            got = evidence.files.digest(path)
        except OSError as error:
            got = f"unreadable ({error.strerror or error})"
        if got != digest:
            what = "an anchor is not the one that its event names"
            yield AuditFinding("anchor-bytes", what, where, digest, got)
    if there:
        what = f"{len(there)} stamps or signatures are of events in this ledger; they were not verified"
        yield AuditFinding("anchor-not-verified", what, evidence.files.shown(ANCHORS.rstrip("/")))
    elif require_anchor:
        yield AuditFinding("no-anchor", "there is neither a time stamp nor a signature of any head", root)
