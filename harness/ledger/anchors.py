"""Evidence from outside that a head existed: RFC 3161 time stamps and SSH signatures.

    ledger/anchors/<head>.tsr     openssl ts -verify -data ledger/events/<head>.json -in <this> -CAfile <roots>
    ledger/anchors/<head>.sig     ssh-keygen -Y verify -n harness-ledger-head -s <this> … < ledger/events/<head>.json

Both are over the bytes of the head's event file, whose SHA-256 is the head: whoever has them needs no harness to check.
A chain in one place cannot show that its end was cut off or that it was rebuilt; a head that others hold can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path
from typing import Literal

from harness.errors import UsageError
from harness.ledger.bodies import AnchoredBody
from harness.ledger.durable import publish
from harness.ledger.event import read_named
from harness.ledger.events import Ledger
from harness.ledger.evidence import Found
from harness.ledger.index import Entry
from harness.ledger.signatures import check_signature, make_signature, read_fingerprint
from harness.ledger.stamps import check_stamp, request_stamp
from harness.records import Record
from harness.system.reading import LARGEST_EVENT, read_regular

ENDINGS = {"tsa": ".tsr", "ssh": ".sig"}


class AnchorCheck(Record):
    """The result of checking one anchor."""

    event: str
    """Digest of the anchored event."""
    head: str
    """Digest of the event that it vouches for."""
    kind: Literal["tsa", "ssh"]
    """tsa: an RFC 3161 time stamp; ssh: a signature."""
    by: str
    """The authority or key that made it."""
    status: Literal["verified", "unchecked", "wrong"]
    """The status, one of those of ``harness.ledger.evidence.Found``."""
    problem: str | None
    """The reason that it does not hold, or could not be checked; None if it holds."""
    time: str | None
    """The time when it was made, UTC, if it says so."""


def stamp(ledger: Ledger, url: str) -> tuple[Entry[AnchoredBody], ...]:
    """Have every head stamped by a time-stamp authority and append ``anchored`` events; the last one is the new head.

    Raises:
        UsageError: rfc3161-client is not installed, no such address, or the ledger is empty.
        HarnessError: the authority did not answer, or not with a stamp of this head.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    heads = _list_heads(ledger)
    replies = {head: request_stamp(url, read_event_bytes(ledger, head)) for head in heads}
    return tuple(_record_anchor(ledger, head, "tsa", reply, url) for head, reply in replies.items())


def sign(ledger: Ledger, key: Path) -> tuple[Entry[AnchoredBody], ...]:
    """Sign every head with an SSH key and append ``anchored`` events; the last one is the new head.

    Raises:
        UsageError: there is no ssh-keygen, it does nothing for this user, there is no such key, or the ledger is empty.
        HarnessError: ssh-keygen refused.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    heads, by = _list_heads(ledger), read_fingerprint(key)
    made = {head: make_signature(key, read_event_bytes(ledger, head)) for head in heads}
    return tuple(_record_anchor(ledger, head, "ssh", data, by) for head, data in made.items())


def verify_anchors(
    ledger: Ledger, roots: Path | None = None, allowed_signers: Path | None = None
) -> tuple[AnchorCheck, ...]:
    """Check every anchor that the ledger names, in ledger order.

    ``roots``: PEM certificates of the authorities that the reader trusts; ``allowed_signers``: a file as ssh-keygen(1)
    describes it. Without them an anchor that fits its head is ``unchecked``.

    Raises:
        UsageError: ``roots`` are no certificates.
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    found = []
    for entry in index.entries(AnchoredBody):
        body = entry.body
        check = _check_answer(ledger, body, index.digests, roots, allowed_signers)
        found.append(
            AnchorCheck(
                event=entry.digest,
                head=body.head,
                kind=body.kind,
                by=body.by,
                status=check.status,
                problem=check.problem,
                time=check.time,
            )
        )
    return tuple(found)


def find_anchor(ledger: Ledger, head: str, kind: str) -> Path:
    """Return where an anchor's file is."""
    return ledger.root / "ledger" / "anchors" / f"{head}{ENDINGS[kind]}"


def read_event_bytes(ledger: Ledger, digest: str) -> bytes:
    """Read the bytes that are stamped and signed.

    Raises:
        Tampered, HarnessError: as ``read_named``.
    """
    return read_named(ledger.folder / f"{digest}.json", digest, "an event", LARGEST_EVENT)


def check_time(found: Found, body: AnchoredBody) -> Found:
    """Return what was found of a stamp, unless its event tells another time than the stamp itself."""
    if body.time is None or found.time is None or body.time == found.time:
        return found
    return Found("wrong", f"it is of {found.time}, and its event says {body.time}", found.time)


def _check_answer(
    ledger: Ledger, body: AnchoredBody, known: Container[str], roots: Path | None, allowed_signers: Path | None
) -> Found:
    path = find_anchor(ledger, body.head, body.kind)
    if body.head not in known:
        return Found("wrong", "it is over an event that is not in the ledger")
    try:
        data = read_regular(path, LARGEST_EVENT)
    except FileNotFoundError:
        return Found("wrong", f"{path.name} is missing")
    except OSError as error:
        return Found("wrong", f"{path.name} can't be read: {error.strerror or error}")
    if hashlib.sha256(data).hexdigest() != body.file:
        return Found("wrong", f"{path.name} is not the file that the ledger names")
    if body.kind == "tsa":
        return check_time(check_stamp(data, body.head, roots), body)
    return check_signature(data, read_event_bytes(ledger, body.head), body.by, allowed_signers)


def _record_anchor(ledger: Ledger, head: str, kind: Literal["tsa", "ssh"], data: bytes, by: str) -> Entry[AnchoredBody]:
    path = find_anchor(ledger, head, kind)
    publish(path, data)
    # A process that was killed before it appended the event left a file here: it stays, and is as good.
    kept = read_regular(path, LARGEST_EVENT)
    time = check_stamp(kept, head, None).time if kind == "tsa" else None
    body = AnchoredBody(head=head, kind=kind, file=hashlib.sha256(kept).hexdigest(), by=by, time=time)
    return Entry(ledger.record(body), body)


def _list_heads(ledger: Ledger) -> tuple[str, ...]:
    heads = ledger.heads()
    if not heads:
        remedy = "register or run a hypothesis first, or name the trail's folder with --verdicts"
        raise UsageError("there is nothing to anchor: the ledger is empty", where=str(ledger.root), remedy=remedy)
    return heads
