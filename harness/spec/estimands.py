"""Checks of estimands and guards: everything they name exists, is measured, and makes sense for the arms concerned."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.standard_tests import choose_test
from harness.records import Arm, Estimand
from harness.spec.draft import Draft
from harness.spec.forms import join_names
from harness.spec.tree import Path, Problem
from harness.wording import format_count, format_exact, format_level


def check_estimands(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with estimands and exploratory estimands."""
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            path = (section, name)
            yield from _check_shape(path, estimand)
            if estimand.contrast is not None and len(set(estimand.contrast)) == 1:
                message = f"the contrast of {estimand.contrast[0]!r} with itself is always zero"
                yield Problem((*path, "contrast"), message, "name two arms")
            for position, arm_name in enumerate(estimand.arms):
                at = (*path, "contrast", position) if estimand.contrast is not None else (*path, "arm")
                if missing := draft.unknown("arms", "arm", arm_name):
                    yield Problem(at, missing, f"arms: {join_names(draft.names('arms'))}")
                elif arm_name in draft.arms:
                    yield from _check_arm(path, at, estimand, arm_name, draft.arms[arm_name])


def _check_shape(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield conflicts of layer, samples, transform and unit with the metric alone."""
    metric = estimand.metric
    if metric.layered and estimand.layer is None:
        yield Problem((*path, "layer"), f"{metric.name} has one value per layer: say which", "add layer: 0, 1, …")
    if not metric.layered and estimand.layer is not None:
        yield Problem((*path, "layer"), f"{metric.name} has no layers", "remove layer", on_key=True)
    if metric.per_sample and estimand.samples is None:
        message = f"{metric.name} has one value per probe sample: say how they are summarised"
        yield Problem((*path, "samples"), message, "add samples: mean, std or median")
    if not metric.per_sample and estimand.samples is not None:
        message = f"{metric.name} has one value per replica, not per sample"
        yield Problem((*path, "samples"), message, "remove samples", on_key=True)
    if estimand.pairing == "unpaired" and estimand.seeds != "mean":
        message = f"unpaired arms have no {estimand.seeds} of differences: only their means are compared"
        yield Problem((*path, "seeds"), message, "set seeds: mean, or remove pairing")
    low, high = metric.bounds
    if estimand.transform == "log10" and low < 0 and estimand.samples != "std":
        message = f"log10 needs a metric that is never negative; {metric.name} can be"
        yield Problem((*path, "transform"), message, "remove transform")
    if estimand.unit == "pp":
        if estimand.transform == "log10":
            yield Problem((*path, "unit"), "a logarithm has no percentage points", "remove unit or transform")
        elif low < 0 or high > 1:
            message = f"percentage points need a fraction between 0 and 1, which {metric.name} is not"
            yield Problem((*path, "unit"), message, "remove unit")


def _check_arm(path: Path, at: Path, estimand: Estimand, name: str, arm: Arm) -> Iterator[Problem]:
    metric, setup = estimand.metric, arm.setup
    if metric.needs_credit and not arm.rule.gives_credit:
        message = f"{metric.name} is not defined for arm {name!r}: rule {arm.rule.name} gives no credit vector"
        yield Problem(at, message, "choose an arm whose rule gives credit, or another metric")
    if metric.name not in setup.evaluation.metrics:
        message = f"{metric.name} is not measured on arm {name!r}"
        remedy = f"add it to setup.evaluation.metrics, which are: {', '.join(setup.evaluation.metrics)}"
        yield Problem((*path, "metric"), message, remedy)
    if metric.layered and estimand.layer is not None and estimand.layer > setup.model.depth:
        message = f"there is no layer {estimand.layer} in arm {name!r}: layers run from 0 to {setup.model.depth}"
        yield Problem((*path, "layer"), message)
    if estimand.epoch is not None and estimand.epoch not in setup.evaluated_epochs:
        every, last = setup.evaluation.every_epochs, setup.epochs
        message = f"epoch {estimand.epoch} is not evaluated on arm {name!r}"
        remedy = (
            f"epoch 1, multiples of {every} and the last, {last}, are evaluated" if every > 1 else f"the last is {last}"
        )
        yield Problem((*path, "epoch"), message, remedy)


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
        if guard.above is not None and guard.above >= high:
            yield Problem(
                (*path, "above"), f"{guard.estimand} is never above {format_exact(guard.above)}: the guard can't hold"
            )
        if guard.below is not None and guard.below <= low:
            yield Problem(
                (*path, "below"), f"{guard.estimand} is never below {format_exact(guard.below)}: the guard can't hold"
            )
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
            of = test if estimand.pairing == "unpaired" else f"the {test} of the {estimand.seeds}"
            message = f"{format_count(number, 'seed')} can't verify guard {name!r}: {of} needs {fewest} at alpha {at}"
            yield Problem(path, message, f"register {format_count(fewest, 'seed')} or more", on_key=True)
