"""drand: published rounds verify, everything else is refused. Other chains are signed with a key of our own."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_arkworks_bls12381 import G1Point, G2Point, Scalar
from pydantic import ValidationError

from harness.beacons import Registered
from harness.beacons.drand import SIGNATURES, Chain, Drand, list_known_chains
from harness.errors import HarnessError
from tests.unit.beacons.beacons_vectors import CHAINS, DIGEST, ROUNDS, drand, registered

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
EVERY = sorted(ROUNDS)


def own_chain(scheme: str, secret: int = 7, point: bytes | None = None, **changes: Any) -> Chain:
    """A chain under a key of our own, or under any bytes as its key."""
    size, _ = SIGNATURES[scheme]
    key = point or bytes(((G2Point() if size == 48 else G1Point()) * Scalar(secret)).to_compressed_bytes())
    told = {"scheme": scheme, "public_key": key.hex(), "period": 30, "genesis_time": 1_700_000_000} | changes
    told |= {"group_hash": "ab" * 32, "beacon_id": "own"}
    text = told["period"].to_bytes(4, "big") + told["genesis_time"].to_bytes(8, "big") + key + b"\xab" * 32 + b"own"
    return Chain(hash=hashlib.sha256(text).hexdigest(), **told)


def signed(scheme: str, number: int, secret: int = 7, previous: bytes = b"") -> bytes:
    size, tag = SIGNATURES[scheme]
    message = hashlib.sha256(previous + number.to_bytes(8, "big")).digest()
    point = (G1Point if size == 48 else G2Point).hash_to_curve(message, tag) * Scalar(secret)
    return bytes(point.to_compressed_bytes())


def record(number: int, signature: bytes, previous: bytes = b"") -> bytes:
    told: dict[str, Any] = {"randomness": hashlib.sha256(signature).hexdigest(), "round": number}
    told |= {"signature": signature.hex()} | ({"previous_signature": previous.hex()} if previous else {})
    return (json.dumps(told, sort_keys=True, separators=(",", ":")) + "\n").encode()


def refused(beacon: Drand, data: bytes, made: Registered, match: str) -> None:
    with pytest.raises(HarnessError, match=match) as caught:
        beacon.verify(data, made)
    assert caught.value.where and caught.value.remedy


@pytest.mark.parametrize("name", EVERY)
def test_a_published_round_verifies(name: str) -> None:
    beacon, kept, made = drand(name)
    drawn = beacon.verify(kept, made)
    _, answer, randomness = ROUNDS[name]
    assert drawn.value == hashlib.sha256(bytes.fromhex(answer["signature"])).digest()
    assert randomness in (drawn.value.hex(), None)
    assert drawn.time == beacon.parameters.time(answer["round"]) == beacon.earliest(made)
    assert drawn.round == beacon.due(made) and str(answer["round"]) in drawn.round


@pytest.mark.parametrize("name", ["default-1", "default-3311596", "quicknet-657413"])
def test_every_changed_byte_is_refused(name: str) -> None:
    beacon, kept, made = drand(name)
    for at in range(len(kept)):
        for change in (0x01, 0x20, 0x80):
            changed = kept[:at] + bytes([kept[at] ^ change]) + kept[at + 1 :]
            with pytest.raises(HarnessError):
                beacon.verify(changed, made)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_other_bytes_are_refused(data: st.DataObject) -> None:
    beacon, kept, made = drand("quicknet-657413")
    start = data.draw(st.integers(0, len(kept)))
    end = data.draw(st.integers(start, min(len(kept), start + 40)))
    changed = kept[:start] + data.draw(st.binary(max_size=40)) + kept[end:]
    if changed != kept:
        with pytest.raises(HarnessError):
            beacon.verify(changed, made)


def test_the_round_that_is_due_is_the_first_that_is_later() -> None:
    for chain in (*list_known_chains().values(), *CHAINS.values()):
        start, period = chain.time(1), timedelta(seconds=chain.period)
        instant = timedelta(microseconds=1)
        assert start == datetime.fromtimestamp(chain.genesis_time, UTC)
        assert chain.first_after(datetime(1970, 1, 1, tzinfo=UTC)) == 1
        assert chain.first_after(start - instant) == 1
        assert chain.first_after(start) == 2
        assert chain.first_after(start + period - instant) == 2
        assert chain.first_after(start + period) == 3
        assert chain.first_after(start + period + instant) == 3


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1970 <= moment.year < 9000),
    st.integers(1, 366 * 86400),
    st.sampled_from(sorted(list_known_chains())),
)
def test_a_round_is_later_and_the_one_before_is_not(moment: datetime, delay: int, name: Any) -> None:
    beacon = Drand(name="drand", chain=name, delay=delay)
    made = Registered(DIGEST, moment)
    chain, after = beacon.parameters, beacon.after(made)
    number = chain.first_after(after)
    assert after == made.time + timedelta(seconds=delay) < chain.time(number) == beacon.earliest(made)
    assert number == 1 or chain.time(number - 1) <= after
    assert beacon.urls(made)[0].endswith(f"{chain.hash}/public/{number}")
    assert beacon.urls(made)[0] in beacon.instructions(made)


def test_another_round_is_refused() -> None:
    beacon, kept, made = drand("quicknet-657413")
    due = made.time + timedelta(seconds=beacon.delay)
    for moment in (due + timedelta(microseconds=1), due + timedelta(days=1), due - timedelta(seconds=3)):
        refused(beacon, kept, registered(moment, beacon), "and the one that is due is round 6")
    refused(beacon, kept, Registered(DIGEST, datetime(9999, 12, 31, tzinfo=UTC)), "no round is due")
    refused(beacon, kept, Registered(DIGEST, datetime(1, 1, 1, tzinfo=UTC)), "no round is due")


def test_a_round_before_the_registration_is_refused() -> None:
    """With whichever number it is labelled: the signature is over the number."""
    beacon, kept, _ = drand("quicknet-657413")
    later = registered(beacon.parameters.time(657414), beacon)  # 657415 is due
    refused(beacon, kept, later, "it is round 657413 .* due is round 657415")
    refused(beacon, kept.replace(b"657413", b"657415"), later, "not by the key of the chain")


def test_rounds_of_other_chains_are_refused() -> None:
    quicknet, kept, made = drand("quicknet-657413")
    for chain in ("walkthrough", "fastnet"):  # the same shape
        other = Drand(name="drand", chain=CHAINS[chain])
        moment = other.parameters.time(657413) - timedelta(seconds=1)
        refused(other, kept, registered(moment, other), "not by the key of the chain")
    default = Drand(name="drand", chain="default")
    refused(default, kept, made, "signatures of pedersen-bls-chained have 96 bytes")
    _, chained, _ = drand("default-1000")
    refused(quicknet, chained, made, "signatures of bls-unchained-g1-rfc9380 have 48 bytes")


@pytest.mark.parametrize("scheme", sorted(SIGNATURES))
def test_a_signer_of_our_own_and_a_rogue_one(scheme: str) -> None:
    beacon = Drand(name="drand", chain=own_chain(scheme))
    previous = b"\x99" * 96 if beacon.parameters.chained else b""
    made = registered(beacon.parameters.time(41), beacon)
    good = record(42, signed(scheme, 42, previous=previous), previous)
    assert beacon.verify(good, made).value == hashlib.sha256(signed(scheme, 42, previous=previous)).digest()
    rogue = record(42, signed(scheme, 42, secret=8, previous=previous), previous)
    refused(beacon, rogue, made, "not by the key of the chain")
    refused(beacon, record(42, signed(scheme, 43, previous=previous), previous), made, "not by the key of the chain")
    if previous:
        refused(beacon, record(42, signed(scheme, 42, previous=previous), b"\x98" * 96), made, "not by the key")
        refused(beacon, record(42, signed(scheme, 42)), made, "needs a previous signature")
    else:
        refused(beacon, record(42, signed(scheme, 42), b"\x99" * 96), made, "have no previous signature")
    other_tag = {"bls-unchained-on-g1": "bls-unchained-g1-rfc9380", "bls-unchained-g1-rfc9380": "bls-unchained-on-g1"}
    if scheme in other_tag:  # the same curve, another way of hashing to it
        refused(beacon, record(42, signed(other_tag[scheme], 42)), made, "not by the key of the chain")


def test_a_chains_first_round_is_chained_to_its_group() -> None:
    beacon, kept, made = drand("default-1")
    group = list_known_chains()["default"].group_hash.encode()
    refused(beacon, kept.replace(group, b"00" * 32), made, "not chained to the group")
    own = Drand(name="drand", chain=own_chain("pedersen-bls-chained"))
    made = registered(own.parameters.time(0), own)
    wrong, right = b"\x01" * 32, b"\xab" * 32
    refused(own, record(1, signed("pedersen-bls-chained", 1, previous=wrong), wrong), made, "not chained to the group")
    assert own.verify(record(1, signed("pedersen-bls-chained", 1, previous=right), right), made)


@pytest.mark.parametrize("scheme", sorted(SIGNATURES))
def test_points_at_infinity_prove_nothing(scheme: str) -> None:
    """e(infinity, g) = 1 = e(H, infinity): a key of infinity would accept a signature of infinity for every message."""
    size = SIGNATURES[scheme][0]
    nothing, no_key = bytes([0xC0]) + bytes(size - 1), bytes([0xC0]) + bytes(143 - size)
    for chain in (own_chain(scheme), own_chain(scheme, point=no_key)):
        beacon = Drand(name="drand", chain=chain)
        previous = b"\x99" * 96 if chain.chained else b""
        made = registered(chain.time(41), beacon)
        refused(beacon, record(42, nothing, previous), made, "not by the key of the chain")
        if chain.public_key == no_key.hex():
            refused(beacon, record(42, signed(scheme, 42, previous=previous), previous), made, "not by the key")


def test_a_point_is_written_in_one_way_only() -> None:
    scheme = "bls-unchained-g1-rfc9380"
    beacon = Drand(name="drand", chain=own_chain(scheme))
    made = registered(beacon.parameters.time(41), beacon)
    good = signed(scheme, 42)
    flags, x = good[0] & 0xE0, int.from_bytes(bytes([good[0] & 0x1F]) + good[1:], "big")
    negated = bytes((-G1Point.from_compressed_bytes(good)).to_compressed_bytes())
    others = [negated, bytes([good[0] ^ 0x20]) + good[1:], bytes([good[0] & 0x7F]) + good[1:]]
    others += [bytes([good[0] | 0x40]) + good[1:], bytes([0xE0]) + bytes(47), bytes([0xC0]) + bytes(46) + b"\1"]
    if x + P < 2**381:
        beyond = (x + P).to_bytes(48, "big")
        others.append(bytes([flags | beyond[0]]) + beyond[1:])
    others += [bytes([0x80 | P.to_bytes(48, "big")[0]]) + P.to_bytes(48, "big")[1:], bytes([0x9F]) + b"\xff" * 47]
    for other in others:
        assert other != good
        refused(beacon, record(42, other), made, "not by the key of the chain")


def test_coordinates_beyond_the_field_are_refused() -> None:
    """A signature whose x has room for another p below 2³⁸¹."""
    scheme = "bls-unchained-g1-rfc9380"
    beacon = Drand(name="drand", chain=own_chain(scheme))
    for number in range(1, 200):
        good = signed(scheme, number)
        x = int.from_bytes(bytes([good[0] & 0x1F]) + good[1:], "big")
        if x + P < 2**381:
            beyond = (x + P).to_bytes(48, "big")
            other = bytes([(good[0] & 0xE0) | beyond[0]]) + beyond[1:]
            made = registered(beacon.parameters.time(number - 1), beacon)
            assert beacon.verify(record(number, good), made)
            refused(beacon, record(number, other), made, "not by the key of the chain")
            return
    raise AssertionError("one in eight has room")


def small_order_point() -> bytes:
    """A point on the curve of G1 that is in no group of large prime order: of order 3, (0, 2)."""
    return bytes([0x80]) + bytes(47)


def test_points_outside_the_group_are_refused() -> None:
    scheme = "bls-unchained-g1-rfc9380"
    beacon = Drand(name="drand", chain=own_chain(scheme))
    made = registered(beacon.parameters.time(41), beacon)
    low = G1Point.from_compressed_bytes_unchecked(small_order_point())
    assert not low.is_in_subgroup()
    moved = bytes((G1Point.from_compressed_bytes(signed(scheme, 42)) + low).to_compressed_bytes())
    for data in (small_order_point(), moved):
        refused(beacon, record(42, data), made, "not by the key of the chain")
    key = G1Point() * Scalar(7) + low
    chain = own_chain("pedersen-bls-unchained", point=bytes(key.to_compressed_bytes()))
    bad = Drand(name="drand", chain=chain)
    refused(bad, record(42, signed("pedersen-bls-unchained", 42)), made, "not by the key of the chain")


def test_a_chains_parameters_must_add_up_to_its_hash() -> None:
    quicknet = list_known_chains()["quicknet"].model_dump()
    assert Chain(**quicknet) == list_known_chains()["quicknet"]
    for name, value in (
        ("period", 4), ("genesis_time", 1692803368), ("public_key", CHAINS["fastnet"].public_key),
        ("group_hash", "00" * 32), ("beacon_id", "default"), ("hash", "00" * 32),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match="not the one of these parameters"):
            Chain(**quicknet | {name: value})
    with pytest.raises(ValidationError, match="another length"):
        Chain(**quicknet | {"scheme": "pedersen-bls-unchained"})


def test_who_has_to_be_trusted() -> None:
    assert "League of Entropy's members" in Drand(name="drand").trusts()
    assert "none of the League of Entropy's" in Drand(name="drand", chain=own_chain("bls-unchained-on-g1")).trusts()


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (b"", "1 JSON document"),
        (b"{", "not a round"),
        (b"[]", "not a round"),
        (b"\xff\xfe", "not a round"),
        (b"\xef\xbb\xbf{}", "not a round"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"round":657413,"round":657413,"signature":"ab"}', "a key stands twice"),
        (b'{"round":NaN,"signature":"ab"}', "NaN is not a whole number"),
        (b'{"round":Infinity,"signature":"ab"}', "Infinity is not a whole number"),
        (b'{"round":657413.0,"signature":"ab"}', "657413.0 is not a whole number"),
        (b'{"round":1e3,"signature":"ab"}', "1e3 is not a whole number"),
        (b'{"round":' + b"9" * 5000 + b',"signature":"ab"}', "negative or too long"),
        (b'{"round":-1,"signature":"ab"}', "negative or too long"),
        (b'{"round":0,"signature":"ab"}', "round: Input should be greater"),
        (b'{"round":true,"signature":"ab"}', "round: Input should be a valid integer"),
        (b'{"round":"657413","signature":"ab"}', "round: Input should be a valid integer"),
        (b'{"round":657413,"signature":"abc"}', "signature: String should match"),
        (b'{"round":657413,"signature":"ab\\n"}', "signature: String should match"),
        (b'{"round":657413,"signature":"\xd9\xa1\xd9\xa1"}', "signature: String should match"),
        (b'{"round":657413,"signature":"ab"}', "have 48 bytes"),
        (b'{"round":657413,"signature":"ab","more":1}', "more: Extra inputs"),
        (b'{"round":657413,"signature":"ab"}{}', "something follows"),
        (b" " * 70_000, "none has more than 65536"),
    ],
)
def test_what_is_no_answer_says_why(answer: bytes, match: str) -> None:
    with pytest.raises(HarnessError, match=match) as caught:
        Drand(name="drand").kept(answer)
    assert caught.value.where == "beacon drand" and caught.value.remedy


def test_every_cut_of_a_record_is_refused() -> None:
    beacon, kept, made = drand("default-1000")
    for length in range(len(kept)):
        with pytest.raises(HarnessError):
            beacon.verify(kept[:length], made)
    refused(beacon, b"", made, "1 JSON document is expected, and there is none")


def test_a_round_has_one_record() -> None:
    beacon, kept, made = drand("default-1000")
    told = json.loads(kept)
    for answer in (
        kept, json.dumps(told, indent=4).encode(), json.dumps(told).replace("af0d", "AF0D").encode() + b"\r\n",
        json.dumps({key: told[key] for key in ("signature", "round", "previous_signature")}).encode(),
    ):  # fmt: skip
        assert beacon.kept(answer) == kept
        if answer != kept:
            refused(beacon, answer, made, "not in the form that a trail keeps")
    wrong = kept.replace(told["randomness"].encode(), b"00" * 32)
    refused(beacon, wrong, made, "randomness is not the SHA-256")
