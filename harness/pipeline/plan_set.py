"""A set of hypotheses as ``harness run --together`` would train it: shared cohorts, and what they save."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger, plan, spec
from harness.pipeline.plan import Preview, preview_run
from harness.pipeline.project import Settings
from harness.pipeline.run_steps import describe_limits
from harness.pipeline.session import Session
from harness.pipeline.several import find_judged, load_valid, select_settings
from harness.pipeline.sharing import NO_MATCH, OPEN
from harness.records import Cohort, Companion, Plan

if TYPE_CHECKING:
    from harness.training import Device


@dataclass(frozen=True)
class Total:
    """Time and memory that training a set takes, one hypothesis after the other."""

    cohorts: int
    steps: int
    memory_bytes: int
    """Memory of the largest cohort."""
    seconds: float
    """Time of training, by steps that were timed on this device, or else roughly."""


@dataclass(frozen=True)
class SetPreview:
    """A set of hypotheses as it would be run, without training."""

    previews: tuple[Preview, ...]
    """Each of them by itself."""
    companies: tuple[tuple[str, ...], ...]
    """Ids of hypotheses that would train together."""
    shared: tuple[Cohort, ...]
    """Cohorts with replicas of several hypotheses, each once."""
    alone: dict[str, str]
    """Hypothesis that trains with no other → the reason, as a clause."""
    separate: Total
    """Estimate for the set without shared cohorts."""
    together: Total
    """Estimate for it with them."""


def preview_set(paths: Sequence[Path], settings: Settings, *, measure: bool = False) -> SetPreview:
    """Show what ``harness run --together`` would do with files and folders; ``measure``: as for one hypothesis.

    Raises:
        InvalidHypothesis, UsageError: a file is not valid, or there is no such device.
    """
    loaded = load_valid(paths, settings)
    sessions = [Session.open(one.path, select_settings(one, loaded, settings)) for one in loaded]
    previews = tuple(
        preview_run(one.path, session, measure=measure) for one, session in zip(loaded, sessions, strict=True)
    )
    from harness import training

    devices = {s.project.device: training.open_device(s.project.device, settings.compile) for s in sessions}
    opened = [devices[session.project.device] for session in sessions]
    reasons = [
        _explain_apart(one, session, seen) for one, session, seen in zip(loaded, sessions, previews, strict=True)
    ]
    places: dict[tuple[str, str], list[Preview]] = {}
    for session, seen, reason in zip(sessions, previews, reasons, strict=True):
        if reason is None:
            places.setdefault((str(session.trail.root.resolve()), session.project.device), []).append(seen)
    companies = tuple(found for (_, device), some in places.items() for found in _find_companies(some, devices[device]))
    planned = {seen.hypothesis.id: seen.planned for seen in previews}
    for company, device in companies:
        for member in company:
            own = member.companion.hypothesis
            planned[own] = plan.expand_together(own, company, describe_limits(device))
    waiting = [
        (seen, device)
        for seen, device, reason in zip(previews, opened, reasons, strict=True)
        if reason != JUDGED and not seen.commands  # how long a program takes is not known
    ]
    joined = {member.companion.hypothesis for company, _ in companies for member in company}
    shared = [cohort for one in planned.values() for cohort in one.cohorts if plan.is_shared(cohort)]
    return SetPreview(
        previews=previews,
        companies=tuple(tuple(member.companion.hypothesis for member in company) for company, _ in companies),
        shared=tuple(_list_once(shared)),
        alone={
            one.hypothesis.id: reason or NO_MATCH
            for one, reason in zip(loaded, reasons, strict=True)
            if one.hypothesis.id not in joined
        },
        separate=_sum_up([(seen.planned, device) for seen, device in waiting], measure=measure),
        together=_sum_up([(planned[seen.hypothesis.id], device) for seen, device in waiting], measure=measure),
    )


def _find_companies(previews: Sequence[Preview], device: Device) -> Iterator[tuple[tuple[plan.Member, ...], Device]]:
    """Yield the companies of hypotheses of one trail and device, each with the device."""
    ordered = sorted(previews, key=lambda seen: seen.hypothesis.id)
    members = [_make_member(seen, number) for number, seen in enumerate(ordered)]
    for company in plan.find_companies(members, describe_limits(device)):
        yield company, device


JUDGED = "it has a verdict, and nothing is run"


def _explain_apart(loaded: spec.Loaded, session: Session, seen: Preview) -> str | None:
    """Say why a hypothesis of a set makes no new company, as a clause; None if it may."""
    if find_judged(loaded, session) is not None:
        return JUDGED
    if ledger.find_resumable(session.trail, loaded.hypothesis.id) is not None:
        return OPEN
    if seen.refused is not None:
        return "a run of it would be refused"
    return plan.explain_alone(loaded.hypothesis)


def _make_member(seen: Preview, number: int) -> plan.Member:
    """Make a member whose digests are not known yet: no plan's cohorts depend on them.

    Seeds that are not known yet are made up, and others than those of other members: memory depends on how many differ.
    """
    unknown, count = "0" * 64, len(seen.planned.seeds)
    made_up = seen.planned.seeds == tuple(range(count))
    seeds = tuple(range(number * 10**6, number * 10**6 + count)) if made_up else seen.planned.seeds
    companion = Companion(hypothesis=seen.hypothesis.id, registration=unknown, canonical=unknown, seeds=seeds)
    return plan.Member(companion, seen.hypothesis)


def _list_once(cohorts: Sequence[Cohort]) -> Iterator[Cohort]:
    """Yield cohorts without repetition; those of equal content are one."""
    known: list[Cohort] = []
    for cohort in cohorts:
        if cohort not in known:
            known.append(cohort)
            yield cohort


def _sum_up(plans: Sequence[tuple[Plan, Device]], *, measure: bool) -> Total:
    """Sum up plans that are trained one after the other: shared cohorts that an earlier one trained are not again."""
    from harness import training

    trained: list[Cohort] = []
    steps, seconds = 0, 0.0
    for planned, device in plans:
        left = [cohort for cohort in planned.cohorts if not (plan.is_shared(cohort) and cohort in trained)]
        trained += left
        if not left:
            continue
        part = planned.model_copy(update={"cohorts": tuple(left)})
        estimate = plan.estimate(part, device.torch.type, on_kernels=training.takes_kernels(device))
        timed = training.estimate_training_seconds(part, device, measure=measure)
        steps += estimate.steps
        seconds += estimate.seconds if timed is None else timed
    return Total(len(trained), steps, max((cohort.memory_bytes for cohort in trained), default=0), seconds)
