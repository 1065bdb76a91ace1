"""The figure of a search: a panel per path, log axes of logarithmic spaces, and the chosen and next best ringed."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from matplotlib.figure import Figure

from harness.records import Candidate, Hypothesis, Search, TunedArm
from harness.records.tuning import Value
from harness.verdict.canvas import draw_svg
from harness.verdict.search_figure import draw_search
from tests.unit.inference.test_inference_tuning import load

LR, DECAY, SCHEDULE = "setup.optimizer.lr", "setup.optimizer.weight_decay", "setup.optimizer.schedule"
SPACE = "{setup.optimizer.lr: [1.0e-3, 3.0e-3, 1.0e-2]}"


def make(hypothesis: Hypothesis, candidates: list[dict[str, Value]], lost: int | None = None) -> Search:
    """A search of both arms whose candidates come to 0.2, 0.4, …; one of them, by position, diverged."""
    means = [None if position == lost else 0.2 * (position + 1) for position in range(len(candidates))]
    made = tuple(
        Candidate(values=values, measured=(mean, mean), mean=mean)
        for values, mean in zip(candidates, means, strict=True)
    )
    arm = TunedArm(candidates=made, chosen=len(made) - 1, runner_up=0, edges=())
    assert hypothesis.tuning is not None
    return Search(metric="validation_accuracy", better="higher", seeds=(1, 2), arms=dict.fromkeys(hypothesis.arms, arm))


def draw(monkeypatch: pytest.MonkeyPatch, hypothesis: Hypothesis, search: Search) -> Figure:
    """The figure as it is drawn, before it is written."""
    seen: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *rest: object, **named: object) -> None:
        seen.append(self)
        cast("Callable[..., None]", save)(self, *rest, **named)

    monkeypatch.setattr(Figure, "savefig", keep)
    drawing = draw_search(hypothesis, search, pilot=False)
    assert drawing is not None
    drawing.svg()
    return seen[0]


def count_rings(figure: Figure, size: float) -> int:
    return sum(
        line.get_markersize() == size and line.get_markerfacecolor() == "none"
        for axes in figure.axes
        for line in axes.lines
    )


def test_listed_rates_over_a_decade_have_a_log_axis_and_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    hypothesis = load()
    search = make(hypothesis, [{LR: rate} for rate in (1e-3, 3e-3, 1e-2)])
    figure = draw(monkeypatch, hypothesis, search)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", LR)
    assert count_rings(figure, 15) == count_rings(figure, 10) == 2
    means = [line for line in axes.lines if len(line.get_xdata()) == 3 and line.get_linestyle() != "None"]
    assert [list(line.get_ydata()) for line in means] == [pytest.approx([0.2, 0.4, 0.6])] * 2


def test_every_path_has_a_panel_and_names_stand_on_their_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    several = "{setup.optimizer.weight_decay: [0, 0.1], setup.optimizer.schedule: [constant, cosine]}"
    hypothesis = load((f"bp: {SPACE}", f"bp: {several}"), (f"dfa: {SPACE}", f"dfa: {several}"))
    values = [{DECAY: decay, SCHEDULE: schedule} for decay in (0, 0.1) for schedule in ("constant", "cosine")]
    figure = draw(monkeypatch, hypothesis, make(hypothesis, values))
    first, second = figure.axes
    assert (first.get_xscale(), first.get_xlabel(), second.get_xlabel()) == ("linear", DECAY, SCHEDULE)
    assert [label.get_text() for label in second.get_xticklabels()] == ["constant", "cosine"]


def test_what_diverged_is_crossed_at_the_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    hypothesis = load()
    search = make(hypothesis, [{LR: rate} for rate in (1e-3, 3e-3, 1e-2)], lost=1)
    (axes,) = draw(monkeypatch, hypothesis, search).axes
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[3e-3]] * 2


def test_nothing_is_drawn_without_a_search() -> None:
    assert draw_search(load(), None, pilot=False) is None


@pytest.mark.parametrize(("scale", "shown"), [(1e-7, "2e-7"), (1e9, "2e9"), (1.0, "2.0")])
def test_ticks_are_whole_numbers_without_a_factor_beside_the_axis(scale: float, shown: str) -> None:
    seen: list[Figure] = []

    def write(figure: Figure) -> None:
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.plot([0, 4 * scale], [0, 1])
        seen.append(figure)

    draw_svg(2, write, pilot=False)
    (axes,) = seen[0].axes
    assert shown in [label.get_text() for label in axes.get_xticklabels()]
    assert axes.xaxis.get_offset_text().get_text() == ""
