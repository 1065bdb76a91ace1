"""Evidence from outside that a head existed: RFC 3161 time stamps and SSH signatures.

    ledger/anchors/<head>.tsr     openssl ts -verify -data ledger/events/<head>.json -in <this> -CAfile <roots>
    ledger/anchors/<head>.sig     ssh-keygen -Y verify -n harness-ledger-head -s <this> … < ledger/events/<head>.json

Both are over the bytes of the head's event file, whose SHA-256 is the head: whoever has them needs no harness to check.
A chain in one place cannot show that its end was cut off or that it was rebuilt; a head that others hold can.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from harness.errors import UsageError
from harness.ledger.bodies import AnchoredBody
from harness.ledger.durable import publish
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.evidence import Found
from harness.ledger.signatures import check_signature, fingerprint, signature
from harness.ledger.stamps import check_stamp, request_stamp
from harness.records import Record

ENDINGS = {"tsa": ".tsr", "ssh": ".sig"}


class AnchorCheck(Record):
    """What became of checking one anchor."""

    event: str
    """Digest of the anchored event."""
    head: str
    """Digest of the event that it vouches for."""
    kind: Literal["tsa", "ssh"]
    """tsa: an RFC 3161 time stamp; ssh: a signature."""
    by: str
    """Who made it."""
    status: Literal["verified", "unchecked", "wrong"]
    """As in ``harness.ledger.evidence.Found``."""
    problem: str | None
    """Why it does not hold, or could not be checked; None if it holds."""
    time: str | None
    """When it was made, UTC, if it says so."""


def stamp(ledger: Ledger, url: str) -> tuple[Event, ...]:
    """Have every head stamped by a time-stamp authority and append ``anchored`` events; the last one is the new head.

    Raises:
        UsageError: rfc3161-client is not installed, no such address, or the ledger is empty.
        HarnessError: the authority did not answer, or not with a stamp of this head.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    heads = _heads(ledger)
    replies = {head: request_stamp(url, event_bytes(ledger, head)) for head in heads}
    return tuple(_anchor(ledger, head, "tsa", reply, url) for head, reply in replies.items())


def sign(ledger: Ledger, key: Path) -> tuple[Event, ...]:
    """Sign every head with an SSH key and append ``anchored`` events; the last one is the new head.

    Raises:
        UsageError: there is no ssh-keygen or no such key, or the ledger is empty.
        HarnessError: ssh-keygen refused.
        StorageFailed, Tampered: as ``Ledger.append``.
    """
    heads, by = _heads(ledger), fingerprint(key)
    made = {head: signature(key, event_bytes(ledger, head)) for head in heads}
    return tuple(_anchor(ledger, head, "ssh", data, by) for head, data in made.items())


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
    events = ledger.events()
    known = {event.digest for event in events}
    found = []
    for event in events:
        if event.type == "anchored":
            body = AnchoredBody.model_validate(event.body)
            check = _checked(ledger, body, known, roots, allowed_signers)
            found.append(AnchorCheck(event=event.digest, head=body.head, kind=body.kind, by=body.by, **check._asdict()))
    return tuple(found)


def anchor_path(ledger: Ledger, head: str, kind: str) -> Path:
    """Where an anchor's file is."""
    return ledger.root / "ledger" / "anchors" / f"{head}{ENDINGS[kind]}"


def event_bytes(ledger: Ledger, digest: str) -> bytes:
    """What is stamped and signed."""
    return (ledger.folder / f"{digest}.json").read_bytes()


def _checked(
    ledger: Ledger, body: AnchoredBody, known: set[str], roots: Path | None, allowed_signers: Path | None
) -> Found:
    path = anchor_path(ledger, body.head, body.kind)
    if body.head not in known:
        return Found("wrong", "it is over an event that is not in the ledger")
    if not path.is_file() or path.is_symlink():
        return Found("wrong", f"{path.name} is missing")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != body.file:
        return Found("wrong", f"{path.name} is not the file that the ledger names")
    if body.kind == "tsa":
        return check_stamp(data, body.head, roots)
    return check_signature(path, event_bytes(ledger, body.head), body.by, allowed_signers)


def _anchor(ledger: Ledger, head: str, kind: Literal["tsa", "ssh"], data: bytes, by: str) -> Event:
    path = anchor_path(ledger, head, kind)
    publish(path, data)
    # A process that was killed before it appended the event left a file here: it stays, and is as good.
    file = hashlib.sha256(path.read_bytes()).hexdigest()
    return ledger.append("anchored", AnchoredBody(head=head, kind=kind, file=file, by=by))


def _heads(ledger: Ledger) -> tuple[str, ...]:
    heads = ledger.heads()
    if not heads:
        remedy = "register or run a hypothesis first, or name the trail's folder with --verdicts"
        raise UsageError("there is nothing to anchor: the ledger is empty", where=str(ledger.root), remedy=remedy)
    return heads
