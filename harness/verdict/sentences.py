"""The reasoning of a decision in plain sentences that a statistician can agree with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.criteria import Target
from harness.records import (
    BandDecision,
    DecisionSpec,
    Estimand,
    EstimandResult,
    GuardResult,
    Holding,
    LookedUp,
)
from harness.wording import (
    append_unit,
    capitalise,
    describe_as_log,
    describe_without_log,
    format_count,
    format_exact,
    format_level,
    format_number,
    format_p_equals,
    format_together,
    join_words,
    quote_outcome,
    spell_count,
    typeset,
    write_possible,
    write_span,
)

PILOT = "This is a pilot: it gives no outcome."
NOT_TESTED = {
    "too_few": "With so few seeds nothing can be tested: there is only a point estimate.",
    "degenerate": "All seeds give the same value up to rounding, so their spread says nothing about chance and no test "
    "is made.",
    "diverged": "A seed has no value, and the file allows no decision without it.",
    "seed_not_applied": "Two seeds ended with identical weights: the seed was not applied, and they are one sample.",
}


class CombinationWords:
    """The sentences of a combination of decisions."""

    def p(self, p: float, alpha: float | None = None) -> str:
        """Return ``p = .0019``."""
        return format_p_equals(p, alpha)

    def combination(self, reasoning: Holding | LookedUp) -> str:
        """Return the sentences that explain how several decisions gave the outcome."""
        if isinstance(reasoning, LookedUp):
            count = len(reasoning.alive)
            asked = self.table(count, reasoning.alive)
            if reasoning.p is None:
                return self.table_open(asked, reasoning.options)
            return self.table_shown(asked, count, reasoning.p, reasoning.given)
        asks = self.all_hold if reasoning.rule == "all" else self.any_holds
        asked = asks(reasoning.count, reasoning.outcome, reasoning.otherwise)
        if reasoning.p is None:
            return self.none_shown(asked)
        if reasoning.shown is not None:
            return self.some_shown(asked, reasoning.shown, reasoning.given)
        return self.all_shown(asked, reasoning.count, reasoning.p, reasoning.given)

    def all_hold(self, count: int, outcome: str, otherwise: str) -> str:
        """State the requirements of a combination whose decisions must all hold."""
        many = "Both" if count == 2 else f"All {spell_count(count)}"
        return (
            f"{many} decisions must hold: {quote_outcome(outcome)} needs {_say_each(count)} shown to hold, each "
            f"at its α; {quote_outcome(otherwise)} needs one of them shown to fail, at α/{count}."
        )

    def any_holds(self, count: int, outcome: str, otherwise: str) -> str:
        """State the requirements of a combination of which one decision must hold."""
        return (
            f"One of the {spell_count(count)} decisions must hold: {quote_outcome(outcome)} needs one of them "
            f"shown to hold, at α/{count}; {quote_outcome(otherwise)} needs {_say_each(count)} shown to fail, each at "
            "its α."
        )

    def all_shown(self, asked: str, count: int, p: float, outcome: str) -> str:
        """State that all decisions are shown to do what the outcome requires."""
        many = "Both are" if count == 2 else f"All {spell_count(count)} are"
        return f"{asked} {many} shown (largest {self.p(p)}), so the outcome is {quote_outcome(outcome)}."

    def some_shown(self, asked: str, shown: Mapping[str, float], outcome: str) -> str:
        """State that some decisions are shown to do the opposite; ``shown``: decision → p after Holm."""
        parts = join_words([f"{name} ({self.p(p)})" for name, p in shown.items()])
        return f"{asked} It is shown by {parts}, p after Holm, so the outcome is {quote_outcome(outcome)}."

    def none_shown(self, asked: str) -> str:
        """State that neither outcome is shown."""
        return f"{asked} Neither is shown, so the outcome is inconclusive."

    def table(self, count: int, alive: Mapping[str, Sequence[str]]) -> str:
        """State how a table of decisions is looked up; ``alive``: decision → bands that are not excluded."""
        bands = [
            f"{name}: {join_words([quote_outcome(band) for band in left], 'or') if left else 'none'}"
            for name, left in alive.items()
        ]
        return f"A table of {spell_count(count)} decisions, each at α/{count}. Not excluded: {'; '.join(bands)}."

    def table_open(self, asked: str, options: Sequence[str]) -> str:
        """State that several rows of the table are left."""
        rows = join_words([quote_outcome(option) for option in options]) if options else "no row"
        return f"{asked} That leaves {rows}, so the outcome is inconclusive."

    def table_shown(self, asked: str, count: int, p: float, outcome: str) -> str:
        """State that all that is left means one outcome."""
        return (
            f"{asked} Every combination of these means {quote_outcome(outcome)} ({self.p(p)} after the factor {count})."
        )


class Words(CombinationWords):
    """The sentences of a decision.

    Stored verdicts contain sentences and are written again to the byte: before a sentence is changed here, the form of
    verdict.json gets a new number, and the old sentence moves to ``harness.verdict.sentences_before``.
    """

    def large(self, count: int) -> str:
        """Return a count with thousands separators: ``1,200``."""
        return f"{count:,}"

    def measured(self, result: EstimandResult) -> EstimandResult:
        """Return an estimand's values with the words that say why some are missing."""
        return result

    def without_value(self, blocked: Mapping[str, int]) -> str:
        """Return estimands with their numbers of seeds without a finite value."""
        parts = join_words([f"{name} ({format_count(count, 'seed')})" for name, count in blocked.items()])
        return f"{parts} {'has' if len(blocked) == 1 else 'have'} seeds without a finite value"

    def other_number(self, measured: int, registered: int) -> str:
        """State that the number of measured seeds is not the registered one."""
        were, are = ("was" if measured == 1 else "were"), ("is" if registered == 1 else "are")
        return f"{format_count(measured, 'seed')} {were} measured, but {registered:,} {are} registered."

    def left_out(self, name: str, dropped: int, measured: int) -> str:
        """State that seeds of an estimand are left out."""
        return f"{name}: {dropped:,} of {format_count(measured, 'seed')} {'is' if dropped == 1 else 'are'} left out."

    def explain(self, decision: BandDecision, spec: DecisionSpec, estimand: Estimand, pilot: bool) -> tuple[str, ...]:
        """Return a decision's reasoning: estimate, excluded bands, blocking cut, seeds that would have been needed."""
        steps = [self._estimate_step(decision, spec, estimand)]
        values = decision.estimand.values
        if (dropped := sum(value.value is None for value in values)) and decision.status != "diverged":
            steps.append(self._left_out(dropped, len(values)))
        if replaced := [value for value in values if value.value is not None and value.note is not None]:
            steps.append(f"At {len(replaced)} of {len(values)} seeds the worst value stands in.")
        if decision.status != "tested":
            steps.append(NOT_TESTED[decision.status])
            steps.append(PILOT if pilot else f"So the outcome is {decision.outcome}.")
            return tuple(steps)
        steps += self._exclusions(decision)
        if pilot:
            steps.append(PILOT)
        elif decision.outcome != "inconclusive":
            steps.append(self._shown(decision))
        else:
            plans = estimand.onset is None and spec.criterion.type_two(1.0, 1.0, 2, decision.alpha) is not None
            steps += self._undecided(decision, plans)
        return tuple(steps)

    def _estimate_step(self, decision: BandDecision, spec: DecisionSpec, estimand: Estimand) -> str:
        result = decision.estimand
        estimate, interval = _write_estimate(decision, spec)
        many = format_count(result.n, "seed")
        if estimate is None:
            return f"{capitalise(result.title)}: no value from {many}."
        sd = None if result.sd is None else f"standard deviation between seeds {format_number(result.sd)}"
        beside = "; ".join(text for text in (interval, sd) if text is not None)
        plain = tell_without_log(decision, spec.criterion.targets, estimand)
        text = f"{capitalise(result.title)}: estimated at {estimate} from {many}{f' ({beside})' if beside else ''}."
        text = f"{text} That is {plain}." if plain else text
        return f"{text} {open_between}" if (open_between := tell_between(result)) is not None else text

    def _left_out(self, dropped: int, seeds: int) -> str:
        they_are, they_have = ("is", "it has") if dropped == 1 else ("are", "they have")
        return f"{dropped} of {seeds} seeds {they_are} left out because {they_have} no value."

    def _exclusions(self, decision: BandDecision) -> list[str]:
        sentences = []
        for band, parts in decision.bands.items():
            tests = [test for test in decision.atoms if test.outcome == band]
            if tests and band not in decision.alive:
                sentences.append(self._excluded(band, parts, max(test.p for test in tests), decision.alpha))
        return sentences

    def _excluded(self, band: str, parts: str, p: float, alpha: float) -> str:
        shown = self.p(p, alpha)
        return (
            f"A true value in {quote_outcome(band)}, {typeset(parts)}, is excluded ({shown}, at most "
            f"α = {format_level(alpha)})."
        )

    def _shown(self, decision: BandDecision) -> str:
        outcome = quote_outcome(decision.outcome)
        p = f" (largest {self.p(decision.p, decision.alpha)})" if decision.p is not None else ""
        return f"Every band but {outcome} is excluded{p}, so the outcome is {outcome}."

    def _undecided(self, decision: BandDecision, plans: bool) -> list[str]:
        """Return why a decision is inconclusive; ``plans``: the criterion has a formula for the seeds that it needs."""
        if not decision.alive:
            return [
                "Every band is excluded, which the criterion's assumptions do not allow: the outcome is inconclusive."
            ]
        sentences = [self._blocked(decision)]
        if decision.seeds_needed is not None:
            needed = self.large(decision.seeds_needed)
            text = f"If the estimate were the truth, {needed} seeds in all would decide with 80% power"
            if decision.seeds_needed_pessimistic is not None:
                more = self.large(decision.seeds_needed_pessimistic)
                text += f", {more} if the standard deviation is at its upper 80% limit"
            sentences.append(f"{text}. They would have to be fresh seeds under a fresh registration.")
        elif not plans:
            sentences.append(
                f"How many seeds would decide can't be said for the criterion {decision.criterion}, which supposes no "
                "form of the distribution."
            )
        elif decision.boundary is not None:
            sentences.append(
                "The estimate is so close to the boundary that no reasonable number of seeds would decide."
            )
        return sentences

    def _blocked(self, decision: BandDecision) -> str:
        text = (
            f"Not excluded: {join_words([quote_outcome(band) for band in decision.alive])}. So the outcome is "
            "inconclusive"
        )
        if decision.boundary is not None and decision.p is not None:
            p = f"{self.p(decision.p, decision.alpha)}, above α = {format_level(decision.alpha)}"
            text += f": the boundary at {format_exact(decision.boundary)} blocks ({p})"
        return f"{text}."

    def summary(
        self, decision: BandDecision, spec: DecisionSpec, estimand: Estimand, p: float | None, looks: int
    ) -> str:
        """Return a decision's estimate, interval, outcome and ``p`` (over all planned looks) in one sentence."""
        result = decision.estimand
        estimate, interval = _write_estimate(decision, spec)
        lost = len(result.values) - result.n
        count = f"n = {result.n}" + (f" of {len(result.values)} seeds" if lost else "")
        plain = tell_without_log(decision, spec.criterion.targets, estimand) if estimand.ratio is None else None
        parts = [estimate or "no value", interval, plain, count]
        head = f"{capitalise(result.title)}: {', '.join(part for part in parts if part is not None)}"
        if decision.status != "tested":
            return f"{head}. {NOT_TESTED[decision.status]}"
        shown = "" if p is None else f" ({self.p(p)}" + (f" over {spell_count(looks)} looks)" if looks > 1 else ")")
        if decision.outcome != "inconclusive":
            return f"{head}; the outcome is {quote_outcome(decision.outcome)}{shown}."
        if not decision.alive:
            return f"{head}; every band is excluded, so the outcome is inconclusive{shown}."
        return f"{head}; this leaves {join_words([quote_outcome(band) for band in decision.alive])} open{shown}."

    def several(self, decisions: Sequence[BandDecision], outcome: str, p: float | None) -> str:
        """Return several decisions and their joint outcome in one sentence."""
        own = join_words([f"{quote_outcome(decision.outcome)} on {decision.name}" for decision in decisions])
        gives = "are inconclusive" if outcome == "inconclusive" else f"give {quote_outcome(outcome)}"
        shown = f" ({self.p(p)})" if p is not None else ""
        return f"The decisions are {own}; together they {gives}{shown}."

    def unverified(self, guards: Sequence[GuardResult]) -> str:
        """Return a sentence about guards that are not shown to hold."""
        reasons = [
            f"{guard.name} ({guard.test}{', ' + self.p(guard.p, guard.alpha) if guard.p is not None else ''})"
            for guard in guards
        ]
        several = len(reasons) > 1
        return f"Inconclusive, because {'guards are' if several else 'a guard is'} not verified: {join_words(reasons)}."

    def violated(self, guards: Sequence[GuardResult]) -> str:
        """Return sentences about guards that are shown not to hold."""
        return " ".join(
            f"the guard {guard.name} is violated ({self.p(guard.p_reverse or 0.0, guard.alpha)} in the reverse test). "
            f"{guard.otherwise}"
            for guard in guards
        )

    def seeds(self, indices: Sequence[int]) -> str:
        """Return seeds by their positions."""
        return f"No. {join_words([str(index) for index in indices])}"


def tell_without_log(decision: BandDecision, target: Target, estimand: Estimand) -> str | None:
    """Return the meaning of an estimate in log10 without its logarithm, and of a ratio with it; None for all others."""
    value = decision.estimand.estimate(target)
    if value is not None and estimand.ratio is not None:
        return describe_as_log(value, decision.interval)
    if value is None or estimand.transform != "log10":
        return None
    return describe_without_log(
        value, decision.interval, ratio=estimand.is_log_ratio, mean=target == "mean", per=estimand.per
    )


def tell_between(result: EstimandResult) -> str | None:
    """Return how far the evaluations tell an onset; None if they tell it exactly, and for other estimands."""
    if result.between is None:
        return None
    return f"By the evaluations it may be {typeset(write_possible(*result.between, result.unit))}."


def _write_estimate(decision: BandDecision, spec: DecisionSpec) -> tuple[str | None, str | None]:
    """Return ``30.6 pp`` and ``90% interval 29.2 to 32.0 pp`` in one format; None for whichever is missing."""
    result = decision.estimand
    value = result.estimate(spec.criterion.targets)
    if value is None:
        return None, None
    numbers = [value, *(decision.interval or ())]
    texts = [typeset(text) for text in format_together(numbers, spec.cuts, result.never)]
    estimate = append_unit(texts[0], result.unit, titled=True)
    if decision.interval is None:
        return estimate, None
    span = write_span(texts[1], texts[2], result.unit, titled=True)
    return estimate, f"{format_number(100 * decision.interval_level)}% interval {span}"


def _say_each(count: int) -> str:
    return "both of them" if count == 2 else "each of them"


TODAY = Words()
