"""Covers of a registration: anchors that show, beside its author's word, that it was there before its round was."""

from __future__ import annotations

from harness.beacons import Beacon
from harness.errors import HarnessError
from harness.ledger.anchors import ENDINGS
from harness.ledger.audit.anchors import Kept
from harness.ledger.audit.evidence import ANCHORS, EVENTS, Evidence
from harness.ledger.bodies import AnchoredBody, SeededBody
from harness.ledger.index import Entry
from harness.ledger.seeding import read_time
from harness.ledger.signatures import check_signature
from harness.ledger.stamps import check_stamp


def describe_cover(
    evidence: Evidence, fixing: str, seeded: Entry[SeededBody], beacon: Beacon, kept: Kept
) -> str | None:
    """Say what covers that the event ``fixing`` was there, and shown, before a round; None: its author's word alone.

    A time stamp covers it if it is from before the round; a signature if it is of an event before the draw, which is
    all that can be told of its time. A time stamp shows that the registration existed, and not that nobody hid others.
    """
    index = evidence.index
    if beacon.names_registration and fixing == seeded.body.registration:
        return f"its round names its registration, so that whoever made the round ({beacon.name}) had seen it"
    for anchor in index.entries(AnchoredBody):
        body = anchor.body
        if body.head != fixing and not index.before(fixing, body.head):
            continue
        if body.kind == "tsa" and (time := _read_stamp(evidence, body, kept)) is not None:
            told, verified = time
            if read_time(told) < read_time(seeded.body.time):
                known = "" if verified else ", by an authority that nobody vouches for here (--roots)"
                return f"a time stamp of {told} by {body.by} covers its registration before the round{known}"
        if body.kind == "ssh" and index.before(body.head, seeded.digest):
            if (vouched := _verify_signature(evidence, body, kept)) is None:
                continue
            known = "" if vouched else ", a key that nobody vouches for here (--allowed-signers),"
            return (
                f"a signature by {body.by}{known} covers its registration before the draw: it is worth what its "
                "owner's word is that they are not the author and signed before the round"
            )
    return None


def _verify_signature(evidence: Evidence, body: AnchoredBody, kept: Kept) -> bool | None:
    """Tell whether the reader's keys vouch for a signature; None if it is wrong, unreadable or cannot be checked."""
    if (signature := _read_anchor(evidence, body)) is None:
        return None
    try:
        event = evidence.files.read(f"{EVENTS}{body.head}.json")
        found = check_signature(signature, event, body.by, None)
        if found.status == "wrong" or kept.allowed_signers is None:
            return None if found.status == "wrong" else False
        told = check_signature(signature, event, body.by, kept.allowed_signers)
    except (OSError, KeyError, HarnessError):
        return None
    return told.status == "verified"


def _read_anchor(evidence: Evidence, body: AnchoredBody) -> bytes | None:
    """Read an anchor; None if it is not here as its event names it, which step 7 reports."""
    return evidence.read_kept(f"{ANCHORS}{body.head}{ENDINGS[body.kind]}", body.file)


def _read_stamp(evidence: Evidence, body: AnchoredBody, kept: Kept) -> tuple[str, bool] | None:
    """Return the time of a stamp, and whether the reader's roots vouch for it; None if it is wrong or unreadable."""
    if (reply := _read_anchor(evidence, body)) is None:
        return None
    try:
        found = check_stamp(reply, body.head, kept.roots)
    except HarnessError:
        return None
    if found.status == "wrong" or found.time is None:
        return None
    return found.time, found.status == "verified"
