"""Candidates of tuned arms: what a search trains, and arms as they were chosen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.domain.draws import draw_candidates, sort_values
from harness.records import Arm, Distribution, Hypothesis, Seeds, Stopping
from harness.records.tuning import Tuning, Value, Values
from harness.wording import format_for_file

DRAWN = {"uniform": "uniformly", "loguniform": "log-uniformly", "integer": "among the whole numbers"}


def is_drawn(tuning: Tuning | None, name: str) -> bool:
    """Tell whether the candidates of an arm are drawn: there is a distribution in its space."""
    space = tuning.space.get(name, {}) if tuning is not None else {}
    return any(isinstance(values, Distribution) for values in space.values())


def list_candidates(tuning: Tuning | None, name: str, seeds: Sequence[int] = ()) -> tuple[dict[str, Value], ...]:
    """Return the values of each candidate of an arm, by path; of an arm that is not tuned there is one, without any.

    ``seeds`` are the tuning seeds, from which candidates follow that are drawn; those of a grid need none.
    """
    space = tuning.space.get(name, {}) if tuning is not None else {}
    if tuning is not None and is_drawn(tuning, name):
        return draw_candidates(space, count_candidates(tuning, name), seeds)
    lists = [values for values in space.values() if not isinstance(values, Distribution)]
    return tuple(dict(zip(space, cell, strict=True)) for cell in itertools.product(*lists))


def count_candidates(tuning: Tuning | None, name: str) -> int:
    """Return the number of candidates of an arm; 1 if it is not tuned, or how many are to be drawn is missing."""
    if tuning is None:
        return 1
    if is_drawn(tuning, name):
        return tuning.trials or 1
    return math.prod(len(values) for values in tuning.space.get(name, {}).values() if isinstance(values, tuple))


def find_corner(tuning: Tuning, name: str) -> dict[str, Value]:
    """Return the first values of an arm's space, whatever the order of its lists: low ends where numbers are drawn."""
    return {path: find_low(values) for path, values in tuning.space.get(name, {}).items()}


def find_low(values: tuple[Value, ...] | Distribution) -> Value:
    """Return the first of some values, or the low end of a distribution as it would be drawn."""
    if isinstance(values, Distribution):
        return int(values.low) if values.distribution == "integer" else values.low
    return sort_values(values)[0]


def describe_draws(tuning: Tuning, name: str) -> dict[str, object]:
    """Return a drawn space as JSON values that don't depend on the order of a file."""
    space = {
        path: values.model_dump(mode="json") if isinstance(values, Distribution) else sort_values(values)
        for path, values in tuning.space[name].items()
    }
    return {"space": space, "trials": count_candidates(tuning, name)}


def set_values(arm: Arm, values: Values) -> Arm:
    """Return an arm with other values at some of its paths."""
    plain = arm.model_dump()
    for path, value in values.items():
        *steps, last = path.split(".")
        place: Any = plain
        for step in steps:
            place = place[step]
        place[last] = value
    return Arm.model_validate(plain)


def find_selector(hypothesis: Hypothesis) -> str:
    """Return the key, in measurements, of the metric by which candidates are chosen: a program's says what it is."""
    assert hypothesis.tuning is not None, "only a tuned hypothesis has one"
    select = hypothesis.tuning.select
    own = (metric for arm in hypothesis.programmed.values() for metric in arm.setup.evaluation.measured)
    return next((metric.key for metric in own if metric.called == select), select)


def name_candidate(arm: str, position: int) -> str:
    """Return the name of a candidate among the arms of its search, counted from 1; no two candidates share one."""
    return f"{arm}_{position + 1}"


def count_replicas(tuning: Tuning) -> int:
    """Return the number of replicas that a search trains."""
    return tuning.seeds * sum(count_candidates(tuning, name) for name in tuning.space)


def list_replicas(tuning: Tuning) -> list[tuple[str, int]]:
    """Return arm and seed index of every replica that a search trains."""
    return [
        (name_candidate(name, position), index)
        for name in tuning.space
        for position in range(count_candidates(tuning, name))
        for index in range(tuning.seeds)
    ]


def make_search(hypothesis: Hypothesis, seeds: Sequence[int] = ()) -> Hypothesis:
    """Return a hypothesis whose arms are the candidates of all tuned arms, as they are trained before anything decides.

    ``seeds`` are the tuning seeds, from which drawn candidates follow.

    Nothing but its arms, its number of seeds and its id mean anything. It keeps no weights.
    """
    tuning = hypothesis.tuning
    assert tuning is not None, "only a tuned hypothesis has a search"
    arms = {
        name_candidate(name, position): _keep_nothing(set_values(hypothesis.arms[name], values))
        for name in tuning.space
        for position, values in enumerate(list_candidates(tuning, name, seeds))
    }
    return hypothesis.model_copy(
        update={"arms": arms, "seeds": Seeds(count=tuning.seeds), "stopping": Stopping(), "tuning": None}
    )


def _keep_nothing(arm: Arm) -> Arm:
    return arm.model_copy(update={"setup": arm.setup.model_copy(update={"save": (), "save_epochs": ()})})


def apply_choices(hypothesis: Hypothesis, choices: Mapping[str, Values]) -> Hypothesis:
    """Return the hypothesis with every tuned arm as it was chosen; its space is kept."""
    chosen = {name: set_values(arm, choices.get(name, {})) for name, arm in hypothesis.arms.items()}
    return hypothesis.model_copy(update={"arms": chosen})


def describe_values(values: tuple[Value, ...] | Distribution) -> str:
    """Say what is tried at a path, after it: ``one of 1, 2`` or ``log-uniformly from 0.0001 to 0.1``."""
    if isinstance(values, Distribution):
        return f"{DRAWN[values.distribution]} from {format_for_file(values.low)} to {format_for_file(values.high)}"
    return f"one of {', '.join(map(write_value, values))}"


def write_settings(values: Values) -> str:
    """Return the values of a candidate in words, each after its path."""
    return ", ".join(f"{path} {write_value(value)}" for path, value in values.items())


def write_value(value: Value) -> str:
    """Return a value of a space as a file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else format_for_file(value)
