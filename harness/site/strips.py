"""Figures of one number per seed: dots over the bands of a decision, or beside the threshold of a guard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from markupsafe import Markup

from harness.records import BandDecision, DecisionSpec, EstimandResult, GuardResult, Hypothesis, Interval
from harness.site.marks import Scale, element, figure, group, label, list_ticks, number, pad, path, wrap
from harness.verdict.bands import (
    SHOWN_POINTS,
    choose_range,
    choose_ratio_range,
    choose_wide_interval,
    describe_beyond,
    draw_bands,
    find_estimate,
    list_regions,
    stack_points,
)
from harness.verdict.shelves import Shelves, make_shelves
from harness.wording import (
    RATIO_UNIT,
    append_unit,
    format_count,
    format_exact,
    format_together,
    make_plain_line,
    typeset,
)

WIDTH, HEIGHT = 420.0, 176.0
LEFT, RIGHT, TOP, BOTTOM = 12.0, 408.0, 20.0, 128.0
ESTIMATE, DOTS, LOWEST = 62.0, 80.0, 116.0
"""Heights of the estimate, of the highest row of dots, and of the lowest."""
CHARACTER = 6.4
"""Width of a letter."""
ROOM = 13.0
"""Width of a band from which its name fits into it, turned."""
TINTS = 6
"""Colours of bands."""


@dataclass(frozen=True)
class Strip:
    """A figure of one number per seed."""

    name: str
    """Name of the figure, unique on its page."""
    alt: str
    """Description for readers who can't see it."""
    result: EstimandResult
    """The estimand."""
    regions: tuple[tuple[str, Interval], ...]
    """Bands from left to right, each with its name."""
    cuts: tuple[float, ...]
    """Boundaries between bands."""
    outcome: str
    """Name of the band that was found."""
    estimate: float
    """Summary over seeds."""
    interval: tuple[float, float] | None = None
    """Interval at the decision's own level."""
    wide: tuple[float, float] | None = None
    """The 95% interval, if it is to be drawn."""
    beyond: DecisionSpec | None = None
    """The decision, to name bands that are out of view."""
    tints: Mapping[str, int] = field(default_factory=dict)
    """Band → its colour, of those that have a fixed one."""


def draw_decision(hypothesis: Hypothesis, part: BandDecision) -> Markup | None:
    """Draw the seeds of a decision over its bands; None if nothing is finite."""
    spec = hypothesis.decisions[part.name]
    estimate = find_estimate(part.estimand, hypothesis.estimands[spec.estimand].seeds)
    drawing = draw_bands(part, spec, estimate, pilot=False)
    if drawing is None or estimate is None:
        return None
    return _draw(
        Strip(
            name=f"decision-{part.name}",
            alt=typeset(drawing.alt),
            result=part.estimand,
            regions=tuple(list_regions(spec)),
            cuts=spec.cuts,
            outcome=part.outcome,
            estimate=estimate,
            interval=part.interval,
            wide=choose_wide_interval(part),
            beyond=spec,
        )
    )


def draw_guard(guard: GuardResult) -> Markup | None:
    """Draw the seeds of a guard beside its threshold; None if nothing is finite."""
    result, at = guard.estimand, guard.threshold
    if result.median is None or not _list_values(result):
        return None
    above = Interval(lower=at, upper=None, lower_closed=False, upper_closed=False)
    below = Interval(lower=None, upper=at, lower_closed=False, upper_closed=True)
    names = ("fails", "holds") if guard.side == "above" else ("holds", "fails")
    seeds = format_count(result.n, "seed")
    alt = f"{seeds}, {guard.holding} of which lie {guard.side} the threshold {format_exact(at)}, as the guard requires"
    return _draw(
        Strip(
            name=f"guard-{guard.name}",
            alt=alt,
            result=result,
            regions=((names[0], below), (names[1], above)),
            cuts=(at,),
            outcome="holds" if guard.status == "verified" else "",
            estimate=result.median,
            tints={"holds": 3, "fails": 2},
        )
    )


def write_value(result: EstimandResult, value: float) -> str:
    """Return a seed's number with its unit, among the others of its estimand."""
    finite = [one for _, one in _list_values(result)]
    (text,) = format_together([value], never=result.never) if result.never else (_write_beside(value, finite),)
    return append_unit(typeset(text), result.unit)


def _write_beside(value: float, others: list[float]) -> str:
    return format_together([value, *others])[0]


def _list_values(result: EstimandResult) -> list[tuple[int, float]]:
    """Return (seed index, value) of every seed that has a value, in ascending order of values."""
    found = [(seed.seed_index, seed.value) for seed in result.values if seed.value is not None and not seed.anything]
    return sorted(found, key=lambda one: (one[1], one[0]))


def _draw(strip: Strip) -> Markup:
    seeds = _list_values(strip.result)
    points = [*(value for _, value in seeds), strip.estimate, *(strip.interval or ()), *(strip.wide or ())]
    ratio = strip.result.unit == RATIO_UNIT and min(points) > 0
    finite = [value for value in points if math.isfinite(value)]
    ends = choose_ratio_range(finite, strip.cuts) if ratio else choose_range(finite or strip.cuts, strip.cuts)
    shelves = make_shelves(*ends, points)
    low, high = shelves.limits
    if low == high:
        low, high = pad((low, high))
    scale = Scale(low, high, LEFT, RIGHT, ratio)
    parts = [
        _draw_regions(strip, scale),
        _draw_axis(strip, scale, shelves),
        _draw_interval(strip, scale, shelves),
        _draw_dots(strip, seeds, scale, shelves),
    ]
    return figure(strip.name, strip.alt, WIDTH, HEIGHT, *parts, class_="strip")


def _draw_regions(strip: Strip, scale: Scale) -> Markup:
    tint: dict[str, int] = dict(strip.tints)
    parts: list[Markup] = []
    named: set[str] = set()
    narrow: dict[str, None] = {}
    last = -math.inf
    foot = BOTTOM - (5 if strip.beyond is None else 19)  # what lies out of view is named below
    for name, region in strip.regions:
        tint.setdefault(name, len(tint) % TINTS)
        start = LEFT if region.lower is None else scale.place(max(region.lower, scale.low))
        end = RIGHT if region.upper is None else scale.place(min(region.upper, scale.high))
        if end <= LEFT or start >= RIGHT or end - start < 0.05:
            continue
        parts.append(
            element("rect", x=start, y=TOP, width=end - start, height=BOTTOM - TOP, class_=f"band t{tint[name]}")
        )
        if len(name) * CHARACTER < end - start:
            found = "found" if name == strip.outcome else None
            parts.append(label((start + end) / 2, TOP + 14, name, text_anchor="middle", class_=found))
            named.add(name)
        elif end - start > ROOM and len(name) * CHARACTER < foot - TOP - 3:
            at = (start + end) / 2 + 4
            turned = f"rotate(-90 {number(at)} {number(foot)})"
            parts.append(label(at, foot, name, transform=turned, class_="on-band"))
            named.add(name)
        else:
            narrow.setdefault(name, None)
    for cut in (cut for cut in strip.cuts if scale.low < cut < scale.high):
        at = scale.place(cut)
        parts.append(element("path", d=path([(at, TOP), (at, BOTTOM)]), class_="cut"))
        text = format_exact(cut)
        if at - last > 3.2 * len(text) + 14:
            parts.append(label(min(max(at, 16), 404), TOP - 6, text, text_anchor="middle", class_="small"))
            last = at + 3.2 * len(text)
    if key := [name for name in narrow if name not in named]:
        parts.append(_write_key(f"narrow: {', '.join(key)}", scale.place(strip.estimate) < WIDTH / 2))
    return group(*parts)


def _write_key(text: str, right: bool) -> Markup:
    """Name the bands that are too narrow for their names, on the side away from the estimate."""
    at, anchor = (RIGHT - 4, "end") if right else (LEFT + 4, "start")
    return label(at, TOP + 30, text, text_anchor=anchor, class_="on-band")


def _draw_axis(strip: Strip, scale: Scale, shelves: Shelves) -> Markup:
    whole = strip.result.never is not None
    ticks = scale.list_ticks() if not whole else list_ticks(shelves.low, shelves.high, 5, whole=True)
    parts = [element("path", d=path([(LEFT, BOTTOM), (RIGHT, BOTTOM)]), class_="axis")]
    for tick in ticks:
        at = scale.place(tick)
        text = scale.write(tick)
        parts.append(element("path", d=path([(at, BOTTOM), (at, BOTTOM + 4)]), class_="axis"))
        if 3 * len(text) <= at <= WIDTH - 3 * len(text):
            parts.append(label(at, BOTTOM + 15, text, text_anchor="middle", class_="small"))
    if strip.result.never is not None:
        for there, wall, side, name in zip(
            shelves.needed, shelves[:2], shelves.put((-math.inf, math.inf)), strip.result.never, strict=True
        ):
            if there:
                at = scale.place(wall)
                parts.append(element("path", d=path([(at, TOP + 18), (at, BOTTOM)]), class_="axis"))
                parts.append(label(scale.place(side), BOTTOM + 15, name, text_anchor="middle", class_="small"))
    if strip.beyond is not None:
        for edge, left, at in ((scale.low, True, LEFT), (scale.high, False, RIGHT)):
            text = typeset(describe_beyond(strip.beyond, edge, left=left))
            if text:
                anchor = "start" if left else "end"
                parts.append(label(at, BOTTOM - 4, text, length=34, text_anchor=anchor, class_="on-band"))
    unit = f" ({strip.result.unit})" if strip.result.unit and strip.result.unit != RATIO_UNIT else ""
    for row, line in enumerate(wrap(strip.result.title + unit, 66, 2)):
        parts.append(label(LEFT, BOTTOM + 31 + 13 * row, line, length=70, class_="small"))
    return group(*parts)


def _draw_interval(strip: Strip, scale: Scale, shelves: Shelves) -> Markup:
    parts = []
    for ends, name in ((strip.wide, "wide"), (strip.interval, "interval")):
        if ends is not None:
            start, end = (scale.place(min(max(one, scale.low), scale.high)) for one in shelves.put(ends))
            parts.append(element("path", d=path([(start, ESTIMATE), (end, ESTIMATE)]), class_=name))
    at = scale.place(shelves.put([strip.estimate])[0])
    diamond = [(at - 5, ESTIMATE), (at, ESTIMATE - 5), (at + 5, ESTIMATE), (at, ESTIMATE + 5)]
    parts.append(element("path", d=path(diamond, closed=True), class_="estimate"))
    texts = format_together([strip.estimate, *(strip.interval or ())], strip.cuts, strip.result.never)
    text = make_plain_line(typeset(texts[0]))
    room = 3.5 * len(text) + 2
    parts.append(
        label(min(max(at, LEFT + room), RIGHT - room), ESTIMATE - 9, text, text_anchor="middle", class_="value")
    )
    return group(*parts)


def _draw_dots(strip: Strip, seeds: list[tuple[int, float]], scale: Scale, shelves: Shelves) -> Markup:
    step = -(-len(seeds) // SHOWN_POINTS) or 1
    shown = seeds[::step]
    places = [scale.place(value) for value in shelves.put([value for _, value in shown])]
    rows = stack_points(places, 7.5)
    gap = min(7.5, (LOWEST - DOTS) / (max(rows, default=0) or 1))
    dots = []
    for (index, value), at, row in zip(shown, places, rows, strict=True):
        told = element("title", f"seed {index}: {write_value(strip.result, value)}")
        dots.append(element("circle", told, cx=at, cy=DOTS + gap * row, r=3.4, class_="dot", data_seed=index))
    if step > 1:
        dots.append(label(WIDTH / 2, BOTTOM - 4, f"{len(shown)} of {len(seeds)} seeds shown", text_anchor="middle"))
    return group(*dots, class_="dots")
