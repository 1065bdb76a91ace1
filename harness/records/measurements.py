"""Everything that was measured: results.json. It holds no times, so that a resumed run gives the same bytes."""

from __future__ import annotations

from typing import Literal

from harness.records.base import Record
from harness.records.provenance import DataRecord


class Series(Record):
    """One metric of one replica over the evaluated epochs."""

    epochs: tuple[int, ...]
    values: dict[str, tuple[tuple[float | None, ...], ...]]
    """Summary ("mean", "std", "median"; "value" for metrics without samples) → [epoch][layer]; one column for metrics
    without layers; None where the number was not finite."""


class ReplicaResult(Record):
    """What one replica measured."""

    arm: str
    seed_index: int
    seed: int
    status: Literal["finished", "diverged"]
    diverged_epoch: int | None = None
    """Epoch (from 1) in which the loss or a weight stopped being finite."""
    weights_sha256: str
    """Digest of the final weights: equal digests of two seeds mean that the seed was not applied."""
    metrics: dict[str, Series]


class Measurements(Record):
    """All replicas of a run, arm by arm, seed by seed."""

    v: Literal[1] = 1
    hypothesis: str
    registration: str
    pilot: bool = False
    seeds: tuple[int, ...]
    epochs: dict[str, int]
    """Arm → epochs trained."""
    data: dict[str, DataRecord]
    """Data-set name → what was used."""
    replicas: tuple[ReplicaResult, ...]

    def first(self, seeds: int) -> Measurements:
        """The same measurements as they were when only the first ``seeds`` seeds had been trained."""
        kept = tuple(result for result in self.replicas if result.seed_index < seeds)
        return self.model_copy(update={"seeds": self.seeds[:seeds], "replicas": kept})

    def replica(self, arm: str, seed_index: int) -> ReplicaResult:
        """The replica of an arm and a seed.

        Raises:
            KeyError: it is not there.
        """
        for result in self.replicas:
            if result.arm == arm and result.seed_index == seed_index:
                return result
        raise KeyError(f"no replica of arm {arm!r} and seed {seed_index}")
