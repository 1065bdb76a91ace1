"""The results: one row per decision, with every number marked by the run that it comes from; guards; figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness.domain.tuning import write_settings
from harness.paper.markup import Figure, Table, code, foreign, head, quoted
from harness.paper.numbers import FAMILY, mark_number
from harness.paper.study import Study
from harness.records import BandDecision, EstimandResult
from harness.wording import (
    append_unit,
    format_count,
    format_level,
    format_number,
    format_p,
    format_together,
    join_words,
    typeset,
    write_span,
)

HEADS = ("Decision", "Estimate", "Interval", "n", "p", "p adjusted", "Outcome")
WIDTHS = (0.16, 0.15, 0.21, 0.08, 0.1, 0.12, 0.18)  # n has room for four digits
DASH = "–"


class Picture(NamedTuple):
    """A figure of a run."""

    study: Study
    name: str
    """Name of its file in the paper's folder, without the ending."""
    alt: str
    shown: bool
    """True if the text shows it; the others lie beside it."""


class Numbers(NamedTuple):
    """A decision's numbers, each marked."""

    estimate: str
    """Estimate with its unit, or that there is none."""
    span: str | None
    """Interval with its unit."""
    level: str
    """Confidence level of the interval."""
    n: str
    p: str

    def in_table(self) -> tuple[str, str, str, str]:
        """Return the cells of a row."""
        return self.estimate, DASH if self.span is None else f"{self.span} ({self.level})", self.n, self.p


def tabulate_results(studies: Sequence[Study]) -> Table:
    """Return the table of results: estimate, interval, n, p, p adjusted, outcome."""
    rows: list[tuple[str, ...]] = []
    for study in studies:
        rows.append((head(study.short, study.form.title),))
        several = len(study.decision.decisions) > 1
        for index, part in enumerate(study.decision.decisions):
            last = ("", mark_outcome(study, f"decision.decisions[{index}].outcome", part.outcome))
            if not several:
                last = (_mark_adjusted(study), _tell_outcome(study))
            rows.append((code(part.name), *_tell_numbers(study, index, part).in_table(), *last))
        if several:
            rows.append(("together", "", "", "", "", _mark_adjusted(study), _tell_outcome(study)))
    runs = join_words([f"{study.short} from run {code(study.run.name)}" for study in studies])
    caption = f"Results across seeds: {runs}. {_explain_p(studies)}"
    return Table(caption, "tab:results", HEADS, WIDTHS, tuple(rows))


def mark_outcome(study: Study, place: str, outcome: str) -> str:
    """Return an outcome with its mark."""
    return mark_number(study.run.name, place, outcome)


def _tell_outcome(study: Study) -> str:
    """Return a hypothesis's outcome with its mark, and that the run deviates, as lists and sites say it."""
    outcome, deviates = (
        mark_outcome(study, "decision.outcome", study.decision.outcome),
        study.run.name in study.deviating,
    )
    return f"{outcome} ({foreign(study.deviating[study.run.name])})" if deviates else outcome


def _tell_numbers(study: Study, index: int, part: BandDecision) -> Numbers:
    spec = study.form.decisions[part.name]
    place, result = f"decision.decisions[{index}]", part.estimand
    target = spec.criterion.targets
    value = result.estimate(target)
    p = DASH if part.p is None else _mark(study, f"{place}.p", format_p(part.p, part.alpha))
    n = _mark(study, f"{place}.estimand.n", str(result.n))
    level = _mark(study, f"{place}.interval_level", f"{format_number(100 * part.interval_level)}%")
    if value is None:
        return Numbers("no finite value", None, level, n, p)
    estimate, span = _mark_span(
        study, (f"{place}.estimand.{target}", f"{place}.interval"), result, value, part.interval, spec.cuts
    )
    return Numbers(estimate, span, level, n, p)


def _mark_span(
    study: Study,
    places: tuple[str, str],
    result: EstimandResult,
    value: float,
    interval: tuple[float, float] | None,
    cuts: Sequence[float] = (),
) -> tuple[str, str | None]:
    """Return an estimate and its interval, each with its unit, in one notation."""
    texts = [typeset(text) for text in format_together([value, *(interval or ())], cuts, result.never)]
    estimate = append_unit(_mark(study, places[0], texts[0]), foreign(result.unit))
    if interval is None:
        return estimate, None
    ends = [_mark(study, f"{places[1]}[{end}]", text) for end, text in enumerate(texts[1:])]
    return estimate, write_span(ends[0], ends[1], foreign(result.unit))


def _mark(study: Study, place: str, text: str) -> str:
    return mark_number(study.run.name, place, text)


def _mark_adjusted(study: Study) -> str:
    if study.family is not None:
        return DASH if study.family.adjusted is None else _mark(study, FAMILY, format_p(study.family.adjusted))
    p = study.decision.p
    return DASH if p is None else _mark(study, "decision.p", format_p(p))


def _explain_p(studies: Sequence[Study]) -> str:
    """Say what the two p-values are adjusted for."""
    told = [
        (
            "The column p has the largest p-value outside the band that is the outcome (of an inconclusive decision, "
            "outside "
            "the band in which the estimate lies), as the decision's own test gives it."
        ),
        "The adjusted p is that of the hypothesis's outcome, over its decisions and its planned looks",
    ]
    families = {study.family.name: study.family for study in studies if study.family is not None}
    if families:
        listed = [
            f"{code(name)}, {format_count(family.members, 'registered member')}" for name, family in families.items()
        ]
        alone = " of hypotheses outside a family" if any(study.family is None for study in studies) else ""
        told[-1] += (
            f"{alone}; in a registered family ({'; '.join(listed)}) it is further adjusted by Holm's method, in "
            "which a member without one of its file's own outcomes counts with p = 1."
        )
    else:
        told[-1] += "."
        if len(studies) > 1:
            told.append("The hypotheses were not registered as a family, and p is not adjusted for their number.")
    return " ".join(told)


def tell_results(study: Study) -> list[str]:
    """Return sentences on a hypothesis's outcome, its meaning as registered, and what a reader must know."""
    decision, run = study.decision, study.run.name
    outcome = mark_outcome(study, "decision.outcome", decision.outcome)
    if decision.outcome == decision.predicted:
        told = [f"The outcome of {study.short} is {outcome}, as predicted (run {code(run)})."]
    else:
        predicted = quoted(decision.predicted)
        told = [f"The outcome of {study.short} is {outcome}; predicted was {predicted} (run {code(run)})."]
    if study.choices:
        chosen = [f"{foreign(write_settings(values))} for {code(name)}" for name, values in study.choices.items()]
        told.append(f"The search chose {join_words(chosen)}.")
    told += [_tell_estimate(study, index, part) for index, part in enumerate(decision.decisions)]
    implication = study.form.implications.get(decision.outcome)
    if implication is not None:
        told.append(f"What it means, in the words of the registration: {foreign(implication.says)}")
    if study.provenance.linked is not None:
        told.append("Its runs were trained outside harness and told afterwards: nobody here saw them.")
    if study.run.name in study.deviating:
        told.append("This run deviated from its registration; the deviations are listed below.")
    return told + [foreign(typeset(warning)) for warning in decision.warnings]


def _tell_estimate(study: Study, index: int, part: BandDecision) -> str:
    told = _tell_numbers(study, index, part)
    about = [] if told.span is None else [f"{told.level} interval {told.span}"]
    about.append(f"n = {told.n}")
    if part.estimand.sd is not None:
        sd = _mark(study, f"decision.decisions[{index}].estimand.sd", format_number(part.estimand.sd))
        about.append(f"standard deviation between seeds {sd}")
    return f"Decision {code(part.name)}: the {foreign(part.estimand.title)}, is {told.estimate} ({'; '.join(about)})."


def tabulate_guards(studies: Sequence[Study]) -> Table | None:
    """Return the table of guards; None if there are none."""
    rows: list[tuple[str, ...]] = []
    for study in studies:
        for index, guard in enumerate(study.decision.guards):
            place, result = f"decision.guards[{index}]", guard.estimand
            (median,) = (
                format_together([result.median], [guard.threshold], result.never)
                if result.median is not None
                else ["not measured"]
            )
            shown = median if result.median is None else _mark(study, f"{place}.estimand.median", typeset(median))
            threshold = _mark(study, f"{place}.threshold", format_number(guard.threshold, 12))
            p = DASH if guard.p is None else _mark(study, f"{place}.p", format_p(guard.p, guard.alpha))
            holding = _mark(study, f"{place}.holding", str(guard.holding))
            of = _mark(study, f"{place}.estimand.n", str(result.n))
            rows.append((
                f"{study.short}: {code(guard.name)}", f"{foreign(result.title)}, {guard.side} {threshold}",
                append_unit(shown, foreign(result.unit)), f"{holding} of {of}", f"{p} ({guard.test})",
                mark_outcome(study, f"{place}.status", guard.status),
            ))  # fmt: skip
    if not rows:
        return None
    heads = ("Guard", "What must hold", "Median", "Seeds", "p", "Result")
    return Table(
        "Guards: conditions without which the decisions mean nothing, tested across seeds.", "tab:guards", heads,
        (0.19, 0.33, 0.13, 0.1, 0.13, 0.12), tuple(rows),
    )  # fmt: skip


def tabulate_exploratory(studies: Sequence[Study]) -> Table | None:
    """Return the table of exploratory estimands, which never decide; None if there are none."""
    rows = [row for study in studies for row in _list_exploratory(study)]
    if not rows:
        return None
    caption = "Exploratory estimands, which were registered and never decide. Intervals are those of t tests."
    heads: tuple[str, ...] = ("Estimand", "Mean over seeds", "95% interval", "n")
    widths: tuple[float, ...] = (0.46, 0.2, 0.26, 0.08)
    if any(study.decision.exploratory_p for study in studies):
        caption += " So are the p-values, of no difference, adjusted over the contrasts of one hypothesis"
        caption += " (Benjamini–Hochberg)."
        heads, widths = (*heads, "p", "p adjusted"), (0.34, 0.16, 0.2, 0.08, 0.1, 0.12)
    return Table(caption, "tab:exploratory", heads, widths, tuple(row[: len(heads)] for row in rows))


def _list_exploratory(study: Study) -> Iterator[tuple[str, ...]]:
    for index, result in enumerate(study.decision.exploratory):
        place = f"decision.exploratory[{index}]"
        n = _mark(study, f"{place}.n", str(result.n))
        of_onset = result.never is not None
        value, ends = (result.median, None) if of_onset else (result.mean, result.interval95)
        estimate, span = DASH, None
        if value is not None:
            key = "median" if of_onset else "mean"
            estimate, span = _mark_span(study, (f"{place}.{key}", f"{place}.interval95"), result, value, ends)
            estimate += " (median)" if of_onset else ""
        pair = study.decision.exploratory_p.get(result.name)
        p = [
            _mark(study, f'decision.exploratory_p["{result.name}"][{number}]', format_p(one))
            for number, one in enumerate(pair or ())
        ] or [DASH, DASH]
        yield f"{study.short}: {foreign(result.title)}", estimate, span or DASH, n, *p


def make_figure(picture: Picture) -> Figure:
    """Return a figure of the text."""
    study = picture.study
    caption = f"{study.short}, run {code(study.run.name)}: {foreign(typeset(picture.alt))}."
    return Figure(f"figures/{picture.name}.pdf", caption, f"fig:{picture.name}")


def tell_all(studies: Sequence[Study], pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return all that the template of the results prints."""
    return {
        "table": tabulate_results(studies),
        "told": [(head(study.short, study.form.title), tell_results(study)) for study in studies],
        "guards": tabulate_guards(studies),
        "exploratory": tabulate_exploratory(studies),
        "figures": [make_figure(picture) for picture in pictures if picture.shown],
        "levels": ", ".join(
            dict.fromkeys(format_level(part.alpha) for study in studies for part in study.decision.decisions)
        ),
    }
