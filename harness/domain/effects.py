"""Effects of parts of an arm on its training: said once, for checks of files and for the normal form."""

from __future__ import annotations

from collections.abc import Iterator

from harness.plugins.registry import Plugin
from harness.records import Arm
from harness.schedules import Schedule


def is_penalised(arm: Arm, frozen: frozenset[str]) -> bool:
    """Tell whether a penalty may change anything that is trained, where these parts of the model are ``frozen``.

    It reaches the blocks and, unless the rule keeps gradients within them, what lies before. Rules that give parts no
    credit, but move parameters by the value of their objective, have it reach all that they train.
    """
    model, rule = arm.setup.model, arm.rule
    reached = model.expand_groups(("blocks",))
    if arm.penalty is None or arm.penalty.strength == 0 or not reached:
        return False
    if not rule.local:
        reached |= {"embedding"} if rule.gives_site_credit else frozenset(model.groups())
    return not reached <= frozen


def list_schedules(part: Plugin) -> Iterator[tuple[str, Schedule]]:
    """Yield the schedules among the parameters of a rule, penalty or optimizer, each with the parameter's name."""
    for name in type(part).model_fields:
        if isinstance(schedule := getattr(part, name), Schedule):
            yield name, schedule
