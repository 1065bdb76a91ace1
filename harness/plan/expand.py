"""The division of arms × seeds into cohorts."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from harness.plan.cost import estimate_cohort_bytes, fits_no_kernels
from harness.records import Arm, Cohort, Hypothesis, Plan, Replica

USABLE_MEMORY = 0.85  # of the device's memory; the rest is for libraries and for what the memory model omits


def expand(
    hypothesis: Hypothesis,
    seeds: tuple[int, ...],
    *,
    registration: str = "",
    memory_bytes: int | None = None,
    on_kernels: Callable[[Cohort], bool] = fits_no_kernels,
    largest: int | None = None,
    prefer_even_cohorts: bool = False,
) -> Plan:
    """Plan a hypothesis: arms that differ only in rule, rates, weight decay or penalty strength share a cohort.

    Seeds before and after an interim analysis never share one, as the later ones may never be trained
    (``split_by_look``).

    Args:
        hypothesis: the hypothesis to train.
        seeds: the seed numbers, in order.
        registration: digest of the event that registered it.
        memory_bytes: memory of the device; cohorts that would not fit are split beforehand. None sets no limit.
        largest: maximum number of replicas in a cohort; None sets no limit.
        prefer_even_cohorts: make an odd number of cohorts even, before memory splits them further, if a group with an
            odd number of cohorts has at least half a largest cohort's replicas: a processor has at least two cores, and
            neither should wait for the other's last cohort.
        on_kernels: predicate for cohorts that are trained by harness's own kernels, which take other amounts of memory.
    """
    groups: dict[str, dict[str, Arm]] = {}
    for name, arm in _order_by_rule(hypothesis.arms).items():
        groups.setdefault(_compute_program_key(arm), {})[name] = arm
    cohorts: list[Cohort] = []
    numbered = list(enumerate(seeds))
    for first, last in pairwise([0, *(look for look in hypothesis.looks if look < len(seeds)), len(seeds)]):
        together = [chosen for arms in groups.values() for chosen in _split_by_penalty(arms)]
        replicas = [
            tuple(
                Replica(arm=name, seed_index=index, seed=seed)
                for name in chosen
                for index, seed in numbered[first:last]
            )
            for chosen in together
        ]
        counts = [-(-len(some) // (largest or len(some))) for some in replicas]
        if prefer_even_cohorts and largest is not None and sum(counts) % 2:
            pairs = zip(replicas, counts, strict=True)
            large = [2 * len(some) >= largest and len(some) > count for some, count in pairs]
            odd = [k for k, count in enumerate(counts) if count % 2 and large[k]]
            if odd:
                counts[odd[-1]] += 1
        for chosen, some, fewest in zip(together, replicas, counts, strict=True):
            cohorts += _split_to_fit(chosen, some, memory_bytes, on_kernels, fewest)
    return Plan(hypothesis=hypothesis.id, registration=registration, seeds=seeds, cohorts=tuple(cohorts))


def split_by_look(plan: Plan, looks: tuple[int, ...]) -> tuple[Plan, ...]:
    """Split a plan into one per look, with the cohorts of the seeds that the look adds to the previous one."""
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

    It holds everything but the rule and the numbers that are vectors over replicas.
    """
    program = arm.model_dump(mode="json", exclude={"label": True, "penalty": True, "rule": True})
    for rate in ("lr", "weight_decay"):
        del program["setup"]["optimizer"][rate]
    return json.dumps(program, sort_keys=True)


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
    memory_bytes: int | None,
    on_kernels: Callable[[Cohort], bool],
    fewest: int,
) -> list[Cohort]:
    """Split replicas into the smallest number of equal cohorts, at least ``fewest``, that fit, if possible."""

    def build_cohort(chosen: tuple[Replica, ...]) -> Cohort:
        used = {replica.arm: arms[replica.arm] for replica in chosen}
        planned = Cohort(arms=used, replicas=chosen, memory_bytes=0)
        return planned.model_copy(update={"memory_bytes": estimate_cohort_bytes(planned, kernels=on_kernels(planned))})

    def split(count: int) -> Iterator[Cohort]:
        ends = [len(replicas) * part // count for part in range(count + 1)]
        return (build_cohort(replicas[start:end]) for start, end in pairwise(ends))

    def fits(count: int) -> bool:
        return memory_bytes is None or all(one.memory_bytes <= USABLE_MEMORY * memory_bytes for one in split(count))

    # Bisection finds the number, because a plan of thousands of replicas that are too large must not take minutes.
    return list(split(fewest + bisect_left(range(fewest, len(replicas)), True, key=fits)))
