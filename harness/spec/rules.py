"""Rules beyond types: arms, estimands, guards, seeds, decisions and implications must fit together.

``check_rules`` applies all rules. Each rule looks only at well-formed parts, so that no mistake hides another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from harness.plugins.registry import find_members
from harness.records import Claims, DecisionSpec, Estimand, Hypothesis
from harness.spec.bands import check_bands
from harness.spec.combine import check_combination
from harness.spec.contradictions import check_contradictions
from harness.spec.draft import VERBS, Draft
from harness.spec.estimands import check_estimands, check_guards
from harness.spec.forms import join_names, suggest
from harness.spec.seeds import check_seeds, check_stopping
from harness.spec.tree import Node, Path, Problem
from harness.spec.unmissable import check_unmissable


def check_rules(root: Node, claims: Claims | None, whole: Hypothesis | None = None) -> Iterator[Problem]:
    """Yield everything that breaks a rule in an expanded document; ``whole`` is its hypothesis if well-formed.

    ``claims`` is None if claims.yaml can't be read.
    """
    draft = Draft(root, whole)
    found = {
        "version": _check_version(draft),
        "arms": _check_arms(draft),
        "estimands": check_estimands(draft),
        "guards": check_guards(draft),
        "decisions": _check_decisions(draft),
        "worst-case": _check_worst_case(draft),
        "bands": check_bands(draft),
        "combine": check_combination(draft),
        "seeds": check_seeds(draft),
        "stopping": check_stopping(draft),
        "outcomes": _check_outcomes(draft),
        "claims": _check_claims(draft, claims),
        "contradictions": check_contradictions(draft, claims),
        "unmissable": check_unmissable(draft),
    }
    for rule, broken in found.items():
        yield from (replace(problem, rule=rule) for problem in broken)


def _check_version(draft: Draft) -> Iterator[Problem]:
    node = draft.root.get("schema_version")
    if node is not None and node.value == 1 and type(node.value) is not int:  # true and 1.0 equal 1 in Python
        yield Problem(("schema_version",), "schema_version must be the whole number 1", "write schema_version: 1")


def _check_arms(draft: Draft) -> Iterator[Problem]:
    for name, arm in draft.arms.items():
        path, setup = ("arms", name), arm.setup
        known = find_members("metrics")
        for position, metric in enumerate(setup.evaluation.metrics):
            if metric not in known:
                message = f"no metric is called {metric!r}{suggest(metric, known)}"
                yield Problem(
                    (*path, "setup", "evaluation", "metrics", position), message, f"known: {', '.join(known)}"
                )
        at = (*path, "setup", "evaluation", "probe_samples")
        samples, there = setup.evaluation.probe_samples, setup.dataset.test_count
        if samples > there:
            default = " (the default)" if draft.root.nearest(at)[1] else ""
            message = f"probe_samples is {samples:,}{default}, but {setup.dataset.name} has {there:,} test samples"
            remedy = f"set evaluation.probe_samples to {there} or less"
            yield Problem(at, message, remedy)
        try:
            frozen = setup.model.expand_groups(arm.freeze)
        except ValueError as error:
            yield Problem((*path, "freeze"), f"freeze: {error}")
            continue
        if frozen == set(setup.model.groups()):
            yield Problem((*path, "freeze"), "everything is frozen: nothing would train", "leave out one part")


def _check_decisions(draft: Draft) -> Iterator[Problem]:
    for name, decision in draft.decisions.items():
        path = ("decisions", name)
        if missing := draft.unknown("estimands", "estimand", decision.estimand):
            remedy = None
            if decision.estimand in draft.names("exploratory"):
                remedy = "it is exploratory, and that never decides: move it to estimands"
            yield Problem((*path, "estimand"), missing, remedy)
            continue
        estimand = draft.estimands.get(decision.estimand)
        if estimand is None:
            continue
        if decision.criterion.targets != estimand.seeds:
            criterion = decision.criterion
            message = (
                f"criterion {criterion.name} tests the {criterion.targets}, but the estimand is a {estimand.seeds}"
            )
            remedy = f"set seeds: {criterion.targets} in estimand {decision.estimand}, or choose another criterion"
            yield Problem((*path, "criterion"), message, remedy)
        yield from _check_fit(path, decision, estimand)


def _check_fit(path: Path, decision: DecisionSpec, estimand: Estimand) -> Iterator[Problem]:
    """Yield the criterion's other demands on the estimand that are not met: pairing and bounds."""
    criterion, about = decision.criterion, decision.estimand
    if criterion.unpaired and estimand.pairing != "unpaired":
        message = f"criterion {criterion.name} compares unpaired arms, but {about} does not"
        remedy = f"set pairing: unpaired in estimand {about}, or choose another criterion"
        yield Problem((*path, "criterion"), message, remedy)
    if not criterion.unpaired and estimand.pairing == "unpaired":
        message = f"criterion {criterion.name} pairs by seed, but the arms of {about} are unpaired"
        remedy = f"choose the criterion welch, or remove pairing from estimand {about}: arms share their seeds"
        yield Problem((*path, "criterion"), message, remedy)
    if criterion.needs_bounds and not all(math.isfinite(end) for end in estimand.domain):
        message = f"criterion {criterion.name} needs a metric with bounds, and {about} does not have them on both sides"
        yield Problem((*path, "criterion"), message, "choose another criterion or metric")


def _check_worst_case(draft: Draft) -> Iterator[Problem]:
    """Yield misuse of worst_case: the metric's worst value must make the tested number worse.

    Subtracted in a contrast, it would not.
    """
    if draft.exclusions.diverged != "worst_case":
        return
    path = ("exclusions", "diverged")
    tested = [("decision", name, decision.estimand) for name, decision in draft.decisions.items()]
    tested += [("guard", name, guard.estimand) for name, guard in draft.guards.items()]
    for noun, name, about in tested:
        estimand = draft.estimands.get(about)
        if estimand is None:
            continue
        if estimand.contrast is not None:
            why = "what is worst for a difference depends on which arm diverged"
            message = f"worst_case can't serve {noun} {name!r}, which is about a contrast: {why}"
            yield Problem(path, message, "use invalid or exclude")
        elif noun == "decision" and estimand.metric.worst is None:
            message = f"metric {estimand.metric.name} has no worst value, which decision {name!r} would need"
            yield Problem(path, message, "use invalid or exclude")


def _check_outcomes(draft: Draft) -> Iterator[Problem]:
    if draft.outcomes is None:
        return
    outcomes = list(dict.fromkeys(draft.outcomes))
    known = f"outcomes: {join_names(outcomes)}"
    predicted = draft.prediction.outcome if draft.prediction is not None else None
    if predicted is not None and predicted not in outcomes:
        yield Problem(
            ("prediction", "outcome"), f"{predicted!r} is not an outcome{suggest(predicted, outcomes)}", known
        )
    if "implications" not in draft.root.items():
        return
    given = draft.names("implications")
    for outcome in outcomes:
        if outcome not in given:
            remedy = f"add {outcome}: {{says: …}}, with what it supports, walks back or restores"
            yield Problem(("implications",), f"outcome {outcome!r} has no implication", remedy, on_key=True)
    for name in given:
        if name not in outcomes:
            message = f"{name!r} is not an outcome{suggest(name, outcomes)}"
            yield Problem(("implications", name), message, known, on_key=True)


def _check_claims(draft: Draft, claims: Claims | None) -> Iterator[Problem]:
    for name, implication in draft.implications.items():
        moves = {verb: getattr(implication, verb) for verb in VERBS}
        for verb, ids in moves.items():
            for position, claim in enumerate(ids):
                if claims is not None and claim not in claims.claims:
                    message = f"there is no claim {claim!r}{suggest(claim, claims.claims)}"
                    yield Problem(("implications", name, verb, position), message, "add it to claims.yaml")


def find_claim_reference(root: Node) -> Problem | None:
    """Return the problem that claims.yaml is missing, at the first reference to a claim; None without one."""
    for name, implication in Draft(root).implications.items():
        for verb in VERBS:
            if getattr(implication, verb):
                message = "claims are named, but there is no claims.yaml"
                remedy = "put claims.yaml beside this file, or remove the claims"
                return Problem(("implications", name, verb, 0), message, remedy, rule="claims")
    return None
