"""Checks of comparisons: the weights of a contrast compare arms, and the rest of the estimand allows it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from harness.plugins.registry import find_members
from harness.records import Arm, Estimand, Setup
from harness.records.contrasts import EXAMPLE, RATIO_EXAMPLE, is_difference, sums_to_zero
from harness.records.readings import EpochWhen
from harness.records.trends import Trend
from harness.spec.tree import Path, Problem
from harness.wording import format_exact, join_words


def check_comparison(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield the problems with an estimand's contrast, ratio, trend or tasks."""
    if estimand.trend is not None:
        yield from _check_trend((*path, "trend"), estimand, estimand.trend)
    elif estimand.tasks is not None:
        yield from check_tasks(path, estimand, estimand.tasks)
    elif estimand.compares:
        yield from _check_weights((*path, estimand.comparison), estimand)
    if estimand.ratio is not None:
        yield from _check_ratio(path, estimand)


def _check_weights(path: Path, estimand: Estimand) -> Iterator[Problem]:
    weights, noun = estimand.weights, estimand.comparison
    yield from check_contrast(path, weights, noun)
    if any(weights.values()) and estimand.pairing == "unpaired" and not is_difference(weights):
        message = f"unpaired: Welch's test compares two arms, but this {noun} weighs {_list_terms(weights)}"
        remedy = "remove pairing (arms share their seeds), or compare two arms"
        yield Problem((*path[:-1], "pairing"), message, remedy)


def check_contrast(path: Path, weights: Mapping[str, float], noun: str = "contrast") -> Iterator[Problem]:
    """Yield the problems with the weights of a contrast or a ratio: it compares arms, each of which counts."""
    if not any(weights.values()):
        only = f"of {next(iter(weights))!r} with itself" if len(weights) == 1 else "of arms that all cancel out"
        yield Problem(path, f"the {noun} {only} is always {'zero' if noun == 'contrast' else 'one'}", "name two arms")
        return
    for arm, weight in weights.items():
        if weight == 0:
            yield Problem((*path, arm), f"arm {arm!r} cancels out of the {noun}", "leave it out, or check it")
    if not sums_to_zero(weights) and noun == "ratio":
        message = "the ratio does not divide as many arms by as many: its unit is not 1"
        yield Problem(path, message, f"divide each arm by another: {RATIO_EXAMPLE}")
    elif not sums_to_zero(weights):
        total = format_exact(math.fsum(weights.values()))
        message = f"the weights of the contrast sum to {total}, not to 0: {_list_terms(weights)}"
        remedy = f"a contrast compares arms, so what is added must be taken away: {EXAMPLE}"
        if len(weights) == 1:
            remedy = f"for one arm alone write arm: {next(iter(weights))} instead; {remedy}"
        yield Problem(path, message, remedy)


def check_tasks(path: Path, estimand: Estimand, tasks: Sequence[Mapping[str, float]]) -> Iterator[Problem]:
    """Yield what keeps tasks from being pooled: one that is no contrast or comes twice, another summary, no pairing."""
    if len(tasks) < 2:
        remedy = "list two contrasts or more, or write contrast instead of tasks"
        yield Problem((*path, "tasks"), "tasks needs at least 2 entries", remedy, on_key=True)
    for position, task in enumerate(tasks):
        at = (*path, "tasks", position)
        yield from check_contrast(at, task)
        if task in tasks[:position]:
            message = f"task {position + 1} is task {tasks.index(task) + 1} again, and would count twice"
            yield Problem(at, message, "list each task once")
    if estimand.seeds != "iqm":
        message = f"tasks are pooled in an interquartile mean over seeds and tasks, but seeds is {estimand.seeds}"
        remedy = "set seeds: iqm (criterion iqm_bootstrap), or write the mean over tasks as a contrast, mean(a, c) - "
        yield Problem((*path, "seeds"), message, f"{remedy}mean(b, d)")
    if estimand.pairing == "unpaired":
        message = "unpaired: Welch's test compares two arms, but tasks are pooled seed by seed"
        yield Problem((*path, "pairing"), message, "remove pairing: arms share their seeds")


def _check_ratio(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield what a ratio can't be taken of, and what is already part of it."""
    metric = estimand.metric
    if metric.bounds[0] < 0 and estimand.samples != "std":
        message = f"a ratio needs a metric that is never negative; {metric.called} can be"
        yield Problem((*path, "ratio"), message, "write contrast: first - second")
    if estimand.transform != "none":
        message = f"a ratio is tested on its log10 and takes no transform, but {estimand.transform} is set"
        yield Problem((*path, "transform"), message, "remove transform, or write contrast: first - second")
    for key, summary in (("layers", estimand.layers), ("epochs", estimand.epochs)):
        if summary in ("slope", "peak_minus_last"):
            message = f"a ratio of {'slopes' if summary == 'slope' else 'differences'} is not defined: they may be 0"
            yield Problem((*path, key), message, "write contrast: first - second, with transform: log10 for factors")
    if estimand.unit == "pp":
        yield Problem((*path, "unit"), "a ratio has no percentage points", "remove unit: bands are ratios")


def _check_trend(path: Path, estimand: Estimand, trend: Trend) -> Iterator[Problem]:
    """Yield what no slope can be taken of: one value alone, no logarithm, equal ranks, unpaired seeds."""
    by_value: dict[float, list[str]] = {}
    for arm, value in trend.arms.items():
        by_value.setdefault(value, []).append(arm)
    if len(by_value) < 2:
        message = f"{trend.over} is {format_exact(next(iter(by_value)))} in all arms of the trend"
        yield Problem((*path, "arms"), message, "name arms in which it differs")
        return
    least = min(by_value)
    if trend.shape == "log_linear" and least <= 0:
        message = f"{trend.over} is {format_exact(least)} in arm {by_value[least][0]!r}, which has no logarithm"
        remedy = "use shape: ranks (a slope per step) or monotone (every step), or leave that arm out"
        yield Problem((*path, "shape"), message, remedy)
    shared = next((arms for arms in by_value.values() if len(arms) > 1), None)
    if trend.shape == "ranks" and shared is not None:
        message = f"arms {join_words(list(map(repr, shared)))} have the same {trend.over}, and so no ranks"
        yield Problem((*path, "arms"), message, "use shape: linear or log_linear, or list the arms of one row")
    if estimand.pairing == "unpaired":
        message = "unpaired: Welch's test compares two arms, but a trend is a slope over the arms at each seed"
        yield Problem((*path[:-1], "pairing"), message, "remove pairing: arms share their seeds")


def check_pairing(path: Path, estimand: Estimand, arms: Mapping[str, Arm]) -> Iterator[Problem]:
    """Yield a warning for Welch's test of arms that are not independent: what they share depends on the seed."""
    told = estimand.pairing != "unpaired" or estimand.seeds != "mean" or estimand.onset is not None  # as an error
    if told or not all(arm in arms for arm in estimand.arms):
        return
    setups = [arms[arm].setup for arm in estimand.arms]
    if len(setups) == 2 and all((one.dataset, one.model) == (setups[0].dataset, setups[0].model) for one in setups):
        message = (
            "unpaired seeds: with a seed both arms get the same first weights and batches, and Welch's test takes "
        )
        message += "them as independent"
        remedy = "remove pairing: values are then paired by seed, without the variance that the arms share"
        yield Problem((*path, "pairing"), message, remedy, severity="warning")


def check_units(path: Path, estimand: Estimand, arms: Mapping[str, Arm]) -> Iterator[Problem]:
    """Yield a warning for a comparison across data sets: only differences within each of them have a common unit."""
    if not estimand.compares or not all(arm in arms for arm in estimand.arms):
        return
    if {arms[arm].is_program for arm in estimand.arms} == {True, False}:
        return  # the file says that the program measures what harness does, and on what is not known
    within: dict[str, dict[str, float]] = {}
    for arm, weight in estimand.weights.items():
        within.setdefault(_name_task(arms[arm].setup), {})[arm] = weight
    if len(within) > 1 and not all(map(sums_to_zero, within.values())):
        message = f"{estimand.called} on {join_words(list(within))} is compared: units of different data sets "
        message += "don't match"
        within_each = {"trend": "", "ratio": ", or ratios within each: (a / b) / (c / d)"}
        otherwise = ", or differences within each: (a - b) - (c - d)"
        remedy = f"compare arms on one data set{within_each.get(estimand.comparison, otherwise)}"
        yield Problem(path, message, remedy, severity="warning")


def check_losses(path: Path, estimand: Estimand, arms: Mapping[str, Arm]) -> Iterator[Problem]:
    """Yield a warning for a comparison of arms with different losses by a metric that is one, or where it is equal.

    Their units differ: at the start, binary cross entropy is C·log 2, where cross entropy is log C.
    """
    if not estimand.compares or not all(arm in arms for arm in estimand.arms):
        return
    losses = list(dict.fromkeys(_name_loss(arms[arm].setup) for arm in estimand.arms))
    if len(losses) < 2:
        return
    what = next((metric.name for metric in estimand.metrics.values() if metric.of_loss), "")
    if isinstance(estimand.epoch, EpochWhen) and _is_of_loss(estimand.epoch.when.metric):
        what = what or f"epochs of equal {estimand.epoch.when.metric}"
    stops = {arms[arm].setup.until for arm in estimand.arms}
    if len(stops) == 1 and (until := stops.pop()) is not None and _is_of_loss(until.metric):
        what = what or f"stops at equal {until.metric}"
    if what:
        message = f"arms are compared by {what}, and train on different losses: {join_words(losses)}"
        remedy = "compare arms with one loss, or by what no loss is the unit of: test_accuracy, train_loss_original"
        yield Problem(path, message, remedy, severity="warning")


def _is_of_loss(name: str) -> bool:
    metric = find_members("metrics").get(name)
    return bool(getattr(metric, "of_loss", False))


def _name_loss(setup: Setup) -> str:
    """Return the loss with its parameters."""
    told = setup.loss.model_dump(mode="json")
    name, more = told.pop("name"), ", ".join(f"{key} {value}" for key, value in told.items() if value)
    return f"{name} with {more}" if more else str(name)


def _name_task(setup: Setup) -> str:
    """Return the data set, with the classes that are told apart if these are not all."""
    if setup.classes == setup.dataset.classes:
        return setup.dataset.name
    return f"{setup.dataset.name} of classes {join_words([str(number) for number in setup.class_numbers])}"


def check_likeness(path: Path, tasks: Sequence[Mapping[str, float]], arms: Mapping[str, Arm]) -> Iterator[Problem]:
    """Yield a warning for a task whose arms learn by other rules, or under other penalties, than those of the first."""
    told = not all(any(task.values()) and sums_to_zero(task) for task in tasks)  # as an error
    if told or not all(arm in arms for task in tasks for arm in task):
        return
    kinds = [sorted((weight, *_describe_kind(arms[arm])) for arm, weight in task.items()) for task in tasks]
    for position, kind in enumerate(kinds):
        if kind != kinds[0]:
            message = f"task {position + 1} compares other rules, penalties or weights than task 1"
            remedy = "pool contrasts of like arms, which differ in data, model or another setting"
            yield Problem((*path, position), message, remedy, severity="warning")


def _describe_kind(arm: Arm) -> tuple[str, str]:
    penalty = "" if arm.penalty is None or arm.penalty.strength == 0 else arm.penalty.name
    return arm.rule.name, penalty


def _list_terms(weights: Mapping[str, float]) -> str:
    """Return weights as the checker read them: ``0.5 a, 0.5 b and −1 c``."""
    return join_words([f"{format_exact(weight)} {arm}" for arm, weight in weights.items()])
