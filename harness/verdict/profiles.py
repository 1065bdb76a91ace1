"""Figures over layers and over epochs."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from harness.metrics import parse_metric
from harness.records import Hypothesis, Measurements
from harness.stats.summaries import LayerSummary
from harness.verdict import series
from harness.verdict.canvas import (
    MUTED,
    Drawing,
    add_legend,
    choose_line_style,
    count_legend_rows,
    place,
    set_log_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.2  # height of a legend row in inches
SEED_LINES = 90  # number of thin lines in a panel, over all arms
MEAN_MARKERS = 6  # approximate number on each curve of means
SEED_VERTICES = 1000  # number of their vertices in a panel, which keeps the file small


class Panel(NamedTuple):
    """One panel of the learning curves."""

    metric: str
    summary: str
    layer: int | tuple[int, ...] | None
    layers: LayerSummary | None = None
    """Summary over several layers."""
    log10: bool = False
    """True if it is one of logarithms."""
    threshold: float | None = None
    """Threshold of an onset's condition, which is drawn as a line."""


def draw_layers(hypothesis: Hypothesis, measurements: Measurements, name: str) -> Drawing | None:
    """Draw mean ± sd over seeds per layer, one line per arm, at the last evaluated epoch; None without values."""
    summary = series.choose_summary(name)
    count = series.count_layers(measurements, name)
    found = {arm: series.collect_final_values(measurements, arm, name, summary, count) for arm in hypothesis.arms}
    log = series.needs_log_axis(name, [v for by_layer in found.values() for values in by_layer for v in values])
    shown = {
        (index, arm): {
            layer: kept
            for layer, values in enumerate(found[arm])
            if (kept := [value for value in values if value > 0 or not log])
        }
        for index, arm in enumerate(hypothesis.arms)
    }
    shown = {key: rows for key, rows in shown.items() if rows}
    if not shown:
        return None
    labels = {index: hypothesis.arms[arm].label for index, arm in shown}
    top = 0.1 + ROW * count_legend_rows(labels)

    def draw(figure: Figure) -> None:
        add_legend(figure, labels)
        axes = place(figure, 0.85, top + 0.3, 6.4, 1.7)
        ends: list[float] = []
        for (index, _), kept in shown.items():
            style = choose_line_style(index)
            at, rows = list(kept), [series.compute_centre_and_spread(values, log) for values in kept.values()]
            middle, lower, upper = zip(*rows, strict=True)
            axes.fill_between(at, lower, upper, color=style["color"], alpha=0.18, linewidth=0)
            axes.plot(at, middle, linewidth=1.8, **style)
            ends += [end for row in rows for end in row]
        _finish_axes(axes, ends, log)
        if not log and not parse_metric(name).log_axis:
            axes.axhline(0, color="#b0b0b0", linewidth=0.8, zorder=0)
        axes.set_xticks(range(0, count, -(-count // 16)))
        axes.set_xlabel(f"layer (0: after the embedding, {count - 1}: before the head)")
        axes.set_title(series.label_axis(name, summary))

    kind = "geometric mean and sd factor" if log else "mean ± sd"
    alt = f"{series.label_axis(name, summary)} at each of {count} layers, {kind} over seeds, one line per arm"
    return Drawing(top + 2.55, draw, measurements.pilot, alt)


def choose_panels(hypothesis: Hypothesis, measurements: Measurements) -> list[Panel]:
    """Return the metrics that always have curves, and those that the decisions are about, if they were measured."""
    there = series.list_metrics(measurements)
    wanted = [Panel(name, series.choose_summary(name), None) for name in there if parse_metric(name).curve]
    for spec in hypothesis.decisions.values():
        estimand = hypothesis.estimands[spec.estimand]
        log10 = estimand.layers is not None and estimand.in_logs
        threshold = None if estimand.onset is None else estimand.onset.threshold
        for metric in estimand.metrics.values():
            summary = estimand.choose_samples(metric) or "value"
            layer, layers = (estimand.layer, estimand.layers) if metric.layered else (None, None)
            wanted.append(Panel(metric.key, summary, layer, layers, log10, threshold))
    return [panel for panel in dict.fromkeys(wanted) if panel.metric in there]


def draw_curves(hypothesis: Hypothesis, measurements: Measurements) -> Drawing | None:
    """Draw learning curves: every seed thin, the mean over seeds thick, a cross where a seed diverged."""
    panels = choose_panels(hypothesis, measurements)
    tracks = {
        panel: {
            arm: series.collect_tracks(
                measurements, arm, panel.metric, panel.summary, panel.layer or 0, panel.layers, panel.log10
            )
            for arm in hypothesis.arms
        }
        for panel in panels
    }
    panels = [panel for panel in panels if any(track for arm in tracks[panel].values() for track in arm.values())]
    if not panels:
        return None
    labels = {index: arm.label for index, arm in enumerate(hypothesis.arms.values())}
    top = 0.1 + ROW * count_legend_rows(labels)

    def draw(figure: Figure) -> None:
        add_legend(figure, labels)
        for index, panel in enumerate(panels):
            column, row = index % 2, index // 2
            axes = place(figure, 0.75 + column * 3.6, top + 0.45 + row * 2.9, 2.85, 1.9)
            _draw_curves(axes, measurements, panel, tracks[panel])
            title = series.label_axis(*panel[:5])
            axes.set_title("\n".join(textwrap.wrap(title, 40)))
            axes.set_xlabel("epoch")

    names = "; ".join(series.label_axis(*panel[:5]) for panel in panels)
    alt = f"Learning curves over epochs: {names}; thin lines are seeds, thick lines their mean, one colour per arm"
    height = top + 2.9 * -(-len(panels) // 2) + 0.05
    return Drawing(height, draw, measurements.pilot, alt)


def _draw_curves(
    axes: Axes, measurements: Measurements, panel: Panel, tracks: dict[str, dict[int, dict[int, float]]]
) -> None:
    everything = [value for arm in tracks.values() for track in arm.values() for value in track.values()]
    log = panel.layers != "slope" and not panel.log10 and series.needs_log_axis(panel.metric, everything)
    per_arm = max(3, SEED_LINES // len(tracks))
    seeds = {arm: list(found)[:: -(-len(found) // per_arm) or 1] for arm, found in tracks.items()}
    vertices = sum(len(tracks[arm][seed]) for arm, kept in seeds.items() for seed in kept)
    stride = -(-vertices // SEED_VERTICES) or 1
    for index, (arm, found) in enumerate(tracks.items()):
        style = choose_line_style(index)
        at = {seed: [epoch for epoch in track if track[epoch] > 0 or not log] for seed, track in found.items()}
        xs: list[float] = []
        ys: list[float] = []
        for seed in seeds[arm]:  # one path for all seeds of an arm, broken by NaN, takes a third of the bytes
            thinned = sorted({*at[seed][::stride], *at[seed][-1:]})
            xs += [*thinned, math.nan]
            ys += [*(found[seed][epoch] for epoch in thinned), math.nan]
        axes.plot(xs, ys, linewidth=0.6, alpha=0.4, color=style["color"])
        for seed, epochs in at.items():
            if epochs and measurements.find_replica(arm, seed).status == "diverged":
                axes.plot(epochs[-1:], [found[seed][epochs[-1]]], "x", color=style["color"], markersize=6)
        every = sorted({epoch for epochs in at.values() for epoch in epochs})
        present = [[found[seed][epoch] for seed, epochs in at.items() if epoch in epochs] for epoch in every]
        middle = [series.compute_centre_and_spread(values, log)[0] for values in present]
        step = -(-len(every) // MEAN_MARKERS) or 1
        first = index * step // len(tracks)  # staggered by arm, so that markers of equal curves stay apart
        axes.plot(every, middle, linewidth=1.8, markevery=(first, step), **style)
    if panel.threshold is not None and (panel.threshold > 0 or not log):
        axes.axhline(panel.threshold, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
        everything.append(panel.threshold)
    _finish_axes(axes, everything, log)


def _finish_axes(axes: Axes, values: list[float], log: bool) -> None:
    """Set scale, ticks and grid of the value axis, and whole numbers on the other axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    if log:
        positive = [value for value in values if value > 0]
        axes.set_yscale("log")
        set_log_ticks(axes.yaxis, min(positive), max(positive))
