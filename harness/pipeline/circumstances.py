"""The circumstances of a run: what it ran on, and how long it took."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from harness.ledger import Environment
from harness.pipeline.remote import describe_launch
from harness.pipeline.run_steps import Equipment
from harness.plugins.distributions import Package, describe_packages, list_modules
from harness.records.linked import LinkedRuns
from harness.records.program import ProgramRun
from harness.records.provenance import Launch

if TYPE_CHECKING:
    from harness.domain.trained import Result


class Circumstances(TypedDict):
    """The fields of a provenance that a pilot has too."""

    commit: str | None
    no_commit: str | None
    of_commit: bool | None
    dirty: bool | None
    dirty_digest: str | None
    harness: str
    code: str
    packages: dict[str, str]
    loaded: dict[str, Package]
    python: str
    platform: str
    device: str
    arithmetic: dict[str, str]
    data_notes: dict[str, tuple[str, ...]]
    command: str
    durations: dict[str, float]
    weights: dict[str, str]
    cohorts: tuple[int, ...]
    launch: Launch | None
    linked: LinkedRuns | None
    program: ProgramRun | None
    finished: str


def describe_circumstances(
    environment: Environment,
    equipment: Equipment,
    command: str,
    trained: tuple[Result, float],
    folder: Path,
    resumed: int = 0,
) -> Circumstances:
    """Describe what a run ran on and how long it took.

    ``trained``: the result, and the last session's seconds; ``folder``: the run's folder, for the jobs that trained it.
    """
    result, seconds = trained
    device = equipment.device
    return Circumstances(
        commit=environment.commit,
        no_commit=environment.no_commit,
        of_commit=environment.of_commit,
        dirty=environment.dirty,
        dirty_digest=environment.dirty_digest,
        harness=environment.harness,
        code=environment.code,
        packages=environment.packages,
        # What was loaded at the start runs as it was then.
        loaded=describe_packages({*list_modules(), *result.modules}, environment.foreign),
        python=environment.python,
        platform=environment.platform,
        device=device.name,
        arithmetic=dict(device.arithmetic),
        data_notes={name: data.notes for name, data in equipment.images.items() if data.notes},
        command=command,
        durations={"training since the last resume" if resumed else "training": round(seconds, 3)},
        weights=result.weights,
        cohorts=result.cohorts,
        launch=None if equipment.remote is None else describe_launch(equipment.remote, folder),
        linked=None if equipment.linked is None else equipment.linked.accounted.told,
        program=None if equipment.program is None else equipment.program.describe(result),
        finished=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
