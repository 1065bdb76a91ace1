"""One judgement of a hypothesis on its measurements: guards, decisions, their combination, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    found = _judged(hypothesis, measurements, parts, guard_parts, words)
    samples, decisions, combined = found.samples, found.decisions, found.combined
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
        summary=found.summary,
        guards=found.guards,
        decisions=decisions,
        combination=combined.words if combined is not None and hypothesis.combine is not None else None,
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
    found = _judged(hypothesis, measurements, parts, guard_parts, TODAY, described=False)
    return found.outcome, found.p


@dataclass(frozen=True)
class _Judged:
    """What an outcome rests on."""

    samples: Mapping[str, Sample]
    unapplied: Mapping[str, tuple[int, ...]]
    guards: tuple[GuardResult, ...]
    decisions: tuple[BandDecision, ...]
    combined: Combined | None
    outcome: str
    summary: str
    p: float | None


def _judged(
    hypothesis: Hypothesis,
    measurements: Measurements,
    parts: int,
    guard_parts: int,
    words: Words,
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
    decisions = _decisions(hypothesis, samples, unapplied, measurements.pilot, parts, words if described else None)
    combined = None if measurements.pilot else _combined(hypothesis, decisions, parts, words)
    outcome, summary, p = _whole(
        hypothesis, measurements, guards, decisions, combined, samples, unapplied, parts, words
    )
    return _Judged(samples, unapplied, guards, decisions, combined, outcome, summary, p)


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
    words: Words | None,
) -> tuple[BandDecision, ...]:
    """Every decision by itself; described in ``words``, if there are any."""
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
            described=words is not None,
        )
        if pilot:
            decision = decision.model_copy(update={"outcome": "inconclusive"})
        if words is None:
            found.append(decision)
            continue
        steps = words.explain(decision, spec, estimand, pilot)
        beside: dict[str, object] = {}
        if spec.criterion.targets == "mean" and estimand.pairing == "seed":
            beside["posterior"] = posterior(decision)
            beside["effect_size"] = effect_size(decision) if estimand.contrast is not None else None
        found.append(decision.model_copy(update={"steps": steps, **beside}))
    return tuple(found)


def _combined(hypothesis: Hypothesis, decisions: tuple[BandDecision, ...], parts: int, words: Words) -> Combined:
    """What the decisions say together; p as for all of the looks."""
    if hypothesis.combine is not None:
        together = combine(hypothesis.combine, decisions, words)
    elif len(decisions) == 1:
        together = Combined(decisions[0].outcome, decisions[0].p, "")
    else:
        raise HarnessError(
            f"{len(decisions)} decisions, and no rule that makes one outcome of them",
            where="combine",
            remedy="add combine: {rule: all, any or table, …}",
        )
    return replace(together, p=None if together.p is None else min(1.0, parts * together.p))


def _whole(
    hypothesis: Hypothesis,
    measurements: Measurements,
    guards: tuple[GuardResult, ...],
    decisions: tuple[BandDecision, ...],
    combined: Combined | None,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
    parts: int,
    words: Words,
) -> tuple[str, str, float | None]:
    """Outcome, one sentence, p."""
    if combined is None:
        return "inconclusive", "Pilot: no outcome.", None
    if reason := _invalid(hypothesis, measurements, guards, samples, unapplied, words):
        return "invalid", f"Invalid: {reason}", None
    if open_guards := [guard for guard in guards if guard.status == "unverified"]:
        return "inconclusive", words.unverified(open_guards), None
    if hypothesis.combine is None:
        spec = hypothesis.decisions[decisions[0].name]
        estimand = hypothesis.estimands[spec.estimand]
        return combined.outcome, words.summary(decisions[0], spec, estimand, combined.p, parts), combined.p
    return combined.outcome, words.several(decisions, combined.outcome, combined.p), combined.p


def _invalid(
    hypothesis: Hypothesis,
    measurements: Measurements,
    guards: tuple[GuardResult, ...],
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
    words: Words,
) -> str | None:
    """Why no statement can be made, if so."""
    arms = _arms(hypothesis)
    if same := [arm for arm in arms if arm in unapplied]:
        labels = listing([hypothesis.arms[arm].label for arm in same])
        return f"different seeds of {labels} ended with identical weights, so the seed was not applied."
    failed = diverged(measurements)
    if hypothesis.exclusions.diverged == "invalid" and (lost := [arm for arm in arms if arm in failed]):
        counts = [
            f"{len(failed[arm])} of {len(measurements.seeds)} seeds of {hypothesis.arms[arm].label}" for arm in lost
        ]
        return f"{listing(counts)} diverged, and the file allows no outcome then."
    if blocked := [name for name in _deciding(hypothesis) if samples[name].blocked]:
        counts = [f"{name} ({len(samples[name].missing)} seeds)" for name in blocked]
        return f"{listing(counts)} has seeds without a finite value, and the file allows no outcome then."
    if violated := [guard for guard in guards if guard.status == "violated"]:
        return words.violated(violated)
    return None


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
