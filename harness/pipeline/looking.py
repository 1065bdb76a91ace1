"""What can be seen without training: plans and verdicts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import ledger, plan, spec, verdict
from harness.errors import DeviationRefused, HarnessError, UsageError
from harness.ledger import Ledger
from harness.pipeline.claiming import banner_lines
from harness.pipeline.project import (
    Project,
    Reporter,
    Settings,
    project_of,
    refuse_altered,
    run_folder,
    stored,
    trail_at,
)
from harness.pipeline.steps import (
    LAYOUT,
    amended_lines,
    data_sets,
    deviates,
    look_around,
    planned_on,
    refuse_changes,
    registered_claims,
)
from harness.records import Hypothesis, Plan


@dataclass(frozen=True)
class Outlook:
    """What a run would do, without training."""

    hypothesis: Hypothesis
    registration: str | None
    planned: Plan
    estimate: plan.Estimate
    measured: bool
    """Whether the estimate's seconds come from steps that were timed on this device."""
    device: str
    data: dict[str, str]
    """Data set → where it would come from."""
    bundled: frozenset[str]
    """Data sets that come with a package, wherever data lie."""
    project: Project
    """Where the file belongs, and which settings hold there."""
    refused: HarnessError | None
    """Why a run would not start: the file's meaning is not the registered one, or another trail has it."""
    said: tuple[str, ...]
    """What a run would say about other differences from the registration, of data aside."""


def outlook(path: Path, settings: Settings, *, measure: bool = False) -> Outlook:
    """What ``harness plan`` shows; with ``measure``, shapes that nobody timed on this device are timed first."""
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    project = project_of(path, settings)
    trail = trail_at(project.verdicts)
    registration = ledger.in_force(trail, hypothesis.id)
    refused, said = _compared(loaded, registration, trail, settings)
    sets = data_sets(hypothesis, settings)
    from harness import training

    device = training.open_device(project.device, settings.compile)
    seeds = registration.seeds if registration and refused is None else tuple(range(hypothesis.seeds.number))
    planned = planned_on(device, hypothesis, seeds)
    estimate = plan.estimate(planned, device.torch.type, on_kernels=training.takes_kernels(device))
    seconds = training.estimate_training_seconds(planned, device, measure=measure)
    return Outlook(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        planned=planned,
        estimate=estimate if seconds is None else replace(estimate, seconds=seconds),
        measured=seconds is not None,
        device=device.name,
        project=project,
        data={name: dataset.locate(project.data) for name, dataset in sets.items()},
        bundled=frozenset(name for name, dataset in sets.items() if dataset.bundled),
        refused=refused,
        said=said,
    )


def _compared(
    loaded: spec.Loaded, registration: ledger.Registration | None, trail: Ledger, settings: Settings
) -> tuple[HarnessError | None, tuple[str, ...]]:
    """What a run would refuse or say of a file, its claims and the code, held against the registration, or of a
    registration that the file would be the second of.
    """
    if registration is None:
        told: list[str] = []
        try:
            look_around(loaded, trail, settings, Reporter(say=told.append))
        except UsageError as refused:
            return refused, tuple(told)
        return None, tuple(told)
    name = loaded.hypothesis.id
    try:
        pins = ledger.pins(loaded.hypothesis, verdict.default_templates())
        differing = refuse_changes(registration, loaded, trail, pins)
    except DeviationRefused as refused:
        return refused, ()
    layout = [LAYOUT] if hashlib.sha256(loaded.raw).hexdigest() != registration.raw else []
    deviations = (
        *amended_lines(trail, name, late=True),
        *differing.deviations,
        *registered_claims(registration, loaded, trail)[1],
    )
    return None, (*layout, *(deviates(line) for line in deviations))


def history(name: str, verdicts: Path) -> tuple[ledger.Moment, ...]:
    """The life of a hypothesis in the trail.

    Raises:
        UsageError: the trail has nothing about it.
    """
    return ledger.timeline(Ledger(verdicts), name)


@dataclass(frozen=True)
class Page:
    """A verdict as it is stored, and what later verdicts did to the claims that it moved."""

    hypothesis: str
    run: str
    path: Path
    text: str
    verdict: dict[str, Any] | None
    """The same as numbers: its verdict.json, if that was asked for."""
    banners: tuple[str, ...]
    """Markdown quotations, to be shown above it."""


def read_verdict(name: str, verdicts: Path, *, numbers: bool = False) -> Page:
    """The last verdict on a hypothesis, or that on a run; with ``numbers``, its verdict.json too.

    Raises:
        UsageError: nothing of that name was judged, or its file is missing.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, name)
    folder = run_folder(trail, started)
    recorded = ledger.recorded_files(trail, started.digest)
    wanted = ("verdict.md", "verdict.json") if numbers else ("verdict.md",)
    refuse_altered(folder, {file: recorded[file] for file in wanted})
    return Page(
        hypothesis=str(started.body["hypothesis"]),
        run=ledger.run_name(started.digest),
        path=folder / "verdict.md",
        text=stored(folder / "verdict.md").decode(),
        verdict=json.loads(stored(folder / "verdict.json")) if numbers else None,
        banners=banner_lines(trail, started),
    )
