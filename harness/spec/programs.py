"""Files whose arms are trained by a program: their short form, and what must fit together in them.

**program.** ``program``, ``metrics`` and ``results`` stand in place of the setup and of the arms' rules. They expand to
plug-ins named ``program``, for what the program does by itself, and ``declared``, for what it measures; everything else
of a file means what it means elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.metrics._declared import DeclaredMetric
from harness.plugins.registry import HIDDEN, find_members
from harness.records import Arm, Estimand
from harness.records.hypothesis import Hypothesis
from harness.records.program import OWN_PLACEHOLDERS, OWN_VARIABLES, MetricSpec, Program, Results
from harness.records.readings import EpochSpent, find_choice
from harness.spec.draft import Draft
from harness.spec.forms import join_names, make_part, suggest
from harness.spec.tree import Node, Path, Problem

SECTIONS = ("metrics", "results")
"""Sections that only a file with a program has."""
FOREIGN = ("rule", "penalty", "freeze", "init_from", "setup")
"""Keys of arms that harness trains."""


def expand_program(parts: dict[str, Node]) -> tuple[dict[str, Node], list[Problem]]:
    """Return the parts of a file with a program in the records' form; as they are, without one.

    Arms have no matrix any more, and estimands their short forms still.
    """
    program = parts.get("program")
    if program is None or program.value is None:
        return parts, []
    problems = list(_find_foreign(parts))
    declared = {name: _declare(name, node) for name, node in _items(parts.get("metrics")).items()}
    setup = _make_setup(program, parts.get("results"), list(declared.values()))
    expanded = dict(parts)
    if "setup" not in parts:
        expanded["setup"] = setup
    if isinstance((arms := parts.get("arms", program)).value, dict) and "arms" in parts:
        expanded["arms"] = replace(arms, value={name: _complete(arm, setup) for name, arm in arms.items().items()})
    for section in ("estimands", "exploratory"):
        if section in parts and isinstance(parts[section].value, dict):
            found = {name: _name_metric(node, declared) for name, node in parts[section].items().items()}
            expanded[section] = replace(parts[section], value=found)
    return expanded, problems


def _items(node: Node | None) -> dict[str, Node]:
    return node.items() if node is not None else {}


def _find_foreign(parts: dict[str, Node]) -> Iterator[Problem]:
    """Yield keys of arms that harness trains, in a file with a program."""
    remedy = "a file is trained by its program or by harness: register two hypotheses, or leave out one of them"
    if "setup" in parts:
        message = "a file with a program has no setup: the program has its own data, model and optimizer"
        yield Problem(("setup",), message, remedy, on_key=True)
    for name, arm in _items(parts.get("arms")).items():
        for key in FOREIGN:
            if arm.get(key) is not None:
                message = f"arm {name!r} has {key!r}, but the program trains it: arms differ in their parameters"
                yield Problem(("arms", name, key), message, remedy, on_key=True)


def _declare(name: str, node: Node) -> Node:
    """Return what stands for a declared metric."""
    spec = make_part(MetricSpec, node)
    told: dict[str, Any] = {"low": 0.0, "high": 1.0}  # of a malformed one, so that nothing else is reported
    if spec is not None:
        told = {key: value for key, value in spec.describe().items() if value is not None}
    return _place(node, {"name": "declared", "metric": name, **told})


def _make_setup(program: Node, results: Node | None, declared: list[Node]) -> Node:
    """Return the setup that stands for the program's: it says at which epochs what is measured."""
    found = (make_part(Results, results) if results is not None else None) or Results()
    layers = [layers.value for one in declared if (layers := one.get("layers")) is not None]
    most = max((one for one in layers if isinstance(one, int)), default=1)
    setup: dict[str, Any] = {
        "dataset": {"name": "program"},
        "model": {"name": "program"} | ({"layers": most} if most > 1 else {}),
        "optimizer": {"name": "program"},
        "epochs": found.epochs,
        "batch_size": 1,
        "evaluation": {"every_epochs": found.every_epochs},
    }
    made = _place(program, setup)
    evaluation = made.items()["evaluation"]
    metrics = replace(program, value=declared)
    value = {**made.items(), "evaluation": replace(evaluation, value={**evaluation.items(), "metrics": metrics})}
    return replace(made, value=value)


def _complete(arm: Node, setup: Node) -> Node:
    if not isinstance(arm.value, dict):
        return arm
    added = {"rule": _place(setup, {"name": "program"}), "setup": setup}
    return replace(arm, value={**added, **arm.value})


def _name_metric(node: Node, declared: dict[str, Node]) -> Node:
    metric = node.get("metric")
    if metric is None or not isinstance(metric.value, str) or not isinstance(node.value, dict):
        return node
    meant = declared.get(metric.value)
    unknown = {"name": "declared", "metric": metric.value, "low": 0.0, "high": 1.0}  # so that nothing else is reported
    value = meant.value if meant is not None else _place(metric, unknown).value
    return replace(node, value={**node.value, "metric": replace(metric, value=value)})


def _place(at: Node, value: Any) -> Node:
    """Return plain data as nodes at the place of another node."""
    if isinstance(value, dict):
        return replace(at, value={key: _place(at, child) for key, child in value.items()})
    return replace(at, value=value)


def check_program(draft: Draft) -> Iterator[Problem]:
    """Yield what does not fit together in a file with a program, and parts of one in a file without."""
    whole = draft.whole
    if not draft.given("program"):
        for section in SECTIONS:
            if draft.given(section):
                message = f"{section} says what a program measures, and the file has no program"
                yield Problem((section,), message, "add program, or remove it", on_key=True)
        for name, arm in draft.arms.items():
            yield from _check_built_in(name, arm)
        if draft.exclusions.failed != "invalid":
            message = "only a program fails: harness's own arms diverge"
            yield Problem(("exclusions", "failed"), message, "remove it", on_key=True)
        return
    yield from _check_metrics(draft)
    if draft.given("tuning"):
        message = "tuning of a program's parameters is not possible yet: every arm has the values that the file gives"
        yield Problem(("tuning",), message, "compare the settings as arms, or tune in an earlier hypothesis", True)
    if draft.given("preconditions"):
        message = "preconditions are about harness's own training, which this file doesn't use"
        yield Problem(("preconditions",), message, "remove them", on_key=True)
    program = make_part(Program, draft.root.get("program")) if whole is None else whole.program
    if program is None:
        return
    yield from _check_command(program, draft)
    yield from _check_names(program)


def _check_built_in(name: str, arm: Arm) -> Iterator[Problem]:
    """Yield what only a program's arm has, in an arm that harness trains."""
    if arm.parameters is not None:
        message = f"arm {name!r} has parameters, which are a program's, and the file has no program"
        yield Problem(("arms", name, "parameters"), message, "set the rule's own parameters", on_key=True)
    setup = arm.setup
    parts = {"rules": arm.rule, "datasets": setup.dataset, "models": setup.model, "optimizers": setup.optimizer}
    paths: dict[str, Path] = {"rules": ("rule",), "datasets": ("setup", "dataset"), "models": ("setup", "model")}
    for family, part in parts.items():
        if part.name in HIDDEN[family]:
            at = ("arms", name, *paths.get(family, ("setup", "optimizer")), "name")
            noun = family.removesuffix("s").replace("dataset", "data set")
            yield Problem(at, f"no {noun} is called {part.name!r}", f"known: {', '.join(find_members(family))}")


def _check_metrics(draft: Draft) -> Iterator[Problem]:
    declared = draft.names("metrics")
    if not draft.given("metrics"):
        remedy = "add, for example, metrics: {test_accuracy: {bounds: [0, 1], unit: fraction}}"
        yield Problem(("metrics",), "a file with a program declares what it measures, under 'metrics'", remedy)
    if not draft.given("results"):
        remedy = "add, for example, results: {form: json, file: metrics.json}"
        yield Problem(("results",), "a file with a program says where its results are, under 'results'", remedy)
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            yield from _check_estimand((section, name), estimand, declared, draft)


def _check_estimand(path: Path, estimand: Estimand, declared: list[str], draft: Draft) -> Iterator[Problem]:
    metric, layer = estimand.metric, estimand.layer
    if metric.called not in declared or not isinstance(metric, DeclaredMetric):
        known = f"metrics: {join_names(declared)}" if declared else None
        yield Problem(
            (*path, "metric"), f"no metric {metric.called!r} is declared{suggest(metric.called, declared)}", known
        )
        return
    most = next((arm.setup.model.depth for arm in draft.arms.values()), 0)  # beyond it, another check tells
    for one in layer if isinstance(layer, tuple) else (layer,):
        if metric.layers is not None and one is not None and metric.layers <= one <= most:
            yield Problem(
                (*path, "layer"), f"{metric.called} has no layer {one}: they run from 0 to {metric.layers - 1}"
            )
    if isinstance(estimand.epoch, EpochSpent):
        message = "what a program spends is not known to harness"
        yield Problem((*path, "epoch"), message, "compare at a fixed epoch")
    elif find_choice(estimand.epoch) is not None:
        message = "an epoch can't be chosen by a program's metric yet"
        yield Problem((*path, "epoch"), message, "name the epochs, or have the program choose and write one value")


def _check_command(program: Program, draft: Draft) -> Iterator[Problem]:
    """Yield placeholders that nothing fills, parameters that nothing uses, and inputs likewise."""
    used, at = program.list_placeholders(), ("program", "command")
    inputs = [f"input.{name}" for name in program.inputs]
    own = [name for name in OWN_PLACEHOLDERS if name != "image" or program.image is not None]
    for name, arm in draft.arms.items():
        given = arm.parameters or {}
        for placeholder in used:
            if placeholder not in (*own, *inputs, *given):
                known = [*own, *inputs, *given]
                message = (
                    f"arm {name!r} has no value for the placeholder {{{placeholder}}}{suggest(placeholder, known)}"
                )
                remedy = f"known: {', '.join(known)}; double the braces if they are meant as such"
                yield Problem(at, message, remedy)
        for parameter in given:
            where = ("arms", name, "parameters", parameter)
            if parameter in OWN_PLACEHOLDERS:
                message = f"{parameter} is a placeholder of harness's own"
                yield Problem(where, message, "give the parameter another name", on_key=True)
            elif parameter not in used:
                message = f"the command has no placeholder {{{parameter}}}: the program would not be told its value"
                yield Problem(where, message, "add it to program.command, or remove the parameter", on_key=True)
    if "seed" not in used and "seed_index" not in used:
        message = "the command is not given the seed by {seed}: the program must read HARNESS_SEED instead"
        yield Problem(at, message, "add {seed} to the command if it takes one", severity="warning")
    for name in program.inputs:
        if f"input.{name}" not in used:
            message = f"the command has no placeholder {{input.{name}}}"
            remedy = "give the command its path by it, so that it reads the file that was checked"
            yield Problem(("program", "inputs", name), message, remedy, severity="warning", on_key=True)


def _check_names(program: Program) -> Iterator[Problem]:
    if not program.has_lock:
        message = "no lock file says which versions of packages the program uses: its numbers may not come out again"
        yield Problem(("program", "lock"), message, "name one, such as uv.lock or requirements.txt", severity="warning")
    for position, name in enumerate(program.environment):
        if name in OWN_VARIABLES and name != "PYTHONPATH":
            message = f"{name} is among the variables that a command is given anyway"
            yield Problem(("program", "environment", position), message, "remove it")


def is_program(hypothesis: Hypothesis) -> bool:
    """Tell whether a program trains the arms of a hypothesis."""
    return hypothesis.program is not None
