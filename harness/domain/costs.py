"""Costs of training, counted from the set-up: steps, and floating-point operations of a replica's products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.domain.places import COSTS, list_evaluated
from harness.records import Arm, Estimand, Hypothesis, Measurements
from harness.records.readings import EpochSpent
from harness.rules import Flops

Cost = Literal["steps", "flops"]


def count_flops(arm: Arm) -> Flops | None:
    """Return the operations of training an arm on one sample; None if its rule or model doesn't say."""
    setup = arm.setup
    frozen = setup.model.expand_groups(arm.freeze)
    return arm.rule.count_flops(setup.model, setup.dataset.features, setup.classes, frozen)


def count_per_epoch(arm: Arm, cost: Cost, images: int | None = None) -> int | None:
    """Return what a replica of an arm spends in one epoch; None if it is not known.

    ``images`` is the number of training images, by default that which the data set declares.
    """
    images = arm.setup.train_count if images is None else images
    if cost == "steps":
        return math.ceil(images / arm.setup.batch_size)
    flops = count_flops(arm)
    return None if flops is None else flops.total * images


class Affordable(NamedTuple):
    """An arm's training for what its estimand lets it spend."""

    epoch: int | None
    """Last evaluated epoch by which no more is spent; None if even the first costs more, or costs are not known."""
    per_epoch: int | None
    """Spending of a replica in one epoch; None if it is not known."""
    budget: float | None
    """Amount that each replica may spend; None if it is not known."""


def find_affordable(
    estimand: Estimand, name: str, arms: Mapping[str, Arm], measured: Measurements | None = None
) -> Affordable:
    """Return how far an arm is trained for its estimand's budget; of a run, by the epochs and images that it had."""
    epoch = estimand.epoch
    assert isinstance(epoch, EpochSpent), "only such epochs have a budget"

    def count(arm: str) -> tuple[int, int | None]:
        last, images = _find_extent(arm, arms[arm], measured)
        return last, count_per_epoch(arms[arm], epoch.spent, images)

    budget = epoch.at_most
    if budget is None:
        totals = [None if cost is None else cost * last for last, cost in map(count, estimand.arms)]
        known = [total for total in totals if total is not None]
        budget = min(known) if len(known) == len(totals) else None
    last, per_epoch = count(name)
    if budget is None or per_epoch is None:
        return Affordable(None, per_epoch, budget)
    evaluated = list_evaluated(arms[name].setup, last)
    return Affordable(max((one for one in evaluated if one * per_epoch <= budget), default=None), per_epoch, budget)


def _find_extent(name: str, arm: Arm, measured: Measurements | None) -> tuple[int, int | None]:
    """Return an arm's number of epochs and of training images: those of a run, else what the setup declares (None)."""
    if measured is None:
        return arm.setup.epochs, None
    data = measured.data.get(arm.setup.dataset.name)
    return measured.epochs.get(name, arm.setup.epochs), None if data is None else data.count("train", name)


def describe_spent(amount: float, cost: Cost) -> str:
    """Return what was spent in words: ``460 steps``, ``3.21e+11 FLOPs``."""
    return f"{amount:,.0f} {COSTS[cost]}" if cost == "steps" else f"{amount:.3g} {COSTS[cost]}"


def describe_costs(hypothesis: Hypothesis, measured: Measurements | None = None) -> dict[str, str]:
    """Return arm → what training one replica costs in steps and, if they are known, in floating-point operations."""
    found = {}
    for name, arm in hypothesis.arms.items():
        if arm.is_program:
            continue  # what it spends is not known
        last, images = _find_extent(name, arm, measured)
        costs: tuple[Cost, ...] = ("steps", "flops")
        each = [(cost, count_per_epoch(arm, cost, images)) for cost in costs]
        most = "" if arm.setup.until is None else "at most "
        found[name] = most + ", ".join(describe_spent(one * last, cost) for cost, one in each if one is not None)
    return found
