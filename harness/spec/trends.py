"""Expansion of trends: the arms of a matrix or a list get the numbers that they are trained with, in their order.

A monotone trend becomes one contrast per step, with guards and decisions of its own. That every step rises is shown if
each decision is shown at its α (an intersection–union test), which ``combine: {rule: all}`` says of the trend's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from harness.records import Arm
from harness.records.contrasts import ROUNDING
from harness.records.trends import PER, Trend
from harness.spec.forms import make_part
from harness.spec.tree import Node, Path, Problem
from harness.wording import format_exact, join_words, suggest

SECTIONS = ("estimands", "exploratory")
SHAPES = (*PER, "monotone")
WITHOUT_PENALTY = {"penalty.strength": 0.0}
"""Path → number of an arm that lacks the part that the path leads into."""


@dataclass
class _Expansion:
    """The trends of one document, as they are expanded."""

    parts: dict[str, Node]
    matrices: Mapping[str, Sequence[str]]
    """Arm with a matrix → the arms that it makes."""
    problems: list[Problem] = field(default_factory=list)
    steps: dict[str, list[str]] = field(default_factory=dict)
    """Estimand with a monotone trend → its steps."""


def expand_trends(
    parts: dict[str, Node], matrices: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Node], list[Problem]]:
    """Return the parts of a document with all trends expanded, and the problems at paths of the document as written."""
    work = _Expansion(dict(parts), matrices)
    for section in SECTIONS:
        if section in parts and isinstance(parts[section].value, dict):
            made: dict[str, Node] = {}
            given = parts[section].items()
            for name, node in given.items():
                expanded = _expand_estimand(work, (section, name), node)
                work.problems += [
                    Problem((section, name), f"its trend makes a second estimand {taken!r}", "rename one", on_key=True)
                    for taken in expanded.keys() & ((given.keys() | made.keys()) - {name})
                ]
                made |= expanded
            work.parts[section] = replace(parts[section], value=made)
    if work.steps:
        _expand_users(work)
    return work.parts, [replace(problem, rule="estimands") for problem in work.problems]


def _expand_estimand(work: _Expansion, path: Path, node: Node) -> dict[str, Node]:
    """Return an estimand with its trend's numbers, or the estimands of a monotone trend's steps."""
    name = str(path[-1])
    trend = node.get("trend")
    over, arms, shape = (trend.get(key) if trend is not None else None for key in ("over", "arms", "shape"))
    if trend is None or over is None or arms is None or not isinstance(over.value, str):
        return {name: node}
    path = (*path, "trend")
    if shape is not None and isinstance(shape.value, str) and shape.value not in SHAPES:
        message = f"shape must be {join_words(SHAPES, 'or')}, is {shape.value!r}{suggest(shape.value, SHAPES)}"
        work.problems.append(Problem((*path, "shape"), message))
    listed = _list_arms(work, (*path, "arms"), arms)
    if listed is None:
        return {name: node}
    numbers = list(_read_numbers(work, path, over.value, listed))
    if len(numbers) < len(listed):  # reported, or the arms are malformed, which is reported too
        numbers = [(arm, at, float(position)) for position, (arm, at) in enumerate(listed.items(), 1)]
    elif _find_other_differences(work, over.value, numbers):
        message = f"the arms of the trend differ in more than {over.value}, so that it is not of that alone"
        remedy = "let all other settings be the same for every number"
        work.problems.append(Problem((*path, "arms"), message, remedy, severity="warning"))
    elif path[0] == "estimands" and shape is not None and (idle := _find_idle(str(shape.value), numbers)) is not None:
        message = (
            f"arm {idle!r} has no weight: the slope over three evenly spaced arms is that from the first to the last"
        )
        remedy = "use shape: monotone to ask for every step, add an arm, or write contrast: last - first"
        work.problems.append(Problem((*path, "arms"), message, remedy, severity="warning"))
    numbers.sort(key=lambda one: one[2])
    if shape is not None and shape.value == "monotone" and path[0] == "estimands":
        return _make_steps(work, path, node, numbers)
    valued = {arm: replace(at, value=number) for arm, at, number in numbers}
    expanded = replace(trend, value={**trend.items(), "arms": replace(arms, value=valued)})
    if shape is not None and shape.value == "monotone":
        message = "a monotone trend is a family of decisions, and what is exploratory decides nothing"
        work.problems.append(Problem((*path, "shape"), message, "use shape: ranks, or move it to estimands"))
        expanded = replace(expanded, value={**expanded.items(), "shape": replace(shape, value="ranks")})
    return {name: replace(node, value={**node.items(), "trend": expanded})}


def _list_arms(work: _Expansion, path: Path, arms: Node) -> dict[str, Node] | None:
    """Return the arms that a trend names, each with a node at its place; None if it names none."""
    if isinstance(arms.value, str):
        if (made := work.matrices.get(arms.value)) is not None:
            return dict.fromkeys(made, arms)
        message = f"there is no arm {arms.value!r} with a matrix{suggest(arms.value, work.matrices)}"
        if arms.value in (work.parts["arms"].items() if "arms" in work.parts else ()):
            message = f"arm {arms.value!r} has no matrix"
        remedy = "name an arm whose matrix varies the number, or list the arms: arms: [a, b, c]"
        work.problems.append(Problem(path, message, remedy))
        return {arms.value: arms}
    if isinstance(arms.value, list) and arms.value and all(isinstance(arm.value, str) for arm in arms.value):
        found: dict[str, Node] = {}
        for position, arm in enumerate(arms.value):
            if arm.value in found:
                message = f"arm {arm.value!r} is listed twice"
                work.problems.append(Problem((*path, position), message, "name each arm once"))
            found[str(arm.value)] = arm
        return found
    return None if not isinstance(arms.value, dict) else dict(arms.value)


def _read_numbers(
    work: _Expansion, path: Path, over: str, listed: Mapping[str, Node]
) -> Iterator[tuple[str, Node, float]]:
    """Yield arm, node and number of all arms that have one; the others are reported."""
    given = work.parts["arms"].items() if "arms" in work.parts else {}
    for arm, node in listed.items():
        record = make_part(Arm, given.get(arm))
        if record is None:
            continue  # unknown or malformed, and reported as such
        value, missing = _follow(record, over)
        at = (*path, "over")
        if missing is not None:
            message = f"arm {arm!r} has no {missing}"
            work.problems.append(Problem(at, message, "give a path that leads to a number in all arms"))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            message = f"{over} has no order: it is {_show(value)} in arm {arm!r}, and a trend is over numbers"
            work.problems.append(Problem(at, message, "compare the arms: contrast: first - second"))
        elif _is_number(node) and node.value != value:
            message = f"{over} is {format_exact(value)} in arm {arm!r}, not {format_exact(float(str(node.value)))}"
            remedy = "list the arms without numbers, which are read from the arms"
            work.problems.append(Problem((*path, "arms", arm), message, remedy))
        else:
            yield arm, node, float(value)
            continue
        return


def _find_other_differences(work: _Expansion, over: str, numbers: Sequence[tuple[str, Node, float]]) -> bool:
    """Tell whether arms differ in more than the number at a path, unless each number has the same kinds of arms."""
    kinds: dict[float, set[str]] = {}
    penalties = set()
    for name, _, number in numbers:
        arm = make_part(Arm, work.parts["arms"].get(name))
        assert arm is not None, "its number was read"
        kinds.setdefault(number, set()).add(_describe_rest(arm, over.split(".")))
        penalties |= {arm.penalty.name} if arm.penalty is not None else set()
    mixed = over.startswith("penalty.") and len(penalties) > 1
    return mixed or len(set(map(frozenset, kinds.values()))) > 1


def _find_idle(shape: str, numbers: Sequence[tuple[str, Node, float]]) -> str | None:
    """Return the arm in the middle of three whose value does not enter their slope; None of other trends."""
    values = {arm: number for arm, _, number in numbers}
    if shape not in PER or len(set(values.values())) != 3 or len(values) != 3:
        return None
    if shape == "log_linear" and min(values.values()) <= 0:
        return None  # a check refuses it
    weights = Trend.model_validate({"over": "number", "arms": values, "shape": shape}).weights
    return next((arm for arm, weight in weights.items() if abs(weight) <= ROUNDING * max(weights.values())), None)


def _describe_rest(arm: Arm, over: Sequence[str]) -> str:
    """Return how an arm is trained, without the number at a path; over a penalty's strength, without the penalty."""
    plain: dict[str, Any] = arm.model_dump(mode="json", exclude={"label": True, "setup": {"evaluation", "save"}})
    part = plain
    for step in over[:-1] if over[0] != "penalty" else ():
        part = part.get(step, {})  # a number of the evaluation is not there
    part.pop(over[-1] if over[0] != "penalty" else "penalty", None)
    return json.dumps(plain, sort_keys=True)


def _follow(record: BaseModel, over: str) -> tuple[Any, str | None]:
    """Return the value at a path inside an arm, and None; or None, and what is missing, with the nearest name."""
    value: Any = record
    for step in over.split("."):
        if value is None and over in WITHOUT_PENALTY:
            return WITHOUT_PENALTY[over], None
        known = list(type(value).model_fields if isinstance(value, BaseModel) else value or ())
        if step not in known:
            return None, f"{over}{suggest(step, known)}"
        value = getattr(value, step) if isinstance(value, BaseModel) else value[step]
    return value, None


def _show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, str) else "no number"


def _is_number(node: Node) -> bool:
    return isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _make_steps(
    work: _Expansion, path: Path, node: Node, numbers: Sequence[tuple[str, Node, float]]
) -> dict[str, Node]:
    """Return one contrast per step of a monotone trend, named by its position."""
    name, trend = str(path[1]), node.get("trend")
    assert trend is not None, "it is the estimand of a trend"
    same = [(one, other) for one, other in pairwise(numbers) if one[2] == other[2]]
    if same or len(numbers) < 2:
        message = "a monotone trend needs two arms or more"
        if same:
            (one, _, number), (other, _, _) = same[0]
            message = (
                f"arms {one!r} and {other!r} have the same number, {number:g}: no step leads from one to the other"
            )
        work.problems.append(Problem((*path, "arms"), message, "list the arms of one row, each with another number"))
    plain = {key: child for key, child in node.items().items() if key != "trend"}
    made: dict[str, Node] = {}
    for position, ((before, _, _), (after, at, _)) in enumerate(pairwise(numbers), 1):
        weights = {after: replace(at, value=1.0), before: replace(at, value=-1.0)}
        made[f"{name}_{position}"] = replace(node, value={**plain, "contrast": replace(trend, value=weights)})
    work.steps[name] = list(made)
    return made


def _expand_users(work: _Expansion) -> None:
    """Give every step of a monotone trend the guards and decisions about the trend, and its place in ``combine``."""
    renamed: dict[str, list[str]] = {}
    for section in ("guards", "decisions"):
        if section not in work.parts or not isinstance(work.parts[section].value, dict):
            continue
        made: dict[str, Node] = {}
        for name, node in work.parts[section].items().items():
            about = node.get("estimand")
            steps = work.steps.get(about.value) if about is not None and isinstance(about.value, str) else None
            if about is None or steps is None:
                made[name] = node
                continue
            for position, step in enumerate(steps, 1):
                made[f"{name}_{position}"] = replace(
                    node, value={**node.items(), "estimand": replace(about, value=step)}
                )
            if section == "decisions":
                renamed[name] = [f"{name}_{position}" for position in range(1, len(steps) + 1)]
        work.parts[section] = replace(work.parts[section], value=made)
    combine = work.parts.get("combine")
    holds = combine.get("holds") if combine is not None else None
    if combine is not None and holds is not None and isinstance(holds.value, dict):
        every = {one: node for name, node in holds.items().items() for one in renamed.get(name, [name])}
        work.parts["combine"] = replace(combine, value={**combine.items(), "holds": replace(holds, value=every)})
    for name, steps in renamed.items():
        if len(steps) > 1 and (combine is None or combine.get("table") is not None):
            message = (
                f"{name!r} is about a monotone trend, which is {len(steps)} decisions, {steps[0]} to {steps[-1]}: "
            )
            message += "say how they combine"
            remedy = f"add combine: {{rule: all, holds: {{{name}: [BAND]}}, outcome: …, otherwise: …}}"
            work.problems.append(Problem(("decisions",), message, remedy, on_key=True))
