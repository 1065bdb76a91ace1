"""Checks of options that change nothing about how an arm trains, and of beginnings that no training leaves."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.effects import is_penalised, list_schedules
from harness.records import Arm
from harness.rules import find_backward
from harness.schedules import Schedule
from harness.spec.draft import Draft
from harness.spec.tree import Path, Problem


def check_effects(draft: Draft) -> Iterator[Problem]:
    """Yield a warning for every option of a well-formed arm that certainly has no effect."""
    decayed = {arm.rule.name for arm in draft.arms.values() if arm.setup.optimizer.weight_decay}
    for name, arm in draft.arms.items():
        try:
            frozen = arm.setup.model.expand_groups(arm.freeze)
        except ValueError:
            continue  # reported elsewhere
        path = ("arms", name)
        for at, message, remedy in (
            *_find_scales(arm, frozen),
            *_find_clip(arm, frozen),
            *_find_penalty(arm, frozen),
            *_find_own(arm),
            *(_find_decay(arm) if arm.rule.name not in decayed else ()),
        ):
            yield Problem((*path, *at), message, remedy, severity="warning")


Idle = tuple[Path, str, str]
"""Path within an arm, what has no effect, and what to do."""


def _find_scales(arm: Arm, frozen: frozenset[str]) -> Iterator[Idle]:
    """Yield factors on credit that the optimizer divides out again: no clip and no penalty is weighed against them."""
    optimizer, rule = arm.setup.optimizer, arm.rule
    clips = not set(rule.clip_norms(arm.setup.model)) <= frozen
    if not optimizer.ignores_scale or clips or is_penalised(arm, frozen):
        return
    for name in _list_changed(arm, rule.credit_scales):
        message = f"{name} has no effect under {optimizer.name}, which divides gradients by their size, eps aside"
        yield ("rule", name), message, "leave it out, or use an optimizer to which the scale matters, such as sgd"


def _find_clip(arm: Arm, frozen: frozenset[str]) -> Iterator[Idle]:
    """Yield a clip of gradients that there are none of."""
    norms = arm.rule.clip_norms(arm.setup.model)
    if getattr(arm.rule, "clip", None) is not None and set(norms) <= frozen and _list_changed(arm, ("clip",)):
        why = "the blocks are frozen" if norms else "the model has no blocks"
        yield ("rule", "clip"), f"clip has no effect: {why}", "leave it out"


def _find_penalty(arm: Arm, frozen: frozenset[str]) -> Iterator[Idle]:
    """Yield a penalty that reaches nothing that is trained."""
    if arm.penalty is None or arm.penalty.strength == 0 or is_penalised(arm, frozen):
        return
    why = "what it reaches is frozen" if arm.setup.model.depth else "the model has no blocks"
    yield ("penalty",), f"penalty {arm.penalty.name} has no effect: {why}", "leave it out, or train a block"


def _find_own(arm: Arm) -> Iterator[Idle]:
    """Yield what a rule or a schedule says of its own parameters."""
    for name, why in arm.rule.find_idle(arm.setup.model).items():
        yield ("rule", name), f"{name} has no effect: {why}", "leave it out"
    for at, schedule in _list_schedules(arm):
        if idle := schedule.explain_idle():
            yield at, f"the schedule has no effect: {idle}", "leave it out, or change it"


def _find_decay(arm: Arm) -> Iterator[Idle]:
    """Yield a lack of weight decay, without which feedback that learns never approaches the weights.

    It is meant where another arm of the rule has one, to which it is compared.
    """
    if arm.rule.needs_decay and not arm.setup.optimizer.weight_decay:
        message = f"without weight decay, feedback comes no closer to the weights under {arm.rule.name}"
        at = ("setup", "optimizer")
        yield at, f"{message}: their angle falls only as what they share grows", "set weight_decay in the optimizer"


def _list_changed(arm: Arm, names: tuple[str, ...]) -> list[str]:
    """Return those of a rule's parameters that are not at their defaults."""
    fields = type(arm.rule).model_fields
    return [name for name in names if getattr(arm.rule, name) != fields[name].default]


def check_schedules(path: Path, arm: Arm) -> Iterator[Problem]:
    """Yield schedules of which a part lies beyond the last epoch, so that what the file says never happens."""
    epochs = arm.setup.epochs
    for at, schedule in _list_schedules(arm):
        if unreached := schedule.explain_unreached(epochs):
            message = f"{unreached}: training ends at epoch {epochs:,}"
            remedy = "fit the schedule to epochs, or train for longer"
            yield Problem((*path, *at), message, remedy, severity="warning")


def _list_schedules(arm: Arm) -> Iterator[tuple[Path, Schedule]]:
    """Yield the schedules of an arm with their paths in it: of the learning rate, and of strengths."""
    holders = ((("rule",), arm.rule), (("penalty",), arm.penalty), (("setup", "optimizer"), arm.setup.optimizer))
    for at, holder in holders:
        for name, schedule in () if holder is None else list_schedules(holder):
            yield (*at, name), schedule


def check_stuck(path: Path, arm: Arm) -> Iterator[Problem]:
    """Yield an arm whose weights all begin at zero, and whose rule never takes some of them away from there."""
    rule, model = arm.rule, arm.setup.model
    if not rule.is_stuck_at_zero(model.depth, model.is_silent_at_zero):
        return
    if find_backward(rule) == "through":
        message = f"{rule.name} sends the error back through the weights, which begin at zero: nothing passes"
    else:
        message = f"weights begin at zero, where {rule.name} gives units no credit or all the same: they stay alike"
    yield Problem(path, message, "choose another init, or a rule with feedback of its own")
