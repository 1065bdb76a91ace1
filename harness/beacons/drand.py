"""Rounds of drand, the League of Entropy's beacon: BLS signatures over BLS12-381 that a threshold of members makes.

Round n is due at genesis + (n − 1) · period. The members sign SHA-256(round) or, in chained schemes,
SHA-256(previous signature ‖ round), the round as 8 bytes, the most significant first; the randomness is
SHA-256(signature). A message has one signature under a key, so not even the members can choose among values.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from harness.beacons import LAST_YEAR, Beacon, Drawn, Registered, format_time, write_download
from harness.beacons._json import Answer, Hex, split_documents, write_documents
from harness.errors import UsageError
from harness.plugins.fields import Unit

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point

G1, G2 = 48, 96  # bytes of a compressed point
ON_G1 = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
ON_G2 = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
DIGEST = r"^[0-9a-f]{64}$"
LAST = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)

SIGNATURES = {
    "pedersen-bls-chained": (G2, ON_G2),
    "pedersen-bls-unchained": (G2, ON_G2),
    "bls-unchained-on-g1": (G1, ON_G2),  # a mistake of its first version, which the next one mended
    "bls-unchained-g1-rfc9380": (G1, ON_G1),
}
"""Scheme → bytes of a signature, and the tag with which messages are hashed to its curve (RFC 9380)."""


QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
QUICKNET_KEY = (
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc"
    "22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
QUICKNET_GROUP = "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"


class Chain(BaseModel):
    """A chain's parameters, as ``/info`` of its relays shows them; they must add up to its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Annotated[str, StringConstraints(pattern=DIGEST)] = Field(examples=[QUICKNET])
    """The chain hash, 64 hexadecimal digits: SHA-256 over the period, genesis time, public key, group hash and name."""
    scheme: Literal["pedersen-bls-chained", "pedersen-bls-unchained", "bls-unchained-on-g1", "bls-unchained-g1-rfc9380"]
    """Scheme by which it signs."""
    public_key: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{96}|[0-9a-f]{192})$")] = Field(
        examples=[QUICKNET_KEY]
    )
    """The members' common public key: a compressed point, in hexadecimal digits."""
    period: Annotated[int, Unit("s")] = Field(ge=1, le=24 * 60 * 60, examples=[3])
    """Length of a round."""
    genesis_time: Annotated[int, Unit("s")] = Field(ge=0, le=2**32, examples=[1692803367])
    """Time at which its first round was due, Unix time."""
    group_hash: Annotated[str, StringConstraints(pattern=DIGEST)] = Field(examples=[QUICKNET_GROUP])
    """Digest of the first group of members, what round 1 of a chained scheme is chained to."""
    beacon_id: Annotated[str, StringConstraints(max_length=100)] = "default"
    """The chain's name among its members."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if len(self.public_key) // 2 != G1 + G2 - SIGNATURES[self.scheme][0]:
            raise ValueError(f"a public key of the scheme {self.scheme} has another length")
        name = "" if self.beacon_id == "default" else self.beacon_id
        told = self.period.to_bytes(4, "big") + self.genesis_time.to_bytes(8, "big")
        told += bytes.fromhex(self.public_key) + bytes.fromhex(self.group_hash) + name.encode()
        if hashlib.sha256(told).hexdigest() != self.hash:
            raise ValueError("the chain hash is not the one of these parameters")
        return self

    @property
    def chained(self) -> bool:
        """Tell whether a round's message holds the signature of the round before."""
        return self.scheme == "pedersen-bls-chained"

    def time(self, number: int) -> datetime:
        """Return when a round is due, UTC."""
        return _convert_time(self.genesis_time) + timedelta(seconds=self.period) * (number - 1)

    def first_after(self, moment: datetime) -> int:
        """Return the number of the first round that is due later than a moment."""
        passed = (moment - _convert_time(self.genesis_time)) // timedelta(
            seconds=self.period
        )  # whole periods, rounded down
        return max(1, passed + 2)


class Round(Answer):
    """A round, as ``/public/<round>`` answers it."""

    round: int = Field(ge=1)
    signature: Hex
    randomness: Hex | None = None
    previous_signature: Hex | None = None


@cache
def list_known_chains() -> dict[str, Chain]:
    """Return the League of Entropy's chains, by their names there."""
    return {
        "default": Chain(
            hash="8990e7a9aaed2ffed73dbd7092123d6f289930540d7651336225dc172e51b2ce",
            scheme="pedersen-bls-chained",
            public_key="868f005eb8e6e4ca0a47c8a77ceaa5309a47978a7c71bc5cce96366b5d7a5699"
            "37c529eeda66c7293784a9402801af31",
            period=30,
            genesis_time=1595431050,
            group_hash="176f93498eac9ca337150b46d21dd58673ea4e3581185f869672e59fa4cb390a",
        ),
        "quicknet": Chain(
            hash=QUICKNET,
            scheme="bls-unchained-g1-rfc9380",
            public_key=QUICKNET_KEY,
            period=3,
            genesis_time=1692803367,
            group_hash=QUICKNET_GROUP,
            beacon_id="quicknet",
        ),
    }


class Drand(Beacon):
    """A round of a drand chain: the first that is due after the registration and the delay.

    Source:
        drand, the League of Entropy, https://drand.love.

    Use:
        The usual choice: a round every 3 or 30 seconds, checked by one signature.

    Traps:
        If a threshold of the members conspired, they could know rounds beforehand. Rounds of a chain that was switched
        off can't be fetched: keep the record.
    """

    name: Literal["drand"]
    chain: Literal["default", "quicknet"] | Chain = "quicknet"
    """The chain: ``quicknet``, every 3 s, or ``default``, every 30 s, both the League of Entropy's, or the parameters
    of another one, as its relays show them."""
    relay: Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._/-]*)?$")] = Field(
        default="https://api.drand.sh", examples=["https://api.drand.sh"]
    )
    """Address at which rounds are to be had. Nothing rests on it: whoever answers, the signature is checked."""

    def due(self, registered: Registered) -> str:
        """Return its number and time."""
        return self._told(self._number(registered))

    def trusts(self) -> str:
        """Return who holds the key."""
        if isinstance(self.chain, str):
            return "that fewer than a threshold of the League of Entropy's members work together"
        return f"whoever holds the key of the chain {self.chain.hash}, which is none of the League of Entropy's"

    @property
    def foreign_key(self) -> str | None:
        """Return the hash of a chain that is none of the League of Entropy's."""
        return None if isinstance(self.chain, str) else self.chain.hash

    def urls(self, registered: Registered) -> tuple[str, ...]:
        """Return the round's address at the relay."""
        return (f"{self.relay.rstrip('/')}/{self.parameters.hash}/public/{self._number(registered)}",)

    def instructions(self, registered: Registered) -> str:
        """Return how to get it from the relay."""
        return f"After {format_time(self.earliest(registered))}: {write_download(self.urls(registered))}"

    def earliest(self, registered: Registered) -> datetime:
        """Return the round's own time: members sign it then, and not before."""
        return self.parameters.time(self._number(registered))

    @property
    def parameters(self) -> Chain:
        """Return the chain's parameters."""
        return list_known_chains()[self.chain] if isinstance(self.chain, str) else self.chain

    def rewritten(self, answer: bytes) -> bytes:
        """Return the round as one line of JSON; the randomness, which newer relays leave out, is added."""
        told = self._read(answer).model_dump(exclude_none=True)
        return write_documents([{"randomness": hashlib.sha256(bytes.fromhex(told["signature"])).hexdigest()} | told])

    def drawn(self, record: bytes, registered: Registered) -> Drawn:
        """Return SHA-256 of the signature."""
        found, chain = self._read(record), self.parameters
        if found.round != (number := self._number(registered)):
            raise self.refused(f"it is {self._told(found.round)}, and the one that is due is {self._told(number)}")
        signature = bytes.fromhex(found.signature)
        value = hashlib.sha256(signature).digest()
        if found.randomness != value.hex():
            raise self.refused("its randomness is not the SHA-256 of its signature")
        previous = bytes.fromhex(found.previous_signature or "")
        if chain.chained and number == 1 and previous.hex() != chain.group_hash:
            raise self.refused("round 1 is not chained to the group of the first members")
        message = hashlib.sha256(previous + number.to_bytes(8, "big")).digest()
        if not self._signed(message, signature):
            raise self.refused(f"its signature is not by the key of the chain {chain.hash}")
        return Drawn(value, self._told(number), chain.time(number))

    def _number(self, registered: Registered) -> int:
        return self.parameters.first_after(self.after(registered))

    def _told(self, number: int) -> str:
        chain = self.parameters
        named = f"round {number} of {chain.beacon_id} ({chain.hash[:12]})"
        return f"{named}, of {format_time(chain.time(number))}" if number < chain.first_after(LAST) else named

    def _read(self, data: bytes) -> Round:
        try:
            (found,) = split_documents(data, Round, 1)
        except ValueError as error:
            raise self.refused(f"this is not a round as drand answers it: {error}") from None
        size = SIGNATURES[self.parameters.scheme][0]
        if len(found.signature) != 2 * size:
            raise self.refused(f"signatures of {self.parameters.scheme} have {size} bytes")
        first = 32 if found.round == 1 else size  # it is chained to a digest
        if self.parameters.chained and len(found.previous_signature or "") != 2 * first:
            raise self.refused(f"round {found.round} needs a previous signature of {first} bytes")
        if not self.parameters.chained and found.previous_signature:
            raise self.refused(f"rounds of {self.parameters.scheme} have no previous signature")
        return found if self.parameters.chained else found.model_copy(update={"previous_signature": None})

    def _signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether e(signature, generator) = e(H(message), public key), each on its curve."""
        try:
            from py_arkworks_bls12381 import GT, G1Point, G2Point
        except ImportError:
            remedy = "pip install 'prereg-harness[beacons]'"
            raise UsageError("py-arkworks-bls12381 is not installed", where="beacon drand", remedy=remedy) from None
        size, tag = SIGNATURES[self.parameters.scheme]
        key_bytes = bytes.fromhex(self.parameters.public_key)
        try:
            if size == G1:
                key, made = _read_point(G2Point, key_bytes), _read_point(G1Point, signature)
                left, right = [made, G1Point.hash_to_curve(message, tag)], [-G2Point(), key]
            else:
                key, made = _read_point(G1Point, key_bytes), _read_point(G2Point, signature)
                left, right = [-G1Point(), key], [made, G2Point.hash_to_curve(message, tag)]
        except ValueError:
            return False
        return GT.pairing_check(left, right)


def _read_point(kind: type[G1Point] | type[G2Point], data: bytes) -> Any:
    """Return a point of the right order, from the one way of writing it; never the point at infinity.

    Raises:
        ValueError: it is none.
    """
    point = kind.from_compressed_bytes(data)
    if point == kind.identity() or not point.is_in_subgroup() or bytes(point.to_compressed_bytes()) != data:
        raise ValueError("no point of the right order")
    return point


def _convert_time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


plugin = Drand
