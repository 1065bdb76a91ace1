"""One judgement of a hypothesis on its measurements: guards, decisions, their combination, and the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.domain.scales import choose_scale
from harness.domain.standard_tests import choose_test
from harness.errors import HarnessError
from harness.inference.bands import judge_bands
from harness.inference.combine import Combined, combine, find_alpha_divisor
from harness.inference.estimands import evaluate
from harness.inference.exploratory import describe_exploratory
from harness.inference.families import compute_exploratory_p
from harness.inference.guards import judge_guard
from harness.inference.opinion import compute_effect_size, compute_posterior, put_on_scale
from harness.inference.readings import estimate_divergence_rate, find_diverged, find_unapplied_seeds
from harness.inference.samples import Sample
from harness.records import BandDecision, Decision, GuardResult, Hypothesis, Measurements, Notice, Reason

OUTCOMES = {"pilot": "inconclusive", "guard_unverified": "inconclusive"}
"""Kind of reason → outcome. The decisions give their own; all other reasons make it invalid."""


def judge(hypothesis: Hypothesis, measurements: Measurements, *, parts: int = 1, guard_parts: int = 1) -> Decision:
    """Judge a hypothesis: its outcome with everything that it rests on; the same records give the same decision.

    It holds no sentences yet; ``harness.verdict.word_decision`` adds them.

    In this order: a seed that was not applied, a replica that diverged where the file does not allow it, or a violated
    guard make the outcome invalid; an unverified guard makes it inconclusive; then the decisions give the outcome. A
    pilot's numbers are computed, but it never gives an outcome.

    If this is one of several looks at growing data (``harness.inference.looks``), the decisions' α is divided by
    ``parts`` and the guards' by ``guard_parts``; the decision's p is then multiplied by ``parts``.

    Raises:
        HarnessError: the bands do not tile the line, or several decisions have no rule that combines them.
    """
    found = _decide_all(hypothesis, measurements, parts, guard_parts)
    samples = found.samples
    failed = _find_failed(hypothesis, measurements, samples)
    replicas = {arm: sum(result.arm == arm for result in measurements.replicas) for arm in failed}
    clean = not failed and not any(
        value.note for name in _list_deciding(hypothesis) for value in samples[name].result.values
    )
    seeds = len(measurements.seeds)
    exploratory = {name: evaluate(name, e, hypothesis, measurements) for name, e in hypothesis.exploratory.items()}
    return Decision(
        outcome=found.outcome,
        predicted=hypothesis.prediction.outcome,
        guards=found.guards,
        decisions=tuple(_add_opinion(hypothesis, decision) for decision in found.decisions),
        p=found.p,
        diverged=failed,
        divergence_rate={arm: estimate_divergence_rate(len(indices), replicas[arm]) for arm, indices in failed.items()},
        clean_rate_limit=1 - 0.05 ** (1 / seeds) if clean and seeds else None,
        exploratory=tuple(describe_exploratory(hypothesis.exploratory[name], one) for name, one in exploratory.items()),
        exploratory_p=compute_exploratory_p(hypothesis.exploratory, exploratory),
        reason=found.reason,
        combined=found.combined.reasoning if found.combined is not None else None,
        notices=_collect_notices(hypothesis, measurements, samples, found.unapplied),
    )


def judge_briefly(
    hypothesis: Hypothesis, measurements: Measurements, *, parts: int, guard_parts: int
) -> tuple[str, float | None]:
    """Return the outcome and p of ``judge``, without the details that describe them."""
    found = _decide_all(hypothesis, measurements, parts, guard_parts, described=False)
    return found.outcome, found.p


@dataclass(frozen=True)
class _Judged:
    """The results that an outcome rests on."""

    samples: Mapping[str, Sample]
    unapplied: Mapping[str, tuple[int, ...]]
    guards: tuple[GuardResult, ...]
    decisions: tuple[BandDecision, ...]
    combined: Combined | None
    outcome: str
    reason: Reason
    p: float | None


def _decide_all(
    hypothesis: Hypothesis,
    measurements: Measurements,
    parts: int,
    guard_parts: int,
    described: bool = True,
) -> _Judged:
    samples = {name: evaluate(name, e, hypothesis, measurements) for name, e in hypothesis.estimands.items()}
    unapplied = find_unapplied_seeds(measurements)
    guards = tuple(
        judge_guard(
            name,
            guard.model_copy(update={"alpha": guard.alpha / guard_parts}),
            samples[guard.estimand],
            hypothesis.estimands[guard.estimand],
        )
        for name, guard in hypothesis.guards.items()
    )
    decisions = _make_decisions(hypothesis, samples, unapplied, measurements.pilot, parts, described)
    combined = None if measurements.pilot else _combine(hypothesis, decisions, parts)
    reason = _find_reason(hypothesis, measurements, guards, combined, samples, unapplied)
    outcome, p = OUTCOMES.get(reason.kind, "invalid"), None
    if combined is not None and reason.kind == "decisions":
        outcome, p = combined.outcome, combined.p
    return _Judged(samples, unapplied, guards, decisions, combined, outcome, reason, p)


def _list_deciding(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Return the estimands that guards or decisions are about, each once."""
    guards = [guard.estimand for guard in hypothesis.guards.values()]
    return tuple(dict.fromkeys([*guards, *(spec.estimand for spec in hypothesis.decisions.values())]))


def _list_arms(hypothesis: Hypothesis) -> tuple[str, ...]:
    """Return the arms that guards or decisions use, each once."""
    return tuple(dict.fromkeys(arm for name in _list_deciding(hypothesis) for arm in hypothesis.estimands[name].arms))


def _find_failed(
    hypothesis: Hypothesis, measurements: Measurements, samples: Mapping[str, Sample]
) -> dict[str, tuple[int, ...]]:
    """Return arm → seeds that diverged, or, which counts as much, have no usable number for a deciding estimand."""
    trained = {(result.arm, result.seed_index) for result in measurements.replicas}
    found = {(arm, index) for arm, indices in find_diverged(measurements).items() for index in indices}
    for name in _list_deciding(hypothesis):
        found |= {(arm, index) for arm, indices in samples[name].unusable.items() for index in indices} & trained
    arms = sorted({arm for arm, _ in found}, key=list(hypothesis.arms).index)
    return {arm: tuple(sorted(index for other, index in found if other == arm)) for arm in arms}


def _make_decisions(
    hypothesis: Hypothesis,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
    pilot: bool,
    parts: int,
    described: bool,
) -> tuple[BandDecision, ...]:
    """Return every decision by itself."""
    found = []
    for name, spec in hypothesis.decisions.items():
        estimand = hypothesis.estimands[spec.estimand]
        applied = not any(arm in unapplied for arm in estimand.arms)
        alpha = spec.criterion.alpha / find_alpha_divisor(hypothesis.combine, name) / parts
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


def _add_opinion(hypothesis: Hypothesis, decision: BandDecision) -> BandDecision:
    """Return a decision with its posterior and effect size."""
    spec = hypothesis.decisions[decision.name]
    estimand = hypothesis.estimands[spec.estimand]
    if spec.criterion.targets != "mean" or estimand.pairing != "seed":
        return decision
    tested = put_on_scale(decision, choose_scale(estimand))
    effect = compute_effect_size(tested) if estimand.compares else None
    return decision.model_copy(update={"posterior": compute_posterior(tested), "effect_size": effect})


def _combine(hypothesis: Hypothesis, decisions: tuple[BandDecision, ...], parts: int) -> Combined:
    """Combine the decisions; adjust p for the number of looks."""
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


def _find_reason(
    hypothesis: Hypothesis,
    measurements: Measurements,
    guards: tuple[GuardResult, ...],
    combined: Combined | None,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
) -> Reason:
    """Return the first applicable reason, in the order of ``judge``."""
    arms, measured = _list_arms(hypothesis), len(measurements.seeds)
    if combined is None:
        return Reason(kind="pilot", measured=measured)
    if same := {arm: len(unapplied[arm]) for arm in arms if arm in unapplied}:
        return Reason(kind="seed_not_applied", seeds=same, measured=measured)
    diverged = find_diverged(measurements, ("diverged",))
    if hypothesis.exclusions.diverged == "invalid" and (lost := {a: len(diverged[a]) for a in arms if a in diverged}):
        return Reason(kind="diverged", seeds=lost, measured=measured)
    failed = find_diverged(measurements, ("failed",))
    if hypothesis.exclusions.failed == "invalid" and (lost := {a: len(failed[a]) for a in arms if a in failed}):
        return Reason(kind="failed", seeds=lost, measured=measured)
    if blocked := {name: len(samples[name].missing) for name in _list_deciding(hypothesis) if samples[name].blocked}:
        return Reason(kind="without_value", seeds=blocked, measured=measured)
    if any(guard.status == "violated" for guard in guards):
        return Reason(kind="guard_violated", measured=measured)
    if any(guard.status == "unverified" for guard in guards):
        return Reason(kind="guard_unverified", measured=measured)
    return Reason(kind="decisions", measured=measured)


def _collect_onset_notices(name: str, sample: Sample) -> list[Notice]:
    """Return how many seeds' onsets are known up to the evaluations around them only, and how many never come."""
    if sample.upper is None:
        return []
    known = [seed for seed in sample.result.values if seed.value is not None]
    kinds = {
        "between_evaluations": sum(all(map(math.isfinite, seed.between)) for seed in known if seed.between is not None),
        "never": sum(math.isinf(seed.value or 0.0) for seed in known),
        "both_never": sum(seed.anything for seed in known),
    }
    return [Notice.model_validate({"kind": kind, "about": name, "count": n}) for kind, n in kinds.items() if n]


def _collect_notices(
    hypothesis: Hypothesis,
    measurements: Measurements,
    samples: Mapping[str, Sample],
    unapplied: Mapping[str, tuple[int, ...]],
) -> tuple[Notice, ...]:
    """Return the notices that a reader must know before believing the numbers."""
    found = []
    if measurements.pilot:
        found.append(Notice(kind="pilot"))
    elif len(measurements.seeds) not in hypothesis.looks:
        found.append(Notice(kind="other_number", count=len(measurements.seeds)))
    guarded = [guard.estimand for guard in hypothesis.guards.values()]
    t_tested = {spec.estimand for spec in hypothesis.decisions.values() if spec.criterion.t_test}
    t_tested |= {name for name in guarded if choose_test(hypothesis.estimands[name]).criterion.t_test}
    for name in _list_deciding(hypothesis):
        sample = samples[name]
        if len(sample.x) == 2 and name in t_tested:
            found.append(Notice(kind="two_seeds", about=name, count=2))
        if sample.degenerate:
            found.append(Notice(kind="all_alike", about=name))
        if sample.missing and not sample.blocked:
            found.append(Notice(kind="left_out", about=name, count=len(sample.missing)))
        found += _collect_onset_notices(name, sample)
        if replaced := sum(v.value is not None and v.note is not None for v in sample.result.values):
            found.append(Notice(kind="stood_in", about=name, count=replaced))
    used = _list_arms(hypothesis)
    for arm, indices in unapplied.items():
        if arm not in used:
            found.append(Notice(kind="seed_not_applied", about=arm, count=len(indices), seeds=indices))
    return tuple(found)
