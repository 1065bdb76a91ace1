"""The training plan: arms × seeds, grouped into cohorts that each train as one program."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field, StringConstraints

from harness.plugins.fields import Unit
from harness.records.base import Id, Record
from harness.records.setup import Arm, Setup

PROCESSOR_COHORT = 20
"""Maximum number of replicas that a plan trains together on a CPU. More would gain little, and smaller cohorts share
the cores better."""
CHUNK_REPLICAS = 16
"""Largest number of replicas that are evaluated at a time. It bounds memory and fixes the shapes of products."""
CHUNK_SAMPLES = 2500
"""Largest number of test samples that are evaluated at a time."""
CHUNK_PROBED, CHUNK_PASSED = 800_000_000, 32_000_000
"""Numbers that a chunk may hold of a probe batch, and of each replica's test samples: 6.4 GB in float64 and, with 16
replicas in float32, 2 GB. Vectors of the usual widths stay far below; maps of whole images do not."""


def count_chunk_replicas(setup: Setup) -> int:
    """Return the number of replicas that are evaluated at a time."""
    each = setup.evaluation.probe_samples * count_probed(setup)
    return max(1, min(CHUNK_REPLICAS, CHUNK_PROBED // max(each, 1)))


def count_probed(setup: Setup) -> int:
    """Return the numbers that metrics hold of one probe sample and replica, besides its features."""
    footprint = setup.model.footprint
    tapped = any(metric.needs_site_credit for metric in setup.evaluation.measured)
    return footprint.probed + tapped * footprint.tapped


def count_chunk_samples(setup: Setup) -> int:
    """Return the number of test samples that are evaluated at a time."""
    return max(1, min(CHUNK_SAMPLES, CHUNK_PASSED // max(setup.model.footprint.passed, 1)))


class Start(Record):
    """Stored weights that a replica starts from."""

    weights: str
    """SHA-256 of their file."""
    feedback_seed: Annotated[int | None, Unit("1")]
    """Seed number by which the replica's feedback matrices are drawn, that of the stored replica; None: the replica's
    own."""


class Replica(Record):
    """One (arm, seed) pair."""

    arm: str
    """Name of the arm."""
    seed_index: Annotated[int, Unit("1")]
    """Position in the hypothesis's list of seeds, counted from 0."""
    seed: Annotated[int, Unit("1")]
    """The seed number."""
    start: Start | None = Field(default=None, exclude_if=lambda value: value is None)
    """Stored weights that it starts from; None if its weights are drawn by its seed."""

    def draws_by(self, purpose: str) -> int:
        """Return the seed number by which weights or feedback are drawn."""
        if self.start is None or self.start.feedback_seed is None or purpose != "feedback":
            return self.seed
        return self.start.feedback_seed


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
    def digest(self) -> str:
        """SHA-256 of what it trains, which names its working files."""
        return hashlib.sha256(self.model_dump_json(exclude={"memory_bytes"}).encode()).hexdigest()

    @property
    def setup(self) -> Setup:
        """Setup that all arms of the cohort share, except for numbers that may differ between replicas."""
        return next(iter(self.arms.values())).setup

    @property
    def is_program(self) -> bool:
        """True if a program trains it in harness's place."""
        return any(arm.is_program for arm in self.arms.values())

    @property
    def steps(self) -> int:
        """Number of optimisation steps."""
        setup = self.setup
        return setup.epochs * -(-setup.train_count // setup.batch_size)


class Companion(Record):
    """A registered hypothesis whose replicas train in cohorts of several hypotheses, as it was registered then."""

    hypothesis: Id
    """The hypothesis's id."""
    registration: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Digest of the event that first registered it."""
    canonical: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Digest of its registered or amended canonical form, which is an object of the trail."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The hypothesis's seed numbers, in order."""


def name_shared_arm(hypothesis: str, arm: str) -> str:
    """Return the name of an arm in a cohort of several hypotheses. No arm has a slash in its own name."""
    return f"{hypothesis}/{arm}"


def read_shared_arm(name: str, hypothesis: str) -> str | None:
    """Return the name that an arm of a cohort has in a hypothesis; None if it belongs to another one."""
    owner, _, arm = name.rpartition("/")
    return arm if owner in ("", hypothesis) else None


class Plan(Record):
    """All cohorts of a run, trained one after the other.

    Some may hold replicas of other hypotheses, too: their arms are named as ``name_shared_arm`` says.
    """

    hypothesis: str
    """Id of the hypothesis."""
    registration: str
    """Digest of the event that first registered the hypothesis; empty in a plan that will not be run."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """Seed numbers, in order."""
    cohorts: tuple[Cohort, ...]
    """Cohorts in the order of training."""
    together: tuple[Companion, ...] = Field(default=(), exclude_if=lambda value: not value)
    """The hypotheses whose replicas share cohorts, this one among them; empty if it trains alone."""

    @property
    def digest(self) -> str:
        """SHA-256 of the whole plan, which a resumed or repeated run must share to reproduce the same bits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def steps(self, cohort: Cohort) -> int:
        """Return the number of optimisation steps of a cohort."""
        return cohort.steps
