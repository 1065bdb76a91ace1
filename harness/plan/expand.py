"""Arms × seeds → cohorts."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from harness.plan.cost import cohort_bytes, no_kernels
from harness.records import Arm, Cohort, Hypothesis, Plan, Replica

MEMORY_SHARE = 0.85  # of the device's memory: the rest is for the libraries and what the model does not see


def expand(
    hypothesis: Hypothesis,
    seeds: tuple[int, ...],
    *,
    registration: str = "",
    memory_bytes: int | None = None,
    on_kernels: Callable[[Cohort], bool] = no_kernels,
    largest: int | None = None,
    prefer_even_cohorts: bool = False,
) -> Plan:
    """Plan a hypothesis: arms that differ only in rule, rates, weight decay or penalty strength share a cohort.

    Seeds on the two sides of a look never do: those after it may not be trained at all (``stages``).

    Args:
        hypothesis: what to train.
        seeds: the seed numbers, in order.
        registration: digest of the event that registered it.
        memory_bytes: memory of the device; cohorts that would not fit are split beforehand. None: no limit.
        largest: most replicas in a cohort; None: no limit.
        prefer_even_cohorts: an odd number of cohorts becomes even, before memory splits them further, where a group of
            an odd number has at least half a largest cohort's replicas: two cores are the least that a processor has,
            and neither should wait for the other's last cohort.
        on_kernels: tells which cohorts are trained by harness's own kernels, which take memory otherwise.
    """
    groups: dict[str, dict[str, Arm]] = {}
    for name, arm in _by_rule(hypothesis.arms).items():
        groups.setdefault(_program_key(arm), {})[name] = arm
    cohorts: list[Cohort] = []
    numbered = list(enumerate(seeds))
    for first, last in pairwise([0, *(look for look in hypothesis.looks if look < len(seeds)), len(seeds)]):
        together = [chosen for arms in groups.values() for chosen in _one_penalty(arms)]
        replicas = [
            tuple(
                Replica(arm=name, seed_index=index, seed=seed)
                for name in chosen
                for index, seed in numbered[first:last]
            )
            for chosen in together
        ]
        parts = [-(-len(some) // (largest or len(some))) for some in replicas]
        if prefer_even_cohorts and largest is not None and sum(parts) % 2:
            large = [2 * len(some) >= largest and len(some) > part for some, part in zip(replicas, parts, strict=True)]
            odd = [k for k, part in enumerate(parts) if part % 2 and large[k]]
            if odd:
                parts[odd[-1]] += 1
        for chosen, some, fewest in zip(together, replicas, parts, strict=True):
            cohorts += _fit(chosen, some, memory_bytes, on_kernels, fewest)
    return Plan(hypothesis=hypothesis.id, registration=registration, seeds=seeds, cohorts=tuple(cohorts))


def stages(plan: Plan, looks: tuple[int, ...]) -> tuple[Plan, ...]:
    """Split a plan into one per look: the cohorts of the seeds that it needs beyond those of the look before."""
    return tuple(
        plan.model_copy(update={"cohorts": tuple(c for c in plan.cohorts if first <= c.replicas[0].seed_index < last)})
        for first, last in pairwise([0, *looks])
    )


def _by_rule(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """Put arms of one rule side by side, rules and arms in the file's order: a program goes over rules in runs."""
    rules = list(dict.fromkeys(arm.rule for arm in arms.values()))
    return {name: arms[name] for rule in rules for name in arms if arms[name].rule == rule}


def _program_key(arm: Arm) -> str:
    """Return a key that is equal for arms that one program can train.

    It holds everything but the rule and what is a vector over replicas.
    """
    program = arm.model_dump(mode="json", exclude={"label": True, "penalty": True, "rule": True})
    for rate in ("lr", "weight_decay"):
        del program["setup"]["optimizer"][rate]
    return json.dumps(program, sort_keys=True)


def _one_penalty(arms: dict[str, Arm]) -> list[dict[str, Arm]]:
    """Split by kind of penalty; arms without one join the first kind, with strength 0."""
    kinds: dict[str, dict[str, Arm]] = {}
    for name, arm in arms.items():
        if arm.penalty is not None:
            kind = json.dumps(arm.penalty.model_dump(mode="json", exclude={"strength"}), sort_keys=True)
            kinds.setdefault(kind, {})[name] = arm
    plain = {name: arm for name, arm in arms.items() if arm.penalty is None}
    if not kinds:
        return [plain]
    first, *others = kinds.values()
    together = {name: arms[name] for name in arms if name in first or name in plain}  # the file's order
    return [together, *others]


def _fit(
    arms: dict[str, Arm],
    replicas: tuple[Replica, ...],
    memory_bytes: int | None,
    on_kernels: Callable[[Cohort], bool],
    fewest: int,
) -> list[Cohort]:
    """Split replicas into the fewest equal parts, ``fewest`` or more, that fit the memory: one each at least."""

    def cohort(chosen: tuple[Replica, ...]) -> Cohort:
        used = {replica.arm: arms[replica.arm] for replica in chosen}
        found = Cohort(arms=used, replicas=chosen, memory_bytes=0)
        return found.model_copy(update={"memory_bytes": cohort_bytes(found, kernels=on_kernels(found))})

    def split(parts: int) -> Iterator[Cohort]:
        ends = [len(replicas) * part // parts for part in range(parts + 1)]
        return (cohort(replicas[start:end]) for start, end in pairwise(ends))

    def fits(parts: int) -> bool:
        return memory_bytes is None or all(one.memory_bytes <= MEMORY_SHARE * memory_bytes for one in split(parts))

    # The fewest parts that fit, by halving: a plan of thousands of replicas that are too large must not take minutes.
    return list(split(fewest + bisect_left(range(fewest, len(replicas)), True, key=fits)))
