"""Without the extra ``beacons`` everything but verifying works, and verifying says what to install."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from harness.beacons import Registered
from harness.beacons.nist import Nist
from harness.errors import UsageError
from tests.unit.beacons.beacons_vectors import DIGEST, NIST_TIMES, drand, pulses, registered


def test_drand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py_arkworks_bls12381", None)
    beacon, kept, made = drand("quicknet-657413")
    with pytest.raises(UsageError, match="py-arkworks-bls12381 is not installed") as caught:
        beacon.verify(kept, made)
    assert caught.value.remedy == "pip install 'prereg-harness[beacons]'"


def test_nist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    beacon = Nist(name="nist")
    kept = beacon.kept(pulses())
    with pytest.raises(UsageError, match="cryptography is not installed") as caught:
        beacon.verify(kept, registered(NIST_TIMES[0], beacon))
    assert caught.value.remedy == "pip install 'prereg-harness[beacons]'"


def test_a_registrations_time_needs_its_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Registered(DIGEST, datetime.now(UTC).replace(tzinfo=None))
