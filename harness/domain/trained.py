"""Progress and results, as training tells them to whoever asked for it, whether harness trains or a program does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.records import Cohort, Plan, ReplicaResult
from harness.records.program import ReplicaRun


@dataclass(frozen=True)
class Progress:
    """The position of training within the plan, reported after every epoch."""

    cohort: int
    """Number of this cohort, from 1."""
    cohorts: int
    """Number of cohorts in the plan."""
    arms: tuple[str, ...]
    """Arms of this cohort."""
    replicas: int
    """Number of replicas of this cohort."""
    epoch: int
    """Epochs done in this cohort."""
    epochs: int
    """Epochs that this cohort is trained for."""
    steps_done: int
    """Steps done over the whole plan; a step of r replicas counts r times."""
    steps_total: int
    """Steps of the whole plan, counted in the same way."""
    message: str | None = None
    """Additional message for the user, for example that a cohort was split."""
    replica: str | None = None
    """Name of the replica of a program that this is about; ``cohort`` is then the number of those that are done."""


class Trainer(Protocol):
    """Whoever trains a plan, as far as that matters to those who do it elsewhere."""

    @property
    def folder(self) -> Path:
        """Folder of the run."""

    @property
    def stop(self) -> Callable[[], bool]:
        """Predicate that requests a stop."""


Elsewhere = Callable[[Plan, list[Cohort], Trainer, Callable[[int, Progress], None]], None]
"""A function that has cohorts of a plan trained and puts their results, or how they were split, into the run's folder.
It is given the cohorts without a result, the trainer, and whom to tell of a cohort's progress, by its position."""


@dataclass
class Result:
    """The results of a trained plan."""

    replicas: tuple[ReplicaResult, ...]
    """Results in the plan's order: arm by arm, seed by seed."""
    weights: dict[str, str]
    """File below the weights folder → SHA-256."""
    cohorts: tuple[int, ...]
    """Number of replicas of each cohort, as trained."""
    modules: tuple[str, ...] = ()
    """Top-level names of other people's modules that were loaded where a cohort was trained, sorted."""
    runs: tuple[ReplicaRun, ...] = ()
    """Circumstances of each replica of a program, in the order of ``replicas``; empty where harness trained."""
    raw: dict[str, bytes] = field(default_factory=dict)
    """Name of a replica of a program (``name_replica``) → its results file, of those that wrote one."""


def name_replica(arm: str, seed_index: int) -> str:
    """Return the name of a replica in files: ``strong-3``."""
    return f"{arm}-{seed_index}"
