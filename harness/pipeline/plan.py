"""A run as it would be: plan, memory, time, data, and what it would refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger, plan, spec
from harness.domain.costs import describe_costs
from harness.domain.selection import foretell_parts
from harness.domain.tuning import count_candidates, describe_values, is_drawn
from harness.errors import HarnessError, UsageError
from harness.pipeline.data_sets import collect_data_sets, locate_with_doubt
from harness.pipeline.device_facts import describe_host, make_device, make_host
from harness.pipeline.draw import describe_seeds
from harness.pipeline.program import count_parallel, pin, refuse_idle, refuse_parallel, write_commands
from harness.pipeline.project import Project
from harness.pipeline.registered_claims import list_changed_claims
from harness.pipeline.remote import Remote, ask_device, find_remote
from harness.pipeline.run_steps import (
    LAYOUT,
    describe_deviation,
    list_amended,
    look_around,
    refuse_changes,
)
from harness.pipeline.session import Reporter, Session
from harness.pipeline.starts import describe_sources, find_sources
from harness.pipeline.together import read_company
from harness.pipeline.tuning import make_whole_plan, plan_search
from harness.records import Cohort, Hypothesis, Plan
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.training import Device


@dataclass(frozen=True)
class Preview:
    """A run as it would be, without training."""

    hypothesis: Hypothesis
    """The hypothesis of the file."""
    registration: str | None
    """Digest of its registration; None if there is none."""
    seeds: str
    """Seeds that a run will have, and who could have chosen them, in words."""
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
    parts: dict[str, str]
    """Arms → what they use of their data set, in words, for arms that don't use all of it."""
    costs: dict[str, str]
    """Arm → what training one replica costs in steps and floating-point operations, in words."""
    searched: tuple[str, ...]
    """Sentences on what is searched before, for which arms, with how many candidates and seeds."""
    bundled: frozenset[str]
    """Data sets that come with a package, wherever data lie."""
    project: Project
    """The project of the file, and the settings that hold there."""
    refused: HarnessError | None
    """The reason that a run would not start: the file's meaning is not the registered one, or another trail has it."""
    said: tuple[str, ...]
    """Sentences about the weights that arms start from, and those of a run about other differences from the
    registration, those of data aside."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """Arm → command of the program that trains it; empty where harness trains."""
    parallel: int | None = None
    """Number of its replicas that run at a time, here or in each job; None where harness trains."""
    longest_seconds: float = 0.0
    """Longest time that all replicas of the program may take here, or those of a job elsewhere."""
    place: str | None = None
    """Name of the place that trains it; None: here."""
    jobs: tuple[tuple[Cohort, ...], ...] = ()
    """The jobs of that place, by their cohorts."""


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
    if hypothesis.built_in is None:
        return _preview_program(hypothesis, registration, refused, said, session)
    if hypothesis.program is not None:
        refuse_idle(hypothesis, session)
        refused = refused or _find_unpinned(hypothesis, registration, session)
    else:
        refuse_parallel(session.settings)
    from harness import training

    sources = find_sources(hypothesis, trail)
    if (remote := find_remote(hypothesis, session)) is None:
        device = training.open_device(project.device, session.settings.compile)
    else:
        device = make_device(ask_device(remote, session))
    known = registration.seeds if registration and refused is None else ()  # none while they are not drawn
    seeds = known or tuple(range(hypothesis.seeds.number))
    going_on = ledger.find_resumable(trail, hypothesis.id) if session.settings.resume else None
    company = () if going_on is None or refused is not None else read_company(trail, going_on.body.together)
    planned = make_whole_plan(device, hypothesis, seeds, sources=sources, company=company)
    own = plan.split_by_trainer(planned)[0]
    estimate = plan.estimate(own, device.torch.type, on_kernels=training.takes_kernels(device))
    seconds = None if remote else training.estimate_training_seconds(own, device, measure=measure)
    jobs = _foresee_jobs(remote, planned, device, hypothesis, session)
    return Preview(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        seeds=describe_seeds(hypothesis, registration, trail),
        planned=planned,
        estimate=estimate if seconds is None else replace(estimate, seconds=seconds),
        measured=seconds is not None,
        device=device.name,
        project=project,
        data={name: locate_with_doubt(dataset, project.data) for name, dataset in sets.items()}
        | _list_inputs(hypothesis),
        parts=foretell_parts(hypothesis),
        costs=describe_costs(hypothesis),
        searched=tuple(foretell_search(hypothesis)),
        bundled=frozenset([*(name for name, one in sets.items() if one.bundled), *_list_inputs(hypothesis)]),
        refused=refused,
        said=(*said, *describe_sources(sources)),
        commands=write_commands(hypothesis),
        parallel=None if hypothesis.program is None else count_parallel(session.settings),
        longest_seconds=_find_longest(planned, jobs, hypothesis, session),
        place=None if remote is None else remote.place.name,
        jobs=jobs,
    )


def _foresee_jobs(
    remote: Remote | None, planned: Plan, device: Device, hypothesis: Hypothesis, session: Session
) -> tuple[tuple[Cohort, ...], ...]:
    """Return the jobs of a run, by their cohorts; a search and each look have jobs of their own."""
    if remote is None:
        return ()
    search = plan_search(device, hypothesis, planned.seeds)
    first = 0 if search is None else len(search.cohorts)
    deciding = planned.model_copy(update={"cohorts": planned.cohorts[first:]})
    stages = [*([] if search is None else [search]), *plan.split_by_look(deciding, hypothesis.looks)]
    return tuple(
        tuple(cohorts) for stage in stages for cohorts in remote.bundle(stage, device, hypothesis.program, session)
    )


def _find_longest(
    planned: Plan, jobs: tuple[tuple[Cohort, ...], ...], hypothesis: Hypothesis, session: Session
) -> float:
    """Return the longest time that all replicas of the program may take here, or in one of the jobs; 0 without one."""
    if hypothesis.program is None:
        return 0.0
    several = [cohorts for cohorts in jobs if cohorts[0].is_program] or [plan.split_by_trainer(planned)[1].cohorts]
    parallel = count_parallel(session.settings)
    return max(-(-len(cohorts) // parallel) for cohorts in several) * hypothesis.program.seconds


def _list_inputs(hypothesis: Hypothesis) -> dict[str, str]:
    """Return the inputs of the program, by their names among the data, and where they are."""
    if hypothesis.program is None:
        return {}
    return {f"input {name}": told.path for name, told in hypothesis.program.inputs.items()}


def _find_unpinned(
    hypothesis: Hypothesis, registration: ledger.Registration | None, session: Session
) -> HarnessError | None:
    """Return why the program can't be pinned as it is, of a hypothesis that isn't registered."""
    if registration is None:
        try:
            pin(hypothesis, session)
        except UsageError as error:
            return error
    return None


def _preview_program(
    hypothesis: Hypothesis,
    registration: ledger.Registration | None,
    refused: HarnessError | None,
    said: tuple[str, ...],
    session: Session,
) -> Preview:
    """Show what a run of a program would do; nothing of it runs, and its longest time is all that is known of it."""
    assert hypothesis.program is not None
    refuse_idle(hypothesis, session)
    seeds = registration.seeds if registration and refused is None and registration.seeds else None
    planned = make_whole_plan(describe_host(), hypothesis, seeds or tuple(range(hypothesis.seeds.number)))
    refused = refused or _find_unpinned(hypothesis, registration, session)
    remote = find_remote(hypothesis, session)
    device = describe_host() if remote is None else make_host(ask_device(remote, session))
    jobs = _foresee_jobs(remote, planned, device, hypothesis, session)
    most = _find_longest(planned, jobs, hypothesis, session)
    return Preview(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        seeds=describe_seeds(hypothesis, registration, session.trail),
        planned=planned,
        estimate=plan.Estimate(len(planned.cohorts), 0, most),
        measured=False,
        device=device.name,
        data=_list_inputs(hypothesis),
        parts={},
        costs={},
        searched=tuple(foretell_search(hypothesis)),
        bundled=frozenset(_list_inputs(hypothesis)),
        project=session.project,
        refused=refused,
        said=said,
        commands=write_commands(hypothesis),
        parallel=count_parallel(session.settings),
        longest_seconds=most,
        place=None if remote is None else remote.place.name,
        jobs=jobs,
    )


def foretell_search(hypothesis: Hypothesis) -> Iterator[str]:
    """Say of tuned arms what is searched before any seed decides; one line for arms with the same space."""
    tuning = hypothesis.tuning
    if tuning is None:
        return
    alike: dict[str, list[str]] = {}
    for name in tuning.space:
        told = f"{format_count(count_candidates(tuning, name), 'candidate')} × {format_count(tuning.seeds, 'seed')}"
        how = "drawn when the seeds are fixed" if is_drawn(tuning, name) else "listed"
        ranges = "; ".join(f"{path} {describe_values(values)}" for path, values in tuning.space[name].items())
        alike.setdefault(f"{told}, {how}: {ranges}", []).append(name)
    for told, arms in alike.items():
        yield f"search for {'each of ' * (len(arms) > 1)}{', '.join(arms)}: {told}"


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
        pins = pin(loaded.hypothesis, session)
        differing = refuse_changes(registration, loaded, trail, pins)
    except UsageError as refused:
        return refused, ()
    layout = [LAYOUT] if hashlib.sha256(loaded.raw).hexdigest() != registration.raw else []
    deviations = (
        *list_amended(trail, name, late=True),
        *differing.deviations,
        *list_changed_claims(registration, loaded, trail),
    )
    return None, (*layout, *(describe_deviation(line) for line in deviations))
