"""A run as it would be: plan, memory, time, data, and what it would refuse."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from harness import ledger, plan, spec, verdict
from harness.errors import DeviationRefused, HarnessError, UsageError
from harness.pipeline.draw import describe_seeds
from harness.pipeline.project import Project
from harness.pipeline.run_steps import (
    LAYOUT,
    collect_data_sets,
    describe_deviation,
    list_amended,
    list_changed_claims,
    locate_with_doubt,
    look_around,
    make_plan,
    refuse_changes,
)
from harness.pipeline.session import Reporter, Session
from harness.records import Hypothesis, Plan


@dataclass(frozen=True)
class Preview:
    """A run as it would be, without training."""

    hypothesis: Hypothesis
    """The hypothesis of the file."""
    registration: str | None
    """Digest of its registration; None if there is none."""
    seeds: str
    """Which seeds a run will have, and who could have chosen them."""
    planned: Plan
    """The cohorts that would train."""
    estimate: plan.Estimate
    """Steps, memory and time."""
    measured: bool
    """True if the estimate's seconds come from steps that were timed on this device."""
    device: str
    """The device, in words."""
    data: dict[str, str]
    """Data set → where it would come from."""
    bundled: frozenset[str]
    """Data sets that come with a package, wherever data lie."""
    project: Project
    """The project of the file, and the settings that hold there."""
    refused: HarnessError | None
    """The reason that a run would not start: the file's meaning is not the registered one, or another trail has it."""
    said: tuple[str, ...]
    """Sentences of a run about other differences from the registration, those of data aside."""


def preview_run(file: Path, session: Session, *, measure: bool = False) -> Preview:
    """Show what a run would do; with ``measure``, time shapes that nobody timed on this device first.

    Raises:
        InvalidHypothesis, UsageError: the file is not valid, or there is no such device.
    """
    loaded, project, trail = spec.load(file), session.project, session.trail
    hypothesis = loaded.hypothesis
    registration = ledger.find_in_force(trail, hypothesis.id)
    refused, said = _compare(loaded, registration, session)
    sets = collect_data_sets(hypothesis, session.settings)
    from harness import training

    device = training.open_device(project.device, session.settings.compile)
    known = registration.seeds if registration and refused is None else ()  # none while they are not drawn
    seeds = known or tuple(range(hypothesis.seeds.number))
    planned = make_plan(device, hypothesis, seeds)
    estimate = plan.estimate(planned, device.torch.type, on_kernels=training.takes_kernels(device))
    seconds = training.estimate_training_seconds(planned, device, measure=measure)
    return Preview(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        seeds=describe_seeds(hypothesis, registration, trail),
        planned=planned,
        estimate=estimate if seconds is None else replace(estimate, seconds=seconds),
        measured=seconds is not None,
        device=device.name,
        project=project,
        data={name: locate_with_doubt(dataset, project.data) for name, dataset in sets.items()},
        bundled=frozenset(name for name, dataset in sets.items() if dataset.bundled),
        refused=refused,
        said=said,
    )


def _compare(
    loaded: spec.Loaded, registration: ledger.Registration | None, session: Session
) -> tuple[HarnessError | None, tuple[str, ...]]:
    """Return what a run would refuse or say of a file, its claims and the code, held against the registration.

    Where there is none, this is about a registration in another trail that the file would be the second of.
    """
    trail = session.trail
    if registration is None:
        told: list[str] = []
        try:
            look_around(loaded, replace(session, reporter=Reporter(say=told.append)))
        except UsageError as refused:
            return refused, tuple(told)
        return None, tuple(told)
    name = loaded.hypothesis.id
    try:
        pins = ledger.pin_code(loaded.hypothesis, verdict.default_templates())
        differing = refuse_changes(registration, loaded, trail, pins)
    except DeviationRefused as refused:
        return refused, ()
    layout = [LAYOUT] if hashlib.sha256(loaded.raw).hexdigest() != registration.raw else []
    deviations = (
        *list_amended(trail, name, late=True),
        *differing.deviations,
        *list_changed_claims(registration, loaded, trail),
    )
    return None, (*layout, *(describe_deviation(line) for line in deviations))
