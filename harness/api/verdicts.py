"""A verdict and its decisions as objects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import html
from harness.api.arguments import checked
from harness.api.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harness.ledger import Ledger
    from harness.pipeline.show import Page
    from harness.pipeline.tidy import MeasuredValue, SeedEstimate, TriedValue
    from harness.pipeline.verdicts import JudgedRun
    from harness.records import BandDecision, Decision, EstimandResult, Hypothesis


UNMARKED = str.maketrans("", "", "*`")
"""Takes the marks of Markdown out of a banner."""


class DecisionView:
    """One decision across seeds, with what it rests on."""

    def __init__(self, verdict: Verdict, record: BandDecision) -> None:
        """Take a decision of a verdict."""
        self._verdict = verdict
        self.record = record
        """The decision with all its tests, as verdict.json holds it."""

    @property
    def name(self) -> str:
        """The decision's name in the file."""
        return self.record.name

    @property
    def outcome(self) -> str:
        """Name of a band, inconclusive or invalid."""
        return self.record.outcome

    @property
    def estimate(self) -> float | None:
        """The estimate that the criterion tests, in ``unit``; None without values."""
        return self.record.estimand.estimate(self._verdict.hypothesis.estimands[self.record.estimand.name].seeds)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Confidence interval at level 1 − 2α, in ``unit``."""
        return self.record.interval

    @property
    def unit(self) -> str:
        """Unit of the estimate; empty for plain numbers."""
        return self.record.estimand.unit

    @property
    def cuts(self) -> tuple[float, ...]:
        """Boundaries between the bands, in ``unit``."""
        return tuple(self._verdict.hypothesis.decisions[self.name].cuts)

    @property
    def p(self) -> float | None:
        """p-value of the outcome; None if there is none."""
        return self.record.p

    @property
    def n(self) -> int:
        """Number of seeds with a value."""
        return self.record.estimand.n

    def figure(self) -> Figure | None:
        """Draw the seeds, the interval and the bands as a figure of matplotlib; None if nothing was measured.

        Raises:
            CannotDraw: matplotlib can't draw here.
        """
        return self._verdict.figures(self.name).get(self.name)  # none of a decision without values

    def __repr__(self) -> str:
        return f"<decision {self.name}: {self.outcome}, {_write_estimate(self)}>"

    def _repr_html_(self) -> str:
        steps = [html.paragraph(step) for step in self.record.steps]
        return html.section(f"{self.name}: {self.outcome}", *steps, self._verdict.show_picture(self.name))


class Verdict:
    """A verdict as it is stored, its files compared with the digests in the ledger."""

    def __init__(self, judged: JudgedRun, page: Page) -> None:
        """Take a judged run and its page; ``harness.api.open_verdict`` makes a verdict of a name."""
        self._judged = judged
        self._page = page

    @classmethod
    def read(cls, trail: Ledger, name: str) -> Verdict:
        """Read the last verdict on a hypothesis, or that of a run by its first digits.

        Raises:
            UsageError: nothing of that name was judged.
            Tampered: its files are not those that the ledger names.
        """
        from harness.pipeline.show import read_verdict
        from harness.pipeline.verdicts import read_judged_run

        judged = read_judged_run(trail, name)
        return cls(judged, read_verdict(judged.run.digest, trail))

    @property
    def run(self) -> str:
        """The run's short name."""
        return self._judged.run.name

    @property
    def hypothesis(self) -> Hypothesis:
        """The hypothesis as it was registered, with the settings that a search chose."""
        return self._judged.stored.registered.hypothesis

    @property
    def outcome(self) -> str:
        """The outcome that the ledger holds."""
        return self._page.outcome

    @property
    def predicted(self) -> str:
        """The outcome that the authors expected."""
        return self.hypothesis.prediction.outcome

    @property
    def as_predicted(self) -> bool:
        """True if the outcome is the predicted one."""
        return self.outcome == self.predicted

    @property
    def record(self) -> Decision:
        """The whole decision, as verdict.json holds it."""
        return self._judged.decision

    @property
    def summary(self) -> str:
        """The decision in one sentence."""
        return self.record.summary

    @property
    def p(self) -> float | None:
        """p-value of the outcome, adjusted for several decisions and for looks; None if there is none."""
        return self.record.p

    @property
    def says(self) -> str:
        """Return the meaning of the outcome, as the file said beforehand."""
        return self.hypothesis.implications[self.outcome].says

    @property
    def deviations(self) -> tuple[str, ...]:
        """Return the deviations from the registration, one sentence each, without those of wording alone."""
        return self._judged.deviations

    @property
    def banners(self) -> tuple[str, ...]:
        """Return what a reader must know that the page doesn't say, such as later verdicts on its claims; Markdown."""
        return self._page.banners

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._judged.stored.folder

    @property
    def page(self) -> str:
        """The verdict's page, Markdown."""
        return self._page.text

    @cached_property
    def decisions(self) -> Mapping[str, DecisionView]:
        """The decisions by name, in the file's order."""
        return {part.name: DecisionView(self, part) for part in self.record.decisions}

    @property
    def estimates(self) -> Mapping[str, EstimandResult]:
        """Every estimand over all seeds by name: those of decisions, of guards, and exploratory ones."""
        from harness.pipeline.tidy import list_estimands

        return {result.name: result for _, result in list_estimands(self.record)}

    def measurements(self) -> Table[MeasuredValue]:
        """Return everything that was measured: a row per replica, metric, layer and epoch."""
        from harness.pipeline.tidy import tabulate_measurements

        return Table(tabulate_measurements(self._judged))

    def estimands(self) -> Table[SeedEstimate]:
        """Return the value of every estimand at every seed."""
        from harness.pipeline.tidy import tabulate_estimands

        return Table(tabulate_estimands(self._judged))

    def search(self) -> Table[TriedValue]:
        """Return everything that was measured in the search for tuned arms; empty if nothing was tuned."""
        from harness.pipeline.tidy import tabulate_search

        return Table(tabulate_search(self._judged))

    @checked
    def figures(self, *names: str) -> dict[str, Figure]:
        """Draw the verdict's figures as objects of matplotlib: name → figure; all of them if none is named.

        A decision's figure has the decision's name; the others are called ``learning-curves``, ``<metric>-layers`` and
        ``search-of-settings``.

        Raises:
            CannotDraw: matplotlib can't draw here.
            UsageError: there is no such figure.
        """
        from harness import verdict
        from harness.errors import UsageError
        from harness.wording import suggest

        drawings = verdict.list_drawings(self.hypothesis, self._judged.stored.measurements, self.record)
        named = {Path(file).stem: drawing for file, drawing in drawings.items()}
        known = [*named, *(name for name in self.decisions if name not in named)]
        if unknown := [name for name in names if name not in known]:
            message = f"there is no figure {unknown[0]!r}{suggest(unknown[0], known)}"
            raise UsageError(message, where="Verdict.figures", remedy=f"figures: {', '.join(named)}")
        return {name: drawing.figure() for name, drawing in named.items() if not names or name in names}

    def show_picture(self, name: str) -> str:
        """Return a stored figure as HTML; empty if the run has none of that name."""
        from harness.pipeline.run_files import read_file

        file = f"figures/{name}.svg"
        if file not in self._judged.stored.recorded:
            return ""
        return html.picture(read_file(self.folder / file), f"figure of {name}")

    def __repr__(self) -> str:
        came = "as predicted" if self.as_predicted else f"predicted: {self.predicted}"
        return f"<verdict on {self.hypothesis.id}, run {self.run}: {self.outcome} ({came})>"

    def _repr_html_(self) -> str:
        came = "as predicted" if self.as_predicted else f"predicted: {self.predicted}"
        rows = [(one.name, one.outcome, _write_estimate(one), _write_p(one.p)) for one in self.decisions.values()]
        told = [html.paragraph(text.removeprefix("> ").translate(UNMARKED)) for text in self.banners]
        told += [html.paragraph(f"deviates: {text}") for text in self.deviations]
        return html.section(
            f"{self.hypothesis.id}: {self.outcome} ({came})",
            html.paragraph(self.hypothesis.title),
            html.paragraph(self.summary),
            html.paragraph(self.says),
            *told,
            html.table(("decision", "outcome", "estimate", "p"), rows),
            *(self.show_picture(name) for name in self.decisions),
        )


def _write_estimate(decision: DecisionView) -> str:
    """Write an estimate with its interval: ``0.19, 90% interval 0.17 to 0.21``."""
    from harness.wording import append_unit, format_together, typeset, write_span

    estimate, interval, record = decision.estimate, decision.interval, decision.record
    if estimate is None:
        return "nothing was measured"
    ends, never = [estimate, *(interval or ())], record.estimand.never
    texts = [typeset(text) for text in format_together(ends, decision.cuts, never)]
    span = (
        f", {100 * record.interval_level:.4g}% interval {write_span(texts[1], texts[2], decision.unit)}"
        if interval
        else ""
    )
    return f"{append_unit(texts[0], decision.unit)}{span}"


def _write_p(p: float | None) -> str:
    from harness.wording import format_p

    return "–" if p is None else format_p(p)
