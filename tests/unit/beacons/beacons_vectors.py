"""Rounds, pulses and blocks that were published, with where they were found; and signers of our own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.beacons import Beacon, Registered
from harness.beacons.drand import Chain, Drand

CORPUS = Path(__file__).parents[2] / "corpus" / "beacons"
DIGEST = "5f" * 32

DRAND = json.loads((CORPUS / "drand.json").read_text(encoding="utf-8"))
"""Chains and rounds, each with the repository, file and commit where it was found."""
CHAINS = {name: Chain(**told["parameters"]) for name, told in DRAND["chains"].items()}
ROUNDS = {name: (told["chain"], told["answer"], told["randomness"]) for name, told in DRAND["rounds"].items()}
"""Name → chain, the round as a relay answers it, its randomness as published; None where that was not given."""

NIST_TIMES = datetime(2026, 7, 16, 13, 49, tzinfo=UTC), datetime(2026, 7, 16, 13, 50, tzinfo=UTC)
BITCOIN_TIMES = datetime.fromtimestamp(1655868811, UTC), datetime.fromtimestamp(1655869042, UTC)
"""Median times of blocks 741808 and 741809."""
BITCOIN_HASH = "00000000000000000004a7130a00724d718273e59aac48606ccc9ab1d49861cd"


def registered(moment: datetime, beacon: Beacon, digest: str = DIGEST) -> Registered:
    """A registration whose delay is over at a moment."""
    return Registered(digest, moment - timedelta(seconds=beacon.delay))


def drand(name: str) -> tuple[Drand, bytes, Registered]:
    """A published round: its beacon, record, and a registration for which it is the last moment that it is due."""
    chain, answer, _ = ROUNDS[name]
    beacon = Drand(name="drand", chain=CHAINS.get(chain, chain))
    moment = beacon.parameters.time(answer["round"]) - timedelta(microseconds=1)
    return beacon, beacon.kept(json.dumps(answer).encode()), registered(moment, beacon)


def pulses() -> bytes:
    """Two pulses, one after the other, as the beacon answers.

    From GodlyDonuts/shohin, pipeline/testdata/acw_nist_beacon_snapshot.json, 0b7299910f8c22bb4b0df12749b34eda9343aa21;
    so is the certificate.
    """
    return b"".join((CORPUS / f"nist-{number}.json").read_bytes() for number in (1862118, 1862119))


def headers() -> list[str]:
    """The headers of blocks 741798 to 741816.

    From keep-network/tbtc-v2, solidity/test/relay/longHeaders.json, 16b6268373244e85ee40ed0f6a6f78a4d2136c17.
    """
    return (CORPUS / "bitcoin-741798.hex").read_text(encoding="ascii").split()
