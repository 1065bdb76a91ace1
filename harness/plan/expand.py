"""The division of arms × seeds into cohorts."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.penalties import find_gradient_factor
from harness.plan.cost import estimate_cohort_bytes, fits_no_kernels
from harness.records import Arm, Cohort, Hypothesis, Plan, Replica, Start
from harness.rules import FixedCredit, find_backward

USABLE_MEMORY = 0.85  # of the device's memory; the rest is for libraries and for what the memory model omits


@dataclass(frozen=True)
class Limits:
    """Bounds of a cohort, as a device sets them."""

    memory_bytes: int | None = None
    """Memory of the device; cohorts that would not fit are split beforehand. None sets no limit."""
    on_kernels: Callable[[Cohort], bool] = fits_no_kernels
    """Predicate for cohorts that are trained by harness's own kernels, which take other amounts of memory."""
    largest: int | None = None
    """Maximum number of replicas in a cohort; None sets no limit."""
    prefer_even_cohorts: bool = False
    """Make an odd number of cohorts even, before memory splits them further, if a group with an odd number of cohorts
    has at least half a largest cohort's replicas: a processor has at least two cores, and neither should wait for the
    other's last cohort."""


UNLIMITED = Limits()


def expand(
    hypothesis: Hypothesis,
    seeds: tuple[int, ...],
    limits: Limits = UNLIMITED,
    *,
    registration: str = "",
    starts: Mapping[str, Sequence[Start]] | None = None,
) -> Plan:
    """Plan a hypothesis: arms that differ only in rule, rates, weight decay or penalty strength share a cohort.

    Seeds before and after an interim analysis never share one, as the later ones may never be trained
    (``split_by_look``).

    Args:
        hypothesis: the hypothesis to train.
        seeds: the seed numbers, in order.
        limits: bounds of each cohort.
        registration: digest of the event that registered it.
        starts: arm → stored weights that it starts from, one per seed, for arms that ask for some.
    """
    starts = starts or {}
    cohorts: list[Cohort] = []
    numbered = list(enumerate(seeds))
    for first, last in pairwise([0, *(look for look in hypothesis.looks if look < len(seeds)), len(seeds)]):
        replicas = {
            name: tuple(
                Replica(arm=name, seed_index=index, seed=seed, start=starts[name][index] if name in starts else None)
                for index, seed in numbered[first:last]
            )
            for name in hypothesis.arms
        }
        cohorts += divide(hypothesis.arms, replicas, limits)
    return Plan(hypothesis=hypothesis.id, registration=registration, seeds=seeds, cohorts=tuple(cohorts))


def expand_replicas(hypothesis: Hypothesis, seeds: tuple[int, ...], registration: str = "") -> Plan:
    """Plan the arms of a hypothesis that a program trains: every replica by itself, seed by seed."""
    cohorts = tuple(
        Cohort(arms={name: arm}, replicas=(Replica(arm=name, seed_index=index, seed=seed),), memory_bytes=0)
        for index, seed in enumerate(seeds)
        for name, arm in hypothesis.programmed.items()
    )
    return Plan(hypothesis=hypothesis.id, registration=registration, seeds=seeds, cohorts=cohorts)


def split_by_trainer(plan: Plan) -> tuple[Plan, Plan]:
    """Split a plan into the cohorts that harness trains and the replicas that a program trains."""
    own = tuple(cohort for cohort in plan.cohorts if not cohort.is_program)
    others = tuple(cohort for cohort in plan.cohorts if cohort.is_program)
    return plan.model_copy(update={"cohorts": own}), plan.model_copy(update={"cohorts": others})


def divide(arms: Mapping[str, Arm], replicas: Mapping[str, tuple[Replica, ...]], limits: Limits) -> tuple[Cohort, ...]:
    """Divide the replicas of arms (name → arm, name → its replicas) into cohorts."""
    largest = limits.largest
    together = [chosen for group in group_by_program(arms).values() for chosen in _split_by_penalty(group)]
    chosen_replicas = [tuple(replica for name in chosen for replica in replicas[name]) for chosen in together]
    counts = [-(-len(some) // (largest or len(some))) for some in chosen_replicas]
    if limits.prefer_even_cohorts and largest is not None and sum(counts) % 2:
        pairs = zip(chosen_replicas, counts, strict=True)
        large = [2 * len(some) >= largest and len(some) > count for some, count in pairs]
        odd = [k for k, count in enumerate(counts) if count % 2 and large[k]]
        if odd:
            counts[odd[-1]] += 1
    cohorts: list[Cohort] = []
    for chosen, some, fewest in zip(together, chosen_replicas, counts, strict=True):
        cohorts += _split_to_fit(chosen, some, limits, fewest)
    return tuple(cohorts)


def group_by_program(arms: Mapping[str, Arm]) -> dict[str, dict[str, Arm]]:
    """Group arms that can share a program, by a key that is equal for arms of any hypotheses that can."""
    groups: dict[str, dict[str, Arm]] = {}
    for name, arm in _order_by_rule(arms).items():
        groups.setdefault(_compute_program_key(arm), {})[name] = arm
    return groups


def split_by_look(plan: Plan, looks: tuple[int, ...]) -> tuple[Plan, ...]:
    """Split a plan into one per look, with the cohorts of the seeds that the look adds to the previous one."""
    if len(looks) == 1:
        return (plan,)
    return tuple(
        plan.model_copy(update={"cohorts": tuple(c for c in plan.cohorts if first <= c.replicas[0].seed_index < last)})
        for first, last in pairwise([0, *looks])
    )


def _order_by_rule(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """Order arms so that those of one rule are neighbours; rules, and arms within them, keep the file's order."""
    rules = list(dict.fromkeys(arm.rule for arm in arms.values()))
    return {name: arms[name] for rule in rules for name in arms if arms[name].rule == rule}


def _compute_program_key(arm: Arm) -> str:
    """Return a key that is equal for arms that can share a program.

    It holds everything but the rule, the weights to start from, and the numbers that are vectors over replicas. Arms
    with other labels don't share one: the seeds of a cohort have their own labels, and its arms have those of their
    seed. Nor do arms of which only some have a rule and a penalty that faster steps know: all of them would be left to
    autograd. Arms whose rules have credit of another kind than direct feedback has by default share one among
    themselves, so that those which faster steps have always trained keep their neighbours, and their bits.
    """
    program = arm.model_dump(mode="json", exclude={"label", "penalty", "rule", "init_from"})
    for rate in ("lr", "weight_decay"):
        del program["setup"]["optimizer"][rate]
    known: bool | str = find_backward(arm.rule) is not None
    if find_backward(arm.rule) == "direct_feedback" and arm.rule.fixed_credit != FixedCredit():
        known = "other credit"
    if arm.penalty is not None and find_gradient_factor(arm.penalty) is None:
        known = False
    return json.dumps([known, program], sort_keys=True)


def _split_by_penalty(arms: dict[str, Arm]) -> list[dict[str, Arm]]:
    """Split arms by kind of penalty; arms without a penalty join the first kind, with strength 0."""
    kinds: dict[str, dict[str, Arm]] = {}
    for name, arm in arms.items():
        if arm.penalty is not None:
            kind = json.dumps(arm.penalty.model_dump(mode="json", exclude={"strength"}), sort_keys=True)
            kinds.setdefault(kind, {})[name] = arm
    plain = {name: arm for name, arm in arms.items() if arm.penalty is None}
    if not kinds:
        return [plain]
    first, *others = kinds.values()
    together = {name: arms[name] for name in arms if name in first or name in plain}  # in the file's order
    return [together, *others]


def _split_to_fit(
    arms: dict[str, Arm],
    replicas: tuple[Replica, ...],
    limits: Limits,
    fewest: int,
) -> list[Cohort]:
    """Split replicas into the smallest number of equal cohorts, at least ``fewest``, that fit, if possible."""

    def build_cohort(chosen: tuple[Replica, ...]) -> Cohort:
        used = {replica.arm: arms[replica.arm] for replica in chosen}
        planned = Cohort(arms=used, replicas=chosen, memory_bytes=0)
        predicted = estimate_cohort_bytes(planned, kernels=limits.on_kernels(planned))
        return planned.model_copy(update={"memory_bytes": predicted})

    def split(count: int) -> Iterator[Cohort]:
        ends = [len(replicas) * part // count for part in range(count + 1)]
        return (build_cohort(replicas[start:end]) for start, end in pairwise(ends))

    def fits(count: int) -> bool:
        memory = limits.memory_bytes
        return memory is None or all(one.memory_bytes <= USABLE_MEMORY * memory for one in split(count))

    # Bisection finds the number, because a plan of thousands of replicas that are too large must not take minutes.
    return list(split(fewest + bisect_left(range(fewest, len(replicas)), True, key=fits)))
