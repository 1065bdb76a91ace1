"""Checks that the file's author asks for: the preconditions that are named in it, by the plug-ins' own code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from harness.domain.places import list_layers
from harness.preconditions import Asked, AskedArm, AskedEstimand, Obstacle, Precondition
from harness.records import Arm, Estimand, Hypothesis
from harness.spec.draft import Draft
from harness.spec.tree import MAX_FINDINGS, Path, Problem


def check_preconditions(draft: Draft) -> Iterator[Problem]:
    """Yield what the set-up does not meet; nothing while arms or estimands have errors of their own."""
    if draft.whole is None or not draft.whole.preconditions or (asked := describe_set_up(draft.whole)) is None:
        return
    for position, precondition in enumerate(draft.whole.preconditions):
        path: Path = ("preconditions", position)
        try:
            obstacles = [_require_obstacle(found) for found in islice(precondition.find_obstacles(asked), MAX_FINDINGS)]
        except Exception as error:  # its code may be anyone's, and fail in any way
            message = f"precondition {precondition.name} could not be checked: {type(error).__name__}: {error}"
            yield Problem(path, message, "tell whoever wrote the plug-in, or leave the precondition out")
            continue
        yield from (_report(precondition, path, obstacle) for obstacle in obstacles)


def _require_obstacle(found: object) -> Obstacle:
    if not isinstance(found, Obstacle):
        raise TypeError(f"it yields a {type(found).__name__} where an Obstacle is expected")
    return found


def _report(precondition: Precondition, path: Path, obstacle: Obstacle) -> Problem:
    message = f"precondition {precondition.name} is not met: {obstacle.message}"
    return Problem(obstacle.at or path, message, obstacle.remedy, severity=precondition.severity)


def describe_set_up(hypothesis: Hypothesis) -> Asked | None:
    """Return what preconditions see of a file; None if an estimand names no arm, or an arm freezes no part."""
    named = {arm for estimand in hypothesis.estimands.values() for arm in estimand.arms}
    if not named <= hypothesis.arms.keys():
        return None
    try:
        arms = {name: _describe_arm(name, arm) for name, arm in hypothesis.arms.items()}
    except ValueError:
        return None
    estimands = {name: _describe_estimand(name, estimand) for name, estimand in hypothesis.estimands.items()}
    return Asked(arms, estimands, hypothesis.seeds.number)


def _describe_arm(name: str, arm: Arm) -> AskedArm:
    setup = arm.setup
    return AskedArm(
        label=arm.label,
        rule=arm.rule,
        penalty=arm.penalty,
        frozen=setup.model.expand_groups(arm.freeze),
        dataset=setup.dataset,
        train_count=setup.train_count,
        model=setup.model,
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        probe_samples=setup.evaluation.probe_samples,
        at=("arms", name),
        stops=setup.until is not None,
    )


def _describe_estimand(name: str, estimand: Estimand) -> AskedEstimand:
    return AskedEstimand(
        metric=estimand.metric,
        minus=estimand.minus,
        weights=estimand.weights,
        layers=() if estimand.layer is None else list_layers(estimand),
        at=("estimands", name, estimand.comparison),
    )
