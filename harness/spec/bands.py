"""Checks that bands tile the values that an estimand can have: each value lies in exactly one band."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.domain.partition import WHOLE_LINE, cut_line
from harness.records import RESERVED_OUTCOMES, DecisionSpec, Interval
from harness.records.estimands import SMALLEST_RATIO
from harness.spec.draft import Draft
from harness.spec.onsets import check_onset_bands
from harness.spec.tree import Path, Problem
from harness.wording import format_for_file, shorten_exponents


def check_bands(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with the bands of every decision."""
    for name, decision in draft.decisions.items():
        path = ("decisions", name, "bands")
        for band in decision.bands:
            if band in RESERVED_OUTCOMES:
                message = f"{band!r} is one of harness's own outcomes"
                yield Problem((*path, band), message, "choose another name", on_key=True)
        estimand = draft.estimands.get(decision.estimand)
        yield from _check_tiling(path, decision, estimand.band_domain if estimand is not None else None)
        if estimand is not None:
            yield from check_onset_bands(path, decision, estimand, draft)


def _check_tiling(path: Path, decision: DecisionSpec, bounds: tuple[float, float] | None) -> Iterator[Problem]:
    """Yield gaps, overlaps and bands that can't be reached.

    Without known bounds (because the estimand itself is wrong), only overlaps are reported.
    """
    found = cut_line(decision.bands, bounds or WHOLE_LINE)
    for stretch in found:
        numbers, held = _describe_stretch(stretch.interval), stretch.holders
        if bounds is not None and stretch.possible and not held:
            remedy = "let one band reach there; [ and ] include a boundary, ( and ) leave it out"
            yield Problem(path, f"{numbers} in no band", remedy, on_key=True)
        elif len(held) > 1:
            bands = " and ".join(dict.fromkeys(held)) if len(set(held)) > 1 else f"{held[0]}, twice"
            remedy = "let each boundary belong to one side: [ and ] include it, ( and ) leave it out"
            yield Problem((*path, held[-1]), f"{numbers} in more than one band: {bands}", remedy)
    if bounds is not None:
        for name in decision.bands.keys() - {name for stretch in found if stretch.possible for name in stretch.holders}:
            message = f"band {name!r} can't be reached: {decision.estimand} lies in {_describe_range(*bounds)}"
            yield Problem((*path, name), message, "remove it, or check unit and transform", on_key=True)


def _describe_stretch(stretch: Interval) -> str:
    if stretch.lower == SMALLEST_RATIO:
        stretch = stretch.model_copy(update={"lower": 0.0, "lower_closed": False})
    if stretch.lower is not None and stretch.lower == stretch.upper:
        return f"{format_for_file(stretch.lower)} is"
    return f"the numbers in {shorten_exponents(str(stretch))} are"


def _describe_range(low: float, high: float) -> str:
    left = "(-inf" if math.isinf(low) else "(0" if low == SMALLEST_RATIO else f"[{format_for_file(low)}"
    right = "inf)" if math.isinf(high) else f"{format_for_file(high)}]"
    return f"{left}, {right}"
