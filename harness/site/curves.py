"""Figures over epochs and over layers: every seed thin, the mean thick, one colour, dash and marker per arm.

Each comes with a linear and, where all values are positive, a logarithmic axis; the style sheet shows one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup, escape

from harness.metrics import parse_metric
from harness.records import Hypothesis, Measurements
from harness.site.marks import Point, Scale, element, figure, group, label, list_ticks, pad, path, wrap
from harness.verdict import series
from harness.verdict.profiles import choose_panels
from harness.wording import make_plain_line

WIDTH, HEIGHT = 360.0, 232.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 350.0, 40.0, 196.0
SEED_LINES = 90
"""Thin lines in a panel, over all arms."""
SEED_VERTICES = 1100
"""Vertices of thin lines in a panel."""
MARKERS = 5
"""Markers on a thick line."""
COLOURS, DASHES, SHAPES = 8, 8, 8
"""Numbers of colours, dashes and markers, which the style sheet defines."""
LOG_FROM = 3.0
"""Ratio of the greatest to the smallest value from which a logarithmic axis is offered."""


@dataclass(frozen=True)
class Line:
    """An arm in a panel."""

    index: int
    """Position of the arm in the file."""
    name: str
    """Label of the arm."""
    seeds: Mapping[int, Mapping[float, float]]
    """Seed index → place on the horizontal axis → value."""
    ends: Mapping[int, Point]
    """Seed index → where it diverged, of those that did."""
    spread: bool
    """True to draw the standard deviation around the mean."""


@dataclass(frozen=True)
class Panel:
    """A figure of several arms."""

    name: str
    """Name of the figure, unique on its page."""
    title: str
    """Quantity that is shown, with its unit."""
    across: str
    """Title of the horizontal axis."""
    alt: str
    """Description for readers who can't see it."""
    lines: tuple[Line, ...]
    """The arms."""
    log: bool
    """True if the axis is logarithmic unless the reader wants another."""
    line: float | None = None
    """Value at which a dashed line is drawn."""


@dataclass(frozen=True)
class Drawn:
    """A drawn figure."""

    name: str
    """Name of the figure."""
    svg: Markup
    """The figure."""
    both: bool
    """True if it has both a linear and a logarithmic axis."""
    log: bool
    """True if the logarithmic one is shown first."""


def draw_curves(hypothesis: Hypothesis, measurements: Measurements, prefix: str = "") -> list[Drawn]:
    """Draw the learning curves: the metrics that always have some, and those that decisions are about.

    ``prefix`` begins the names of the figures, where a page shows several runs.
    """
    drawn = []
    for place, panel in enumerate(choose_panels(hypothesis, measurements)):
        lines = []
        for index, (arm, spec) in enumerate(hypothesis.arms.items()):
            tracks = series.collect_tracks(
                measurements, arm, panel.metric, panel.summary, panel.layer or 0, panel.layers, panel.log10
            )
            seeds = {seed: {float(at): value for at, value in track.items()} for seed, track in tracks.items()}
            ends = {
                seed: (max(track), track[max(track)])
                for seed, track in seeds.items()
                if track and measurements.find_replica(arm, seed).status == "diverged"
            }
            lines.append(Line(index, spec.label, seeds, ends, spread=False))
        everything = [value for line in lines for track in line.seeds.values() for value in track.values()]
        if not everything:
            continue
        log = panel.layers != "slope" and not panel.log10 and series.needs_log_axis(panel.metric, everything)
        title = series.label_axis(*panel[:5])
        alt = f"Learning curves: {title}, over epochs; thin lines are seeds, thick lines their mean, one per arm"
        drawn.append(_draw(Panel(f"{prefix}curve-{place}", title, "epoch", alt, tuple(lines), log, panel.threshold)))
    return drawn


def draw_profiles(hypothesis: Hypothesis, measurements: Measurements) -> list[Drawn]:
    """Draw every metric with layers at the last evaluated epoch, layer by layer."""
    drawn = []
    for place, metric in enumerate(name for name in series.list_metrics(measurements) if parse_metric(name).layered):
        summary, lines = series.choose_summary(metric), []
        for index, (arm, spec) in enumerate(hypothesis.arms.items()):
            rows = series.collect_final_rows(measurements, arm, metric, summary)
            seeds = {
                seed: {float(layer): value for layer, value in enumerate(row) if value is not None}
                for seed, row in rows.items()
            }
            lines.append(Line(index, spec.label, seeds, {}, spread=True))
        everything = [value for line in lines for track in line.seeds.values() for value in track.values()]
        if not everything:
            continue
        log = series.needs_log_axis(metric, everything)
        title, count = series.label_axis(metric, summary), series.count_layers(measurements, metric)
        alt = f"{title}, at each of {count} layers after the last epoch: thin lines are seeds, thick ones their mean"
        across = f"layer (0: after the embedding, {count - 1}: before the head)"
        drawn.append(_draw(Panel(f"layers-{place}", title, across, alt, tuple(lines), log)))
    return drawn


def draw_key(index: int) -> Markup:
    """Draw the line and marker of an arm, for the legend."""
    line = element("path", d=path([(1, 7), (35, 7)]), class_=f"mean {_choose_dash(index)}")
    marks = _draw_marker(index, (18.0, 7.0))
    return element(
        "svg", group(line, marks, class_=f"c{index % COLOURS}"), viewBox="0 0 36 14", aria_hidden="true", class_="key"
    )


def _choose_dash(index: int) -> str:
    """Return the class of an arm's dash: after eight arms, colours and markers come again, with other dashes."""
    return f"d{(index + 3 * (index // COLOURS)) % DASHES}"


def _draw(panel: Panel) -> Drawn:
    everything = [value for line in panel.lines for track in line.seeds.values() for value in track.values()]
    positive = [value for value in everything if value > 0]
    can = bool(positive) and (
        panel.log or (len(positive) == len(everything) and max(positive) > LOG_FROM * min(positive))
    )
    axes = [log for log in (False, True) if not log or can]
    kinds = {False: "lin", True: "log"}
    parts = [group(*_draw_axes(panel, log), class_=kinds[log]) for log in axes]
    heads = [label(LEFT - 44, 14 + 14 * row, text, class_="title") for row, text in enumerate(wrap(panel.title, 46, 2))]
    svg = figure(panel.name, panel.alt, WIDTH, HEIGHT, *heads, *parts, class_="panel")
    return Drawn(panel.name, svg, len(axes) == 2, panel.log)


def _draw_axes(panel: Panel, log: bool) -> list[Markup]:
    """Draw axes and lines with a linear or a logarithmic vertical axis."""
    places = sorted({at for line in panel.lines for track in line.seeds.values() for at in track})
    shown = [
        Line(
            line.index,
            line.name,
            {seed: {at: v for at, v in track.items() if v > 0 or not log} for seed, track in line.seeds.items()},
            {seed: end for seed, end in line.ends.items() if end[1] > 0 or not log},
            line.spread,
        )
        for line in panel.lines
    ]
    values = [value for line in shown for track in line.seeds.values() for value in track.values()]
    if panel.line is not None and (panel.line > 0 or not log):
        values.append(panel.line)
    x = Scale(*(pad(places, share=0.02) if len(places) > 1 else (places[0] - 1, places[0] + 1)), LEFT, RIGHT)
    y = Scale(*pad(values, log=log), BOTTOM, TOP, log)
    parts = [_draw_grid(panel, x, y, places)]
    thin = max(3, SEED_LINES // max(1, len(shown)))
    kept = {line.index: sorted(line.seeds)[:: -(-len(line.seeds) // thin) or 1] for line in shown}
    vertices = sum(len(line.seeds[seed]) for line in shown for seed in kept[line.index])
    stride = -(-vertices // SEED_VERTICES) or 1
    parts += [_draw_line(line, kept[line.index], stride, x, y) for line in shown if any(line.seeds.values())]
    return parts


def _draw_grid(panel: Panel, x: Scale, y: Scale, places: Sequence[float]) -> Markup:
    parts = []
    for tick in y.list_ticks(5):
        at = y.place(tick)
        parts.append(element("path", d=path([(LEFT, at), (RIGHT, at)]), class_="grid"))
        parts.append(label(LEFT - 6, at + 3.5, y.write(tick), text_anchor="end", class_="small"))
    ticks = list_ticks(x.low, x.high, 6, whole=True)
    for tick in ticks if len(places) > 1 else places:
        at = x.place(tick)
        parts.append(element("path", d=path([(at, BOTTOM), (at, BOTTOM + 4)]), class_="axis"))
        parts.append(label(at, BOTTOM + 15, x.write(tick), text_anchor="middle", class_="small"))
    parts.append(element("path", d=path([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)]), class_="axis"))
    parts.append(label((LEFT + RIGHT) / 2, BOTTOM + 30, panel.across, text_anchor="middle", class_="small"))
    if panel.line is not None and y.low <= panel.line <= y.high:
        at = y.place(panel.line)
        parts.append(element("path", d=path([(LEFT, at), (RIGHT, at)]), class_="cut"))
    return group(*parts)


def _draw_line(line: Line, kept: Sequence[int], stride: int, x: Scale, y: Scale) -> Markup:
    parts, name = [], escape(make_plain_line(line.name))
    for seed in kept:
        track = line.seeds[seed]
        places = sorted(track)
        thinned = sorted({*places[::stride], *places[-1:]})
        if not thinned:
            continue
        at = list(zip(x.place_all(thinned), y.place_all([track[one] for one in thinned]), strict=True))
        told = f"<title>{name}, seed {seed}</title>"  # most of a page's elements are these
        drawn = path(at if len(at) > 1 else [*at, *at])
        parts.append(Markup(f'<path d="{drawn}" class="seed" data-seed="{seed}">{told}</path>'))
    for seed, (place, value) in line.ends.items():
        a, b = x.place(place), y.place(value)
        cross = f"{path([(a - 4, b - 4), (a + 4, b + 4)])}{path([(a - 4, b + 4), (a + 4, b - 4)])}"
        parts.append(element("path", element("title", f"{line.name}, seed {seed}: diverged"), d=cross, class_="cross"))
    every = sorted({place for track in line.seeds.values() for place in track})
    columns = [[track[place] for track in line.seeds.values() if place in track] for place in every]
    if line.spread and len(every) > 1:
        parts.insert(0, _draw_spread(every, columns, x, y))
    averages = [_average(column, y.log) for column in columns]
    mean = list(zip(x.place_all(every), y.place_all(averages), strict=True))
    parts.append(element("path", d=path(mean), class_=f"mean {_choose_dash(line.index)}"))
    step = -(-len(mean) // MARKERS) or 1
    parts += [_draw_marker(line.index, at) for at in mean[line.index * step // 4 % step :: step]]
    return group(*parts, class_=f"c{line.index % COLOURS}", data_arm=line.index)


def _average(values: Sequence[float], log: bool) -> float:
    """Return the mean, on a logarithmic axis the geometric mean."""
    return 10.0 ** fmean([math.log10(value) for value in values]) if log else fmean(values)


def _find_spread(values: Sequence[float], log: bool) -> Point:
    """Return mean − sd and mean + sd as the verdict's figures have them, but for digits that no pixel shows."""
    shown = [math.log10(value) for value in values] if log else values
    mean = fmean(shown)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in shown) / max(1, len(shown) - 1))
    low, high = mean - sd, mean + sd
    return (10.0 ** max(-300.0, low), 10.0 ** min(300.0, high)) if log else (low, high)


def _draw_spread(every: Sequence[float], columns: Sequence[Sequence[float]], x: Scale, y: Scale) -> Markup:
    def within(value: float) -> float:
        return y.place(min(max(value, y.low), y.high))

    ends = [_find_spread(column, y.log) for column in columns]
    lower = [(x.place(place), within(low)) for place, (low, _) in zip(every, ends, strict=True)]
    upper = [(x.place(place), within(high)) for place, (_, high) in zip(every, ends, strict=True)]
    return element("path", d=path([*lower, *reversed(upper)], closed=True), class_="spread")


def _draw_marker(index: int, at: Point) -> Markup:
    """Draw an arm's marker, filled for the first arm and hollow for the others."""
    x, y = at
    shape = index % SHAPES
    hollow = "mark" if index == 0 else "mark hollow"
    if shape == 0:
        return element("circle", cx=x, cy=y, r=3.2 if index == 0 else 4.0, class_=hollow)
    shapes: dict[int, list[Point]] = {
        1: [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        2: [(0, -4.5), (4.2, 3), (-4.2, 3)],
        3: [(0, -4.8), (4.8, 0), (0, 4.8), (-4.8, 0)],
        4: [(0, 4.5), (4.2, -3), (-4.2, -3)],
        6: [
            (-4.5, -1.5),
            (-1.5, -1.5),
            (-1.5, -4.5),
            (1.5, -4.5),
            (1.5, -1.5),
            (4.5, -1.5),
            (4.5, 1.5),
            (1.5, 1.5),
            (1.5, 4.5),
            (-1.5, 4.5),
            (-1.5, 1.5),
            (-4.5, 1.5),
        ],
        7: [(-4, -4.5), (4, -4.5), (-4, 4.5), (4, 4.5)],
        5: [(4.5 * math.sin(turn * 0.4 * math.pi), -4.5 * math.cos(turn * 0.4 * math.pi)) for turn in range(5)],
    }
    return element("path", d=path([(x + dx, y + dy) for dx, dy in shapes[shape]], closed=True), class_=hollow)
