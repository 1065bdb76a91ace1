"""RFC 3161 time stamps over the bytes of a head's event file (extra ``tsa``). The head is their SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import HarnessError, UsageError
from harness.ledger.evidence import Found
from harness.system.reading import LARGEST_SETTINGS, read_regular

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

SECONDS = 60
LARGEST = 2**20  # bytes of an authority's reply


def request_stamp(url: str, data: bytes) -> bytes:
    """Request an authority's reply that stamps these bytes; who signed it is not checked here.

    Raises:
        UsageError: rfc3161-client is not installed, or this is no address that may be kept in a ledger.
        HarnessError: the authority did not answer, or not with a stamp of these bytes.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise UsageError(
            f"{url!r} is not the address of an authority",
            where="--tsa",
            remedy="give an http(s) URL without a password",
        )
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError:
        raise UsageError(
            "rfc3161-client is not installed", where="--tsa", remedy="pip install 'prereg-harness[tsa]'"
        ) from None
    from urllib.request import Request, urlopen

    wanted = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    request = Request(url, wanted.as_bytes(), {"Content-Type": "application/timestamp-query"})
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            reply: bytes = answer.read(LARGEST)
    except OSError as error:
        raise HarnessError(f"the authority did not answer: {error}", where=url, remedy="try later") from error
    stamped = _stamp_of(reply, hashlib.sha256(data).hexdigest())
    if stamped.tst_info.nonce != wanted.nonce:
        raise HarnessError("the reply is to another request", where=url, remedy="try again, or another authority")
    return reply


def check_stamp(reply: bytes, head: str, roots: Path | None) -> Found:
    """Tell whether a reply stamps ``head``, and whether ``roots`` (PEM certificates) vouch for who signed it.

    Raises:
        UsageError: ``roots`` are no certificates.
    """
    try:
        from cryptography.x509 import load_pem_x509_certificates
        from rfc3161_client import VerificationError, VerifierBuilder
    except ImportError:
        return Found("unchecked", "rfc3161-client is not installed", remedy="pip install 'prereg-harness[tsa]'")
    try:
        stamped = _stamp_of(reply, head)
    except HarnessError as error:
        return Found("wrong", error.message)
    time = stamped.tst_info.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    if roots is None:
        return Found("unchecked", "no roots were given that vouch for the authority", time, fits=True)
    try:
        certificates = load_pem_x509_certificates(read_regular(roots, LARGEST_SETTINGS, follow=True))
    except (OSError, ValueError) as error:
        raise UsageError(f"no PEM certificates: {error}", where=str(roots), remedy="give the roots") from error
    try:
        VerifierBuilder(roots=certificates).build().verify(stamped, bytes.fromhex(head))
    except VerificationError as error:
        return Found("wrong", f"the authority's signature does not verify: {error}", time, fits=True)
    return Found("verified", None, time, fits=True)


def _stamp_of(reply: bytes, head: str) -> TimeStampResponse:
    """Return a reply that grants a stamp over ``head``."""
    from rfc3161_client import decode_timestamp_response
    from rfc3161_client.tsp import PKIStatus

    try:
        decoded = decode_timestamp_response(reply)
        granted = decoded.status == PKIStatus.GRANTED
        if granted and decoded.tst_info.message_imprint.message == bytes.fromhex(head):
            return decoded
    except ValueError as error:
        raise HarnessError(f"not a reply of a time-stamp authority ({error})", remedy="try another") from error
    problem = "it is a stamp of other bytes" if granted else f"the authority refused: {decoded.status_string}"
    raise HarnessError(problem, remedy="try again, or another authority")
