"""A decision's estimate against its bands, as one line of text and as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.criteria import Target
from harness.records import BandDecision, DecisionSpec, EstimandResult, Interval
from harness.verdict.canvas import MUTED, TEXT, TINTS, Drawing, place, set_ratio_axis, shorten
from harness.verdict.shelves import Shelves, make_shelves
from harness.verdict.text import format_exact, format_together
from harness.wording import RATIO_UNIT, format_count, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_POINTS = 300
CHARACTER = 0.078  # inches, at 9 points


def list_regions(spec: DecisionSpec) -> list[tuple[str, Interval]]:
    """Return the bands' intervals from left to right, each with its outcome."""
    parts = [(name, part) for name, band in spec.bands.items() for part in band]
    return sorted(parts, key=lambda item: (item[1].lower is not None, item[1].lower or 0.0, not item[1].lower_closed))


def find_estimate(result: EstimandResult, summary: Target) -> float | None:
    """Return the point estimate: the summary over seeds that the file asks for."""
    return result.estimate(summary)


def write_strip(decision: BandDecision, spec: DecisionSpec, estimate: float | None) -> str:
    """Return cuts, bands and interval from left to right: ``low |5| high [29.2 *30.6* 32.0]``."""
    marks: list[tuple[float, int, str]] = [(cut, 0, f"|{format_exact(cut)}|") for cut in spec.cuts]
    marks += [(part.lower if part.lower is not None else float("-inf"), 1, name) for name, part in list_regions(spec)]
    if estimate is not None:
        ends = decision.interval or ()
        texts = format_together([estimate, *ends], spec.cuts, decision.estimand.never)
        marks.append((estimate, 3, f"*{texts[0]}*"))
        if decision.interval is not None:
            marks += [(decision.interval[0], 2, f"[{texts[1]}"), (decision.interval[1], 4, f"{texts[2]}]")]
    return " ".join(text for _, _, text in sorted(marks, key=lambda mark: mark[:2]))


def choose_range(points: Sequence[float], cuts: Sequence[float]) -> tuple[float, float]:
    """Return a finite range with all points, and with every cut that leaves them enough width to be distinguishable.

    That is a tenth of the width for the nearest cut on either side, a quarter for those beyond it.
    """
    low, high = min(points), max(points)
    span = high - low or min((abs(cut - low) for cut in cuts if cut != low), default=1.0)
    nearest = {max((cut for cut in cuts if cut < low), default=None), min((c for c in cuts if c > high), default=None)}
    for cut in sorted(cuts, key=lambda cut: (cut not in nearest, max(low - cut, cut - high))):
        wider = min(low, cut), max(high, cut)
        if span >= (0.1 if cut in nearest else 0.25) * (wider[1] - wider[0]):
            low, high = wider
    pad = 0.14 * (high - low or span)
    return low - pad, high + pad


def choose_ratio_range(points: Sequence[float], cuts: Sequence[float]) -> tuple[float, float]:
    """Return a range of ratios as ``choose_range`` does for their logarithms."""
    low, high = choose_range([math.log10(point) for point in points], [math.log10(cut) for cut in cuts if cut > 0])
    return 10**low, 10**high


def choose_wide_interval(decision: BandDecision) -> tuple[float, float] | None:
    """Return the 95% interval; None if it is of another kind than the decision's own interval, or not wider."""
    wide = decision.estimand.interval95
    if wide and decision.interval and not (wide[0] < decision.interval[0] and decision.interval[1] < wide[1]):
        return None
    return wide


def stack_points(places: Sequence[float], width: float) -> list[int]:
    """Return the row of each dot, from 0, so that dots of a width at ascending places don't overlap."""
    last: list[float] = []  # place of the last dot in each row
    rows = []
    for at in places:
        row = next((index for index, before in enumerate(last) if at - before >= width), len(last))
        if row == len(last):
            last.append(at)
        last[row] = at
        rows.append(row)
    return rows


def draw_bands(decision: BandDecision, spec: DecisionSpec, estimate: float | None, *, pilot: bool) -> Drawing | None:
    """Return per-seed points, estimate and interval over the bands; None if nothing is finite."""
    values = sorted(seed.value for seed in decision.estimand.values if seed.value is not None and not seed.anything)
    if not values or estimate is None:
        return None
    wide = choose_wide_interval(decision)
    points = [*values, estimate, *(decision.interval or ()), *(wide or ())]
    ratio = decision.estimand.unit == RATIO_UNIT and min(points) > 0
    finite = [value for value in points if math.isfinite(value)]
    choose = choose_ratio_range if ratio else choose_range
    shelves = make_shelves(*choose(finite or spec.cuts, spec.cuts), points)
    low, high = shelves.limits

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = place(figure, 0.25, 0.3, 7.0, 1.75)
        axes.set(xlim=(low, high), ylim=(0, 1), yticks=[])
        axes.spines["left"].set_visible(False)
        if ratio:
            set_ratio_axis(axes)
        _draw_bands(axes, decision, spec, pilot)
        if decision.estimand.never is not None:
            shelves.draw(axes, decision.estimand.never)
        _draw_points(axes, shelves.put(values), (low, high))
        _draw_interval(axes, decision, spec, estimate, wide, shelves)
        whole = decision.estimand.never is not None
        if not ratio:  # no label beyond the figure's edge
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, prune="both", integer=whole))
        if whole:
            axes.set_xticks([tick for tick in axes.get_xticks() if shelves.low <= tick <= shelves.high])
        result = decision.estimand
        missing = f"; {len(values)} of {len(result.values)} seeds" if len(values) < len(result.values) else ""
        axes.set_xlabel(shorten(result.title, 100) + (f" ({result.unit})" if result.unit else "") + missing)

    return Drawing(2.65, draw, pilot, *_describe_figure(decision, spec, estimate))


def _draw_bands(axes: Axes, decision: BandDecision, spec: DecisionSpec, pilot: bool) -> None:
    low, high = axes.get_xlim()
    tint = {name: TINTS[index % len(TINTS)] for index, name in enumerate(spec.bands)}
    unlabelled = []
    for name, part in list_regions(spec):
        left = max(low, part.lower if part.lower is not None else low)
        right = min(high, part.upper if part.upper is not None else high)
        if left > right or (left == right and left in (low, high)):
            continue
        axes.axvspan(left, right, color=tint[name], linewidth=0)
        middle, share = _measure_stretch(axes, left, right)
        if len(name) * CHARACTER < 7.0 * share:
            bold = "bold" if name == decision.outcome and not pilot else "normal"
            axes.text(middle, 0.93, name, ha="center", va="center", fontweight=bold)
        else:
            unlabelled.append(name)
    beyond = (
        (describe_beyond(spec, low, left=True), 0.004, "left"),
        (describe_beyond(spec, high, left=False), 0.996, "right"),
    )
    bottom = 0.11 if any(text for text, _, _ in beyond) else 0.0
    for cut in spec.cuts:
        if low < cut < high:
            axes.axvline(cut, ymin=bottom, ymax=0.86, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
            axes.text(cut, 1.02, format_exact(cut), ha="center", va="bottom", color=MUTED, fontsize=8)
    if unlabelled:
        from matplotlib.patches import Patch

        names = list(dict.fromkeys(unlabelled))
        patches = [Patch(color=tint[name]) for name in names]
        axes.legend(patches, names, loc="upper right", bbox_to_anchor=(1.0, 0.9), fontsize=8)
    for text, x, side in beyond:
        if text:
            axes.text(x, 0.02, text, ha=side, va="bottom", fontsize=8, color=MUTED, transform=axes.transAxes)


def _measure_stretch(axes: Axes, left: float, right: float) -> tuple[float, float]:
    """Return the middle of a stretch as it is drawn, and its share of the axis."""
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        return math.sqrt(left * right), math.log(right / left) / math.log(high / low)
    return (left + right) / 2, (right - left) / (high - low)


def describe_beyond(spec: DecisionSpec, edge: float, *, left: bool) -> str:
    """Return the bands and cuts out of view: ``← partial begins at 25, artifact at 5``."""
    if left:
        hidden = [(name, part.upper) for name, part in reversed(list_regions(spec)) if part.upper is not None]
        hidden = [(name, end) for name, end in hidden if end < edge]
    else:
        hidden = [
            (name, part.lower) for name, part in list_regions(spec) if part.lower is not None and part.lower > edge
        ]
    words = [f"{name} {'begins ' * (index == 0)}at {format_exact(end)}" for index, (name, end) in enumerate(hidden)]
    if not words:
        return ""
    return f"← {', '.join(words)}" if left else f"{', '.join(words)} →"


def _draw_points(axes: Axes, values: list[float], limits: tuple[float, float]) -> None:
    """Draw one dot per seed, stacked downwards if dots would overlap; of very many seeds, an evenly spaced choice."""
    step = -(-len(values) // SHOWN_POINTS)
    shown = values[::step]
    spot = math.log if axes.get_xscale() == "log" else float
    width = (spot(limits[1]) - spot(limits[0])) * 0.0135  # of a dot
    rows = stack_points([spot(value) for value in shown], width)
    gap = min(0.085, 0.34 / (1 + max(rows, default=0)))
    axes.plot(
        shown, [0.44 - gap * row for row in rows], "o", color=TEXT, markersize=5, alpha=0.75, markeredgewidth=0,
    )  # fmt: skip
    if step > 1:
        axes.text(0.5, 0.13, f"{len(shown)} of {len(values)} seeds shown", ha="center", transform=axes.transAxes)


def _draw_interval(
    axes: Axes,
    decision: BandDecision,
    spec: DecisionSpec,
    estimate: float,
    wide: tuple[float, float] | None,
    shelves: Shelves,
) -> None:
    from matplotlib.patheffects import withStroke

    if wide is not None:
        axes.plot(wide, [0.6, 0.6], color=TEXT, linewidth=1.2, solid_capstyle="butt")
    if decision.interval is not None:
        axes.plot(shelves.put(decision.interval), [0.6, 0.6], color=TEXT, linewidth=4.5, solid_capstyle="butt")
    (at,) = shelves.put([estimate])
    axes.plot([at], [0.6], "D", color="white", markeredgecolor=TEXT, markeredgewidth=1.4, markersize=7)
    text = str(format_together([estimate, *(decision.interval or ())], spec.cuts, decision.estimand.never)[0])
    halo = [withStroke(linewidth=4, foreground="white")]  # keeps a boundary from crossing the digits
    axes.annotate(
        text, (at, 0.6), (0, 8), textcoords="offset points", ha="center", fontweight="bold", path_effects=halo,
    )  # fmt: skip


def _describe_figure(decision: BandDecision, spec: DecisionSpec, estimate: float) -> tuple[str, str]:
    """Return the figure's description, in the current form and in that of pages of form 1 or 2."""
    texts = format_together([estimate, *(decision.interval or ())], spec.cuts, decision.estimand.never)
    bands = "; ".join(f"{name} {band}" for name, band in spec.bands.items())
    level = 100 * decision.interval_level

    def told(seeds: str, percent: str) -> str:
        interval = "" if decision.interval is None else f", {percent}% interval {texts[1]} to {texts[2]}"
        return f"{seeds}, estimate {texts[0]}{interval}, over the bands {bands}"

    seeds = decision.estimand.n
    return told(format_count(seeds, "seed"), format_number(level)), told(f"{seeds} seeds", f"{level:g}")
