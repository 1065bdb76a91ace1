"""Block headers: published ones verify, everything else is refused. Others are mined here, at hardly any difficulty."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.beacons import Registered
from harness.beacons.bitcoin import Bitcoin
from harness.errors import HarnessError
from tests.unit.beacons.beacons_vectors import BITCOIN_HASH, BITCOIN_TIMES, DIGEST, headers, registered

INSTANT = timedelta(microseconds=1)
BITCOIN = Bitcoin(name="bitcoin", difficulty=3.0e13)  # of June 2022
KEPT = BITCOIN.kept("".join(headers()[:18]).encode())
MADE = registered(BITCOIN_TIMES[0], BITCOIN)
EASY = 0x207FFFFF
OWN = Bitcoin.model_construct(name="bitcoin", delay=1, difficulty=1e-12, confirmations=2)
START = 1_700_000_000


def refused(data: bytes, made: Registered, match: str, beacon: Bitcoin = BITCOIN) -> None:
    with pytest.raises(HarnessError, match=match) as caught:
        beacon.verify(data, made)
    assert caught.value.where == "beacon bitcoin" and caught.value.remedy


def digest(header: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(header).digest()).digest()


def mined(times: list[int], bits: int = EASY, before: bytes = bytes(32)) -> list[bytes]:
    """A chain of our own: about two hashes for a block."""
    made = []
    target = (bits & 0x7FFFFF) << 8 * ((bits >> 24) - 3)
    for time in times:
        for nonce in range(2**20):
            tail = time.to_bytes(4, "little") + bits.to_bytes(4, "little") + nonce.to_bytes(4, "little")
            header = (4).to_bytes(4, "little") + before + b"\x11" * 32 + tail
            if int.from_bytes(digest(header), "little") <= target:
                break
        made.append(header)
        before = digest(header)
    return made


def record(made: list[bytes]) -> bytes:
    return "".join(f"{header.hex()}\n" for header in made).encode()


def at(seconds: float, beacon: Bitcoin = OWN) -> Registered:
    return registered(datetime.fromtimestamp(seconds, UTC), beacon)


def test_a_published_block_verifies() -> None:
    for moment in (BITCOIN_TIMES[0], BITCOIN_TIMES[1] - INSTANT):
        drawn = BITCOIN.verify(KEPT, registered(moment, BITCOIN))
        assert drawn.value.hex() == BITCOIN_HASH and BITCOIN_HASH in drawn.round
        assert drawn.time == BITCOIN_TIMES[1]


def test_every_changed_byte_is_refused() -> None:
    for place in range(len(KEPT)):
        for change in (0x01, 0x20, 0x80):
            changed = KEPT[:place] + bytes([KEPT[place] ^ change]) + KEPT[place + 1 :]
            with pytest.raises(HarnessError):
                BITCOIN.verify(changed, MADE)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_other_headers_are_refused(data: st.DataObject) -> None:
    whole = bytearray(bytes.fromhex("".join(headers()[:18])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    changed = record([bytes(whole[start : start + 80]) for start in range(0, len(whole), 80)])
    if changed != KEPT:
        with pytest.raises(HarnessError):
            BITCOIN.verify(changed, MADE)


def test_another_block_is_refused() -> None:
    refused(KEPT, registered(BITCOIN_TIMES[0] - INSTANT, BITCOIN), "an older block is due")
    refused(KEPT, registered(BITCOIN_TIMES[1], BITCOIN), "too old: its median time")
    refused(KEPT, registered(BITCOIN_TIMES[1] + timedelta(days=1), BITCOIN), "too old")
    next_one = BITCOIN.kept("".join(headers()[1:19]).encode())
    refused(next_one, MADE, "an older block is due")
    assert BITCOIN.verify(next_one, registered(BITCOIN_TIMES[1], BITCOIN)).value.hex() != BITCOIN_HASH
    refused(KEPT, Registered(DIGEST, datetime(9999, 12, 31, tzinfo=UTC)), "no round is due")


def test_easier_chains_are_refused() -> None:
    refused(KEPT, MADE, r"difficulty of header 1 is 3.03e\+13, and 5e\+13 is the least", Bitcoin(name="bitcoin"))
    own = mined([START + 600 * i for i in range(18)])
    refused(record(own), at(START + 3000, BITCOIN), "difficulty of header 1 is")
    for difficulty in (0.0, -1.0, 1.0, 9e11, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Bitcoin(name="bitcoin", difficulty=difficulty)


def test_headers_that_do_not_follow_are_refused() -> None:
    lines = KEPT.splitlines(keepends=True)
    refused(b"".join([*lines[:5], lines[6], lines[5], *lines[7:]]), MADE, "header 6 does not follow on header 5")
    refused(b"".join([*lines[:5], lines[4], *lines[6:]]), MADE, "header 6 does not follow on header 5")


@pytest.mark.parametrize("count", [0, 1, 11, 17, 19])
def test_another_number_of_headers_is_refused(count: int) -> None:
    refused("".join(f"{line}\n" for line in headers()[:count]).encode(), MADE, "18 headers of 80 bytes")


def test_the_number_of_confirmations_is_stated() -> None:
    with_seven = Bitcoin(name="bitcoin", difficulty=3.0e13, confirmations=7)
    refused(KEPT, MADE, "7 after it, are expected", with_seven)
    kept = with_seven.kept("".join(headers()[:19]).encode())
    assert with_seven.verify(kept, MADE).value.hex() == BITCOIN_HASH


def test_a_chain_of_our_own() -> None:
    chain = mined([START + 600 * i for i in range(40)])
    for moment in (START + 3000, START + 3599.999, START + 3600, START + 9000):
        # The median of blocks i − 10 … i is the time of block i − 5.
        i = int(moment - START) // 600 + 1 + 5
        kept = record(chain[i - 11 : i + 3])
        assert OWN.verify(kept, at(moment)).value == digest(chain[i])[::-1]
        for j in (i - 1, i + 1):
            if j >= 11:
                refused(record(chain[j - 11 : j + 3]), at(moment), "an older block is due|too old", OWN)


@given(st.lists(st.integers(-7000, 7000), min_size=40, max_size=40), st.integers(0, 20_000))
@settings(max_examples=60, deadline=None)
def test_one_block_of_a_chain_is_due_however_its_times_jump(jumps: list[int], moment: int) -> None:
    """Block times go back and forth, as far as the rules allow: later than the median of the eleven before."""
    times: list[int] = []
    for i, jump in enumerate(jumps):
        time = START + 600 * i + jump
        if len(times) >= 11:
            time = max(time, sorted(times[-11:])[5] + 1)
        times.append(time)
    chain = mined(times)
    accepted = []
    for i in range(11, 38):
        try:
            accepted.append(OWN.verify(record(chain[i - 11 : i + 3]), at(START + moment)).value)
        except HarnessError:
            continue
    assert len(accepted) <= 1
    medians = [sorted(times[i - 10 : i + 1])[5] for i in range(10, 38)]
    if medians[0] <= START + moment < medians[-1]:
        assert len(accepted) == 1


def test_a_block_that_is_older_than_the_rules_allow_is_refused() -> None:
    times = [START + 600 * i for i in range(14)]
    times[12] = times[6]  # the median of the eleven before is that of block 6
    refused(record(mined(times)), at(START + 3000), "the time of header 13 is not after the median", OWN)


@pytest.mark.parametrize("bits", [0, 0x207FFFFF | 0x800000, 0x21008000, 0xFF7FFFFF, 0x207F, 0x20007FFF, 0x03008000])
def test_targets_that_nobody_writes_are_refused(bits: int) -> None:
    """No target, a negative one, one beyond 2²⁵⁶, and other ways of writing one."""
    tail = bits.to_bytes(4, "little") + bytes(4)
    chain = [bytes(68) + START.to_bytes(4, "little") + tail] * 14
    refused(record(chain), at(START), "has no target as Bitcoin writes it", OWN)


def test_work_is_checked() -> None:
    chain = mined([START + 600 * i for i in range(14)])
    harder = chain[-1][:72] + (0x1D00FFFF).to_bytes(4, "little") + chain[-1][76:]
    refused(record([*chain[:-1], harder]), at(START + 3000), "the hash of header 14 is above its target", OWN)


@pytest.mark.parametrize("answer", [b"zz", b"\xff", b"abc", "٣٣".encode()])
def test_what_is_no_answer_says_why(answer: bytes) -> None:
    refused(answer, MADE, "not block headers in hexadecimal digits")


def test_a_block_has_one_record() -> None:
    for answer in (KEPT.replace(b"\n", b""), KEPT.upper(), KEPT.replace(b"\n", b"\r\n"), b" " + KEPT):
        assert BITCOIN.kept(answer) == KEPT
        refused(answer, MADE, "not in the form that a trail keeps")


def test_a_person_is_told_how_to_get_it() -> None:
    assert BITCOIN.urls(MADE) == ()
    assert f"greater than {int(BITCOIN_TIMES[0].timestamp())} " in BITCOIN.instructions(MADE)
    assert "2022-06-22 03:33:31 UTC" in BITCOIN.due(MADE)
    assert "1e+23 hashes" in BITCOIN.trusts()
