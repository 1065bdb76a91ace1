"""Checks for predictions that no result could miss: bands that take nearly all values, and arms that never differ."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping

from harness.domain.normal_combination import MAX_COMBINATIONS
from harness.domain.partition import cut_line
from harness.domain.tuning import describe_draws, find_corner, is_drawn, list_candidates, set_values
from harness.records import RESERVED_OUTCOMES, Arm, Combine, DecisionSpec, Estimand
from harness.records.contrasts import sums_to_zero
from harness.records.tuning import Values
from harness.spec.draft import VERBS, Draft
from harness.spec.tree import Problem

ROOM = 0.05
"""Share of an estimand's values from which on a band counts as one that a result may fall into."""


def check_unmissable(draft: Draft) -> Iterator[Problem]:
    """Yield warnings for a prediction or a claim that every result would confirm, nearly all of them at least."""
    yield from _check_same_arms(draft)
    combine = draft.combine
    if combine is not None and combine.rule != "table" and combine.outcome == combine.otherwise:
        return  # an error, which is told
    if (
        draft.prediction is None
        or draft.outcomes is None
        or any(decision.estimand not in draft.estimands for decision in draft.decisions.values())
    ):
        return
    reached = _find_reached(draft)
    if reached == {draft.prediction.outcome}:
        message = f"hardly any result could miss the prediction {draft.prediction.outcome!r}"
        remedy = f"the other outcomes take less than {ROOM:.0%} of the possible values: move the boundaries"
        yield Problem(("prediction", "outcome"), message, remedy, severity="warning")
        return
    named = {*draft.outcomes} - {*RESERVED_OUTCOMES}
    given = {name: draft.implications.get(name) for name in reached}
    if not reached or reached == named or None in given.values():
        return  # outcomes that are all within reach are the affair of the check of contradictions
    for verb in VERBS:
        for claim in sorted(set.intersection(*(set(getattr(one, verb)) for one in given.values()))):
            message = f"nearly every result {verb.replace('_', ' ')} the claim {claim!r}"
            remedy = f"the outcomes that do not take less than {ROOM:.0%} of the possible values: move the boundaries"
            yield Problem(("implications",), message, remedy, on_key=True, severity="warning")


def _check_same_arms(draft: Draft) -> Iterator[Problem]:
    """Yield contrasts of arms that train the same: at equal seeds they come to the same bits."""
    deciding = dict.fromkeys(decision.estimand for decision in draft.decisions.values())
    for name in deciding:
        estimand = draft.estimands.get(name)
        if estimand is None or not estimand.compares or not all(arm in draft.arms for arm in estimand.arms):
            continue
        alike: dict[str, list[str]] = {}
        for arm in estimand.arms:
            alike.setdefault(_describe_training(draft, arm), []).append(arm)
        sums = [sums_to_zero({arm: estimand.weights[arm] for arm in arms}) for arms in alike.values()]
        if all(sums) and len(alike) < len(estimand.arms):
            same = "; ".join(" and ".join(arms) for arms in alike.values())
            zero = "ratio is 1" if estimand.ratio is not None else "difference is 0"
            message = f"{same} train the same, so that their {zero} at every seed"
            remedy = "say how the arms differ"
            yield Problem(("estimands", name, estimand.comparison), message, remedy, severity="warning")


def _describe_training(draft: Draft, name: str) -> str:
    """Return what is equal for arms that train the same: they are, or have the same candidates in the same order."""
    arm, tuning = draft.arms[name], draft.tuning
    if tuning is not None and is_drawn(tuning, name):
        candidates: tuple[Values, ...] = (find_corner(tuning, name),)
        drawn = [describe_draws(tuning, name)]
    else:
        candidates, drawn = list_candidates(tuning, name), []
    try:
        described = [_describe_arm(set_values(arm, values)) for values in candidates]
    except (LookupError, TypeError, ValueError):  # values that an arm can't have, which are reported
        described = [_describe_arm(arm)]
    return json.dumps([*described, *drawn], sort_keys=True)


def _describe_arm(arm: Arm) -> dict[str, object]:
    plain = arm.model_dump(mode="json", exclude={"label": True, "setup": {"evaluation", "save", "save_epochs"}})
    if arm.penalty is not None and arm.penalty.strength == 0:
        plain["penalty"] = None
    return plain | {"freeze": sorted(set(arm.freeze))}


def _find_reached(draft: Draft) -> set[str]:
    """Return the outcomes of the bands that leave results some room; none if there are too many combinations."""
    bands = {
        name: [band for band, share in _measure_bands(decision, draft.estimands[decision.estimand]).items() if share]
        for name, decision in draft.decisions.items()
    }
    if math.prod(map(len, bands.values())) > MAX_COMBINATIONS:
        return set()
    if draft.combine is None:
        return {band for listed in bands.values() for band in listed}
    cells = (dict(zip(bands, cell, strict=True)) for cell in itertools.product(*bands.values()))
    return {outcome for cell in cells if (outcome := _combine(draft.combine, cell)) is not None}


def _measure_bands(decision: DecisionSpec, estimand: Estimand) -> dict[str, bool]:
    """Tell of each band whether a result may well fall into it.

    Bands at the ends of what is possible need their share of it; a narrow band between others may say that two arms are
    equivalent, and that can be missed on both sides.
    """
    low, high = estimand.band_domain
    found = dict.fromkeys(decision.bands, 0.0)
    possible = [stretch for stretch in cut_line(decision.bands, (low, high)) if stretch.possible]
    for stretch in possible:
        for name in stretch.holders if stretch not in (possible[0], possible[-1]) else ():
            found[name] = math.inf
        if stretch in (possible[0], possible[-1]):
            lower = low if stretch.interval.lower is None else max(low, stretch.interval.lower)
            upper = high if stretch.interval.upper is None else min(high, stretch.interval.upper)
            for name in stretch.holders:
                found[name] += upper - lower
    width = high - low
    return {name: size > 0 if math.isinf(width) else size >= ROOM * width for name, size in found.items()}


def _combine(combine: Combine, cell: Mapping[str, str]) -> str | None:
    """Return the outcome of a combination of bands; None if the file says none."""
    if combine.table is not None:
        rows = (row for row in combine.table if all(cell.get(name) == band for name, band in row.when.items()))
        return next((row.outcome for row in rows), None)
    held = [cell[name] in (combine.holds or {}).get(name, ()) for name in cell]
    return combine.outcome if (all(held) if combine.rule == "all" else any(held)) else combine.otherwise
