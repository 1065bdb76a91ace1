"""The sentences of verdicts of form 1 or 2, which are written again unchanged: docs/decisions/0033."""

# ruff: noqa: D102 (the methods are described in Words)

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.criteria import Target
from harness.records import BandDecision, DecisionSpec, Estimand, EstimandResult, GuardResult
from harness.verdict.sentences import NOT_TESTED, Words
from harness.wording import join_words


class WordsBefore(Words):
    """The sentences of form 1 or 2, where they differ from the current ones."""

    def p(self, p: float, alpha: float | None = None) -> str:
        return f"p = {p:.3g}" if p >= 1e-6 else "p < 1e-06"

    def large(self, count: int) -> str:
        return str(count)

    def measured(self, result: EstimandResult) -> EstimandResult:
        if not any(seed.flaws for seed in result.values):
            return result
        values = tuple(
            seed.model_copy(update={"note": "; ".join(flaw.describe("{:g}".format) for flaw in seed.flaws)})
            if seed.flaws
            else seed
            for seed in result.values
        )
        return result.model_copy(update={"values": values})

    def without_value(self, blocked: Mapping[str, int]) -> str:
        parts = join_words([f"{name} ({count} seeds)" for name, count in blocked.items()])
        return f"{parts} has seeds without a finite value"

    def other_number(self, measured: int, registered: int) -> str:
        return f"{measured} seeds were measured, but {registered} are registered."

    def left_out(self, name: str, dropped: int, measured: int) -> str:
        return f"{name}: {dropped} of {measured} seeds are left out."

    def _estimate_step(self, decision: BandDecision, spec: DecisionSpec, estimand: Estimand) -> str:
        result = decision.estimand
        value = _estimate(result, spec.criterion.targets)
        text = f"The estimate of {result.title} is {value} from {result.n} seed{'s' * (result.n != 1)}"
        if result.sd is not None:
            text += f", with a standard deviation of {_number(result.sd)} between seeds"
        span = _interval(decision)
        return f"{text}; {span}." if span else f"{text}."

    def _left_out(self, dropped: int, seeds: int) -> str:
        return f"{dropped} of {seeds} seeds are left out because they have no value."

    def _excluded(self, band: str, parts: str, p: float, alpha: float) -> str:
        return f"A true value in {band}, {parts}, is excluded ({self.p(p)}, at most α = {alpha:g})."

    def _shown(self, decision: BandDecision) -> str:
        p = f" (largest {self.p(decision.p)})" if decision.p is not None else ""
        return f"Every band but {decision.outcome} is excluded{p}, so the outcome is {decision.outcome}."

    def _blocked(self, decision: BandDecision) -> str:
        text = f"Not excluded are {join_words(decision.alive)}, so the outcome is inconclusive"
        if decision.boundary is not None and decision.p is not None:
            p = f"{self.p(decision.p)}, above α = {decision.alpha:g}"
            text += f": the boundary at {_number(decision.boundary)} blocks ({p})"
        return f"{text}."

    def summary(
        self, decision: BandDecision, spec: DecisionSpec, estimand: Estimand, p: float | None, looks: int
    ) -> str:
        parts = [f"{decision.estimand.title} is {_estimate(decision.estimand, spec.criterion.targets)}"]
        if span := _interval(decision):
            parts.append(span)
        if p is not None:
            parts.append(self.p(p) + (f" over {looks} looks" if looks > 1 else ""))
        lost = len(decision.estimand.values) - decision.estimand.n
        parts.append(f"n = {decision.estimand.n}" + (f" of {len(decision.estimand.values)} seeds" if lost else ""))
        head = decision.outcome
        if decision.outcome == "inconclusive" and decision.status == "tested" and decision.alive:
            head += f" between {join_words(decision.alive)}"
        elif decision.status != "tested":
            reason = NOT_TESTED[decision.status]
            return f"{head.capitalize()}: {', '.join(parts)}; {reason[0].lower()}{reason[1:]}"
        return f"{head.capitalize()}: {', '.join(parts)}."

    def several(self, decisions: Sequence[BandDecision], outcome: str, p: float | None) -> str:
        own = join_words([f"{decision.name} is {decision.outcome}" for decision in decisions])
        shown = f" ({self.p(p)})" if p is not None else ""
        return f"{own[0].upper()}{own[1:]}: together {outcome}{shown}."

    def unverified(self, guards: Sequence[GuardResult]) -> str:
        reasons = [f"{g.name} ({g.test}{', ' + self.p(g.p) if g.p is not None else ''})" for g in guards]
        noun = "guard is" if len(reasons) == 1 else "guards are"
        return f"Inconclusive: the {noun} not verified: {join_words(reasons)}."

    def violated(self, guards: Sequence[GuardResult]) -> str:
        reasons = [f"{guard.name} ({self.p(guard.p_reverse or 0.0)}): {guard.otherwise}" for guard in guards]
        return f"a guard is violated. {' '.join(reasons)}"

    def seeds(self, indices: Sequence[int]) -> str:
        return str(indices)

    def all_hold(self, count: int, outcome: str, otherwise: str) -> str:
        words = f"all {count} decisions must hold: {outcome} needs each of them shown to hold, each at its α; "
        return f"{words}{otherwise} needs one of them shown to fail, at α/{count}"

    def any_holds(self, count: int, outcome: str, otherwise: str) -> str:
        words = f"one of {count} decisions must hold: {outcome} needs one of them shown to hold, at α/{count}; "
        return f"{words}{otherwise} needs each of them shown to fail, each at its α"

    def all_shown(self, asked: str, count: int, p: float, outcome: str) -> str:
        return f"{asked}. All {count} are shown (largest p = {p:.3g}): {outcome}."

    def some_shown(self, asked: str, shown: Mapping[str, float], outcome: str) -> str:
        parts = join_words([f"{name} (p = {p:.3g})" for name, p in shown.items()])
        return f"{asked}. It is shown by {parts}, p after Holm: {outcome}."

    def none_shown(self, asked: str) -> str:
        return f"{asked}. Neither is shown: inconclusive."

    def table(self, count: int, alive: Mapping[str, Sequence[str]]) -> str:
        shown = "; ".join(f"{name}: {' or '.join(left) or 'none'}" for name, left in alive.items())
        return f"a table of {count} decisions, each at α/{count}. Bands not excluded: {shown}"

    def table_open(self, asked: str, options: Sequence[str]) -> str:
        return f"{asked}. They leave {', '.join(options) or 'no row'}: inconclusive."

    def table_shown(self, asked: str, count: int, p: float, outcome: str) -> str:
        return f"{asked}. Every combination of them means {outcome} (p = {p:.3g} after the factor {count})."


BEFORE = WordsBefore()


def _number(value: float) -> str:
    return f"{value:.4g}"


def _estimate(result: EstimandResult, target: Target) -> str:
    value = result.estimate(target)
    return "no value" if value is None else f"{_number(value)} {result.unit}".strip()


def _interval(decision: BandDecision) -> str | None:
    if decision.interval is None:
        return None
    low, high = decision.interval
    return f"{100 * decision.interval_level:g}% interval {_number(low)} to {_number(high)}"
