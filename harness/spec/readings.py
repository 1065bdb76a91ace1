"""Checks of what is read on a replica: layers and epochs exist, and what is taken over them means something."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from harness.domain.costs import describe_spent, find_affordable
from harness.domain.places import list_epochs, list_layers
from harness.metrics import Metric
from harness.records import Arm, Estimand, Setup
from harness.records.readings import BestEpoch, ChosenEpoch, EpochRange, EpochSpent, EpochWhen, find_choice
from harness.spec.conditions import (
    check_lasting,
    check_measured,
    check_name,
    check_threshold,
    find_metric,
    is_single,
    list_choosers,
    reads_test,
)
from harness.spec.draft import Draft
from harness.spec.tree import Path, Problem
from harness.stats.summaries import NEED_TWO

EXTREME = {"higher": "max", "lower": "min"}
"""Direction in which a metric is better → the summary that picks its best epoch."""


def check_summaries(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield conflicts of layers and epochs with the summaries over them, whatever the arms are."""
    layer, epoch = estimand.layer, estimand.epoch
    if isinstance(layer, tuple):
        yield from _find_repeated((*path, "layer"), layer)
    if estimand.layers is not None and isinstance(layer, int):
        message = f"layers: {estimand.layers} summarises several layers, and layer names one"
        yield Problem((*path, "layers"), message, "write layer: [1, 2, 3], or remove layers", on_key=True)
    elif estimand.layers is not None and not any(metric.layered for metric in estimand.metrics.values()):
        message = f"{estimand.called} has no layers to summarise"
        yield Problem((*path, "layers"), message, "remove layers", on_key=True)
    elif estimand.layers in NEED_TWO and len(list_layers(estimand)) < 2:
        message = f"a {estimand.layers} over depth needs two layers or more"
        yield Problem((*path, "layer"), message, "name more layers, or remove layers")
    if isinstance(epoch, tuple):
        yield from _find_repeated((*path, "epoch"), epoch)
    if estimand.epochs is not None and (isinstance(epoch, int) or find_choice(epoch) is not None):
        message = f"epochs: {estimand.epochs} summarises several epochs, and epoch names one"
        yield Problem((*path, "epochs"), message, "write epoch: {first: 10, last: 50}, or remove epochs", on_key=True)
    if isinstance(epoch, EpochRange) and (epoch.first or 1) > (epoch.last or math.inf):
        message = f"the range begins at epoch {epoch.first} and ends before it, at {epoch.last}"
        yield Problem((*path, "epoch"), message, "exchange first and last")


def _find_repeated(path: Path, places: tuple[int | str, ...]) -> Iterator[Problem]:
    """Yield entries of a list that were there before: they would count twice."""
    for position, place in enumerate(places):
        if place in places[:position]:
            yield Problem((*path, position), f"{place} is named twice, and would count twice", "name it once")


def check_places(path: Path, estimand: Estimand, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield layers that an arm's model does not have, and epochs that are not evaluated on it."""
    setup = arm.setup
    if estimand.layer is not None and any(metric.layered for metric in estimand.metrics.values()):
        yield from _check_layers(path, estimand.layer, name, setup)
    if isinstance(estimand.epoch, EpochRange):
        yield from _check_range(path, estimand.epoch, name, setup)
    elif isinstance(estimand.epoch, EpochSpent):
        return  # see check_budget
    elif isinstance(estimand.epoch, ChosenEpoch):
        if estimand.metric.declared:
            return  # see check_program
        yield from _check_chooser(path, estimand.epoch, name, arm)
    elif estimand.epoch is not None:
        yield from _check_epochs(path, estimand.epoch, name, setup)
    yield from _check_stops(path, estimand.epoch, name, setup)
    summary = estimand.epochs
    if summary is not None and summary in NEED_TWO and not isinstance(estimand.epoch, int):
        epochs = list_epochs(estimand, setup)
        if len(epochs) == 1:
            what = {"slope": "a slope", "area": "an area"}.get(summary, "a peak minus last")
            message = f"{what} needs two epochs or more, and on arm {name!r} there is only epoch {epochs[0]}"
            yield Problem((*path, "epochs"), message, _list_evaluated(setup), on_key=True)


def _check_layers(path: Path, layer: int | tuple[int, ...], name: str, setup: Setup) -> Iterator[Problem]:
    listed = isinstance(layer, tuple)
    for position, one in enumerate(layer if isinstance(layer, tuple) else (layer,)):
        if one > setup.model.depth:
            message = f"there is no layer {one} in arm {name!r}: layers run from 0 to {setup.model.depth}"
            yield Problem((*path, "layer", position) if listed else (*path, "layer"), message)


def _check_epochs(path: Path, epoch: int | tuple[int | str, ...], name: str, setup: Setup) -> Iterator[Problem]:
    named: tuple[int | str, ...] = epoch if isinstance(epoch, tuple) else (epoch,)
    listed = isinstance(epoch, tuple)
    for position, one in enumerate(named):
        if not isinstance(one, str) and one not in setup.evaluated_epochs:
            at = (*path, "epoch", position) if listed else (*path, "epoch")
            yield Problem(at, f"epoch {one} is not evaluated on arm {name!r}", _list_evaluated(setup))
        elif listed and one == setup.epochs and "last" in named:
            message = f"epoch {one} is the last on arm {name!r}, which is named beside it: it would count twice"
            yield Problem((*path, "epoch", position), message, "name it once")


def _check_range(path: Path, epoch: EpochRange, name: str, setup: Setup) -> Iterator[Problem]:
    for key, end in (("first", epoch.first), ("last", epoch.last)):
        if end is not None and end > setup.epochs:
            message = f"epoch {end} is after the end of training on arm {name!r}"
            yield Problem((*path, "epoch", key), message, _list_evaluated(setup))
            return
    if (epoch.first or 1) <= (epoch.last or math.inf) and not any(
        epoch.contains(one) for one in setup.evaluated_epochs
    ):
        message = f"no epoch of this range is evaluated on arm {name!r}"
        yield Problem((*path, "epoch"), message, _list_evaluated(setup))


def _check_stops(path: Path, epoch: Any, name: str, setup: Setup) -> Iterator[Problem]:
    """Yield a warning for an epoch to which an arm may not come, because a condition stops it."""
    if setup.until is None:
        return
    named = (epoch.first,) if isinstance(epoch, EpochRange) else epoch if isinstance(epoch, tuple) else (epoch,)
    latest = max((one for one in named if one in setup.evaluated_epochs), default=1)
    if latest > setup.evaluated_epochs[min(setup.until.evaluations, len(setup.evaluated_epochs)) - 1]:
        message = f"arm {name!r} may stop before epoch {latest}, by its condition (until), and then has no value there"
        remedy = "leave out epoch to read each replica's last, or read where it comes so far: epoch: {when: …}"
        yield Problem((*path, "epoch"), message, remedy, severity="warning")


def _find_chooser(epoch: ChosenEpoch) -> tuple[str, Path]:
    """Return the metric that chooses an epoch, and the keys below the estimand that lead to its name."""
    if isinstance(epoch, BestEpoch):
        return epoch.best, ("epoch", "best")
    return epoch.when.metric, ("epoch", "when", "metric")


def _check_chooser(path: Path, epoch: ChosenEpoch, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield a metric that is not measured on an arm whose epoch it chooses, or not often enough."""
    chooser, below = _find_chooser(epoch)
    yield from check_measured((*path, *below), chooser, name, arm)
    if isinstance(epoch, EpochWhen):
        yield from check_lasting((*path, "epoch", "when"), epoch.when, name, arm)


def check_budget(path: Path, estimand: Estimand, draft: Draft) -> Iterator[Problem]:
    """Yield a budget that is not known, or doesn't pay for the first epoch, or for far more than an arm can use."""
    epoch = estimand.epoch
    if not isinstance(epoch, EpochSpent) or any(name not in draft.arms for name in estimand.arms):
        return
    if estimand.metric.declared:
        return  # see check_program
    at = (*path, "epoch")
    for name in estimand.arms:
        last, per_epoch, budget = find_affordable(estimand, name, draft.arms)
        arm = draft.arms[name]
        if per_epoch is None:
            message = f"the {epoch.spent} of arm {name!r} are not known: neither its rule nor its model counts them"
            yield Problem((*at, "spent"), message, "compare at equal steps (spent: steps)")
        elif budget is not None and last is None:
            key = ("at_most",) if epoch.at_most is not None else ()
            spent = describe_spent(per_epoch, epoch.spent)
            message = f"arm {name!r} spends {spent} in its first epoch, more than {describe_spent(budget, epoch.spent)}"
            yield Problem((*at, *key), message, "let it spend more, or train the cheapest arm for more epochs")
        elif budget is not None and epoch.at_most is not None and per_epoch * arm.setup.epochs < budget:
            total = describe_spent(per_epoch * arm.setup.epochs, epoch.spent)
            message = f"arm {name!r} spends {total} in all, less than {describe_spent(budget, epoch.spent)}"
            remedy = f"let it spend less, train arm {name!r} for more epochs, or leave out at_most"
            yield Problem((*at, "at_most"), message, remedy)


def check_chooser(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield a metric that chooses the epoch and can't: it doesn't exist, has several values, or no direction."""
    epoch = estimand.epoch
    if not isinstance(epoch, ChosenEpoch) or estimand.metric.declared:
        return
    name, below = _find_chooser(epoch)
    at = (*path, *below)
    yield from check_name(at, name, "which epoch is best" if isinstance(epoch, BestEpoch) else "which is meant")
    metric = find_metric(name)
    if metric is None or not is_single(metric):
        return
    if isinstance(epoch, BestEpoch) and metric.better is None:
        message = f"{name} is better neither higher nor lower: no epoch is best by it"
        yield Problem(at, message, f"choose by another metric: {list_choosers()}")
    elif isinstance(epoch, EpochWhen):
        decided = ("no replica is ever read", "every replica is read at its first evaluation")
        yield from check_threshold((*path, "epoch", "when"), epoch.when, name, metric.bounds, decided)


def check_until(draft: Draft) -> Iterator[Problem]:
    """Yield conditions that can't stop a replica, or stop every one: of metrics, thresholds and evaluations."""
    for name, arm in draft.arms.items():
        until = arm.setup.until
        if until is None:
            continue
        path = ("arms", name, "setup", "until")
        metric = find_metric(until.metric)
        yield from check_name((*path, "metric"), until.metric, "when to stop")
        if metric is not None and is_single(metric):
            then = ("no replica ever stops", "every replica stops at its first evaluation")
            yield from check_threshold(path, until, until.metric, metric.bounds, then)
            yield from check_measured((*path, "metric"), until.metric, name, arm)
        yield from check_lasting(path, until, name, arm)


def check_tuning(draft: Draft) -> Iterator[Problem]:
    """Yield choices of an epoch by what the test split says: such a number is better than that of any fixed epoch."""
    for name, arm in draft.arms.items():
        if arm.setup.until is not None and reads_test(arm.setup.until.metric):
            message = f"tuning on the test split: {arm.setup.until.metric} reads it, and would say when to stop"
            remedy = f"stop by a metric that does not: {list_choosers()}"
            yield Problem(("arms", name, "setup", "until", "metric"), message, remedy)
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            path = (section, name)
            if estimand.metric.declared and isinstance(estimand.epoch, ChosenEpoch):
                continue  # see check_program
            if isinstance(estimand.epoch, ChosenEpoch) and reads_test(_find_chooser(estimand.epoch)[0]):
                chooser, at = _find_chooser(estimand.epoch)
                message = f"tuning on the test split: {chooser} reads it, and would choose the epoch that is judged"
                remedy = f"choose by a metric that does not: {list_choosers()}; or fix the epoch beforehand"
                yield Problem((*path, *at), message, remedy)
            elif (metric := _find_maximised(estimand)) is not None:
                message = f"tuning on the test split: the best of several epochs is chosen by {metric.called} itself"
                remedy = "fix the epoch beforehand, choose it by another metric (epoch: {best: …}), or take their mean"
                yield Problem((*path, "epochs"), message, remedy)


def _find_maximised(estimand: Estimand) -> Metric | None:
    """Return a metric of the test split that is best at the epoch which an extreme over epochs picks; None without.

    Of what is subtracted, the smallest difference picks the greatest.
    """
    sought = {"metric": estimand.epochs, "minus": {"min": "max", "max": "min"}.get(estimand.epochs or "")}
    for key, metric in estimand.metrics.items():
        if metric.measured_split == "test" and metric.better and sought[key] == EXTREME[metric.better]:
            return metric
    return None


def _list_evaluated(setup: Setup) -> str:
    """Return which epochs are evaluated."""
    every, last = setup.evaluation.every_epochs, setup.epochs
    if every == 1:
        return f"the last is {last}"
    return f"epoch 1, multiples of {every} and the last, {last}, are evaluated"
