"""Rules beyond types: arms, estimands, guards, seeds, decisions and implications must fit together.

``check_rules`` applies all rules. Each rule looks only at well-formed parts, so that no mistake hides another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.batched.specs import Init
from harness.domain.places import is_worst_known
from harness.plugins.registry import find_members
from harness.records import Claims, DecisionSpec, Estimand, Hypothesis, Setup
from harness.spec.bands import check_bands
from harness.spec.combine import check_combination
from harness.spec.comparisons import check_pairing
from harness.spec.contradictions import check_contradictions
from harness.spec.data import check_data
from harness.spec.draft import VERBS, Draft
from harness.spec.effects import check_effects, check_schedules, check_stuck
from harness.spec.estimands import check_estimands, check_guards
from harness.spec.forms import join_names
from harness.spec.onsets import check_censored
from harness.spec.preconditions import check_preconditions
from harness.spec.programs import check_program
from harness.spec.readings import check_tuning, check_until
from harness.spec.seeds import check_seeds, check_stopping
from harness.spec.tree import Node, Path, Problem
from harness.spec.tuning import check_search
from harness.spec.unmissable import check_unmissable
from harness.wording import name_target, suggest


def check_rules(
    root: Node, claims: Claims | None, whole: Hypothesis | None = None, *, registered: bool = False
) -> Iterator[Problem]:
    """Yield everything that breaks a rule in an expanded document; ``whole`` is its hypothesis if well-formed.

    ``claims`` is None if claims.yaml can't be read. Of a ``registered`` file the preconditions, and the place of
    its command, are left aside: they were looked at before.
    """
    draft = Draft(root, whole)
    found: dict[str, Iterable[Problem]] = {
        "version": _check_version(draft),
        "arms": _check_arms(draft),
        "program": check_program(draft, registered=registered),
        "estimands": check_estimands(draft),
        "tuning": itertools.chain(check_tuning(draft), check_search(draft)),
        "censored": check_censored(draft),
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
        "effects": check_effects(draft),
        "preconditions": () if registered else check_preconditions(draft),
    }
    for rule, broken in found.items():
        yield from (replace(problem, rule=rule) for problem in broken)


def _check_version(draft: Draft) -> Iterator[Problem]:
    node = draft.root.get("schema_version")
    if node is not None and node.value == 1 and type(node.value) is not int:  # true and 1.0 equal 1 in Python
        yield Problem(("schema_version",), "schema_version must be the whole number 1", "write schema_version: 1")


def _check_arms(draft: Draft) -> Iterator[Problem]:
    yield from check_data(draft)
    yield from check_until(draft)
    for name, arm in draft.built_in.items():
        path, setup = ("arms", name), arm.setup
        yield from check_schedules(path, arm)
        yield from _check_kept((*path, "setup"), setup)
        if (misfit := arm.rule.explain_misfit(setup.model)) is not None:
            message = f"rule {arm.rule.name} {misfit[0]} (model {setup.model.name})"
            yield Problem((*path, "rule"), message, misfit[1])
        try:
            frozen = setup.model.expand_groups(arm.freeze)
        except ValueError as error:
            yield Problem((*path, "freeze"), f"freeze: {error}")
            continue
        if arm.init_from is None and _begins_at_zero(setup):
            yield from check_stuck((*path, "setup", "model"), arm)
        if frozen == set(setup.model.groups()):
            yield Problem((*path, "freeze"), "everything is frozen: nothing would train", "leave out one part")


def _begins_at_zero(setup: Setup) -> bool:
    """Tell whether every weight that an error passes back through is zero at the beginning."""
    weights = setup.model.weights(setup.dataset.features, setup.classes)
    return all(spec.init == Init("constant", 0.0) for spec in weights)


def _check_kept(path: Path, setup: Setup) -> Iterator[Problem]:
    """Yield epochs whose weights are to be kept although no weights are, or which are not evaluated."""
    if setup.save_epochs and "weights" not in setup.save:
        message = "save_epochs says when weights are kept, and save does not ask for weights"
        yield Problem((*path, "save_epochs"), message, "set save: [weights]")
    for position, epoch in enumerate(setup.save_epochs):
        at, epochs = (*path, "save_epochs", position), setup.evaluated_epochs
        if epoch not in epochs:
            message = f"epoch {epoch} is not evaluated, so that its weights are not kept"
            near = sorted(sorted(epochs, key=lambda one: abs(one - epoch))[:3])
            yield Problem(at, message, f"epochs near it that are evaluated: {', '.join(map(str, near))}")
        elif epoch in setup.save_epochs[:position]:
            yield Problem(at, f"epoch {epoch} is listed twice", "list it once")


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
            yield _report_other_target((*path, "criterion"), decision, estimand)
        yield from _check_fit(path, decision, estimand)
        if decision.criterion.unpaired:
            yield from check_pairing(("estimands", decision.estimand), estimand, draft.arms)


def _report_other_target(path: Path, decision: DecisionSpec, estimand: Estimand) -> Problem:
    """Return that a criterion tests another parameter than its estimand's summary over seeds."""
    criterion = decision.criterion
    wanted = f"an {name_target('iqm')}" if estimand.seeds == "iqm" else f"a {estimand.seeds}"
    message = f"criterion {criterion.name} tests the {name_target(criterion.targets)}, but the estimand is {wanted}"
    if estimand.seeds == "iqm":
        message += ", which leaves out a quarter of the values on either side"
    able = [name for name, kind in find_members("criteria").items() if getattr(kind, "targets", "") == estimand.seeds]
    remedy = f"set seeds: {criterion.targets} in estimand {decision.estimand}, or choose a criterion that tests it: "
    return Problem(path, message, f"{remedy}{' or '.join(able)}")


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
    if estimand.tasks is not None and criterion.targets == estimand.seeds == "iqm" and not criterion.pools:
        message = f"criterion {criterion.name} takes one value per seed, but {about} pools {estimand.task_count} tasks"
        able = [known for known, kind in find_members("criteria").items() if getattr(kind, "pools", False)]
        yield Problem((*path, "criterion"), message, f"choose a criterion that pools them: {' or '.join(able)}")
    if criterion.needs_bounds and not all(math.isfinite(end) for end in estimand.test_domain):
        message = f"criterion {criterion.name} needs a metric with bounds, and {about} does not have them on both sides"
        yield Problem((*path, "criterion"), message, "choose another criterion or metric")


def _check_worst_case(draft: Draft) -> Iterator[Problem]:
    """Yield misuse of worst_case: the metric's worst value must make the tested number worse.

    Subtracted in a contrast, it would not.
    """
    keys = ("diverged", "failed") if draft.given("program") else ("diverged",)
    asking = [key for key in keys if getattr(draft.exclusions, key) == "worst_case"]
    tested = [("decision", name, decision.estimand) for name, decision in draft.decisions.items()]
    tested += [("guard", name, guard.estimand) for name, guard in draft.guards.items()]
    for key, (noun, name, about) in itertools.product(asking, tested):
        path, remedy = ("exclusions", key), "use invalid or exclude" if key == "diverged" else "use invalid"
        estimand = draft.estimands.get(about)
        if estimand is None:
            continue
        if estimand.compares:
            why = f"what is worst for a difference depends on which arm {key}"
            message = f"worst_case can't serve {noun} {name!r}, which is about a contrast: {why}"
            yield Problem(path, message, remedy)
        elif not is_worst_known(estimand):
            why = "a slope or a peak minus last of worse values may be better"
            if estimand.onset is not None:
                why = "there is no worst epoch for an onset"
            elif estimand.minus is not None:
                why = "what is worst for a difference of two metrics is not known"
            message = f"worst_case can't serve {noun} {name!r}: {why}"
            yield Problem(path, message, remedy)
        elif noun == "decision" and estimand.metric.worst is None:
            message = f"metric {estimand.metric.called} has no worst value, which decision {name!r} would need"
            yield Problem(path, message, remedy)


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
