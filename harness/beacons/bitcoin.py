"""Block headers of Bitcoin: nobody can choose a block's hash without doing the work for every block thrown away.

A header is 80 bytes: version (4), hash of the block before (32), root of its transactions (32), time (4), target (4),
nonce (4), numbers with the least significant byte first. Its hash, SHA-256 twice, is a number that may not exceed the
target. Block times may go backwards by up to two hours; the median of the last eleven cannot, because every block's
time must be later than the median before it. So the block that is due is the first whose median time is later than
the registration and the delay, and a chain has one such block.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from harness.beacons import Beacon, Drawn, Registered, format_time
from harness.plugins.fields import Unit

SIZE = 80  # bytes of a header
WINDOW = 11  # blocks whose median counts
UNIT = 0xFFFF << 208
"""The target of difficulty 1."""


class Bitcoin(Beacon):
    """The hash of a block: of the first whose median time is later than the registration and the delay.

    Its record is the headers of the eleven blocks before, of the block, and of those that confirm it, oldest first.
    Median times are about an hour behind the clock, and so comes the block.

    Source:
        Nakamoto 2008, Bitcoin: a peer-to-peer electronic cash system.

    Use:
        Where nobody is to be trusted, only work.

    Traps:
        Blocks come about every ten minutes and are confirmed an hour later. A miner could throw away a block whose
        hash displeases, at the price of its reward.
    """

    name: Literal["bitcoin"]
    difficulty: Annotated[float, Unit("1")] = Field(default=5.0e13, ge=1e12, le=1e30, examples=[5.0e13])
    """The least difficulty that every header must have: about 2³² times as many hashes were made for it. Chains with
    less work, other currencies' among them, are refused. Bitcoin's own was 5·10¹³ in 2023 and is above since."""
    confirmations: Annotated[int, Unit("blocks")] = Field(default=6, ge=1, le=100, examples=[6])
    """Number of blocks that must follow, so that the block stays in the chain."""

    def due(self, registered: Registered) -> str:
        """Return the rule; the number of the block is not known beforehand."""
        return f"the first block whose median time is later than {format_time(self.after(registered))}"

    def trusts(self) -> str:
        """Return what another value costs."""
        hashes = f"{self.difficulty * 2**32:.1g}"
        return f"that nobody throws blocks away, of {hashes} hashes each, to choose among values"

    def instructions(self, registered: Registered) -> str:
        """Return how to get the headers from a node."""
        seconds = (self.after(registered) - _convert_time(0)) // timedelta(seconds=1)  # median times are whole
        return (
            f"Find the first block whose mediantime is greater than {seconds} (bitcoin-cli getblockheader HASH). "
            f"From {WINDOW} blocks before it to {self.confirmations} after it, oldest first: "
            "bitcoin-cli getblockheader HASH false >> answer"
        )

    def rewritten(self, answer: bytes) -> bytes:
        """Return the headers in hexadecimal digits, one a line."""
        try:
            digits = "".join(answer.decode("ascii").split()).lower()
            headers = bytes.fromhex(digits)
        except ValueError:
            raise self.refused("these are not block headers in hexadecimal digits") from None
        wanted = WINDOW + 1 + self.confirmations
        if len(headers) != wanted * SIZE:
            told = f"{wanted} headers of {SIZE} bytes, {WINDOW} before the block and {self.confirmations} after it"
            raise self.refused(f"{told}, are expected, and this is {len(headers)} bytes")
        return "".join(f"{header.hex()}\n" for header in _split_headers(headers)).encode()

    def drawn(self, record: bytes, registered: Registered) -> Drawn:
        """Return the block's hash, as it is usually written: the most significant byte first."""
        headers = _split_headers(bytes.fromhex(record.decode().replace("\n", "")))
        for i, header in enumerate(headers):
            self._check_work(i, header)
        for i, (before, header) in enumerate(pairwise(headers), 1):
            if header[4:36] != _hash_twice(before):
                raise self.refused(f"header {i + 1} does not follow on header {i}")
        after = self.after(registered)
        times = [int.from_bytes(header[68:72], "little") for header in headers]
        earlier, median = (_find_median(times[start : start + WINDOW]) for start in (0, 1))
        if median <= after:
            raise self.refused(
                f"the block is too old: its median time, {format_time(median)}, is not after {format_time(after)}"
            )
        if earlier > after:
            raise self.refused(
                f"an older block is due: the one before has the median time {format_time(earlier)} already"
            )
        for i in range(WINDOW, len(headers)):
            if _convert_time(times[i]) <= _find_median(times[i - WINDOW : i]):
                raise self.refused(f"the time of header {i + 1} is not after the median of those before it")
        value = _hash_twice(headers[WINDOW])[::-1]
        return Drawn(value, f"block {value.hex()}", median)

    def _check_work(self, i: int, header: bytes) -> None:
        target = _decode_target(int.from_bytes(header[72:76], "little"))
        if target is None:
            raise self.refused(f"header {i + 1} has no target as Bitcoin writes it")
        if int.from_bytes(_hash_twice(header), "little") > target:
            raise self.refused(f"the hash of header {i + 1} is above its target")
        if target * self.difficulty > UNIT:
            told = f"{UNIT / target:.3g}, and {self.difficulty:.3g} is the least"
            raise self.refused(f"the difficulty of header {i + 1} is {told}")


def _split_headers(data: bytes) -> list[bytes]:
    return [data[start : start + SIZE] for start in range(0, len(data), SIZE)]


def _hash_twice(header: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(header).digest()).digest()


def _decode_target(bits: int) -> int | None:
    """Return the target that four bytes stand for, a mantissa below 2²³ times a power of 256; None for other ways."""
    size, mantissa = bits >> 24, bits & 0xFFFFFF
    if not (4 <= size <= 32 and 0x8000 <= mantissa < 0x800000):
        return None
    return mantissa << 8 * (size - 3)


def _find_median(times: list[int]) -> datetime:
    return _convert_time(sorted(times)[WINDOW // 2])


def _convert_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


plugin = Bitcoin
