"""Covers of a registration: anchors that show, beside its author's word, that it was there before its round was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from harness.beacons import Beacon
from harness.errors import HarnessError
from harness.ledger.anchors import ENDINGS
from harness.ledger.audit.anchors import TrustedInputs
from harness.ledger.audit.evidence import ANCHORS, EVENTS, Evidence
from harness.ledger.bodies import AnchoredBody, SeededBody
from harness.ledger.evidence import Found
from harness.ledger.index import Entry
from harness.ledger.seeding import read_time
from harness.ledger.signatures import check_signature
from harness.ledger.stamps import check_stamp
from harness.system.reading import LARGEST_SETTINGS, read_regular

WORTH = ("vouched", "unchecked", "unknown")
"""Kinds of covers by their worth, in the order in which one is chosen."""


class Cover(NamedTuple):
    """Evidence, beside its author's word, that a registration was there before its round."""

    what: str
    """The evidence as a clause; or what may be evidence and was not checked."""
    worth: Literal["vouched", "unchecked", "unknown"]
    """vouched: it is by somebody whom the reader trusts, or by the witness whom the registration names; unchecked: it
    can't be checked here; unknown: nobody vouches for who made it, and whoever keeps an authority or a key of their own
    can stamp and sign as they like."""
    remedy: str | None = None
    """Remedy where it can't be checked."""


def vouches_for(kept: TrustedInputs, key: str) -> bool:
    """Tell whether the reader's allowed signers name the key of a witness: a word of a line that takes nothing back."""
    try:
        data = (
            b"" if kept.allowed_signers is None else read_regular(kept.allowed_signers, LARGEST_SETTINGS, follow=True)
        )
    except OSError:
        return False
    return any(key in line.split() for line in data.decode(errors="replace").splitlines() if not line.startswith("#"))


def find_cover(
    evidence: Evidence, fixing: str, seeded: Entry[SeededBody], beacon: Beacon, kept: TrustedInputs
) -> Cover | None:
    """Find what covers that the event ``fixing`` was there, and shown, before a round; None: its author's word alone.

    A time stamp covers it if it is from before the round; a signature if it is of an event before the draw, which is
    all that can be told of its time. A time stamp shows that the registration existed, and not that nobody hid others.
    What the reader's keys and roots vouch for comes first.
    """
    if beacon.names_registration and fixing == seeded.body.registration:
        what = f"its round names its registration, so that whoever made the round ({beacon.name}) had seen it"
        return Cover(what, "vouched")
    found = list(_list_covers(evidence, fixing, seeded, kept))
    return min(found, key=lambda cover: WORTH.index(cover.worth), default=None)


def _list_covers(evidence: Evidence, fixing: str, seeded: Entry[SeededBody], kept: TrustedInputs) -> Iterator[Cover]:
    index = evidence.index
    for anchor in index.entries(AnchoredBody):
        body = anchor.body
        if body.head != fixing and not index.before(fixing, body.head):
            continue
        if body.kind == "ssh" and not index.before(body.head, seeded.digest):
            continue
        found = _check_anchor(evidence, body, kept)
        worth: Literal["vouched", "unknown"] = "vouched" if found.status == "verified" else "unknown"
        if found.status == "unchecked" and not found.fits:
            kind = "time stamp" if body.kind == "tsa" else "signature"
            what = f"whether a {kind} by {body.by} covers it before the round was not checked: {found.problem}"
            yield Cover(what, "unchecked", found.remedy)
        elif body.kind == "tsa" and found.status != "wrong" and _is_before(found.time, seeded.body.time):
            known = "" if worth == "vouched" else ", by an authority that nobody vouches for here (--roots)"
            what = f"a time stamp of {found.time} by {body.by} covers its registration before the round{known}"
            yield Cover(what, worth)
        elif body.kind == "ssh" and found.fits:
            known = "" if worth == "vouched" else ", a key that nobody vouches for here (--allowed-signers),"
            what = (
                f"a signature by {body.by}{known} covers its registration before the draw: it is worth what its "
                "owner's word is that they are not the author and signed before the round"
            )
            yield Cover(what, worth)


def _check_anchor(evidence: Evidence, body: AnchoredBody, kept: TrustedInputs) -> Found:
    """Check an anchor; "wrong" if it is not here as its event names it, which step 7 reports."""
    data = evidence.read_kept(f"{ANCHORS}{body.head}{ENDINGS[body.kind]}", body.file)
    if data is None:
        return Found("wrong")
    try:
        if body.kind == "tsa":
            return check_stamp(data, body.head, kept.roots)
        event = evidence.files.read(f"{EVENTS}{body.head}.json")
        return check_signature(data, event, body.by, kept.allowed_signers)
    except (OSError, KeyError):
        return Found("unchecked", "its event cannot be read")
    except HarnessError as error:
        return Found("unchecked", error.message, remedy=error.remedy)


def _is_before(time: str | None, round_time: str) -> bool:
    return time is not None and read_time(time) < read_time(round_time)
