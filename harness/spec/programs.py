"""Files whose arms are trained by a program: their short form, and what must fit together in them.

**program.** ``program``, ``metrics`` and ``results`` stand in place of the setup and of the arms' rules. They expand to
plug-ins named ``program``, for what the program does by itself, and ``declared``, for what it measures; everything else
of a file means what it means elsewhere. Arms with a rule are harness's own; the setup is theirs.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from harness.metrics import Metric
from harness.plugins.registry import HIDDEN, find_members
from harness.records import Arm, Estimand
from harness.records.hypothesis import Hypothesis
from harness.records.program import OWN_PLACEHOLDERS, OWN_VARIABLES, MetricSpec, Program, Results
from harness.records.readings import EpochSpent, find_choice
from harness.spec.draft import Draft
from harness.spec.forms import join_names, make_part, write_command
from harness.spec.tree import Node, Path, Problem
from harness.wording import suggest

SECTIONS = ("metrics", "results")
"""Sections that only a file with a program has."""
FOREIGN = ("penalty", "freeze", "init_from", "setup")
"""Keys of arms that harness trains, beside their rule."""


def is_built_in(arm: Node) -> bool:
    """Tell whether harness trains an arm of a file with a program: it has a rule."""
    return arm.get("rule") is not None


def expand_program(parts: dict[str, Node]) -> tuple[dict[str, Node], list[Problem]]:
    """Return the parts of a file with a program in the records' form; as they are, without one.

    Arms have no matrix any more, and those that harness trains have the common setup; estimands have their short forms
    still.
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
    known = find_members("metrics") if any(map(is_built_in, _items(parts.get("arms")).values())) else {}
    for section in ("estimands", "exploratory"):
        if section in parts and isinstance(parts[section].value, dict):
            found = {name: _name_metrics(node, declared, known) for name, node in parts[section].items().items()}
            expanded[section] = replace(parts[section], value=found)
    return expanded, problems


def _items(node: Node | None) -> dict[str, Node]:
    return node.items() if node is not None else {}


def _find_foreign(parts: dict[str, Node]) -> Iterator[Problem]:
    """Yield keys of arms that harness trains, in arms of a program, and the reverse."""
    remedy = "an arm with a rule is trained by harness; one without is trained by the program, and has parameters"
    arms = _items(parts.get("arms"))
    own = {name for name, arm in arms.items() if is_built_in(arm)}
    if "setup" in parts and not own:
        message = "no arm has a rule, so that nothing uses the setup: the program has its own data, model and optimizer"
        yield Problem(("setup",), message, "remove it, or give the arms a rule that harness trains", on_key=True)
    if own and not own < arms.keys():
        message = "every arm has a rule, so that nothing uses the program"
        yield Problem(("program",), message, "remove it, or the rules of arms that it trains", on_key=True)
    for name, arm in arms.items():
        if name not in own:
            for key in FOREIGN:
                if arm.get(key) is not None:
                    message = f"arm {name!r} has {key!r} and no rule, so that the program trains it"
                    yield Problem(("arms", name, key), message, remedy, on_key=True)
        elif (called := arm.items("rule").get("name")) is not None and called.value in HIDDEN["rules"]:
            message = f"no rule is called {called.value!r}"
            yield Problem(("arms", name, "rule", "name"), message, f"known: {', '.join(find_members('rules'))}")
        elif arm.get("parameters") is not None:
            message = f"arm {name!r} has a rule, and parameters, which are a program's"
            yield Problem(("arms", name, "parameters"), message, remedy, on_key=True)
        elif "setup" not in parts:
            message = f"arm {name!r} has a rule, so that harness trains it, and the file has no setup"
            yield Problem(("arms", name, "rule"), message, "add setup, or remove the rule", on_key=True)


def _declare(name: str, node: Node) -> Node:
    """Return what stands for a declared metric."""
    spec = make_part(MetricSpec, node)
    told: dict[str, Any] = {"low": 0.0, "high": 1.0}  # of a malformed one, so that nothing else is reported
    if _says_built_in(node) and find_shared(name) is not None:
        return _place(node, {"name": name})
    if spec is not None:
        told = {key: value for key, value in spec.describe().items() if value is not None}
    return _place(node, {"name": "declared", "metric": name, **told})


def _says_built_in(node: Node) -> bool:
    flag = node.get("built_in")
    return flag is not None and flag.value is True


def find_shared(name: str) -> type[Metric] | None:
    """Return harness's metric of a name, if it is one value per replica, which a program can measure too."""
    found = find_members("metrics").get(name)
    if found is None or not issubclass(found, Metric) or found.layered or found.per_sample:
        return None
    return None if any(field.is_required() for key, field in found.model_fields.items() if key != "name") else found


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
    if not isinstance(arm.value, dict) or is_built_in(arm):
        return arm
    added = {"rule": _place(setup, {"name": "program"}), "setup": setup}
    return replace(arm, value={**added, **arm.value})


def _name_metrics(node: Node, declared: dict[str, Node], known: Collection[str]) -> Node:
    """Return an estimand with what was declared of its metrics; as it is, if it names harness's own (``known``)."""
    if not isinstance(node.value, dict):
        return node
    named = {key: metric for key in ("metric", "minus") if (metric := node.get(key)) is not None}
    return replace(node, value=node.value | {key: _name_metric(one, declared, known) for key, one in named.items()})


def _name_metric(metric: Node, declared: dict[str, Node], known: Collection[str]) -> Node:
    if not isinstance(metric.value, str):
        return metric
    meant = declared.get(metric.value)
    own = meant is None and re.split(r"[:{]", metric.value)[0] in known
    if own or (meant is not None and meant.items()["name"].value != "declared"):
        return metric
    unknown = {"name": "declared", "metric": metric.value, "low": 0.0, "high": 1.0}  # so that nothing else is reported
    return replace(metric, value=meant.value if meant is not None else _place(metric, unknown).value)


def _place(at: Node, value: Any) -> Node:
    """Return plain data as nodes at the place of another node."""
    if isinstance(value, dict):
        return replace(at, value={key: _place(at, child) for key, child in value.items()})
    return replace(at, value=value)


def check_program(draft: Draft, *, registered: bool = False) -> Iterator[Problem]:
    """Yield what does not fit together in a file with a program, and parts of one in a file without.

    Of a ``registered`` file the command is not looked for: it may lie on another machine.
    """
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
    for name, arm in draft.arms.items():
        if not arm.is_program:
            yield from _check_built_in(name, arm)
    if draft.given("preconditions"):
        message = "preconditions are about harness's own training, and a program trains some arms of this file or all"
        yield Problem(("preconditions",), message, "remove them", on_key=True)
    program = make_part(Program, draft.root.get("program")) if whole is None else whole.program
    if program is None:
        return
    if not registered:
        yield from _check_words(program)
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
    for name, node in draft.root.items("metrics").items():
        if _says_built_in(node) and find_shared(name) is None:
            able = [one for one in find_members("metrics") if find_shared(one) is not None]
            message = f"{name} is not a metric of harness's that a program can measure too: one number for each replica"
            yield Problem(("metrics", name, "built_in"), message, f"these are: {', '.join(able)}")
    results = draft.root.get("results")
    for name in results.items("names") if results is not None else ():
        if name not in declared:
            message = f"no metric {name!r} is declared{suggest(name, declared)}"
            yield Problem(("results", "names", name), message, f"metrics: {join_names(declared)}", on_key=True)
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            yield from _check_estimand((section, name), estimand, declared, draft)


def _check_estimand(path: Path, estimand: Estimand, declared: list[str], draft: Draft) -> Iterator[Problem]:
    arms = {name: draft.arms[name] for name in estimand.arms if name in draft.arms}
    of_program = [name for name, arm in arms.items() if arm.is_program]
    metrics = {
        key: metric for key, metric in estimand.metrics.items() if of_program or not arms or metric.declared
    }  # harness trains and measures all others
    undeclared = {key: metric for key, metric in metrics.items() if metric.called not in declared}
    yield from (_report_undeclared((*path, key), metric, declared) for key, metric in undeclared.items())
    for key in metrics.keys() - undeclared.keys():
        yield from _check_declared(path, key, estimand, arms)
    if undeclared or not metrics:
        return
    if isinstance(estimand.epoch, EpochSpent):
        message = "what a program spends is not known to harness"
        yield Problem((*path, "epoch"), message, "compare at a fixed epoch")
    elif find_choice(estimand.epoch) is not None:
        message = "an epoch can't be chosen by a program's metric yet"
        yield Problem((*path, "epoch"), message, "name the epochs, or have the program choose and write one value")


def _report_undeclared(at: Path, metric: Metric, declared: list[str]) -> Problem:
    known = f"metrics: {join_names(declared)}" if declared else None
    if find_shared(metric.called) is not None:
        known = f"if the program measures it as harness does, add it to metrics: {metric.called}: {{built_in: true}}"
    return Problem(at, f"no metric {metric.called!r} is declared{suggest(metric.called, declared)}", known)


def _check_declared(path: Path, key: str, estimand: Estimand, arms: Mapping[str, Arm]) -> Iterator[Problem]:
    """Yield a program's metric on an arm that harness trains, and a layer that it does not have."""
    metric, layer = estimand.metrics[key], estimand.layer
    if not metric.declared:
        return
    for name in (name for name, arm in arms.items() if not arm.is_program):
        message = f"{metric.called} is the program's own metric, and harness trains arm {name!r}"
        remedy = "compare by a metric of harness's own: {built_in: true} says that the program measures it too"
        yield Problem((*path, key), message, remedy)
    if metric.layer_count is None:
        return
    most = next((arm.setup.model.depth for arm in arms.values() if arm.is_program), 0)  # beyond it, another check tells
    for one in layer if isinstance(layer, tuple) else (layer,):
        if one is not None and metric.layer_count <= one <= most:
            message = f"{metric.called} has no layer {one}: they run from 0 to {metric.layer_count - 1}"
            yield Problem((*path, "layer"), message)


def _check_words(program: Program) -> Iterator[Problem]:
    """Yield a command line that was written as one word, unless a file has that name."""
    name = program.command[0]
    if len(name.split()) < 2 or shutil.which(name) or FilePath(program.folder, name).exists():
        return
    message = f"no command is called {name!r}: no shell reads program.command, so each argument is an entry of its own"
    written = write_command(name)
    entries = f"{written[1:-1]}{', …' * (len(program.command) > 1)}" if written is not None else "python, train.py"
    yield Problem(("program", "command", 0), message, f"write command: [{entries}]")


def _check_command(program: Program, draft: Draft) -> Iterator[Problem]:
    """Yield placeholders that nothing fills, parameters that nothing uses, and inputs likewise."""
    used, at = program.list_placeholders(), ("program", "command")
    inputs = [f"input.{name}" for name in program.inputs]
    own = [name for name in OWN_PLACEHOLDERS if name != "image" or program.image is not None]
    for name, arm in draft.arms.items():
        if not arm.is_program:
            continue
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
