"""Correspondence of two hypotheses: which arms are the same under other names, and which quantities but for a sign.

An arm is what is trained, whatever it is called. Two estimands are about the same quantity if they summarise the same
metric of corresponding arms alike. Of a contrast that is turned round, b − a for a − b, the values have the other sign,
and so they have if its two metrics are exchanged (``minus``); if both is done, they are the same. Of a ratio they are
the reciprocals, and in percentage points they are a hundred times those in the metric's own unit.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from harness.records import Estimand, EstimandResult, Hypothesis, Interval
from harness.records.estimands import exchange_metrics
from harness.stats.distributions import t_exceeded
from harness.wording import RATIO_UNIT

UNREAD = frozenset({"save", "save_epochs", "metrics"})
"""Fields of a set-up that change nothing that is trained or compared."""
COMPARISONS = ("arm", "contrast", "ratio", "tasks", "trend")
"""Fields of an estimand that name arms."""
SCALES = {"raw": 1, "pp": 100}
"""Unit of an estimand → factor of its values."""


@dataclass(frozen=True)
class Turn:
    """A way from values of the one quantity to those of the other: the same ones, or other sign, reciprocal or unit."""

    turned: bool = False
    """True if a contrast or a ratio is turned round."""
    ratio: bool = False
    """True of ratios, of which the reciprocals are taken."""
    scale: Fraction = Fraction(1)
    """Factor between the units."""

    @property
    def changes(self) -> bool:
        """True if values are not the same ones."""
        return self.turned or self.scale != 1

    @property
    def told(self) -> str:
        """Say how values are taken: ``with the other sign``."""
        how = ["as reciprocals" if self.ratio else "with the other sign"] if self.turned else []
        return " and ".join([*how, *(["in the first's unit"] if self.scale != 1 else [])])

    def value(self, value: float) -> float:
        """Return a value, or an end of an interval, as the other quantity has it; exactly, where it is written so."""
        if self.turned and self.ratio:
            return 1 / value if value else float("inf")
        if abs(value) == float("inf"):
            return -value if self.turned else value
        return float(Fraction(str(value)) * self.scale * (-1 if self.turned else 1))

    def interval(self, interval: Interval) -> Interval:
        """Return an interval of values as one of the other quantity."""
        ends = [(interval.lower, interval.lower_closed), (interval.upper, interval.upper_closed)]
        if self.turned and self.ratio and interval.lower is not None and interval.lower <= 0:
            ends[0] = (None, False)  # a ratio is positive
        ends = [(None if end is None else self.value(end), closed) for end, closed in ends]
        low, high = reversed(ends) if self.turned else ends
        return Interval(lower=low[0], upper=high[0], lower_closed=low[1], upper_closed=high[1])

    def pair(self, ends: tuple[float, float]) -> tuple[float, float]:
        """Return two ends as those of the other quantity, the lower one first."""
        low, high = map(self.value, reversed(ends) if self.turned else ends)
        return low, high


UNTURNED = Turn()


def match_arms(first: Hypothesis, second: Hypothesis) -> dict[str, str]:
    """Return arm of the second → name that it has in the first: by what is trained, then by name.

    One that corresponds to none keeps its name, or gets a prime if an arm of the first has it.
    """
    forms = [{name: _dump_arm(arm) for name, arm in one.arms.items()} for one in (first, second)]
    bare = [{name: {**form, "setup": None} for name, form in one.items()} for one in forms]
    found: dict[str, str] = {}

    def match(sides: Sequence[Mapping[str, Any]], fits: Callable[[str, str], bool]) -> None:
        ours = {name: write(form) for name, form in sides[0].items() if name not in found.values()}
        theirs = {name: write(form) for name, form in sides[1].items() if name not in found}
        for name, form in theirs.items():
            same = [
                own for own, other in ours.items() if other == form and fits(name, own) and own not in found.values()
            ]
            if same and (sides is forms or len(same) == list(theirs.values()).count(form) == 1):
                found[name] = same[0]

    for sides in (forms, bare):  # alike, or alike but for the set-up that arms share
        match(sides, lambda one, other: one == other)
        match(sides, lambda _one, _other: True)
    for name in second.arms:
        if name not in found and name in first.arms and name not in found.values():
            found[name] = name
    return {name: found.get(name, f"{name}′" if name in first.arms else name) for name in second.arms}


def write(value: Any) -> str:
    """Return a JSON value as text: the same text for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _dump_arm(arm: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = arm.model_dump(mode="json", exclude={"label"})
    setup = dumped.get("setup")
    if isinstance(setup, dict):
        dumped["setup"] = {name: value for name, value in setup.items() if name not in UNREAD}
    return dumped


def find_turn(first: Estimand, second: Estimand, names: Mapping[str, str]) -> Turn | None:
    """Return how values of the second become values of the first; None if they are of other quantities."""
    ours = describe_quantity(first, {})
    scale = Fraction(SCALES[first.unit], SCALES[second.unit])
    if scale != 1 and (first.in_logs or second.in_logs):
        return None
    exchanged = exchange_metrics(second)
    for theirs, negated in ((second, False), *([] if exchanged is None else [(exchanged, True)])):
        for turned in (False, True):
            if ours == describe_quantity(theirs, names, turned=turned):
                return Turn(turned=turned != negated, ratio=turned and first.ratio is not None, scale=scale)
    return None


def describe_quantity(about: Estimand, names: Mapping[str, str], *, turned: bool = False) -> dict[str, Any]:
    """Describe what an estimand measures and compares, with arms by the names given, as a JSON value."""
    plain: dict[str, Any] = about.model_dump(mode="json", exclude={*COMPARISONS, "unit"})

    def rename(weights: Mapping[str, float]) -> dict[str, float]:
        sign = -1 if turned else 1
        return {names.get(arm, arm): sign * weight for arm, weight in sorted(weights.items())}

    parts = [about.weights] if about.tasks is None else list(about.tasks)
    over = {} if about.trend is None else {"over": about.trend.over, "shape": about.trend.shape}
    kind = "trend" if about.trend is not None else "ratio" if about.ratio is not None else "sum"
    arms = [dict(sorted(rename(part).items())) for part in parts]
    return plain | over | {"comparison": kind, "arms": sorted(arms, key=write)}


def rename_arms(form: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a hypothesis's JSON value with other names of its arms."""
    if all(name == other for name, other in names.items()):
        return dict(form)
    renamed = {**form, "arms": {names[name]: arm for name, arm in form["arms"].items()}}
    for field in ("estimands", "exploratory"):
        if isinstance(form.get(field), dict):
            renamed[field] = {name: _rename_in(about, names) for name, about in form[field].items()}
    if isinstance(form.get("tuning"), dict) and isinstance(form["tuning"].get("space"), dict):
        space = {names.get(name, name): value for name, value in form["tuning"]["space"].items()}
        renamed["tuning"] = {**form["tuning"], "space": space}
    return renamed


def _rename_in(about: Any, names: Mapping[str, str]) -> Any:
    """Return an estimand's JSON value with other names of arms, wherever it compares them."""
    if not isinstance(about, dict):
        return about
    renamed = about | {field: _rename_value(about[field], names) for field in COMPARISONS[:-1] if field in about}
    if isinstance(about.get("trend"), dict):
        renamed["trend"] = {**about["trend"], "arms": _rename_value(about["trend"]["arms"], names)}
    return renamed


def _rename_value(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_rename_value(one, names) for one in value]
    return {names.get(arm, arm): weight for arm, weight in value.items()} if isinstance(value, dict) else value


def turn_result(result: EstimandResult, turn: Turn, unit: str) -> EstimandResult:
    """Return an estimand's values and their mean as the other quantity has them."""
    values = tuple(
        one if one.value is None else one.model_copy(update={"value": turn.value(one.value)}) for one in result.values
    )
    mean = None if result.mean is None else turn.value(result.mean)
    sd = None if result.sd is None else result.sd * float(turn.scale)
    return result.model_copy(update={"values": values, "mean": mean, "sd": sd, "unit": unit})


def subtract_results(
    first: EstimandResult, second: EstimandResult, *, paired: bool
) -> tuple[float, tuple[float, float] | None] | None:
    """Return the second mean minus the first with its 95% interval; of ratios the one over the other.

    With the same seeds the interval is that of the differences seed by seed, else Welch's.
    """
    ratio = first.unit == RATIO_UNIT
    if first.mean is None or second.mean is None or (ratio and min(first.mean, second.mean) <= 0):
        return None
    means = [math.log10(one.mean) if ratio else one.mean for one in (first, second) if one.mean is not None]
    difference = means[1] - means[0]
    error = _find_error_of_pairs(first, second, ratio=ratio) if paired else _find_error_of_two(first, second)
    ends = None
    if error is not None:
        half = t_exceeded(0.025, error[1]) * error[0] if error[0] else 0.0
        ends = (difference - half, difference + half)
    if not ratio:
        return difference, ends
    return 10**difference, None if ends is None else (10 ** ends[0], 10 ** ends[1])


def _find_error_of_two(first: EstimandResult, second: EstimandResult) -> tuple[float, float] | None:
    """Return the standard error of the difference of two independent means, and its degrees of freedom (Welch)."""
    if first.sd is None or second.sd is None or first.n < 2 or second.n < 2:
        return None
    parts = [(one.sd or 0.0) ** 2 / one.n for one in (first, second)]
    weights = [part**2 / (one.n - 1) for part, one in zip(parts, (first, second), strict=True)]
    return math.sqrt(sum(parts)), sum(parts) ** 2 / sum(weights) if sum(weights) else 1.0


def _find_error_of_pairs(first: EstimandResult, second: EstimandResult, *, ratio: bool) -> tuple[float, float] | None:
    """Return the standard error of the mean difference over the same seeds, and its degrees of freedom."""
    pairs = [(one.value, other.value) for one, other in zip(first.values, second.values, strict=True)]
    kept = [(one, other) for one, other in pairs if one is not None and other is not None]
    if ratio:
        kept = [(math.log10(one), math.log10(other)) for one, other in kept if min(one, other) > 0]
    if len(kept) < 2 or len(kept) < max(first.n, second.n):
        return None
    return statistics.stdev(other - one for one, other in kept) / math.sqrt(len(kept)), len(kept) - 1.0
