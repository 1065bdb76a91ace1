"""One judgement of a hypothesis on its measurements: guards, decisions, their combination, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.domain.standard_tests import standard_test
from harness.errors import HarnessError
from harness.inference.bands import judge_bands
from harness.inference.combine import Combined, combine, share
from harness.inference.estimands import Sample, evaluate
from harness.inference.families import exploratory_p
from harness.inference.guards import judge_guard
from harness.inference.opinion import effect_size, posterior
from harness.inference.readings import diverged, divergence_rate, unapplied_seeds
from harness.inference.report import TODAY, Words
from harness.records import BandDecision, Decision, GuardResult, Hypothesis, Measurements
from harness.wording import listing

OUTCOMES = {"pilot": "inconclusive", "guard_unverified": "inconclusive"}
"""Kind of reason → outcome. The decisions give their own; all other reasons make it invalid."""


def judge(
    hypothesis: Hypothesis, measurements: Measurements, *, parts: int = 1, guard_parts: int = 1, words: Words = TODAY
) -> Decision:
    """The outcome of a hypothesis, with everything that it rests on. Pure: the same records give the same decision.

    In this order: a seed that was not applied, a replica that diverged where the file does not allow it, or a violated
    guard make it invalid; an unverified guard makes it inconclusive; then the decisions give the outcome. A pilot's
    numbers are computed, but it never gives an outcome.

    Where it is one of several judgements of growing data (``harness.inference.looks``), the decisions' α is divided by
    ``parts`` and the guards' by ``guard_parts``; the decision's p is then multiplied by ``parts``.

    Raises:
        HarnessError: bands that do not tile the line, or several decisions without a rule that combines them.
    """
    found = _judged(hypothesis, measurements, parts, guard_parts)
    samples, combined = found.samples, found.combined
    failed = _failed(hypothesis, measurements, samples)
    replicas = {arm: sum(result.arm == arm for result in measurements.replicas) for arm in failed}
    clean = not failed and not any(
        value.note for name in _deciding(hypothesis) for value in samples[name].result.values
    )
    seeds = len(measurements.seeds)
    exploratory = {name: evaluate(name, e, hypothesis, measurements) for name, e in hypothesis.exploratory.items()}
    return Decision(
        outcome=found.outcome,
        predicted=hypothesis.prediction.outcome,
        summary=_summary(hypothesis, measurements, found, parts, words),
        guards=found.guards,
        decisions=tuple(_explained(hypothesis, decision, measurements.pilot, words) for decision in found.decisions),
        combination=words.combination(combined.reasoning) if combined is not None and combined.reasoning else None,
        p=found.p,
        diverged=failed,
        divergence_rate={arm: divergence_rate(len(indices), replicas[arm]) for arm, indices in failed.items()},
        clean_rate_limit=1 - 0.05 ** (1 / seeds) if clean and seeds else None,
        exploratory=tuple(sample.result for sample in exploratory.values()),
        exploratory_p=exploratory_p(hypothesis.exploratory, exploratory),
        warnings=_warnings(hypothesis, measurements, samples, found.unapplied, words),
    )


def glance(
    hypothesis: Hypothesis, measurements: Measurements, *, parts: int, guard_parts: int
) -> tuple[str, float | None]:
    """Outcome and p that ``judge`` would give, without all that describes them."""
    found = _judged(hypothesis, measurements, parts, guard_parts, described=False)
    return found.outcome, found.p


@dataclass(frozen=True)
class Reason:
    """Why the outcome is what it is."""

    kind: Literal[
        "pilot", "seed_not_applied", "diverged", "without_value", "guard_violated", "guard_unverified", "decisions"
    ]
    seeds: Mapping[str, int] = field(default_factory=dict)
    """Arm, or for ``without_value`` estimand → how many of its seeds are concerned."""


@dataclass(frozen=True)
class _Judged:
    """What an outcome rests on."""

    samples: Mapping[str, Sample]
    unapplied: Mapping[str, tuple[int, ...]]
    guards: tuple[GuardResult, ...]
    decisions: tuple[BandDecision, ...]
    combined: Combined | None
    outcome: str
    reason: Reason
    p: float | None


def _judged(
    hypothesis: Hypothesis,
    measurements: Measurements,
    parts: int,
    guard_parts: int,
    described: bool = True,
) -> _Judged:
    samples = {name: evaluate(name, e, hypothesis, measurements) for name, e in hypothesis.estimands.items()}
    unapplied = unapplied_seeds(measurements)
    guards = tuple(
        judge_guard(
            name,
            guard.model_copy(update={"alpha": guard.alpha / guard_parts}),
            samples[guard.estimand],
            hypothesis.estimands[guard.estimand],
        )
        for name, guard in hypothesis.guards.items()
    )
    decisions = _decisions(hypothesis, samples, unapplied, measurements.pilot, parts, described)
    combined = None if measurements.pilot else _combined(hypothesis, decisions, parts)
    reason = _reason(hypothesis, measurements, guards, combined, samples, unapplied)
    outcome, p = OUTCOMES.get(reason.kind, "invalid"), None
    if combined is not None and reason.kind == "decisions":
        outcome, p = combined.outcome, combined.p
    return _Judged(samples, unapplied, guards, decisions, combined, outcome, reason, p)


def _deciding(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Estimands that guards or decisions are about, each once."""
    guards = [guard.estimand for guard in hypothesis.guards.values()]
    return tuple(dict.fromkeys([*guards, *(spec.estimand for spec in hypothesis.decisions.values())]))


def _arms(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Arms that guards or decisions use, each once."""
    return tuple(dict.fromkeys(arm for name in _deciding(hypothesis) for arm in hypothesis.estimands[name].arms))


def _failed(
    hypothesis: Hypothesis, measurements: Measurements, samples: Mapping[str, Sample]
) -> dict[str, tuple[int, ...]]:
    """Arm → indices of seeds that diverged, or gave a deciding estimand no number to use, which counts as much."""
    trained = {(result.arm, result.seed_index) for result in measurements.replicas}
    found = {(arm, index) for arm, indices in diverged(measurements).items() for index in indices}
    for name in _deciding(hypothesis):
        found |= {(arm, index) for arm, indices in samples[name].unusable.items() for index in indices} & trained
    arms = sorted({arm for arm, _ in found}, key=list(hypothesis.arms).index)
    return {arm: tuple(sorted(index for other, index in found if other == arm)) for arm in arms}


def _decisions(
    hypothesis: Hypothesis,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
    pilot: bool,
    parts: int,
    described: bool,
) -> tuple[BandDecision, ...]:
    """Every decision by itself, not yet explained."""
    found = []
    for name, spec in hypothesis.decisions.items():
        estimand = hypothesis.estimands[spec.estimand]
        applied = not any(arm in unapplied for arm in estimand.arms)
        alpha = spec.criterion.alpha / share(hypothesis.combine, name) / parts
        decision = judge_bands(
            name,
            spec,
            samples[spec.estimand],
            estimand.domain,
            alpha,
            seeds_applied=applied,
            described=described,
        )
        found.append(decision.model_copy(update={"outcome": "inconclusive"}) if pilot else decision)
    return tuple(found)


def _explained(hypothesis: Hypothesis, decision: BandDecision, pilot: bool, words: Words) -> BandDecision:
    """A decision with its steps in words, and what stands beside it as a second opinion."""
    spec = hypothesis.decisions[decision.name]
    estimand = hypothesis.estimands[spec.estimand]
    beside: dict[str, object] = {"steps": words.explain(decision, spec, estimand, pilot)}
    if spec.criterion.targets == "mean" and estimand.pairing == "seed":
        beside["posterior"] = posterior(decision)
        beside["effect_size"] = effect_size(decision) if estimand.contrast is not None else None
    return decision.model_copy(update=beside)


def _combined(hypothesis: Hypothesis, decisions: tuple[BandDecision, ...], parts: int) -> Combined:
    """What the decisions say together; p as for all of the looks."""
    if hypothesis.combine is not None:
        together = combine(hypothesis.combine, decisions)
    elif len(decisions) == 1:
        together = Combined(decisions[0].outcome, decisions[0].p)
    else:
        raise HarnessError(
            f"{len(decisions)} decisions, and no rule that makes one outcome of them",
            where="combine",
            remedy="add combine: {rule: all, any or table, …}",
        )
    return replace(together, p=None if together.p is None else min(1.0, parts * together.p))


def _reason(
    hypothesis: Hypothesis,
    measurements: Measurements,
    guards: tuple[GuardResult, ...],
    combined: Combined | None,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
) -> Reason:
    """The first of the reasons, in the order of ``judge``."""
    arms = _arms(hypothesis)
    if combined is None:
        return Reason("pilot")
    if same := {arm: len(unapplied[arm]) for arm in arms if arm in unapplied}:
        return Reason("seed_not_applied", same)
    failed = diverged(measurements)
    if hypothesis.exclusions.diverged == "invalid" and (lost := {a: len(failed[a]) for a in arms if a in failed}):
        return Reason("diverged", lost)
    if blocked := {name: len(samples[name].missing) for name in _deciding(hypothesis) if samples[name].blocked}:
        return Reason("without_value", blocked)
    if any(guard.status == "violated" for guard in guards):
        return Reason("guard_violated")
    if any(guard.status == "unverified" for guard in guards):
        return Reason("guard_unverified")
    return Reason("decisions")


def _summary(hypothesis: Hypothesis, measurements: Measurements, found: _Judged, parts: int, words: Words) -> str:
    """One sentence."""
    kind, counts = found.reason.kind, found.reason.seeds
    if kind == "pilot":
        return "Pilot: no outcome."
    if kind == "seed_not_applied":
        labels = listing([hypothesis.arms[arm].label for arm in counts])
        return f"Invalid: different seeds of {labels} ended with identical weights, so the seed was not applied."
    if kind == "diverged":
        seeds = len(measurements.seeds)
        lost = listing([f"{count} of {seeds} seeds of {hypothesis.arms[arm].label}" for arm, count in counts.items()])
        return f"Invalid: {lost} diverged, and the file allows no outcome then."
    if kind == "without_value":
        blocked = listing([f"{name} ({count} seeds)" for name, count in counts.items()])
        return f"Invalid: {blocked} has seeds without a finite value, and the file allows no outcome then."
    if kind == "guard_violated":
        return f"Invalid: {words.violated([guard for guard in found.guards if guard.status == 'violated'])}"
    if kind == "guard_unverified":
        return words.unverified([guard for guard in found.guards if guard.status == "unverified"])
    if hypothesis.combine is not None:
        return words.several(found.decisions, found.outcome, found.p)
    (decision,) = found.decisions
    spec = hypothesis.decisions[decision.name]
    return words.summary(decision, spec, hypothesis.estimands[spec.estimand], found.p, parts)


def _warnings(
    hypothesis: Hypothesis,
    measurements: Measurements,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
    words: Words,
) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    found = []
    if measurements.pilot:
        found.append("This is a pilot: its numbers are prior data, and it gives no outcome.")
    if not measurements.pilot and len(measurements.seeds) not in hypothesis.looks:
        found.append(f"{len(measurements.seeds)} seeds were measured, but {hypothesis.seeds.number} are registered.")
    guarded = [guard.estimand for guard in hypothesis.guards.values()]
    t_tested = {spec.estimand for spec in hypothesis.decisions.values() if spec.criterion.t_test}
    t_tested |= {name for name in guarded if standard_test(hypothesis.estimands[name]).criterion.t_test}
    for name in _deciding(hypothesis):
        sample = samples[name]
        if len(sample.x) == 2 and name in t_tested:
            found.append(f"{name}: with 2 seeds, a t test rests wholly on the values being normal.")
        if sample.degenerate:
            found.append(f"{name}: all seeds give the same value up to rounding.")
        if sample.missing and not sample.blocked:
            found.append(f"{name}: {len(sample.missing)} of {len(measurements.seeds)} seeds are left out.")
        if replaced := sum(v.value is not None and v.note is not None for v in sample.result.values):
            found.append(f"{name}: the worst value stands in at {replaced} of {len(measurements.seeds)} seeds.")
    used = _arms(hypothesis)
    for arm, indices in unapplied.items():
        if arm not in used:
            found.append(f"{hypothesis.arms[arm].label}: seeds {words.seeds(indices)} ended with identical weights.")
    return tuple(found)
