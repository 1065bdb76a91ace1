"""The outcomes that other criteria and levels would give for the same seeds. The registered one stays the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.criteria import NEVER, Criterion
from harness.domain.places import find_censoring
from harness.domain.scales import split_bands
from harness.inference.combine import find_alpha_divisor
from harness.inference.estimands import evaluate
from harness.inference.looks import decide
from harness.plugins.registry import find_members
from harness.records import BandDecision, Hypothesis, Measurements
from harness.records.contrasts import is_difference
from harness.wording import format_count, name_target

REGISTERED = "as registered"


@dataclass(frozen=True)
class Alternative:
    """One criterion at one level."""

    criterion: str
    """Name of the plug-in, or "as registered" for the verdict's own."""
    targets: str
    """Parameter that it tests: mean, median, …"""
    alpha: float | None
    """Level; None for each decision's own, as registered."""
    smallest_n: int | None
    """Smallest number of seeds with which it can decide; None if there is none."""
    outcome: str | None
    p: float | None
    decisions: tuple[BandDecision, ...]
    reason: str | None
    """Reason why it cannot apply, if so."""


def judge_alternatives(
    hypothesis: Hypothesis, measurements: Measurements, names: Sequence[str], alphas: Sequence[float]
) -> tuple[Alternative, ...]:
    """Return the outcome as registered, then under each criterion of ``names`` at each of ``alphas``.

    Every decision is made with the other criterion; guards, combination, exclusions and looks stay, as far as seeds
    were trained: if the verdict came early, another criterion might have continued. Without ``alphas`` each decision
    keeps its own.
    """
    levels: list[float | None] = [*alphas] if alphas else [None]
    found = [_judge_again(hypothesis, measurements, REGISTERED, alpha) for alpha in dict.fromkeys([None, *levels])]
    own = {decision.criterion.name for decision in hypothesis.decisions.values()}
    for name in names:
        if own != {name}:
            found += [_judge_again(hypothesis, measurements, name, alpha) for alpha in levels]
    return tuple(found)


def list_criteria() -> tuple[str, ...]:
    """Return the names of all installed criteria."""
    return tuple(find_members("criteria"))


def _judge_again(hypothesis: Hypothesis, measurements: Measurements, name: str, alpha: float | None) -> Alternative:
    chosen: dict[str, Criterion] = {}
    for decision, spec in hypothesis.decisions.items():
        level = spec.criterion.alpha if alpha is None else alpha
        if name == REGISTERED:  # with another level, it goes by its own name below
            chosen[decision] = spec.criterion.model_copy(update={"alpha": level})
        else:
            plugin = find_members("criteria")[name]
            assert issubclass(plugin, Criterion)
            chosen[decision] = plugin.model_validate({"name": name, "alpha": level})
    targets = ", ".join(dict.fromkeys(name_target(criterion.targets) for criterion in chosen.values()))
    needed = {decision: _find_smallest(hypothesis, decision, criterion) for decision, criterion in chosen.items()}
    smallest = max(needed.values())
    if reasons := list(_find_obstacles(hypothesis, measurements, chosen, needed)):
        return Alternative(
            name,
            targets,
            alpha,
            smallest if smallest < NEVER else None,
            None,
            None,
            (),
            "; ".join(dict.fromkeys(reasons)),
        )
    made = decide(_replace_criteria(hypothesis, chosen), measurements)
    if name == REGISTERED and alpha is not None:
        name = ", ".join(dict.fromkeys(criterion.name for criterion in chosen.values()))
    return Alternative(
        name, targets, alpha, smallest if smallest < NEVER else None, made.outcome, made.p, made.decisions, None
    )


def _replace_criteria(hypothesis: Hypothesis, chosen: Mapping[str, Criterion]) -> Hypothesis:
    """Return the hypothesis with other criteria.

    Each decision gets an estimand of its own, so that no guard changes: the parameter that the criterion tests, of arms
    that are paired as it requires.
    """
    estimands, decisions = dict(hypothesis.estimands), {}
    for decision, criterion in chosen.items():
        spec = hypothesis.decisions[decision]
        name = f"{spec.estimand}_of_{decision}"
        estimand = hypothesis.estimands[spec.estimand]
        pairing = "unpaired" if criterion.unpaired else "seed"
        estimands[name] = estimand.model_copy(update={"seeds": criterion.targets, "pairing": pairing})
        decisions[decision] = spec.model_copy(update={"criterion": criterion, "estimand": name})
    return hypothesis.model_copy(update={"estimands": estimands, "decisions": decisions})


def _find_smallest(hypothesis: Hypothesis, decision: str, criterion: Criterion) -> int:
    """Return the smallest number of seeds with which each atom could be rejected; NEVER if one cannot be."""
    spec = hypothesis.decisions[decision]
    estimand = hypothesis.estimands[spec.estimand]
    alpha = criterion.alpha / find_alpha_divisor(hypothesis.combine, decision) / hypothesis.stopping.parts
    needed = [
        criterion.on(estimand.test_domain).over(estimand.task_count).smallest_n(atom.level(alpha), cut)
        for atom in split_bands(spec.bands, estimand)
        for cut in (atom.interval.lower, atom.interval.upper)
        if cut is not None
    ]
    return max(2, *needed)


def _find_obstacles(
    hypothesis: Hypothesis,
    measurements: Measurements,
    chosen: Mapping[str, Criterion],
    needed: Mapping[str, int],
) -> Iterator[str]:
    """Yield the reasons why a criterion cannot decide here, decision by decision."""
    for decision, criterion in chosen.items():
        estimand = hypothesis.estimands[hypothesis.decisions[decision].estimand]
        if criterion.needs_bounds and not all(math.isfinite(end) for end in estimand.test_domain):
            yield f"{decision}: needs a metric with bounds"
            continue
        if estimand.onset is not None and (why := find_censoring(estimand, criterion.targets)) is not None:
            yield f"{decision}: {why}"
            continue
        if criterion.unpaired and not is_difference(estimand.weights):
            about = "a contrast of weighted arms" if estimand.compares else "about one"
            yield f"{decision}: compares two arms, and this is {about}"
            continue
        if hypothesis.stopping.kind == "anytime" and not criterion.anytime:
            yield f"{decision}: can't be judged at any number of seeds, as the stopping rule asks"
            continue
        n = evaluate(decision, estimand, hypothesis, measurements).result.n
        smallest = needed[decision]
        if smallest == NEVER:
            yield f"{decision}: can't decide at this level, whatever the number of seeds"
        elif n < smallest:
            yield (
                f"{decision}: needs {format_count(smallest, 'seed')} at this level, there "
                f"{'is' if n == 1 else 'are'} {n}"
            )
