"""The normal form of a hypothesis: what is trained and decided, and nothing else.

Two hypotheses have the same form if their outcomes follow from the same numbers in the same way. What stands in a file
beside that makes no difference: comments, names, titles, reasons, predictions, claims, the order of anything, what is
only explored, defaults that are written out, a contrast the other way round with its bands mirrored, percentage points
or fractions, an interval in two parts. So none of it can be varied to get other seeds from one public value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rfc8785

from harness.domain.partition import Atom, find_atoms
from harness.records import Arm, Combine, DecisionSpec, Estimand, Guard, Hypothesis

Form = dict[str, Any]


def normal_form(hypothesis: Hypothesis) -> Form:
    """Return the normal form as a JSON value; names are replaced by what they stand for, or by positions."""
    judged = {name: _describe_decision(hypothesis, decision) for name, decision in hypothesis.decisions.items()}
    decisions = sorted((form for form, _ in judged.values()), key=rfc8785.dumps)  # of equal ones, each shares α
    places = {name: decisions.index(form) for name, (form, _) in judged.items()}
    bands = {name: numbers for name, (_, numbers) in judged.items()}
    seeds = hypothesis.seeds.list
    return {
        "form": 1,
        "decisions": decisions,
        "combine": None if hypothesis.combine is None else _describe_combination(hypothesis.combine, places, bands),
        "guards": _sort_distinct(_describe_guard(hypothesis, guard) for guard in hypothesis.guards.values()),
        "diverged": hypothesis.exclusions.diverged,
        "seeds": None if seeds is None else list(seeds) if len(hypothesis.looks) > 1 else sorted(seeds),
        "looks": list(hypothesis.looks),
        "parts": hypothesis.stopping.parts,
    }


def encode_normal_form(hypothesis: Hypothesis) -> bytes:
    """Return the normal form as RFC 8785 bytes: hypotheses of the same form have the same bytes."""
    return rfc8785.dumps(normal_form(hypothesis))


def _describe_decision(hypothesis: Hypothesis, decision: DecisionSpec) -> tuple[Form, dict[str, int]]:
    """Return a decision, and the numbers of its bands: in the order in which they come on the line."""
    estimand = hypothesis.estimands[decision.estimand]
    found = []
    for backwards in _list_ways(estimand):
        atoms = find_atoms(decision.bands, estimand.domain)
        atoms = tuple(reversed(atoms)) if backwards else atoms
        numbers = {name: i for i, name in enumerate(dict.fromkeys(atom.outcome for atom in atoms))}
        form: Form = {
            "estimand": _read(hypothesis, estimand, backwards),
            "criterion": decision.criterion.model_dump(mode="json"),
            "bands": [numbers[atom.outcome] for atom in atoms],
            "cuts": [_cut(atom, estimand, backwards) for atom in atoms[:-1]],
        }
        found.append((form, numbers))
    return min(found, key=lambda one: rfc8785.dumps(one[0]))


def _cut(atom: Atom, estimand: Estimand, backwards: bool) -> list[Any]:
    """Return where an atom ends towards the next one, and whether that point is still its own."""
    if backwards:
        assert atom.interval.lower is not None, "another atom lies below"
        return [_scale(-atom.interval.lower, estimand), atom.interval.lower_closed]
    assert atom.interval.upper is not None, "another atom lies above"
    return [_scale(atom.interval.upper, estimand), atom.interval.upper_closed]


def _describe_guard(hypothesis: Hypothesis, guard: Guard) -> Form:
    estimand = hypothesis.estimands[guard.estimand]
    threshold = guard.above if guard.above is not None else guard.below
    assert threshold is not None, "a guard has one of both"
    found = [
        {
            "estimand": _read(hypothesis, estimand, backwards),
            "above": (guard.above is not None) != backwards,
            "threshold": _scale(-threshold if backwards else threshold, estimand),
            "alpha": guard.alpha,
        }
        for backwards in _list_ways(estimand)
    ]
    return min(found, key=rfc8785.dumps)


def _describe_combination(combine: Combine, places: dict[str, int], bands: dict[str, dict[str, int]]) -> Form:
    """Return how decisions make an outcome; outcomes are numbered in the order in which rows name them."""
    if combine.table is None:
        holds = combine.holds or {}
        numbered = {
            name: sorted({bands[name][one] for one in held if one in bands[name]}) for name, held in holds.items()
        }
        return {"rule": combine.rule, "holds": _sort_distinct([places[name], held] for name, held in numbered.items())}
    numbers = {name: i for i, name in enumerate(dict.fromkeys(cell.outcome for cell in combine.table))}
    rows = [
        {
            "when": _sort_distinct([places[name], bands[name].get(band)] for name, band in cell.when.items()),
            "outcome": numbers[cell.outcome],
        }
        for cell in combine.table
    ]
    return {"rule": "table", "rows": rows}


def _read(hypothesis: Hypothesis, estimand: Estimand, backwards: bool) -> Form:
    """Return an estimand without names, its arms as what they are; bands and thresholds are in fractions."""
    names = tuple(reversed(estimand.arms)) if backwards else estimand.arms
    return {
        "metric": estimand.metric.model_dump(mode="json"),
        "arms": [_describe_measured(hypothesis.arms[name], estimand) for name in names],
        "layer": estimand.layer,
        "samples": estimand.samples,
        "pairing": estimand.pairing,
        "seeds": estimand.seeds,
        "log10": estimand.transform == "log10",
    }


def _describe_measured(arm: Arm, estimand: Estimand) -> Form:
    """Return an arm as it is trained, and when and on how much of it is measured."""
    setup, on_probe = arm.setup, estimand.metric.layered or estimand.metric.per_sample
    dataset = setup.dataset.model_dump(mode="json")
    return {
        "rule": arm.rule.model_dump(mode="json"),
        "penalty": None if arm.penalty is None or arm.penalty.strength == 0 else arm.penalty.model_dump(mode="json"),
        "freeze": sorted(setup.model.expand_groups(arm.freeze)),
        "dataset": dataset | {"augment": sorted(set(setup.dataset.augment))},
        "model": setup.model.model_dump(mode="json"),
        "optimizer": setup.optimizer.model_dump(mode="json"),
        "epochs": setup.epochs,
        "batch_size": setup.batch_size,
        "precision": setup.precision,
        "measured_epoch": estimand.epoch or setup.epochs,
        "probe_samples": setup.evaluation.probe_samples if on_probe else None,
    }


def _list_ways(estimand: Estimand) -> tuple[bool, ...]:
    """Return the ways in which an estimand can be written: a contrast forwards and backwards."""
    return (False,) if estimand.contrast is None else (False, True)


def _scale(number: float, estimand: Estimand) -> float:
    """Return a number in an estimand's unit as a fraction, without the sign of zero."""
    return (number / 100 if estimand.unit == "pp" else number) or 0.0


def _sort_distinct(forms: Iterable[Any]) -> list[Any]:
    """Return forms in the order of their bytes, each once."""
    by_bytes = {rfc8785.dumps(form): form for form in forms}
    return [by_bytes[key] for key in sorted(by_bytes)]
