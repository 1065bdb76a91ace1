"""Everything that was measured: results.json. It holds no times, so that a resumed run gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.records.base import Record, write_canonical
from harness.records.provenance import DataRecord


class Series(Record):
    """One metric of one replica over the evaluated epochs."""

    epochs: Annotated[tuple[int, ...], Unit("epochs")]
    """Evaluated epochs, counted from 1."""
    values: Annotated[dict[str, tuple[tuple[float | None, ...], ...]], Unit("the metric's unit")]
    """Summary ("mean", "std", "median"; "value" for metrics without samples) → ``[epoch][layer]``. Metrics without
    layers have one column; None marks a number that was not finite."""


def digest_measured(metrics: Mapping[str, Series]) -> str:
    """Return the SHA-256 over everything that was measured on a replica."""
    told = {name: series.model_dump(mode="json") for name, series in metrics.items()}
    return hashlib.sha256(write_canonical(told).encode()).hexdigest()


class ReplicaResult(Record):
    """The measurements of one replica."""

    arm: str
    """Name of the arm."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the list of seeds, counted from 0."""
    seed: Annotated[int, Unit("1")]
    """The seed number."""
    status: Literal["finished", "diverged", "failed"]
    """"diverged" if a loss, a weight, the denominator of an update, or a logit became non-finite; "failed" if a program
    came to no valid results; else "finished"."""
    failure: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Reason why a program came to no valid results; None if it did."""
    raw: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """SHA-256 of the results file as a program wrote it, which is an object of the trail; None without one."""
    diverged_epoch: Annotated[int | None, Unit("epochs")] = None
    """Epoch, from 1, in which the divergence was detected."""
    stopped_epoch: Annotated[int | None, Unit("epochs")] = Field(default=None, exclude_if=lambda value: value is None)
    """Epoch, from 1, at whose evaluation the setup's ``until`` came to hold: the replica's last. Its weights are those
    of that epoch."""
    weights_sha256: str
    """Digest of the final weights. Two seeds with equal digests show that the seed was not applied. Of a program that
    names none, the digest of what it measured, which by itself shows that only if all seeds are equal."""
    metrics: dict[str, Series]
    """Metric → its values."""


class Measurements(Record):
    """All replicas of a run, ordered by arm and then by seed."""

    v: Literal[1] = 1
    """Version of this record's form."""
    hypothesis: str
    """Id of the hypothesis."""
    registration: str
    """Digest of the event that first registered the hypothesis."""
    pilot: bool = False
    """True for a pilot, which is scaled down and never gives an outcome."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """Seed numbers, in the registration's order."""
    epochs: Annotated[dict[str, int], Unit("epochs")]
    """Arm → number of epochs trained; of replicas that stopped earlier, at most so many."""
    data: dict[str, DataRecord]
    """Data-set name → the data that were used."""
    replicas: tuple[ReplicaResult, ...]
    """Measurements of every arm and seed."""

    def take_first(self, seeds: int) -> Measurements:
        """Return the measurements as they were when only the first ``seeds`` seeds had been trained."""
        kept = tuple(result for result in self.replicas if result.seed_index < seeds)
        return self.model_copy(update={"seeds": self.seeds[:seeds], "replicas": kept})

    def find_replica(self, arm: str, seed_index: int) -> ReplicaResult:
        """Return the replica of an arm and a seed.

        Raises:
            KeyError: There is no such replica.
        """
        for result in self.replicas:
            if result.arm == arm and result.seed_index == seed_index:
                return result
        raise KeyError(f"no replica of arm {arm!r} and seed {seed_index}")
