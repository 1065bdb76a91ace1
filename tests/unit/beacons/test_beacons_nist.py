"""NIST's pulses: two that were published verify, all else is refused. Others are signed with a key of our own."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.beacons import Registered
from harness.beacons.nist import CERTIFICATE, Fields, Nist
from harness.errors import HarnessError
from tests.unit.beacons.beacons_vectors import CORPUS, DIGEST, NIST_TIMES, pulses, registered

NIST = Nist(name="nist")
KEPT = NIST.kept(pulses())
INSTANT = timedelta(microseconds=1)
PUBLISHED = (
    "0ADF5A221B2BE4A141F8D53F120DF66E5A0CAD54519095521CC2B8958D922A54"
    "5C3834A07CACCAA4CB1D9293A9003CD2A5FA2AF1DE906DC4632173C0BEDDE8B7"
)
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
NAME = Name([NameAttribute(NameOID.COMMON_NAME, "a beacon of our own")])


def refused(data: bytes, made: Registered, match: str | None, beacon: Nist = NIST) -> None:
    with pytest.raises(HarnessError, match=match) as caught:
        beacon.verify(data, made)
    assert caught.value.where == "beacon nist" and caught.value.remedy


def certificate(
    key: Any, first: datetime = datetime(2026, 1, 1, tzinfo=UTC), last: datetime = datetime(2027, 1, 1, tzinfo=UTC)
) -> str:
    made = CertificateBuilder(NAME, NAME, key.public_key(), 7, first, last).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def identity(text: str) -> str:
    return hashlib.sha512(base64.b64decode("".join(text.strip().splitlines()[1:-1]))).hexdigest()


class Signer:
    """A beacon of our own."""

    def __init__(self, bits: int = 2048) -> None:
        while True:  # until the modulus leaves room for a signature that is larger by it, as most do
            self.key = rsa.generate_private_key(65537, bits)
            if self.key.public_key().public_numbers().n >> bits - 3 < 0b111:
                break
        self.certificate = certificate(self.key)
        self.id = identity(self.certificate)
        self.beacon = Nist(name="nist", certificate=self.certificate)

    def pulse(self, time: datetime, previous: str = "00" * 64, hashed: Any = None, **changes: Any) -> dict[str, Any]:
        told = copy.deepcopy(json.loads(KEPT.splitlines()[1])["pulse"])
        told["timeStamp"] = f"{time:%Y-%m-%dT%H:%M:%S}.000Z"
        told["certificateId"], told["listValues"][0]["value"] = self.id, previous
        told |= changes
        signed = Fields.model_validate(told).signed()
        signature = self.key.sign(signed, padding.PKCS1v15(), hashed or SHA512())
        told["signatureValue"] = signature.hex()
        told["outputValue"] = hashlib.sha512(signed + signature).hexdigest()
        return told


def record(*told: dict[str, Any]) -> bytes:
    lines = (json.dumps({"pulse": one}, sort_keys=True, separators=(",", ":")) + "\n" for one in told)
    return "".join(lines).encode()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def test_a_published_pulse_verifies() -> None:
    first, second = NIST_TIMES
    for moment in (first, second - INSTANT):
        drawn = NIST.verify(KEPT, registered(moment, NIST))
        assert drawn.value.hex().upper() == PUBLISHED
        assert drawn.time == second and "pulse 1862119 of chain 2" in drawn.round


def test_the_certificate_that_is_known_is_the_published_one() -> None:
    assert (CORPUS / "nist-certificate-528943a5.pem").read_text(encoding="ascii") == CERTIFICATE


def test_every_changed_byte_is_refused() -> None:
    made = registered(NIST_TIMES[0], NIST)
    for at in range(len(KEPT)):
        for change in (0x01, 0x20, 0x80):
            changed = KEPT[:at] + bytes([KEPT[at] ^ change]) + KEPT[at + 1 :]
            with pytest.raises(HarnessError):
                NIST.verify(changed, made)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_other_bytes_are_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(KEPT)))
    end = data.draw(st.integers(start, min(len(KEPT), start + 40)))
    changed = KEPT[:start] + data.draw(st.binary(max_size=40)) + KEPT[end:]
    if changed != KEPT:
        with pytest.raises(HarnessError):
            NIST.verify(changed, registered(NIST_TIMES[0], NIST))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, one in items for leaf in leaves(one, (*path, key))]
    return [(path, value)]


def other(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    return value[:-2] + ("00" if value[-2:] != "00" else "01") if len(value) >= 128 else f"{value}x"


@pytest.mark.parametrize("which", [0, 1])
def test_every_changed_field_is_refused(which: int) -> None:
    told = [json.loads(line)["pulse"] for line in KEPT.splitlines()]
    for path, value in leaves(told[which]):
        changed = copy.deepcopy(told)
        place = changed[which]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = other(value)
        refused(record(*changed), registered(NIST_TIMES[0], NIST), None)


def test_another_pulse_is_refused() -> None:
    first, second = NIST_TIMES
    refused(KEPT, registered(first - INSTANT, NIST), "an older pulse is due")
    refused(KEPT, registered(second, NIST), "which is not after")
    refused(KEPT, registered(second + timedelta(days=1), NIST), "which is not after")
    one, two = (line + b"\n" for line in KEPT.splitlines())
    made = registered(first, NIST)
    refused(two + one, made, "does not follow")
    refused(one + one, made, "does not follow")
    refused(two + two, made, "does not follow")
    refused(two, made, "2 JSON document")
    refused(KEPT + two, made, "something follows")


def test_a_beacon_of_our_own(signer: Signer) -> None:
    before = signer.pulse(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    # It stood still for an hour: the next pulse is the first after all moments between.
    after = signer.pulse(datetime(2026, 5, 1, 13, 0, tzinfo=UTC), before["outputValue"], statusCode=2)
    for minute in (0, 30, 59):
        made = registered(datetime(2026, 5, 1, 12, minute, tzinfo=UTC), signer.beacon)
        drawn = signer.beacon.verify(record(before, after), made)
        assert drawn.value.hex() == after["outputValue"] and drawn.time == datetime(2026, 5, 1, 13, tzinfo=UTC)
    third = signer.pulse(datetime(2026, 5, 1, 13, 1, tzinfo=UTC), after["outputValue"])
    refused(record(before, third), made, "does not follow", signer.beacon)
    refused(record(after, third), made, "an older pulse is due", signer.beacon)


def test_other_keys_and_chains_are_refused(signer: Signer) -> None:
    made = registered(datetime(2026, 5, 1, 12, 0, tzinfo=UTC), signer.beacon)
    before = signer.pulse(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    output = before["outputValue"]

    def with_it(**changes: Any) -> bytes:
        return record(before, signer.pulse(datetime(2026, 5, 1, 12, 1, tzinfo=UTC), output, **changes))

    assert signer.beacon.verify(with_it(), made)
    refused(with_it(), made, "signed with another certificate", NIST)
    refused(KEPT, registered(NIST_TIMES[0], NIST), "signed with another certificate", signer.beacon)
    refused(with_it(certificateId="11" * 64), made, "signed with another certificate", signer.beacon)
    refused(with_it(chainIndex=3), made, "is of chain 3, not of 2", signer.beacon)
    refused(with_it(hashed=SHA256()), made, "signature does not verify", signer.beacon)
    rogue = Signer()
    rogue.id = signer.id
    refused(
        record(before, rogue.pulse(datetime(2026, 5, 1, 12, 1, tzinfo=UTC), output)),
        made,
        "does not verify",
        signer.beacon,
    )


def test_the_pulse_before_may_be_of_an_older_certificate(signer: Signer) -> None:
    """The signed pulse holds its output value, which holds its time."""
    old = Signer()
    made = registered(datetime(2026, 5, 1, 12, 0, tzinfo=UTC), signer.beacon)
    before = old.pulse(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    after = signer.pulse(datetime(2026, 5, 1, 12, 1, tzinfo=UTC), before["outputValue"])
    assert signer.beacon.verify(record(before, after), made)
    moved = before | {"timeStamp": "2026-05-01T11:59:00.000Z"}
    refused(record(moved, after), made, "output value of the pulse before is not", signer.beacon)


def test_a_signature_is_written_in_one_way_only(signer: Signer) -> None:
    """A signature s below the modulus n: s + n has the same power modulo n."""
    made = registered(datetime(2026, 5, 1, 12, 0, tzinfo=UTC), signer.beacon)
    before = signer.pulse(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    n = signer.key.public_key().public_numbers().n
    for second in range(60):
        told = signer.pulse(datetime(2026, 5, 1, 12, 1, second, tzinfo=UTC), before["outputValue"])
        beyond = int(told["signatureValue"], 16) + n
        if beyond < 2**2048:
            break
    else:
        raise AssertionError("about every second signature has room")
    signed = Fields.model_validate(told).signed()
    for signature in (beyond.to_bytes(256, "big"), bytes(1) + bytes.fromhex(told["signatureValue"]), bytes(256)):
        changed = told | {
            "signatureValue": signature.hex(),
            "outputValue": hashlib.sha512(signed + signature).hexdigest(),
        }
        refused(record(before, changed), made, "signature does not verify", signer.beacon)


def test_a_certificate_holds_for_its_time(signer: Signer) -> None:
    late = Registered(DIGEST, datetime(2026, 12, 1, tzinfo=UTC))
    with pytest.raises(HarnessError, match="holds from 2025-08-28 to 2026-09-04") as caught:
        NIST.due(late)
    assert "pin the one that signs then" in str(caught.value)
    made = registered(datetime(2027, 5, 1, 12, 0, tzinfo=UTC), signer.beacon)
    before = signer.pulse(datetime(2027, 5, 1, 12, 0, tzinfo=UTC))
    after = signer.pulse(datetime(2027, 5, 1, 12, 1, tzinfo=UTC), before["outputValue"])
    refused(record(before, after), made, "holds from 2026-01-01 to 2027-01-01", signer.beacon)


def test_keys_that_are_too_weak_or_of_another_kind_are_refused(signer: Signer) -> None:
    made = registered(datetime(2026, 5, 1, 12, 0, tzinfo=UTC), signer.beacon)
    before = signer.pulse(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())):
        beacon = Nist(name="nist", certificate=certificate(key))
        named = {"certificateId": identity(beacon.certificate)}
        told = signer.pulse(datetime(2026, 5, 1, 12, 1, tzinfo=UTC), before["outputValue"], **named)
        refused(record(before, told), made, "no RSA key of 2048 bits or more", beacon)


@pytest.mark.parametrize(
    "text", ["", "no certificate", CERTIFICATE + CERTIFICATE, f"{CERTIFICATE}more", CERTIFICATE.replace("MIII", "M(II")]
)
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Nist(name="nist", certificate=text)


def test_a_broken_certificate_says_so() -> None:
    beacon = Nist(name="nist", certificate=CERTIFICATE.replace("MIIIDDCC", "MIIIDDCD"))
    refused(KEPT, registered(NIST_TIMES[0], NIST), "certificate can't be read", beacon)


def test_the_addresses_are_of_the_pulses_on_either_side() -> None:
    """previous: before the next millisecond; next: after this one."""
    for moment in (NIST_TIMES[0], NIST_TIMES[0] + timedelta(microseconds=999)):
        addresses = NIST.urls(registered(moment, NIST))
        assert [url.rpartition("/")[2] for url in addresses] == ["1784209740001", "1784209740000"]
        assert all(url in NIST.instructions(registered(moment, NIST)) for url in addresses)


def test_who_has_to_be_trusted(signer: Signer) -> None:
    assert "NIST, which makes the values" in NIST.trusts()
    assert Nist(name="nist", certificate=CERTIFICATE.replace("\n", "\r\n")).trusts() == NIST.trusts()
    assert signer.id[:12] in signer.beacon.trusts() and "does not know" in signer.beacon.trusts()


CHANGES: dict[str, Callable[[str], str]] = {
    "a key stands twice": lambda text: text.replace('"chainIndex":2,', '"chainIndex":2,"chainIndex":2,', 1),
    "true for 1": lambda text: text.replace('"chainIndex":2', '"chainIndex":true', 1),
    "false for 0": lambda text: text.replace('"cipherSuite":0', '"cipherSuite":false', 1),
    "false for 0, elsewhere": lambda text: text.replace('"statusCode":0', '"statusCode":false', 1),
    "0.0 for 0": lambda text: text.replace('"cipherSuite":0', '"cipherSuite":0.0', 1),
    "-0 for 0": lambda text: text.replace('"cipherSuite":0', '"cipherSuite":-0', 1),
    "NaN": lambda text: text.replace('"period":60000', '"period":NaN', 1),
    "a huge number": lambda text: text.replace('"period":60000', '"period":' + "9" * 5000, 1),
    "more than 4 bytes": lambda text: text.replace('"period":60000', '"period":4294967296', 1),
    "more than 8 bytes": lambda text: text.replace('"pulseIndex":1862118', '"pulseIndex":9223372036854775808', 1),
    "another suite": lambda text: text.replace('"cipherSuite":0', '"cipherSuite":1', 1),
    "a null": lambda text: text.replace('"period":60000', '"period":null', 1),
    "another key": lambda text: text.replace('"period":60000', '"period":60000,"more":1', 1),
    "no day": lambda text: text.replace("2026-07-16T13:49", "2026-02-30T13:49", 1),
    "other digits": lambda text: text.replace("2026-07-16T13:49", "٢٠٢٦-07-16T13:49", 1),
    "another order of values": lambda text: text.replace('"type":"hour"', '"type":"day"', 1),
    "letters beyond ASCII": lambda text: text.replace('"version":"2.0"', '"version":"2.0é"', 1),
    "half a pair": lambda text: text.replace('"version":"2.0"', '"version":"\\ud800"', 1),
    "cut": lambda text: text[:-10],
    "nested": lambda text: "[" * 60_000,
    "empty": lambda text: "",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_answer_says_why(name: str) -> None:
    answer = CHANGES[name](KEPT.decode())
    assert answer != KEPT.decode()
    with pytest.raises(HarnessError, match="not two pulses as the beacon answers them") as caught:
        NIST.kept(answer.encode())
    assert caught.value.remedy


def test_both_pulses_have_one_record() -> None:
    told = [json.loads(line) for line in KEPT.splitlines()]
    made = registered(NIST_TIMES[0], NIST)
    pretty = "\n".join(json.dumps(one, indent=4) for one in told).encode()
    upper = KEPT.replace(PUBLISHED.lower().encode(), PUBLISHED.encode())
    for answer in (pulses(), pretty, upper, KEPT.replace(b"\n", b"\r\n"), KEPT.replace(b"\n", b"")):
        assert NIST.kept(answer) == KEPT != answer
        refused(answer, made, "not in the form that a trail keeps")
    assert NIST.kept(KEPT) == KEPT and b"pulse/1862117" not in KEPT  # nobody signed the addresses of earlier pulses
