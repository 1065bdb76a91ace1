"""The report of ``harness power``: tables, sentences, a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.records import Band, DecisionPower, PowerReport
from harness.verdict.canvas import LINES, MUTED, TEXT, TINTS, WIDTH, Drawing, place, set_ratio_axis, shorten
from harness.verdict.tables import Table
from harness.verdict.text import Markdown, append_unit, escape, format_chance
from harness.wording import (
    RATIO_UNIT,
    format_count,
    format_exact,
    format_level,
    format_number,
    join_words,
    quote_outcome,
    typeset,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 3.15  # inches, one decision
LEFT, TOP, HEIGHT = 0.55, 0.72, 1.95
ENOUGH = 0.8
SD_STYLES = ("dotted", "solid", "dashed")


def tabulate_decision(part: DecisionPower) -> list[Table]:
    """Return a decision's tables: outcomes by true effect; the prediction by true effect, and by number of seeds."""
    sd, seeds = format_number(part.sds[1]), _count_seeds(part)
    rows = [_build_outcome_row(part, index) for index in range(len(part.landmarks))]
    heads = ["If the true value is", "it lies in", *part.outcomes, *(["seeds on average"] if part.looks else [])]
    found = [Table(f"Chance of each outcome, with {seeds} and an sd of {sd}", heads, rows)]
    if not part.prediction:
        return found
    predicted = _name_predicted(part)
    heads = [f"sd {format_number(value)}" for value in part.sds]
    found.append(
        Table(
            f"Chance of {predicted} with {seeds}; in brackets, the "
            + ("look by which it is 80%" if part.looks else "seeds that a chance of 80% takes"),
            ["If the true value is", "which is", *heads],
            [
                [
                    Markdown(format_exact(row.effect)),
                    typeset(row.where),
                    *(
                        Markdown(f"{format_chance(p, part.draws)} ({_format_needed_seeds(part, row.effect, n)})")
                        for p, n in zip(row.chances, row.seeds, strict=True)
                    ),
                ]
                for row in part.prediction
            ],
        )
    )
    found.append(
        Table(
            f"Chance of {predicted} if the true value is {format_exact(part.prediction[0].effect)}, by "
            + ("the look after so many seeds" if part.looks else "number of seeds"),
            ["Seeds", *heads],
            [
                [_format_number_of_seeds(part, n), *(format_chance(row[index], part.draws) for row in part.by_number)]
                for index, n in enumerate(part.numbers)
            ],
        )
    )
    return found


def _count_seeds(part: DecisionPower) -> str:
    return f"{'up to ' if part.looks else ''}{format_count(part.seeds, 'seed')}"


def _name_predicted(part: DecisionPower) -> str:
    return join_words([quote_outcome(outcome) for outcome in part.predicted], "or")


def _format_number_of_seeds(part: DecisionPower, n: int) -> str:
    if part.looks:
        return f"{n:,} (look {part.looks.index(n) + 1} of {len(part.looks)})"
    return f"{n:,} (registered)" if n == part.seeds else f"{n:,}"


def tabulate_guards(report: PowerReport) -> Table | None:
    """Return the probabilities that guards are verified, if anything is known about them."""
    if not report.guards:
        return None
    sources = " and ".join(dict.fromkeys(guard.source for guard in report.guards))
    return Table(
        f"Guards, with {format_count(report.seeds, 'seed')}, if the truth is as {sources}",
        ["Guard", "must be", "truth", "sd", "shown to hold", "shown not to"],
        [
            [
                guard.name,
                f"{guard.side} {format_exact(guard.threshold)}",
                append_unit(format_number(guard.effect), guard.unit),
                append_unit(format_number(guard.sd), "log10" if guard.unit == RATIO_UNIT else ""),
                format_chance(guard.verified),
                format_chance(guard.violated),
            ]
            for guard in report.guards
        ],
    )


def _build_outcome_row(part: DecisionPower, index: int) -> list[str]:
    effect = part.landmarks[index]
    values = part.curve[part.curve_effects.index(effect)]
    row: list[str] = [
        Markdown(format_exact(effect)),
        _find_band(part, effect),
        *(format_chance(value, part.draws) for value in values),
    ]
    return [*row, f"{part.seeds_trained[index]:.1f}"] if part.looks else row


def _find_band(part: DecisionPower, effect: float) -> str:
    return next((name for name, band in part.bands.items() if Band.parse(band).contains(effect)), "no band")


def _format_needed_seeds(part: DecisionPower, effect: float, n: int | None) -> str:
    if n is not None:
        return f"{n:,}"
    if part.looks:
        return "none"
    if _find_band(part, effect) not in part.predicted:
        return "no number"
    return "over 10,000" if part.draws is None else f"over {part.numbers[-1]:,}"


def describe_decision(part: DecisionPower) -> list[str]:
    """Return the sentences above and below a decision's tables."""
    sd = append_unit(format_number(part.sds[1]), "log10" if part.unit == RATIO_UNIT else part.unit)
    said = [
        f"{part.title}; criterion {part.criterion}, level {format_level(part.alpha)}; bands: "
        + "; ".join(f"{name} {typeset(band)}" for name, band in part.bands.items())
        + ".",
        f"Standard deviation between seeds: {sd}, {part.sd_source}.",
    ]
    if part.draws is not None:
        error = (0.25 / part.draws) ** 0.5
        said.append(
            (
                f"Simulated as the stopping rule says, {part.draws:,} runs that end at the first look that decides: "
                if part.looks
                else f"Simulated through the criterion's own code, {part.draws:,} samples for each number of seeds: "
            )
            + f"a standard error of up to {100 * error:.1f} points."
        )
    if part.prediction and part.greatest is not None:
        said.append(_describe_range(part, part.greatest))
    return said


def _describe_range(part: DecisionPower, greatest: float) -> str:
    start = f"With {_count_seeds(part)} and this sd, {_name_predicted(part)}"
    if not part.within:
        return f"{start} has a chance of {format_chance(greatest, part.draws)} at the very best, whatever the truth is."
    spans = []
    for low, high in part.within:
        if low is None or high is None:
            end = low if low is not None else high
            spans.append(
                f"{format_number(end, 4)} or {'more' if high is None else 'less'}" if end is not None else "anything"
            )
        else:
            spans.append(f"between {format_number(low, 4)} and {format_number(high, 4)}")
    return f"{start} has a chance of 80% or more if the true value is {', or '.join(spans)}."


def describe_together(report: PowerReport) -> str | None:
    """Return a sentence about the prediction's joint probability if several decisions make it."""
    if report.together is None or len(report.decisions) + len(report.guards) < 2:
        return None
    low, high = report.together
    at = " and ".join(
        f"{part.name} = {format_exact(part.prediction[0].effect)}" for part in report.decisions if part.prediction
    )
    draws = min((part.draws for part in report.decisions if part.draws is not None), default=None)
    least, most = format_chance(low, draws), format_chance(high, draws)
    bounds = most if least == most else f"at most {most}" if low == 0 else f"at least {least} and at most {most}"
    return (
        f"Together: if {at}, the predicted outcome, {quote_outcome(report.predicted)}, has a chance of {bounds}, "
        f"however {'decisions and guards' if report.guards else 'the decisions'} depend on one another."
    )


def write_markdown(report: PowerReport, figure: str | None = None) -> str:
    """Return the whole report as Markdown; ``figure`` is a path to link to."""
    about = f"Hypothesis {escape(report.hypothesis)}, {format_count(report.seeds, 'seed')}"
    lines = [f"# Before any data: {escape(report.title)}", "", f"{about}; predicted: {escape(report.predicted)}.", ""]
    if figure is not None:
        lines += [f"![{escape(describe_figure(report))}]({figure})", ""]
    for part in report.decisions:
        lines += [f"## {escape(part.name)}", "", *(escape(text) + "\n" for text in describe_decision(part))]
        for table in tabulate_decision(part):
            lines += _write_table(table)
    if (guards := tabulate_guards(report)) is not None:
        lines += ["## Guards", "", *_write_table(guards)]
    lines += [escape(text) + "\n" for text in (describe_together(report), *report.notes) if text]
    return "\n".join(lines).rstrip() + "\n"


def _write_table(table: Table) -> list[str]:
    heads = [f"**{escape(table.title)}**", "", _write_row(table.heads), "|" + "---|" * len(table.heads)]
    return [*heads, *(_write_row(row) for row in table.rows), ""]


def _write_row(cells: list[str]) -> str:
    return f"| {' | '.join(cell if isinstance(cell, Markdown) else escape(cell) for cell in cells)} |"


def describe_figure(report: PowerReport) -> str:
    """Return a description of the figure."""
    names = ", ".join(part.name for part in report.decisions)
    return f"Chance of each outcome over true effects, and of the predicted one over numbers of seeds: {names}"


def draw_figure(report: PowerReport) -> bytes:
    """Draw one row per decision: outcomes over true effects, and the prediction over numbers of seeds; return SVG."""
    return make_drawing(report).svg()


def make_drawing(report: PowerReport) -> Drawing:
    """Return the report's figure, to be drawn as SVG or as an object of matplotlib."""

    def draw(canvas: Figure) -> None:
        for index, part in enumerate(report.decisions):
            top = index * ROW + TOP
            canvas.text(
                0.1 / WIDTH, 1 - (index * ROW + 0.2) / canvas.get_figheight(),
                f"{part.name}: {shorten(part.title, 84)}", fontweight="bold", va="center",
            )  # fmt: skip
            _draw_outcomes(place(canvas, LEFT, top, 3.75, HEIGHT), part)
            if part.prediction:
                _draw_prediction(place(canvas, LEFT + 4.35, top, 2.5, HEIGHT), part)

    return Drawing(len(report.decisions) * ROW, draw, False, describe_figure(report))


def _draw_outcomes(axes: Axes, part: DecisionPower) -> None:
    low, high = part.curve_effects[0], part.curve_effects[-1]
    for index, band in enumerate(part.bands.values()):
        for piece in Band.parse(band):
            left = low if piece.lower is None else max(low, piece.lower)
            right = high if piece.upper is None else min(high, piece.upper)
            if left < right:
                axes.axvspan(left, right, color=TINTS[index % len(TINTS)], linewidth=0, alpha=0.7)
    for index, outcome in enumerate(part.outcomes):
        last = index == len(part.outcomes) - 1
        style = {"color": TEXT, "linestyle": (0, (1, 1.6))} if last else {"color": LINES[index % len(LINES)]}
        values = [row[index] for row in part.curve]
        bold = 2.6 if outcome in part.predicted else 1.6
        axes.plot(part.curve_effects, values, label=shorten(outcome, 22), linewidth=bold, **style)
    for cut in part.cuts:
        axes.axvline(cut, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set(xlim=(low, high))
    if part.unit == RATIO_UNIT:
        set_ratio_axis(axes)
    _set_chance_axis(axes)
    axes.set_xlabel("true value" + (f" ({part.unit})" if part.unit else ""))
    axes.set_title(f"Chance of each outcome, {_count_seeds(part)}, sd {format_number(part.sds[1])}", pad=20)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=len(part.outcomes), fontsize=7.5, handlelength=1.4,
        columnspacing=0.9, borderaxespad=0.2,
    )  # fmt: skip


def _draw_prediction(axes: Axes, part: DecisionPower) -> None:
    index = part.outcomes.index(part.predicted[0])
    for values, sd, style in zip(part.by_number, part.sds, SD_STYLES, strict=True):
        axes.plot(
            part.numbers, values, color=LINES[index % len(LINES)], linestyle=style, marker="o", markersize=3.5,
            label=f"sd {format_number(sd)}",
        )  # fmt: skip
    axes.axhline(ENOUGH, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.axvline(part.seeds, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.text(part.seeds, 0.03, " registered", color=MUTED, fontsize=8)
    axes.set_xlabel("seeds")
    _set_chance_axis(axes)
    axes.set_title(
        f"Chance of {shorten(' or '.join(part.predicted), 20)} at {format_exact(part.prediction[0].effect)}", pad=20
    )
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.04, 0.98), ncols=3, fontsize=7.5, handlelength=2.6, columnspacing=0.7,
        borderaxespad=0.2,
    )  # fmt: skip


def _set_chance_axis(axes: Axes) -> None:
    axes.set(ylim=(0, 1.03), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1.0], yticklabels=["0", "20%", "40%", "60%", "80%", "100%"])
