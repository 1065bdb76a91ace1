"""Figure of a search: what every candidate came to, over each path that was searched, and which were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.domain.tuning import write_value
from harness.metrics import parse_metric
from harness.records import Candidate, Distribution, Hypothesis, Search
from harness.records.tuning import Value
from harness.verdict import series
from harness.verdict.canvas import (
    MUTED,
    TEXT,
    Drawing,
    add_legend,
    choose_line_style,
    count_legend_rows,
    place,
    set_log_ticks,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.2  # height of a legend row in inches
PANEL = 2.6  # height of a row of panels in inches
DECADE = 10  # listed numbers that span it have a log axis
MARKS = "large ring: chosen · small ring: next best · dots: seeds · cross: seeds diverged"


class _Panel(NamedTuple):
    """One searched path."""

    path: str
    log: bool
    """True if the space is logarithmic."""
    named: list[Value]
    """Values with places of their own on the axis, because they are no numbers; empty if all are."""

    def put(self, value: Value) -> float:
        """Return the place of a value on the axis."""
        return float(self.named.index(value)) if self.named else float(value)


def draw_search(hypothesis: Hypothesis, search: Search | None, *, pilot: bool) -> Drawing | None:
    """Draw a panel per searched path, one colour per arm: the mean of each candidate, and its seeds; None without."""
    if search is None or hypothesis.tuning is None:
        return None
    order = list(hypothesis.arms)
    labels = {order.index(name): hypothesis.arms[name].label for name in search.arms}
    space = hypothesis.tuning.space
    paths = list(dict.fromkeys(path for name in search.arms for path in space[name]))
    panels = [_describe_panel(path, search, [one[path] for one in space.values() if path in one]) for path in paths]
    measured = [value for arm in search.arms.values() for one in arm.candidates for value in one.measured]
    values = [value for value in measured if value is not None]
    log = series.needs_log_axis(search.metric, values)
    top = 0.1 + ROW * count_legend_rows(labels)
    title = parse_metric(search.metric).title

    def draw(figure: Figure) -> None:
        add_legend(figure, labels)
        for position, panel in enumerate(panels):
            column, row = position % 2, position // 2
            axes = place(figure, 0.75 + column * 3.6, top + 0.35 + row * PANEL, 6.4 if len(panels) == 1 else 2.85, 1.75)
            _draw_panel(axes, panel, search, order)
            axes.set_title(f"{title}, last epoch" if position == 0 else "")
            axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
            if log:
                axes.set_yscale("log")
                set_log_ticks(axes.yaxis, min(value for value in values if value > 0), max(values))
        figure.text(0.1, 0.07 / figure.get_figheight(), MARKS, color=MUTED, fontsize=8)

    height = top + PANEL * -(-len(panels) // 2) + 0.2
    over = " and over ".join(f"{panel.path}{' on a log axis' * panel.log}" for panel in panels)
    alt = f"{title} of every candidate of the search, over {over}; one colour per arm, the chosen candidates ringed"
    return Drawing(height, draw, pilot, alt)


def _describe_panel(path: str, search: Search, spaces: Sequence[tuple[Value, ...] | Distribution]) -> _Panel:
    tried = _list_tried(path, search)
    if any(isinstance(value, bool | str) for value in tried):
        return _Panel(path, log=False, named=list(dict.fromkeys(tried)))
    numbers = [float(value) for value in tried]
    drawn = [one.distribution for one in spaces if isinstance(one, Distribution)]
    wide = min(numbers) > 0 and max(numbers) >= DECADE * min(numbers)
    return _Panel(path, log="loguniform" in drawn or (not drawn and wide), named=[])


def _list_tried(path: str, search: Search) -> list[Value]:
    return [one.values[path] for arm in search.arms.values() for one in arm.candidates if path in one.values]


def _draw_panel(axes: Axes, panel: _Panel, search: Search, order: Sequence[str]) -> None:
    for name, arm in search.arms.items():
        if panel.path not in arm.choice.values:
            continue
        style = choose_line_style(order.index(name))
        joined = len(arm.choice.values) == 1 and not panel.named
        ranked = sorted(arm.candidates, key=lambda one: panel.put(one.values[panel.path]))
        means = [(panel.put(one.values[panel.path]), one.mean) for one in ranked if one.mean is not None]
        style |= {} if joined else {"linestyle": "none"}
        axes.plot([at for at, _ in means], [mean for _, mean in means], linewidth=1.2, **style)
        _draw_seeds(axes, panel, ranked, style["color"])
        for position, size in ((arm.chosen, 15), (arm.runner_up, 10)):
            one = None if position is None else arm.candidates[position]
            if one is not None and one.mean is not None:
                place_of_it = panel.put(one.values[panel.path])
                axes.plot([place_of_it], [one.mean], "o", markersize=size, markerfacecolor="none", color=style["color"])
    _finish(axes, panel, search)


def _draw_seeds(axes: Axes, panel: _Panel, candidates: Sequence[Candidate], color: str) -> None:
    points = [
        (panel.put(one.values[panel.path]), value) for one in candidates for value in one.measured if value is not None
    ]
    axes.plot([at for at, _ in points], [value for _, value in points], ".", markersize=4, alpha=0.45, color=color)
    lost = [panel.put(one.values[panel.path]) for one in candidates if one.diverged]
    axes.plot(lost, [0.03] * len(lost), "x", color=color, transform=axes.get_xaxis_transform(), clip_on=False)


def _finish(axes: Axes, panel: _Panel, search: Search) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(shorten(panel.path, 48), color=TEXT)
    axes.set_axisbelow(True)
    if panel.named:
        axes.set_xticks(range(len(panel.named)), [shorten(write_value(value), 12) for value in panel.named])
        axes.margins(y=0.14)
        axes.set_xlim(-0.5, len(panel.named) - 0.5)
        return
    tried = _list_tried(panel.path, search)
    axes.margins(x=0.08, y=0.14)
    if panel.log:
        axes.set_xscale("log")
        set_log_ticks(axes.xaxis, min(map(float, tried)), max(map(float, tried)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=all(isinstance(one, int) for one in tried)))
