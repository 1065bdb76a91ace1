"""Near-copies: hypotheses that ask nearly the same question, whatever they call it and wherever they say it.

Whoever registers a question several times draws several times, and may show the draw that pleases. So questions are
compared in normal form (``harness.domain.normal_form``): defaults are filled in, arms are what they train, and names,
order and the sign of a contrast don't count. Two decisions ask nearly the same if they measure the same metric on arms
of the same rules, penalties, frozen parts, data sets and models, and differ in few of all other values. Numbers that
are a tenth apart are no difference here: another learning rate by a tenth gives other seeds and no other question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from harness.domain.normal_form import encode_normal_form
from harness.records import Hypothesis
from harness.system import canonical

CLOSE = 0.1
"""Relative difference up to which two numbers count as the same."""
FEW = 0.1
"""Share of values in which two near-copies may differ."""

Copy = Literal["same", "near"]
"""same: the same normal form; near: a decision of one is nearly a decision of the other."""


@dataclass(frozen=True)
class Question:
    """A decision in normal form."""

    asked: bytes
    """The part equal in near-copies: metric and its kind of feedback, layer, and of each arm rule, penalty, frozen
    parts, data set with its classes and kind of labels, and model."""
    values: Mapping[str, tuple[Any, ...]]
    """Path of all other values → the values there, sorted."""
    pairs: frozenset[tuple[str, tuple[Any, ...]]]
    """Paths and values of ``values`` as pairs, so that set operations find what two questions don't share."""
    size: int
    """Number of these values."""


@dataclass(frozen=True)
class Described:
    """A hypothesis as it is compared."""

    form: bytes
    """Normal form of the hypothesis."""
    questions: tuple[Question, ...]
    """Decisions of the hypothesis, each in normal form."""


def describe(hypothesis: Hypothesis) -> Described:
    """Return what a hypothesis is compared by.

    Raises:
        HarnessError: as ``normal_form``.
    """
    return read_described(encode_normal_form(hypothesis))


def read_described(form: bytes) -> Described:
    """Return what a hypothesis is compared by, from its normal form as ``encode_normal_form`` gives it."""
    return Described(form, tuple(map(_describe_decision, from_json(form)["decisions"])))


def compare(one: Described, other: Described) -> Copy | None:
    """Tell whether two hypotheses ask the same or nearly the same question; None if they don't."""
    if one.form == other.form:
        return "same"
    near = any(_are_near(mine, theirs) for mine in one.questions for theirs in other.questions)
    return "near" if near else None


def sketch(form: Mapping[str, Any]) -> frozenset[str]:
    """Return what near-copies share at least one of, from a canonical form as plain data: a short text per decision.

    It takes no time, because an audit compares thousands. A form that isn't one gives nothing.
    """
    try:
        return frozenset(_sketch_decisions(form))
    except (AttributeError, KeyError, TypeError):
        return frozenset()


def _sketch_decisions(form: Mapping[str, Any]) -> Iterator[str]:
    for decision in form["decisions"].values():
        estimand = form["estimands"][decision["estimand"]]
        compared = estimand["contrast"] or estimand.get("ratio") or (estimand.get("trend") or {}).get("arms")
        pooled = [arm for task in estimand.get("tasks") or () for arm in task]
        names = compared or pooled or [estimand["arm"]]  # of weights and numbers, the keys
        arms = sorted(_sketch_arm(form["arms"][name]) for name in names)
        metrics = sorted(estimand[key]["name"] for key in ("metric", "minus") if key in estimand)  # either way round
        yield " ".join((*metrics, _sketch_layer(estimand["layer"]), *arms))


def _sketch_layer(layer: Any) -> str:
    """Return one layer, or that there are several: which they are may differ in near-copies."""
    distinct = set(layer) if isinstance(layer, list) else {layer}
    return str(next(iter(distinct))) if len(distinct) == 1 else "several"


def _sketch_arm(arm: Mapping[str, Any]) -> str:
    penalty = arm["penalty"]["name"] if arm["penalty"] and arm["penalty"]["strength"] else "-"
    return f"{arm['rule']['name']}/{penalty}/{arm['setup']['dataset']['name']}/{arm['setup']['model']['name']}"


def _describe_decision(decision: Mapping[str, Any]) -> Question:
    estimand = decision["estimand"]
    arms = [
        {
            "rule": arm["rule"]["name"],
            "penalty": arm["penalty"] and arm["penalty"]["name"],
            "freeze": arm["freeze"],
            "dataset": arm["dataset"]["name"],
            "model": arm["model"]["name"],
        }
        | _describe_interventions(arm)
        for arm in estimand["arms"]
    ]
    layer = "several" if isinstance(estimand["layer"], list) else estimand["layer"]
    metrics = sorted((estimand[key] for key in ("metric", "minus") if key in estimand), key=canonical.dumps)
    asked = {
        # The feedback is absent where it is that of training, which is another question.
        "metrics": [[metric["name"], metric.get("feedback")] for metric in metrics],
        "layer": layer,
        "arms": sorted(arms, key=canonical.dumps),
    }
    if "onset" in estimand:
        asked["onset"] = True
    values: dict[str, list[Any]] = {}
    for path, value in _list_values(decision):
        # A contrast of nearly the same arms, or a difference of metrics, may be written the other way round: its cuts
        # have other signs then.
        values.setdefault(path, []).append(abs(value) if path == "cuts" and _is_number(value) else value)
    ordered = {path: tuple(sorted(found, key=_order)) for path, found in values.items()}
    return Question(canonical.dumps(asked), ordered, frozenset(ordered.items()), sum(map(len, ordered.values())))


def _describe_interventions(arm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the interventions that make another question of the same data set; a little noise does not."""
    labels = arm.get("labels", {}).get("name")
    found = {"labels": labels} if labels in ("shuffled", "random") else {}
    found |= {"starts": "stored"} if "init_from" in arm else {}
    return found | ({"classes": arm["classes"]} if "classes" in arm else {})


def _list_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values in a form with their paths; what stands in a list has the list's path."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key in ("measured_epoch", "of") and isinstance(child, list):
                child = [child[0], child[-1]]  # many epochs must not outweigh what else may differ
            yield from _list_values(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for child in value:
            yield from _list_values(child, path)
    else:
        yield path, value


def _are_near(one: Question, other: Question) -> bool:
    if one.asked != other.asked:
        return False
    size = max(one.size, other.size)
    left = int(FEW * size)
    for path in {path for path, _ in one.pairs ^ other.pairs}:
        mine, theirs = one.values.get(path, ()), other.values.get(path, ())
        if len(mine) == len(theirs) == 1:  # nearly always, and pairs of questions are many
            left -= not _are_close(mine[0], theirs[0])
        else:
            left -= max(len(mine), len(theirs)) - _count_shared(mine, theirs)
        if left < 0:
            return False
    return True


def _count_shared(mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> int:
    """Count the values of one place that two decisions share, each once."""
    rest, shared = list(theirs), 0
    for value in mine:
        partner = next((i for i, other in enumerate(rest) if _are_close(value, other)), None)
        if partner is not None:
            del rest[partner]
            shared += 1
    return shared


def _are_close(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        difference = abs(one - other)
        return bool(difference <= CLOSE * abs(one) or difference <= CLOSE * abs(other))
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _order(value: Any) -> tuple[str, Any]:
    return ("number", value) if _is_number(value) else (type(value).__name__, str(value))
