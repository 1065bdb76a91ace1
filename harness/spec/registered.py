"""Comparison of files with registrations: changes without an amendment, and the same question under another name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from harness.domain.form_differences import ABSENT, drop_inherited, find_differences, write_value
from harness.records import DecisionSpec, Estimand, Hypothesis, Interval
from harness.records.bands import write_shortest
from harness.records.estimands import exchange_metrics
from harness.spec.tree import Node, Path, Problem, Severity

CLOSE = 0.1
"""Relative difference up to which numbers of two arms count as the same setting."""
SHOWN = 5
DIGITS = 12
"""Decimals of a weight: rounding must not make two forms of one question."""

SEEDS = (
    "undo the change, or ask it under a new id, which has fresh seeds; harness amend accepts it only while no seed has "
    "been trained"
)
"""Remedy for a changed number of seeds, which runs refuse."""
BEACON = "undo the change, or ask it under a new id: no amendment changes which seeds are drawn"
"""Remedy for a changed beacon."""


@dataclass(frozen=True)
class Known:
    """A registered hypothesis."""

    form: Hypothesis
    """The hypothesis as registered, or as last amended."""
    since: str
    """Claimed time of the registration, UTC."""
    frozen: bool = False
    """True if a file with another meaning is an error; otherwise it is a warning."""
    trail: Hashable = None
    """Trail that holds the registration; files of other trails are unrelated to it."""


def find_changes(root: Node, hypothesis: Hypothesis, known: Known) -> Iterator[Problem]:
    """Yield the differences between the file's meaning and the registered one."""
    before, now = (form.model_dump(mode="json") for form in (known.form, hypothesis))
    differing = drop_inherited(find_differences(before, now))
    severity: Severity = "error" if known.frozen else "warning"
    remedy = "undo the change, amend the registration with harness amend, or ask it under a new id"
    for one in differing[:SHOWN]:
        message = f"{one.field} was registered on {known.since[:10]} as {_show(one.before)}, but is {_show(one.now)}"
        way = SEEDS if one.field == "seeds.count" else BEACON if one.field.startswith("seeds.beacon") else remedy
        yield Problem(_locate(root, one.path), message, way, severity=severity, rule="amendment")
    if len(differing) > SHOWN:
        message = f"{len(differing) - SHOWN} more values differ from the registration"
        yield Problem(("id",), message, remedy, severity=severity, rule="amendment")


def find_reruns(hypothesis: Hypothesis, registered: Sequence[Known]) -> Iterator[Problem]:
    """Yield decisions that ask what a registered hypothesis asks: the same arms, metric and summaries.

    Names do not matter. Bands, criterion, pairing and seeds don't make another question, nor do numbers of the arms
    that differ by a tenth or less. A file that names the registered id under ``prior_data_seen`` says so openly and is
    left alone.
    """
    seen = hypothesis.prior_data_seen.what or ""
    for known in registered:
        other = known.form
        if other.id == hypothesis.id or re.search(rf"(?<![a-z0-9-]){re.escape(other.id)}(?![a-z0-9-])", seen):
            continue
        for name, decision in hypothesis.decisions.items():
            mine = describe_question(hypothesis, decision)
            if any(_are_alike(mine, describe_question(other, theirs)) for theirs in other.decisions.values()):
                message = f"decision {name!r} asks the same question as {other.id!r}, registered on {known.since[:10]}"
                remedy = (
                    f"if this is a replication, name {other.id} under prior_data_seen.what; otherwise ask something new"
                )
                yield Problem(("decisions", name), message, remedy, on_key=True, severity="warning", rule="rerun")
                break


def find_opposed(one: Hypothesis, other: Hypothesis) -> Iterator[Problem]:
    """Yield outcomes of ``one`` that support a claim which the same result of ``other`` walks back, or vice versa.

    Only hypotheses with a single decision, whose bands are their outcomes, can be compared.
    """
    if len(one.decisions) > 1 or len(other.decisions) > 1:
        return
    (mine,), (theirs,) = one.decisions.values(), other.decisions.values()
    if one.estimands[mine.estimand].unit != other.estimands[theirs.estimand].unit or not find_moved_claims(
        one
    ) & find_moved_claims(other):
        return
    about, estimand = one.estimands[mine.estimand], other.estimands[theirs.estimand]
    factor = _find_factor(other, estimand) / _find_factor(one, about)
    factor *= _orient_metrics(estimand)[1] * _orient_metrics(about)[1]
    turn = partial(_turn, factor=factor, ratio=about.ratio is not None)
    for name, band in mine.bands.items():
        for their_name, their_band in theirs.bands.items():
            turned = map(turn, their_band)
            shared = next(
                (common for a, b in product(band, turned) if (common := _describe_overlap(a, b)) is not None), None
            )
            if shared is None:
                continue
            ours, them = one.implications[name], other.implications[their_name]
            for verb, claims in (
                ("supports", set(ours.supports) & set(them.walks_back)),
                ("walks_back", set(ours.walks_back) & set(them.supports)),
            ):
                for claim in sorted(claims):
                    does = verb.replace("_", " ")
                    message = (
                        f"outcome {name!r} {does} {claim!r}, but {other.id!r} asks the same, and does the opposite "
                        f"with its outcome {their_name!r}: both are true {shared}"
                    )
                    remedy = "let one result mean one thing in both files"
                    yield Problem(
                        ("implications", name, verb), message, remedy, severity="warning", rule="contradictions"
                    )


def find_moved_claims(hypothesis: Hypothesis) -> set[str]:
    """Return the claims that any of its outcomes supports or walks back."""
    given = hypothesis.implications.values()
    return {claim for implication in given for claim in (*implication.supports, *implication.walks_back)}


NAMING = {"arm", "contrast", "ratio", "trend", "tasks", "unit", "pairing"}
"""Keys of an estimand that hold names, or follow from what it compares."""


def describe_question(hypothesis: Hypothesis, decision: DecisionSpec) -> dict[str, Any]:
    """Return the question of a decision without names that authors chose: metric, summaries, arms in full."""
    estimand, _ = _orient_metrics(hypothesis.estimands[decision.estimand])
    arms = [_describe_training(hypothesis, name) for name in estimand.arms]
    if len({abs(weight) for weight in estimand.weights.values()}) > 1 or len(arms) > 2:
        factor = _find_factor(hypothesis, estimand)
        weights = [round(factor * weight, DIGITS) for weight in estimand.weights.values()]
        arms = [{"of": arm, "weight": weight} for arm, weight in zip(arms, weights, strict=True)]
    plain = estimand.model_dump(mode="json", exclude=NAMING)
    if estimand.ratio is not None:
        plain["comparison"] = "ratio"
    if estimand.tasks is not None:
        plain["tasks"] = estimand.task_count
    return {**plain, "arms": sorted(arms, key=lambda arm: json.dumps(arm, sort_keys=True))}


def _find_factor(hypothesis: Hypothesis, estimand: Estimand) -> float:
    """Return the factor that gives a contrast the direction and the size which all ways to write it share.

    The first of its arms, by what they train, then has a positive weight, and the sizes of all weights sum to 2.
    """
    if not estimand.compares or estimand.trend is not None or estimand.tasks is not None:
        return 1.0
    trained = {name: json.dumps(_describe_training(hypothesis, name), sort_keys=True) for name in estimand.arms}
    first = min(estimand.weights, key=lambda name: (trained[name], estimand.weights[name]))
    return math.copysign(2 / math.fsum(map(abs, estimand.weights.values())), estimand.weights[first])


def _orient_metrics(estimand: Estimand) -> tuple[Estimand, float]:
    """Return an estimand with its two metrics in the order that both ways to write them share, and its sign so."""
    exchanged = exchange_metrics(estimand)
    if exchanged is None or estimand.metric.key < exchanged.metric.key:
        return estimand, 1.0
    return exchanged, -1.0


def _turn(band: Interval, factor: float, *, ratio: bool) -> Interval:
    """Return a band of a contrast that is ``factor`` times as large; of a ratio, the other way round if negative."""
    if ratio and factor > 0:
        return band
    if ratio:
        low, high = (None if not end else 1 / end for end in (band.upper, band.lower))
        return band.model_copy(update={"lower": low if low is not None else 0.0, "upper": high})
    low, high = (None if end is None else end * factor for end in (band.lower, band.upper))
    return band.model_copy(update={"lower": low, "upper": high} if factor > 0 else {"lower": high, "upper": low})


def _describe_training(hypothesis: Hypothesis, name: str) -> dict[str, Any]:
    arm = hypothesis.arms[name]
    plain = arm.model_dump(mode="json", exclude={"label": True, "setup": {"evaluation", "save"}})
    plain["freeze"] = sorted(set(arm.freeze))
    return plain


def _are_alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_alike, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=CLOSE)
    return bool(one == other)


def _describe_overlap(one: Interval, other: Interval) -> str | None:
    """Describe the overlap of two intervals; None if they share at most a point."""
    low = max((end for end in (one.lower, other.lower) if end is not None), default=-math.inf)
    high = min((end for end in (one.upper, other.upper) if end is not None), default=math.inf)
    if low >= high:
        return None
    if math.isinf(high):
        return "everywhere" if math.isinf(low) else f"above {write_shortest(low)}"
    return (
        f"below {write_shortest(high)}"
        if math.isinf(low)
        else f"between {write_shortest(low)} and {write_shortest(high)}"
    )


def _locate(root: Node, path: Path) -> Path:
    """Return the nearest place in the file: an arm's setup is mostly written in the common one."""
    if root.nearest(path)[1] and path[:1] == ("arms",):
        return path[:2]
    return path if root.get(path[0]) is not None else ("id",)


def _show(value: Any) -> str:
    text = "nothing" if value in (None, ABSENT) else write_value(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
