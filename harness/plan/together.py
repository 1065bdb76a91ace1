"""Cohorts of several hypotheses: which of them may share some, and the plan of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.plan.expand import UNLIMITED, Limits, divide, expand, group_by_program
from harness.records import Arm, Cohort, Companion, Hypothesis, Plan, Replica
from harness.records.plan import name_shared_arm


@dataclass(frozen=True)
class Member:
    """A hypothesis of a set that trains together."""

    companion: Companion
    """Companion that the plans of all members name for it."""
    hypothesis: Hypothesis
    """Registered meaning of the hypothesis."""


def explain_alone(hypothesis: Hypothesis) -> str | None:
    """Say why a hypothesis shares no cohort with others, as a clause; None if it may.

    What trains, and how long, has to be known before it starts, and nothing but results is handed on.
    """
    setups = [arm.setup for arm in hypothesis.arms.values()]
    if hypothesis.program is not None:
        return "a program trains it"
    if hypothesis.stopping.kind != "fixed":
        return "its stopping rule decides how many seeds train"
    if hypothesis.tuning is not None:
        return "its search decides what trains"
    if any(arm.init_from is not None for arm in hypothesis.arms.values()):
        return "an arm starts from stored weights"
    if any(setup.until is not None for setup in setups):
        return "a condition decides how long its replicas train"
    if any(setup.save or setup.save_epochs for setup in setups):
        return "it keeps weights"
    return None


def find_companies(members: Sequence[Member], limits: Limits = UNLIMITED) -> Iterator[tuple[Member, ...]]:
    """Yield the sets of members, in their order, that share cohorts directly or through others.

    A member that shares none is in no set.
    """
    joined = {member.companion.hypothesis: {member.companion.hypothesis} for member in members}
    for group in _find_shared_groups(members, limits):
        owners = {member.companion.hypothesis for member, _ in group}
        whole = set().union(*(joined[owner] for owner in owners))
        for owner in whole:
            joined[owner] = whole
    for whole in {id(one): one for one in joined.values()}.values():
        if len(whole) > 1:
            yield tuple(member for member in members if member.companion.hypothesis in whole)


def expand_together(own: str, members: Sequence[Member], limits: Limits = UNLIMITED) -> Plan:
    """Plan the member whose hypothesis's id is ``own``: the shared cohorts that hold replicas of it, and its others.

    The plans of all members name the same cohorts, in which the arms of a member stand in the order of their names, so
    that they follow from registered forms alone.
    """
    (mine,) = [member for member in members if member.companion.hypothesis == own]
    shared = [part for group in _find_shared_groups(members, limits) for part in group]
    cohorts = [cohort for cohort in _divide_group(shared, limits) if _holds(cohort, own)]
    taken = {name for member, arms in shared if member is mine for name in arms}
    rest = {name: arm for name, arm in mine.hypothesis.arms.items() if name not in taken}
    if rest:
        alone = mine.hypothesis.model_copy(update={"arms": rest})
        cohorts += expand(alone, mine.companion.seeds, limits).cohorts
    return Plan(
        hypothesis=own,
        registration=mine.companion.registration,
        seeds=mine.companion.seeds,
        cohorts=tuple(cohorts),
        together=tuple(member.companion for member in members),
    )


def is_shared(cohort: Cohort) -> bool:
    """Tell whether a cohort holds replicas of several hypotheses."""
    return len({name.rpartition("/")[0] for name in cohort.arms}) > 1


Group = Sequence[tuple[Member, Mapping[str, Arm]]]
"""Members with their arms of one program."""


def _find_shared_groups(members: Sequence[Member], limits: Limits) -> Iterator[Group]:
    """Yield the programs that arms of several members share, where fewer cohorts train together than apart.

    How many there are is counted before cohorts are split for the cores of a processor.
    """
    limits = replace(limits, prefer_even_cohorts=False)
    by_program: dict[str, list[tuple[Member, Mapping[str, Arm]]]] = {}
    for member in members:
        if explain_alone(member.hypothesis) is None:
            for key, arms in group_by_program(dict(sorted(member.hypothesis.arms.items()))).items():
                by_program.setdefault(key, []).append((member, arms))
    for group in by_program.values():
        if len(group) > 1:
            apart = sum(len(_divide_group([one], limits)) for one in group)
            if len(_divide_group(group, limits)) < apart:
                yield group


def _divide_group(group: Group, limits: Limits) -> tuple[Cohort, ...]:
    arms: dict[str, Arm] = {}
    replicas: dict[str, tuple[Replica, ...]] = {}
    for member, own in group:
        for name, arm in own.items():
            shared = name_shared_arm(member.companion.hypothesis, name)
            arms[shared] = arm
            replicas[shared] = tuple(
                Replica(arm=shared, seed_index=index, seed=seed) for index, seed in enumerate(member.companion.seeds)
            )
    return divide(arms, replicas, limits)


def _holds(cohort: Cohort, hypothesis: str) -> bool:
    return any(name.rpartition("/")[0] == hypothesis for name in cohort.arms)
