"""Pulses of NIST's Randomness Beacon 2.0 (NISTIR 8213): 512 bits every minute, signed with RSA, each chained to others.

A pulse's fields are written one after the other: numbers in 4 or 8 bytes, texts and byte strings behind their length in
4 bytes. NIST signs that (PKCS #1 v1.5, SHA-512) with the key of a certificate which the pulse names by its SHA-512, and
the pulse's output value is SHA-512(fields ‖ signature). The fields hold the output value of the pulse before: so that
one, beside the pulse that is due, shows that none was between them, even where the beacon stood still.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from harness.beacons import Beacon, Drawn, Registered, format_time, write_download
from harness.beacons._json import Answer, Hex, split_documents, write_documents
from harness.errors import UsageError
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SERVICE = "https://beacon.nist.gov/beacon/2.0"
KINDS = ("previous", "hour", "day", "month", "year")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SMALLEST_KEY = 2048  # bits
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIIDDCCBvSgAwIBAgIQDtPWG6WQtrhvGOQrU+TzAzANBgkqhkiG9w0BAQsFADBZ
MQswCQYDVQQGEwJVUzEVMBMGA1UEChMMRGlnaUNlcnQgSW5jMTMwMQYDVQQDEypE
aWdpQ2VydCBHbG9iYWwgRzIgVExTIFJTQSBTSEEyNTYgMjAyMCBDQTEwHhcNMjUw
ODI4MDAwMDAwWhcNMjYwOTA0MjM1OTU5WjCBkTELMAkGA1UEBhMCVVMxETAPBgNV
BAgTCE1hcnlsYW5kMRUwEwYDVQQHEwxHYWl0aGVyc2J1cmcxNzA1BgNVBAoTLk5h
dGlvbmFsIEluc3RpdHV0ZSBvZiBTdGFuZGFyZHMgYW5kIFRlY2hub2xvZ3kxHzAd
BgNVBAMTFmVuZ2luZS5iZWFjb24ubmlzdC5nb3YwggIiMA0GCSqGSIb3DQEBAQUA
A4ICDwAwggIKAoICAQDK8LBXc1vqLy0L/HgqGzRpINHK9ekZL03Le2OQb1virh09
rKTgzl612xpEPZvob3VQM8MYyY7Y07+PSu76uR/qjAiE+0bz5qjrgtqzXA1JIN0c
CP7e0jC/cQp+UuOTSGrhFMSVRWehPNzhYAIJPwra6sCD73UC74qx8kP+idR6BwkQ
YSgoPTzgkpiFBvXkAo4TIociiExaEOYP208ZgcXHphB2gb/TKKlA3r9aTYUIZcpT
23MTEmV6913T8ODC+CyRNSZ0OvIO0uXzNpOHGzsd/AnT5C6T+9aMWx+4IjeRgl3z
wuP9cnNMbJUJQ2qfGiQA2/4Cr19oHN+XiBQIgsX2RmPuVRUAGpQrqzTF5z+OvGut
gaA6ZL0SUyN9KnRO0KkVqb1lWaclCEEiIJTXjC9tCo1xF0wGZyeHrbWI4TqKKgnK
C//NejclCak+li1HW02Vttjav4PhlcnSI0f/uW6ljjOG0TQdJiqWLN+jTZEZQ2Cm
MLRJQLfj/brti4J+IFZEjDF3CwK8daf+n36he7J1PAwRCWNsKExIyGzQTyWGfJ9V
Tz9ljtY5+zz+hA5PTUaPVOzUzHyl97227kPf4KaJQYMwa2Uf67zmzCv3NZtVACo2
pVJvYwFZhjG8RThgY60KJZHcJnuhwG0CHBrHpArryLrdeMWEePd+7+aCWu88KQID
AQABo4IDlTCCA5EwHwYDVR0jBBgwFoAUdIWAwGbH3zfez70pN6oDHb7tzRcwHQYD
VR0OBBYEFFU/rZbp31gShqzyw4IbOPv3NTUTMCEGA1UdEQQaMBiCFmVuZ2luZS5i
ZWFjb24ubmlzdC5nb3YwPgYDVR0gBDcwNTAzBgZngQwBAgIwKTAnBggrBgEFBQcC
ARYbaHR0cDovL3d3dy5kaWdpY2VydC5jb20vQ1BTMA4GA1UdDwEB/wQEAwIFoDAd
BgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwgZ8GA1UdHwSBlzCBlDBIoEag
RIZCaHR0cDovL2NybDMuZGlnaWNlcnQuY29tL0RpZ2lDZXJ0R2xvYmFsRzJUTFNS
U0FTSEEyNTYyMDIwQ0ExLTEuY3JsMEigRqBEhkJodHRwOi8vY3JsNC5kaWdpY2Vy
dC5jb20vRGlnaUNlcnRHbG9iYWxHMlRMU1JTQVNIQTI1NjIwMjBDQTEtMS5jcmww
gYcGCCsGAQUFBwEBBHsweTAkBggrBgEFBQcwAYYYaHR0cDovL29jc3AuZGlnaWNl
cnQuY29tMFEGCCsGAQUFBzAChkVodHRwOi8vY2FjZXJ0cy5kaWdpY2VydC5jb20v
RGlnaUNlcnRHbG9iYWxHMlRMU1JTQVNIQTI1NjIwMjBDQTEtMS5jcnQwDAYDVR0T
AQH/BAIwADCCAYEGCisGAQQB1nkCBAIEggFxBIIBbQFrAHcA2AlVO5RPev/IFhlv
lE+Fq7D4/F6HVSYPFdEucrtFSxQAAAGY8XDehAAABAMASDBGAiEArI73ONpayuGx
p9aYiwquf2juRl4/0ywyNvaaHEsG7TsCIQCzOIX1y4qskUjSmiN2TATncR8BiscH
qWtgSSC0ovVOygB3AMIxfldFGaNF7n843rKQQevHwiFaIr9/1bWtdprZDlLNAAAB
mPFw3okAAAQDAEgwRgIhAOo4MzhX2v1YItn9ZAfp1nPneHwk4AIcqjYmVNZZgHtJ
AiEArVpyqLyZVv+xg+TRltVeCMxyXIs/iOXrupQT+r9K/dMAdwCUTkOH+uzB74Hz
GSQmqBhlAcfTXzgCAT9yZ31VNy4Z2AAAAZjxcN6YAAAEAwBIMEYCIQCQpS7hCyUE
cQradZjNmMBYkrpUUUnuGi8orxfJJyiHwAIhAIfBIcnxZ+aiEaJKsvsQNOE4CsdA
NJZT1MCdHe4ytTnVMA0GCSqGSIb3DQEBCwUAA4IBAQCMCc9s/p1hrzmaQaROb+NZ
7V+zC/gbzKjlCghA8whu/jMaPF2DTRBFADE0Xqo8MEYMMFfeK1J/idyJF3Qctsnr
CqYR46v2RWgqlGKB8rxpRot9RJiY7DTV6SMAUIh57rDOo0wlPgRMWDZaUoGxIU9l
ZaNH8fCtfCHX8QTDABWZGKn7oAF0vdECPERB4rLRZj/ntEQ2ZVuWI7d0G7C07neB
egN2zxtMqRb2/0xq/JGVQ8l7pF7X/2LpjCwzsCBBhX898vqrY6rmlZkrUzYzfz4x
ZnymNn1aFlU45iP/GunIT86pqzS/sXmuh7EaXpCTzAhTs18PrD/46FJiP7NIBS2M
-----END CERTIFICATE-----
"""
"""Certificate that NIST signed with from 2025-08-28 to 2026-09-04, CN=engine.beacon.nist.gov."""

Bytes64 = Annotated[Hex, StringConstraints(min_length=128, max_length=128)]
Number4 = Annotated[int, Field(ge=0, lt=2**32)]
Number8 = Annotated[int, Field(ge=0, lt=2**63)]
Word = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=200)]


class External(Answer):
    """Value that a pulse takes in from another source."""

    sourceId: Bytes64  # noqa: N815 (NIST's names)
    statusCode: Number4  # noqa: N815
    value: Bytes64


class Earlier(Answer):
    """An earlier pulse's output value. Its address is not signed, and so not kept."""

    uri: Annotated[Word | None, Field(exclude=True)] = None
    type: Literal["previous", "hour", "day", "month", "year"]
    value: Bytes64


class Fields(Answer):
    """A pulse's fields."""

    uri: Word
    version: Word
    cipherSuite: Annotated[int, Field(ge=0, le=0)]  # noqa: N815 (not Literal[0], which false is as well)
    period: Number4
    certificateId: Bytes64  # noqa: N815
    chainIndex: Number8  # noqa: N815
    pulseIndex: Number8  # noqa: N815
    timeStamp: Annotated[  # noqa: N815
        str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
    ]
    localRandomValue: Bytes64  # noqa: N815
    external: External
    listValues: Annotated[list[Earlier], Field(min_length=5, max_length=5)]  # noqa: N815
    precommitmentValue: Bytes64  # noqa: N815
    statusCode: Number4  # noqa: N815
    signatureValue: Annotated[Hex, StringConstraints(min_length=512, max_length=2048)]  # noqa: N815
    outputValue: Bytes64  # noqa: N815

    @field_validator("listValues")
    @classmethod
    def _in_order(cls, values: list[Earlier]) -> list[Earlier]:
        if tuple(value.type for value in values) != KINDS:
            raise ValueError(f"these are not the values {', '.join(KINDS)}")
        return values

    @property
    def time(self) -> datetime:
        """Return when it was due, UTC.

        Raises:
            ValueError: its text is no time.
        """
        return datetime.strptime(self.timeStamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)

    def signed(self) -> bytes:
        """Return the bytes that are signed."""
        return b"".join(
            (
                _pack_text(self.uri), _pack_text(self.version), _pack4(self.cipherSuite), _pack4(self.period),
                _pack_hex(self.certificateId), _pack8(self.chainIndex), _pack8(self.pulseIndex),
                _pack_text(self.timeStamp), _pack_hex(self.localRandomValue),
                _pack_hex(self.external.sourceId), _pack4(self.external.statusCode),
                _pack_hex(self.external.value), *(_pack_hex(value.value) for value in self.listValues),
                _pack_hex(self.precommitmentValue), _pack4(self.statusCode),
            )
        )  # fmt: skip


class Pulse(Answer):
    """A pulse, as the beacon answers it."""

    pulse: Fields


class Nist(Beacon):
    """A pulse of NIST's beacon: the first whose time is later than the registration and the delay.

    Its record is two pulses: the one before, and the one that is due.

    Source:
        NISTIR 8213, A reference for randomness beacons, https://beacon.nist.gov.

    Use:
        Where a public authority is more trusted than a league.

    Traps:
        One institution knows its numbers first. Its certificate changes about once a year, and the file must name the
        one that will sign.
    """

    name: Literal["nist"]
    chain: Annotated[int, Unit("1")] = Field(default=2, ge=1, lt=2**63, examples=[2])
    """The number of the chain of pulses; NIST begins a new one after a break."""
    certificate: Annotated[str, StringConstraints(max_length=2**14)] = Field(default=CERTIFICATE)
    """The certificate of the key that signs, in PEM. NIST changes it about once a year: give the one that the beacon
    uses when the pulse is due."""

    @field_validator("certificate")
    @classmethod
    def _one_certificate(cls, text: str) -> str:
        _decode_pem(text)
        return text

    def due(self, registered: Registered) -> str:
        """Return the rule: a minute's pulse may be missing."""
        after = self.after(registered)
        self._check_validity(after, "the pulse that is due")
        return f"the first pulse of chain {self.chain} later than {format_time(after)}"

    def trusts(self) -> str:
        """Return who holds the key."""
        if self.foreign_key is None:
            return "NIST, which makes the values"
        return (
            f"whoever holds the key of the certificate {self.foreign_key[:12]}, which this version of harness does not "
            "know as NIST's"
        )

    @property
    def foreign_key(self) -> str | None:
        """Return the digest of a certificate that is not known as NIST's."""
        known = _decode_pem(self.certificate) == _decode_pem(CERTIFICATE)
        return None if known else hashlib.sha512(_decode_pem(self.certificate)).hexdigest()

    def urls(self, registered: Registered) -> tuple[str, ...]:
        """Return the addresses of the last pulse that is not later than the registration and delay, and of the next."""
        milliseconds = (self.after(registered) - EPOCH) // timedelta(milliseconds=1)
        return (
            f"{SERVICE}/pulse/time/previous/{milliseconds + 1}",
            f"{SERVICE}/pulse/time/next/{milliseconds}",
        )

    def instructions(self, registered: Registered) -> str:
        """Return how to get both pulses."""
        return f"A minute or more after {format_time(self.after(registered))}: {write_download(self.urls(registered))}"

    def rewritten(self, answer: bytes) -> bytes:
        """Return both pulses, each as one line of JSON, without the addresses that nobody signed."""
        return write_documents([{"pulse": fields.model_dump()} for fields in self._read(answer)])

    def drawn(self, record: bytes, registered: Registered) -> Drawn:
        """Return the output value."""
        before, pulse = self._read(record)
        after = self.after(registered)
        for which, fields in (("pulse before", before), ("pulse", pulse)):
            if fields.chainIndex != self.chain:
                raise self.refused(f"the {which} is of chain {fields.chainIndex}, not of {self.chain}")
            output = hashlib.sha512(fields.signed() + bytes.fromhex(fields.signatureValue)).hexdigest()
            if output != fields.outputValue:
                raise self.refused(f"the output value of the {which} is not the SHA-512 of its fields and signature")
        if pulse.listValues[0].value != before.outputValue:
            raise self.refused("the pulse does not follow on the pulse before")
        if pulse.time <= after:
            raise self.refused(f"the pulse is of {format_time(pulse.time)}, which is not after {format_time(after)}")
        if before.time > after:
            raise self.refused(f"an older pulse is due: the one before is of {format_time(before.time)} already")
        self._check_signature(pulse)
        named = f"pulse {pulse.pulseIndex} of chain {pulse.chainIndex}, of {format_time(pulse.time)}"
        return Drawn(bytes.fromhex(pulse.outputValue), named, pulse.time)

    def _read(self, data: bytes) -> tuple[Fields, Fields]:
        try:
            before, pulse = (document.pulse for document in split_documents(data, Pulse, 2))
            _ = before.time, pulse.time  # texts that are no times are refused here
        except ValueError as error:
            raise self.refused(f"these are not two pulses as the beacon answers them: {error}") from None
        return before, pulse

    def _check_signature(self, pulse: Fields) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.hashes import SHA512

        self._check_validity(pulse.time, "the pulse")
        if pulse.certificateId != hashlib.sha512(_decode_pem(self.certificate)).hexdigest():
            raise self.refused(f"the pulse is signed with another certificate, {pulse.certificateId[:12]}")
        key = self._loaded().public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY:
            raise self.refused(f"the certificate's key is no RSA key of {SMALLEST_KEY} bits or more")
        try:
            key.verify(bytes.fromhex(pulse.signatureValue), pulse.signed(), PKCS1v15(), SHA512())
        except InvalidSignature:
            raise self.refused("the pulse's signature does not verify") from None

    def _check_validity(self, time: datetime, what: str) -> None:
        held = self._loaded()
        if not held.not_valid_before_utc <= time <= held.not_valid_after_utc:
            span = f"{held.not_valid_before_utc:%Y-%m-%d} to {held.not_valid_after_utc:%Y-%m-%d}"
            remedy = f"pin the one that signs then: {SERVICE}/certificate/ and the certificateId of a pulse"
            raise self.refused(f"the certificate holds from {span}, and {what} is of {format_time(time)}", remedy)

    def _loaded(self) -> Certificate:
        try:
            from cryptography.x509 import load_der_x509_certificate
        except ImportError:
            remedy = "pip install 'prereg-harness[beacons]'"
            raise UsageError("cryptography is not installed", where="beacon nist", remedy=remedy) from None
        try:
            return load_der_x509_certificate(_decode_pem(self.certificate))
        except ValueError as error:
            raise self.refused(f"its certificate can't be read: {error}", "pin the beacon's own certificate") from None


def _decode_pem(text: str) -> bytes:
    """Return the bytes of the one certificate in a PEM text.

    Raises:
        ValueError: there is none, or there are several.
    """
    head, begun, rest = text.partition(BEGIN)
    body, ended, beyond = rest.partition(END)
    if head.strip() or beyond.strip() or not (begun and ended):
        raise ValueError(f"one certificate is expected, from {BEGIN} to {END}")
    return base64.b64decode("".join(body.split()), validate=True)


def _pack4(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _pack8(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _pack_text(text: str) -> bytes:
    return _pack4(len(text)) + text.encode("ascii")


def _pack_hex(digits: str) -> bytes:
    return _pack4(len(digits) // 2) + bytes.fromhex(digits)


plugin = Nist
