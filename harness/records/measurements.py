"""Everything that was measured: results.json. It holds no times, so that a resumed run gives the same bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from harness.plugins.fields import Unit
from harness.records.base import Record
from harness.records.provenance import DataRecord


class Series(Record):
    """One metric of one replica over the evaluated epochs."""

    epochs: Annotated[tuple[int, ...], Unit("epochs")]
    """Evaluated epochs, from 1."""
    values: Annotated[dict[str, tuple[tuple[float | None, ...], ...]], Unit("the metric's unit")]
    """Summary ("mean", "std", "median"; "value" for metrics without samples) → ``[epoch][layer]``; one column for
    metrics without layers; None where the number was not finite."""


class ReplicaResult(Record):
    """What one replica measured."""

    arm: str
    """The arm's name."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the list of seeds, from 0."""
    seed: Annotated[int, Unit("1")]
    """The seed number."""
    status: Literal["finished", "diverged"]
    """diverged: a loss, a weight, what its update divides by, or a logit stopped being finite."""
    diverged_epoch: Annotated[int | None, Unit("epochs")] = None
    """Epoch (from 1) in which that was found."""
    weights_sha256: str
    """Digest of the final weights: equal digests of two seeds mean that the seed was not applied."""
    metrics: dict[str, Series]
    """Metric → what it measured."""


class Measurements(Record):
    """All replicas of a run, arm by arm, seed by seed."""

    v: Literal[1] = 1
    """Version of this form."""
    hypothesis: str
    """The hypothesis's id."""
    registration: str
    """Digest of the event that registered it first."""
    pilot: bool = False
    """Scaled down: never gives an outcome."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The seed numbers, in the registration's order."""
    epochs: Annotated[dict[str, int], Unit("epochs")]
    """Arm → epochs trained."""
    data: dict[str, DataRecord]
    """Data-set name → what was used."""
    replicas: tuple[ReplicaResult, ...]
    """One per arm and seed."""

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
