"""Checks of estimands and guards: everything they name exists, is measured, and makes sense for the arms concerned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from harness.domain.measured import explain_undefined, find_lack
from harness.domain.standard_tests import choose_test
from harness.metrics import Metric
from harness.records import Arm, Estimand, Setup
from harness.spec.comparisons import check_comparison, check_likeness, check_losses, check_units
from harness.spec.draft import Draft
from harness.spec.forms import join_names
from harness.spec.minus import check_minus
from harness.spec.onsets import check_onset, check_onset_on_arm, find_too_late
from harness.spec.readings import check_budget, check_chooser, check_places, check_summaries
from harness.spec.tree import Path, Problem
from harness.wording import format_count, format_exact, format_level, name_target

KEYS: Mapping[str, Path] = {
    "arm": ("arm",), "contrast": ("contrast",), "ratio": ("ratio",), "trend": ("trend", "arms"), "tasks": ("tasks",)
}  # fmt: skip
"""Kind of comparison → keys that lead to its arms."""


def check_estimands(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with estimands and exploratory estimands."""
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            path = (section, name)
            yield from _check_shape(path, estimand)
            yield from check_minus(path, estimand, draft.names("metrics"))
            yield from check_summaries(path, estimand)
            yield from check_chooser(path, estimand)
            yield from check_budget(path, estimand, draft)
            yield from check_onset(path, estimand)
            yield from check_comparison(path, estimand)
            yield from check_units((*path, estimand.comparison), estimand, draft.arms)
            yield from check_losses((*path, estimand.comparison), estimand, draft.arms)
            yield from check_likeness((*path, "tasks"), estimand.tasks or (), draft.arms)
            for arm_name in estimand.arms:
                at = (*path, *_locate_arm(estimand, arm_name))
                if missing := draft.unknown("arms", "arm", arm_name):
                    yield Problem(at, missing, f"arms: {join_names(draft.names('arms'))}")
                elif arm_name in draft.arms:
                    yield from _check_arm(path, at, estimand, arm_name, draft.arms[arm_name])


def _locate_arm(estimand: Estimand, arm: str) -> Path:
    """Return the path inside an estimand at which it first names an arm."""
    for position, task in enumerate(estimand.tasks or ()):
        if arm in task:
            return ("tasks", position, arm)
    return (*KEYS[estimand.comparison], *([arm] if estimand.compares else []))


def _check_shape(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield conflicts of layer, samples, transform and unit with the metric alone."""
    metrics, called = estimand.metrics.values(), estimand.called
    if estimand.layer is None and (layered := [metric.called for metric in metrics if metric.layered]):
        yield Problem((*path, "layer"), f"{layered[0]} has one value per layer: say which", "add layer: 0, 1, …")
    if estimand.layer is not None and not any(metric.layered for metric in metrics):
        yield Problem((*path, "layer"), f"{called} has no layers", "remove layer", on_key=True)
    if estimand.samples is None and (sampled := [metric.called for metric in metrics if metric.per_sample]):
        message = f"{sampled[0]} has one value per probe sample: say how they are summarised"
        yield Problem((*path, "samples"), message, "add samples: mean, std or median")
    if estimand.samples is not None and not any(metric.per_sample for metric in metrics):
        message = f"{called} has one value per replica, not per sample"
        yield Problem((*path, "samples"), message, "remove samples", on_key=True)
    if estimand.pairing == "unpaired" and estimand.seeds != "mean":
        message = f"unpaired arms have no {name_target(estimand.seeds)} of differences: only their means are compared"
        yield Problem((*path, "seeds"), message, "set seeds: mean, or remove pairing")
    low, high = (end(metric.bounds[i] for metric in metrics) for i, end in enumerate((min, max)))
    if estimand.transform == "log10" and low < 0 and estimand.samples != "std" and estimand.minus is None:
        message = f"log10 needs a metric that is never negative; {called} can be"
        yield Problem((*path, "transform"), message, "remove transform")
    if estimand.unit == "pp" and estimand.ratio is None:
        if estimand.transform == "log10":
            yield Problem((*path, "unit"), "a logarithm has no percentage points", "remove unit or transform")
        elif low < 0 or high > 1:
            message = f"percentage points need a fraction between 0 and 1, which {called} is not"
            yield Problem((*path, "unit"), message, "remove unit")


def _check_arm(path: Path, at: Path, estimand: Estimand, name: str, arm: Arm) -> Iterator[Problem]:
    for key, metric in estimand.metrics.items():
        yield from _check_measured((*path, key), at, metric, name, arm)
    yield from check_places(path, estimand, name, arm)
    yield from check_onset_on_arm(path, estimand, name, arm)


def _check_measured(path: Path, at: Path, metric: Metric, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield a metric that is not defined for an arm, whose place is ``at``, or not measured on it."""
    setup = arm.setup
    undefined = explain_undefined(metric, arm.rule, setup)
    if undefined is not None:
        asked = metric.name if find_lack(metric, arm.rule) is not None else metric.key
        yield Problem(at, f"{asked} is not defined for arm {name!r}: {undefined[0]}", undefined[1])
    if metric.key not in setup.evaluation.keys and not arm.is_program and not metric.declared:
        message = f"{metric.key} is not measured on arm {name!r}"
        remedy = f"add {_write_metric(metric)} to setup.evaluation.metrics, which are: {_list_measured(setup)}"
        yield Problem(path, message, remedy)


def _write_metric(metric: Metric) -> str:
    """Write a metric as a list of metrics in a file has it."""
    parts = [f"{name}: {json.dumps(value)}" for name, value in metric.parameters.items()]
    return f"{{name: {metric.name}, {', '.join(parts)}}}".replace('"', "") if parts else "it"


def _list_measured(setup: Setup) -> str:
    return ", ".join(setup.evaluation.keys) or "none"


def check_guards(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with guards: estimand, threshold, and too few seeds to ever verify them."""
    for name, guard in draft.guards.items():
        path = ("guards", name)
        if missing := draft.unknown("estimands", "estimand", guard.estimand):
            remedy = "it is exploratory: move it to estimands" if guard.estimand in draft.names("exploratory") else None
            yield Problem((*path, "estimand"), missing, remedy)
            continue
        estimand = draft.estimands.get(guard.estimand)
        if estimand is None:
            continue
        if estimand.transform == "absolute_after":
            message = f"a guard has one threshold, but {guard.estimand} is judged by its absolute value"
            yield Problem((*path, "estimand"), message, "guard an estimand without absolute_after")
        low, high = estimand.domain
        if estimand.ratio is not None and (guard.above is not None and guard.above <= 0):
            message = f"{guard.estimand} is a ratio, which is always above {format_exact(guard.above)}"
            yield Problem((*path, "above"), message, "guard it with a ratio above 0, such as 1")
        if guard.above is not None and guard.above >= high:
            yield Problem(
                (*path, "above"), f"{guard.estimand} is never above {format_exact(guard.above)}: the guard can't hold"
            )
        if guard.below is not None and guard.below <= low:
            yield Problem(
                (*path, "below"), f"{guard.estimand} is never below {format_exact(guard.below)}: the guard can't hold"
            )
        threshold, side = (guard.above, "above") if guard.above is not None else (guard.below, "below")
        if threshold is not None and (late := find_too_late(threshold, estimand, draft)) is not None:
            yield Problem((*path, side), *late)
        if draft.seeds is None:
            continue
        test, criterion = choose_test(estimand)
        number = draft.seeds.number
        looks = len(draft.stopping.numbers(number))
        alpha = guard.alpha / looks
        at = (
            format_level(alpha)
            if looks == 1
            else f"{format_level(alpha)}, {format_level(guard.alpha)} over {looks} looks"
        )
        fewest = criterion.smallest_n(alpha)
        if number < fewest:
            of = f"the {test} of the {estimand.seeds}" if estimand.pairing == "seed" else test
            of = f"the {test}" if estimand.seeds == "iqm" else of
            message = f"{format_count(number, 'seed')} can't verify guard {name!r}: {of} needs {fewest} at alpha {at}"
            yield Problem(path, message, f"register {format_count(fewest, 'seed')} or more", on_key=True)
