"""The normal form of a hypothesis: what is trained and decided, and nothing else.

Two hypotheses have the same form if their outcomes follow from the same numbers in the same way. What stands in a file
beside that makes no difference: comments, names, titles, reasons, predictions, claims, the order of anything, what is
only explored, defaults that are written out, a contrast, or a difference of metrics, the other way round with its bands
mirrored, a contrast multiplied with its bands, percentage points or fractions, an interval in two parts, rows of a
table. Nor does what changes nothing that is decided: guards that hold whatever comes, batches larger than the data,
epochs after the one that is measured, a penalty on frozen blocks. So none of it can be varied to get other seeds from
one public value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from harness.domain.costs import find_affordable
from harness.domain.effects import is_penalised, list_schedules
from harness.domain.normal_combination import Judged, describe_combination
from harness.domain.partition import Atom, find_atoms
from harness.domain.places import centre_cut, list_epochs, list_layers
from harness.domain.tuning import describe_draws, find_corner, find_selector, is_drawn, list_candidates, set_values
from harness.errors import HarnessError
from harness.losses import is_default_loss
from harness.metrics import Metric
from harness.plugins.registry import Plugin
from harness.records import Arm, DecisionSpec, Estimand, Guard, Hypothesis, Setup
from harness.records.contrasts import is_difference
from harness.records.estimands import exchange_metrics
from harness.records.readings import BestEpoch, EpochSpent, EpochWhen, find_choice
from harness.records.weights import RUN_DIGITS
from harness.system import canonical

DIGITS = 12
"""Digits of numbers that are scaled: rounding must not make two forms of one question."""
SURELY_BELOW = 1e3  # the log10 of no ratio: a guard's threshold of zero or less
Form = dict[str, Any]


def normal_form(hypothesis: Hypothesis) -> Form:
    """Return the normal form as a JSON value; names are replaced by what they stand for, or by positions.

    Raises:
        HarnessError: It is of no hypothesis that ``harness check`` would pass: something that it names is not there.
    """
    try:
        return _make_form(hypothesis)
    except (LookupError, ValueError, OverflowError) as error:
        message = f"{hypothesis.id[:80]} has no normal form: {type(error).__name__} {error}"
        raise HarnessError(message, where="normal form", remedy="harness check FILE says what is wrong") from error


def encode_normal_form(hypothesis: Hypothesis) -> bytes:
    """Return the normal form as RFC 8785 bytes: hypotheses of the same form have the same bytes.

    Raises:
        HarnessError: as ``normal_form``.
    """
    return canonical.dumps(normal_form(hypothesis))


def _make_form(hypothesis: Hypothesis) -> Form:
    judged = {name: _describe_decision(hypothesis, decision) for name, decision in hypothesis.decisions.items()}
    distinct = _sort_distinct(form for form, _ in judged.values())
    places = {name: distinct.index(form) for name, (form, _) in judged.items()}
    bands = {name: numbers for name, (_, numbers) in judged.items()}
    combine, used = describe_combination(hypothesis.combine, Judged(places, bands))
    guards = (guard for guard in hypothesis.guards.values() if not _always_holds(hypothesis, guard))
    seeds = hypothesis.seeds.list
    form: Form = {
        "form": 1,
        "decisions": [distinct[place] for place in used],
        "combine": combine,
        "guards": _sort_distinct(_describe_guard(hypothesis, guard) for guard in guards),
        "diverged": hypothesis.exclusions.diverged,
        **({} if hypothesis.exclusions.failed == "invalid" else {"failed": hypothesis.exclusions.failed}),
        "seeds": None if seeds is None else list(seeds) if len(hypothesis.looks) > 1 else sorted(seeds),
        "looks": list(hypothesis.looks),
        "parts": hypothesis.stopping.parts,
    }
    canonical.dumps(form)  # an infinite number has no form
    return form


def _describe_decision(hypothesis: Hypothesis, decision: DecisionSpec) -> tuple[Form, dict[str, int]]:
    """Return a decision, and the numbers of its bands: in the order in which they come on the line."""
    estimand = hypothesis.estimands[decision.estimand]
    found = []
    for way in _list_ways(estimand):
        atoms = find_atoms(decision.bands, estimand.domain)
        atoms = tuple(reversed(atoms)) if way.backwards else atoms
        numbers = {name: i for i, name in enumerate(dict.fromkeys(atom.outcome for atom in atoms))}
        form: Form = {
            "estimand": _read(hypothesis, way.estimand, way.turned),
            "criterion": decision.criterion.model_dump(mode="json"),
            "bands": [numbers[atom.outcome] for atom in atoms],
            "cuts": [_cut(atom, estimand, way.backwards) for atom in atoms[:-1]],
        }
        found.append((form, numbers))
    return min(found, key=lambda one: canonical.dumps(one[0])) if len(found) > 1 else found[0]


def _cut(atom: Atom, estimand: Estimand, backwards: bool) -> list[Any]:
    """Return where an atom ends towards the next one, and whether that point is still its own."""
    if backwards:
        assert atom.interval.lower is not None, "another atom lies below"
        return [_scale(atom.interval.lower, estimand, backwards), atom.interval.lower_closed]
    assert atom.interval.upper is not None, "another atom lies above"
    return [_scale(atom.interval.upper, estimand), atom.interval.upper_closed]


def _always_holds(hypothesis: Hypothesis, guard: Guard) -> bool:
    """Tell whether every value that a guard's estimand can have lies on the right side of its threshold."""
    low, high = hypothesis.estimands[guard.estimand].domain
    return (guard.above is not None and guard.above < low) or (guard.below is not None and guard.below > high)


def _describe_guard(hypothesis: Hypothesis, guard: Guard) -> Form:
    estimand = hypothesis.estimands[guard.estimand]
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None, "a guard has one of both"
    found = [
        {
            "estimand": _read(hypothesis, way.estimand, way.turned),
            "above": (guard.above is not None) != way.backwards,
            "threshold": _scale(threshold, estimand, way.backwards),
            "alpha": guard.alpha,
        }
        for way in _list_ways(estimand)
    ]
    return min(found, key=canonical.dumps) if len(found) > 1 else found[0]


def _read(hypothesis: Hypothesis, estimand: Estimand, backwards: bool) -> Form:
    """Return an estimand without names, its arms as what they are; bands and thresholds are in fractions."""
    layers = list_layers(estimand) if estimand.layer is not None else ()
    form: Form = {
        **{key: _describe_metric(metric) for key, metric in estimand.metrics.items()},
        **_describe_weighted(hypothesis, estimand, backwards),
        "layer": list(layers) if len(layers) > 1 else next(iter(layers), None),
        "samples": estimand.samples,
        "pairing": estimand.pairing,
        "seeds": estimand.seeds,
        "log10": estimand.in_logs,
    }
    if estimand.onset is not None:
        form["onset"] = estimand.onset.model_dump(mode="json")
    if len(layers) > 1:
        form["layers"] = estimand.layers
    most = max(len(list_epochs(estimand, hypothesis.arms[name].setup)) for name in estimand.arms)
    if most > 1:  # of two epochs, the area is the mean
        form["epochs"] = "mean" if estimand.epochs == "area" and most == 2 else estimand.epochs
    return form


def _describe_metric(metric: Metric) -> Form:
    """Return a metric without the size of its probe batch, which is said of the arms."""
    said_of_arms = {"probe_samples"} if metric.conditions.probe_samples is not None else None
    return metric.model_dump(mode="json", exclude=said_of_arms)


def _describe_weighted(hypothesis: Hypothesis, estimand: Estimand, backwards: bool) -> Form:
    """Return the arms of an estimand: of a difference in order, first minus second; else sorted, with their weights.

    Weights are scaled so that their sizes add up to 2, as a difference's do, those of tasks so on average; and arms
    that train the same are one.
    """
    scale = _find_scale(estimand) * (-1 if backwards else 1)
    if estimand.tasks is not None:
        tasks = [_describe_terms(hypothesis, estimand, task, scale) for task in estimand.tasks]
        arms = _sort_distinct(arm for task in tasks for arm in task["arms"])
        return {"arms": arms, "tasks": sorted(tasks, key=canonical.dumps)}
    names = tuple(reversed(estimand.arms)) if backwards else estimand.arms
    if not estimand.compares or is_difference(estimand.weights):
        return {"arms": [_describe_arm(hypothesis, name, estimand) for name in names]}
    return _describe_terms(hypothesis, estimand, estimand.weights, scale)


def _describe_terms(hypothesis: Hypothesis, estimand: Estimand, weighted: Mapping[str, float], scale: float) -> Form:
    """Return the arms of a contrast, the largest weight first, and their weights unless they are 1 and −1."""
    arms: dict[bytes, tuple[Form, list[float]]] = {}
    for name, weight in weighted.items():
        arm = _describe_arm(hypothesis, name, estimand)
        arms.setdefault(canonical.dumps(arm), (arm, []))[1].append(weight)
    sums = [round(scale * math.fsum(weights), DIGITS) or 0.0 for _, weights in arms.values()]
    terms = sorted(zip(sums, arms.items(), strict=True), key=lambda term: (-term[0], term[1][0]))
    described = [arm for _, (_, (arm, _)) in terms]
    weights = [weight for weight, _ in terms]
    return {"arms": described} if weights == [1, -1] else {"arms": described, "weights": weights}


def _find_scale(estimand: Estimand) -> float:
    """Return the factor of an estimand's weights, and so of its cuts, in normal form."""
    if estimand.tasks is not None:
        sizes = [abs(weight) for task in estimand.tasks for weight in task.values()]
        return 2 * estimand.task_count / math.fsum(sizes)
    return 2 / math.fsum(map(abs, estimand.weights.values())) if estimand.compares else 1.0


def _describe_arm(hypothesis: Hypothesis, name: str, estimand: Estimand) -> Form:
    """Return an arm as it is measured; of a tuned one its first candidate, all candidates, and how one is chosen."""
    tuning, arm = hypothesis.tuning, hypothesis.arms[name]
    if tuning is None or name not in tuning.space:
        return _describe_measured(hypothesis, name, arm, estimand)
    how = {"by": find_selector(hypothesis), "seeds": tuning.seeds}
    if is_drawn(tuning, name):
        corner = _describe_measured(hypothesis, name, set_values(arm, find_corner(tuning, name)), estimand)
        return corner | {"tuned": {"draws": describe_draws(tuning, name), "to": arm.setup.epochs} | how}
    found = (set_values(arm, one) for one in list_candidates(tuning, name))
    # A candidate is trained to the end whenever the estimand is measured: there it is chosen.
    candidates = [_describe_measured(hypothesis, name, one, estimand) | {"epochs": one.setup.epochs} for one in found]
    first = min(candidates, key=canonical.dumps)
    return first | {"tuned": {"candidates": _sort_distinct(candidates)} | how}


def _describe_measured(hypothesis: Hypothesis, name: str, arm: Arm, estimand: Estimand) -> Form:
    """Return an arm as it is trained until it is measured, and when and on how much of it that is."""
    if isinstance(estimand.epoch, EpochSpent):  # the epoch that a budget comes to, however the budget is written
        affordable = find_affordable(estimand, name, {**hypothesis.arms, name: arm})
        estimand = estimand.model_copy(update={"epoch": affordable.epoch})
    setup = arm.setup
    dataset = setup.dataset.model_dump(mode="json")
    frozen = setup.model.expand_groups(arm.freeze)
    last = _find_last_epoch(estimand, setup)
    # A rate that stays the same until then is a constant one's, and doesn't depend on the number of epochs.
    steady = setup.optimizer.schedule.is_constant(last, setup.epochs)
    penalty = arm.penalty if is_penalised(arm, frozen) else None
    strengths = [part for part in (arm.rule, penalty) if part is not None]
    all_steady = steady and all(_is_steady(part, last, setup.epochs) for part in strengths)
    form: Form = {
        "rule": _leave_steady(_describe_rule(arm, frozen), arm.rule, last, setup.epochs),
        "penalty": None
        if penalty is None
        else _leave_steady(penalty.model_dump(mode="json"), penalty, last, setup.epochs),
        "freeze": sorted(frozen),
        "dataset": dataset | {"augment": sorted(set(setup.dataset.augment))},
        "model": setup.model.model_dump(mode="json"),
        "optimizer": setup.optimizer.model_dump(mode="json") | ({"schedule": "constant"} if steady else {}),
        "epochs": last if all_steady else setup.epochs,
        "batch_size": min(setup.batch_size, setup.train_count),
        "precision": "float32" if setup.precision == "tf32" else setup.precision,  # the same bits on a processor
        "measured_epoch": _describe_epochs(estimand, setup),
        "probe_samples": _count_probe_samples(estimand.metric, setup),
    }
    if estimand.minus is not None:
        form["minus_probe_samples"] = _count_probe_samples(estimand.minus, setup)
    return form | _describe_interventions(setup) | _describe_start(arm) | _describe_program(hypothesis, arm)


def _count_probe_samples(metric: Metric, setup: Setup) -> int | None:
    """Return the size of the probe batch that a metric is measured on; None if it is measured on none."""
    if not metric.reads_probe:
        return None
    return metric.conditions.probe_samples or setup.evaluation.probe_samples


def _describe_start(arm: Arm) -> Form:
    """Return the stored weights that an arm starts from; nothing for one that draws its own, whose form is older."""
    if arm.init_from is None:
        return {}
    return {"init_from": arm.init_from.model_dump(mode="json") | {"run": arm.init_from.run[:RUN_DIGITS]}}


def _describe_program(hypothesis: Hypothesis, arm: Arm) -> Form:
    """Return the program that trains an arm, and the arm's parameters of it; nothing where harness trains.

    What only says when a replica has failed, or what harness does then, trains nothing otherwise.
    """
    if hypothesis.program is None or not arm.is_program:
        return {}
    program = hypothesis.program.model_dump(mode="json", exclude={"timeout", "size", "again", "deterministic"})
    used = {
        name: value for name, value in (arm.parameters or {}).items() if f"{{{name}}}" in " ".join(program["command"])
    }
    return {"program": program, "parameters": used}


def _describe_interventions(setup: Setup) -> Form:
    """Return what changes the data set or the loss; nothing for what is as it always was, whose form is older."""
    found: Form = {}
    if setup.classes != setup.dataset.classes:
        found["classes"] = list(setup.class_numbers)
    if setup.validation is not None:
        found["validation"] = setup.validation_count
    if setup.subset is not None and setup.subset.size is not None:
        found["train_size"] = setup.subset.size
    if setup.until is not None:
        found["until"] = setup.until.model_dump(mode="json") | {"of": list(setup.evaluated_epochs)}
    if not is_default_loss(setup.loss):
        found["loss"] = setup.loss.model_dump(mode="json")
    if setup.labels.changed and setup.labels.share != 0:
        found["labels"] = setup.labels.model_dump(mode="json")
    return found


def _describe_rule(arm: Arm, frozen: frozenset[str]) -> Form:
    """Return a rule by its parameters, without clipping where it clips frozen blocks alone."""
    told = arm.rule.model_dump(mode="json")
    clips = not set(arm.rule.clip_norms(arm.setup.model)) <= frozen
    return told if clips or "clip" not in told else told | {"clip": None}


def _is_steady(part: Plugin, last: int, epochs: int) -> bool:
    """Tell whether the strengths of a rule or penalty stay the same until the last epoch that counts."""
    return all(schedule.is_constant(last, epochs) for _, schedule in list_schedules(part))


def _leave_steady(told: Form, part: Plugin, last: int, epochs: int) -> Form:
    """Return the form of a rule or penalty without schedules that change nothing until the last epoch that counts."""
    idle = {name for name, schedule in list_schedules(part) if schedule.is_constant(last, epochs)}
    return {name: value for name, value in told.items() if name not in idle}


def _describe_epochs(estimand: Estimand, setup: Setup) -> Any:
    """Return the epoch that is read, those that are, or the metric that chooses one of them."""
    if estimand.onset is not None:
        return list(setup.evaluated_epochs)
    if isinstance(estimand.epoch, BestEpoch):
        return {"best": estimand.epoch.best, "of": list(setup.evaluated_epochs)}
    if isinstance(estimand.epoch, EpochWhen):
        return {"when": estimand.epoch.when.model_dump(mode="json"), "of": list(setup.evaluated_epochs)}
    epochs = list_epochs(estimand, setup)
    return epochs[0] if len(epochs) == 1 else list(epochs)


def _find_last_epoch(estimand: Estimand, setup: Setup) -> int:
    """Return the last epoch that any value of the estimand depends on."""
    if estimand.onset is not None or find_choice(estimand.epoch) is not None:
        return setup.epochs
    return setup.epochs if setup.until is not None else max(list_epochs(estimand, setup))


class _Way(NamedTuple):
    """A way in which an estimand can be written."""

    estimand: Estimand
    """The estimand, its two metrics exchanged or not."""
    turned: bool
    """True if its arms are read in the opposite order."""
    backwards: bool
    """True if its values then have the opposite sign."""


def _list_ways(estimand: Estimand) -> list[_Way]:
    """Return the ways in which an estimand can be written: a contrast, or a difference of metrics, in either order."""
    ways = [_Way(estimand, turned, turned) for turned in ((False, True) if estimand.compares else (False,))]
    exchanged = exchange_metrics(estimand)
    if exchanged is None:
        return ways
    return [*ways, *(_Way(exchanged, way.turned, not way.backwards) for way in ways)]


def _scale(number: float, estimand: Estimand, backwards: bool = False) -> float:
    """Return a number in an estimand's unit as a fraction, of scaled weights, without the sign of zero.

    That of a ratio is its log10; ``backwards`` is that of the contrast or ratio the other way round.
    """
    number = centre_cut(-number if backwards and estimand.onset is not None else number, estimand)
    if estimand.onset is not None:
        return number or 0.0
    plain = number / 100 if estimand.unit == "pp" else number
    if estimand.ratio is not None:
        plain = float(f"{math.log10(number) if number > 0 else -SURELY_BELOW:.{DIGITS}g}")
    scale = _find_scale(estimand)
    scaled = plain if scale == 1 else float(f"{plain * scale:.{DIGITS}g}")
    return (-scaled if backwards else scaled) or 0.0


def _sort_distinct(forms: Iterable[Any]) -> list[Any]:
    """Return forms in the order of their bytes, each once."""
    by_bytes = {canonical.dumps(form): form for form in forms}
    return [by_bytes[key] for key in sorted(by_bytes)]
