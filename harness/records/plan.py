"""What will be trained: arms × seeds, grouped into cohorts that train as one program each."""

from __future__ import annotations

from harness.records.base import Record
from harness.records.hypothesis import Arm, Setup


class Replica(Record):
    """One (arm, seed) pair."""

    arm: str
    seed_index: int
    """Position in the hypothesis's list of seeds, from 0."""
    seed: int


class Cohort(Record):
    """Replicas of one program: same rule, model, data, freezing and schedule; rates and strengths may differ."""

    arms: dict[str, Arm]
    """Arm id → arm, for the arms of its replicas."""
    replicas: tuple[Replica, ...]
    """In the order of axis 0: seed by seed within arm by arm."""
    memory_bytes: int
    """Predicted peak device memory."""

    @property
    def setup(self) -> Setup:
        """The setup that all its arms share up to per-replica numbers."""
        return next(iter(self.arms.values())).setup


class Plan(Record):
    """All cohorts of a run, trained one after the other."""

    hypothesis: str
    registration: str
    """Digest of the event that registered it first; empty in a plan that will not be run."""
    seeds: tuple[int, ...]
    cohorts: tuple[Cohort, ...]

    def steps(self, cohort: Cohort) -> int:
        """Optimisation steps of a cohort."""
        setup = cohort.setup
        return setup.epochs * -(-setup.dataset.train_count // setup.batch_size)
