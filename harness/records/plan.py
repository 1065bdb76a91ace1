"""What will be trained: arms × seeds, grouped into cohorts that train as one program each."""

from __future__ import annotations

import hashlib
from types import NoneType
from typing import Annotated

from harness.fields import Unit
from harness.models.residual_mlp import ResidualMlp
from harness.penalties.residual_branch import ResidualBranch
from harness.records.base import Record
from harness.records.setup import Arm, Setup
from harness.rules.bp import Bp
from harness.rules.dfa import Dfa

PROCESSOR_COHORT = 20
"""Most replicas that a plan lets train together on a processor: more gain little there, and cores share cohorts."""
LARGEST_WIDTH = 1024
LARGEST_HEAD = 32_768  # width × classes, both as powers of two: a program of the head's kernel holds the whole matrix


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

    @property
    def written_out(self) -> bool:
        """Whether there is a step written for its model and rules: on a processor ``harness.engine.direct``. Other
        cohorts take the plain step."""
        known = type(self.setup.model) is ResidualMlp and self.setup.precision != "bf16"
        return known and all(  # these very classes: one that inherits from them may do anything else
            type(arm.rule) in (Bp, Dfa) and type(arm.penalty) in (ResidualBranch, NoneType)
            for arm in self.arms.values()
        )

    @property
    def suits_kernels(self) -> bool:
        """Whether ``harness.batched.kernels`` can train it on a card."""
        model = self.setup.model
        if not self.written_out or not isinstance(model, ResidualMlp) or model.activation not in ("gelu", "relu"):
            return False
        width, classes = power_of_two(model.width), power_of_two(self.setup.dataset.classes)
        return width <= LARGEST_WIDTH and width * classes <= LARGEST_HEAD


def power_of_two(number: int) -> int:
    """The next power of two, at least 16: the smallest side of a product in Triton."""
    return max(16, 1 << (number - 1).bit_length())


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
