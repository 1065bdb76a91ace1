"""The training plan: arms × seeds, grouped into cohorts that each train as one program."""

from __future__ import annotations

import hashlib
from typing import Annotated

from harness.plugins.fields import Unit
from harness.records.base import Record
from harness.records.setup import Arm, Setup

PROCESSOR_COHORT = 20
"""Maximum number of replicas that a plan trains together on a CPU. More would gain little, and smaller cohorts share
the cores better."""
CHUNK_REPLICAS = 16
"""Number of replicas that are evaluated at a time. It bounds memory and fixes the shapes of the matrix products."""
CHUNK_SAMPLES = 2500
"""Number of test samples that are evaluated at a time."""


class Replica(Record):
    """One (arm, seed) pair."""

    arm: str
    """Name of the arm."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the hypothesis's list of seeds, counted from 0."""
    seed: Annotated[int, Unit("1")]
    """The seed number."""


class Cohort(Record):
    """Replicas that train as one program.

    They share model, data, freezing and schedule; rules, learning rates and penalty strengths may differ.
    """

    arms: dict[str, Arm]
    """Name → arm, for the arms of the cohort's replicas."""
    replicas: tuple[Replica, ...]
    """Replicas in the order of axis 0: by arm and then by seed, with arms of one rule next to each other."""
    memory_bytes: Annotated[int, Unit("bytes")]
    """Predicted peak device memory."""

    @property
    def setup(self) -> Setup:
        """Setup that all arms of the cohort share, except for numbers that may differ between replicas."""
        return next(iter(self.arms.values())).setup


class Plan(Record):
    """All cohorts of a run, trained one after the other."""

    hypothesis: str
    """Id of the hypothesis."""
    registration: str
    """Digest of the event that first registered the hypothesis; empty in a plan that will not be run."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """Seed numbers, in order."""
    cohorts: tuple[Cohort, ...]
    """Cohorts in the order of training."""

    @property
    def digest(self) -> str:
        """SHA-256 of the whole plan, which a resumed or repeated run must share to reproduce the same bits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def steps(self, cohort: Cohort) -> int:
        """Return the number of optimisation steps of a cohort."""
        setup = cohort.setup
        return setup.epochs * -(-setup.dataset.train_count // setup.batch_size)
