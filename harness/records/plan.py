"""What will be trained: arms × seeds, grouped into cohorts that train as one program each."""

from __future__ import annotations

import hashlib
from typing import Annotated

from harness.plugins.fields import Unit
from harness.records.base import Record
from harness.records.setup import Arm, Setup

PROCESSOR_COHORT = 20
"""Most replicas that a plan lets train together on a processor: more gain little there, and cores share cohorts."""
CHUNK_REPLICAS = 16
"""Replicas that are measured at a time: bounds memory, and fixes the shapes of the products."""
CHUNK_SAMPLES = 2500
"""Test samples that are measured at a time."""


class Replica(Record):
    """One (arm, seed) pair."""

    arm: str
    """The arm's name."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the hypothesis's list of seeds, from 0."""
    seed: Annotated[int, Unit("1")]
    """The seed number."""


class Cohort(Record):
    """Replicas of one program: same model, data, freezing and schedule; rules, rates and strengths may differ."""

    arms: dict[str, Arm]
    """Arm id → arm, for the arms of its replicas."""
    replicas: tuple[Replica, ...]
    """In the order of axis 0: seed by seed within arm by arm, arms of one rule next to each other."""
    memory_bytes: Annotated[int, Unit("bytes")]
    """Predicted peak device memory."""

    @property
    def setup(self) -> Setup:
        """The setup that all its arms share up to per-replica numbers."""
        return next(iter(self.arms.values())).setup


class Plan(Record):
    """All cohorts of a run, trained one after the other."""

    hypothesis: str
    """The hypothesis's id."""
    registration: str
    """Digest of the event that registered it first; empty in a plan that will not be run."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The seed numbers, in order."""
    cohorts: tuple[Cohort, ...]
    """In the order of training."""

    @property
    def digest(self) -> str:
        """SHA-256 of the whole plan: what a resumed or repeated run must share to come to the same bits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def steps(self, cohort: Cohort) -> int:
        """Optimisation steps of a cohort."""
        setup = cohort.setup
        return setup.epochs * -(-setup.dataset.train_count // setup.batch_size)
