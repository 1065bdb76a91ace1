"""Expansion of the file's short forms: a matrix into arms, the common setup into every arm, names into metrics.

**matrix.** An arm may hold ``matrix``: dotted path inside the arm → {suffix: value}. ::

    penalized: {label: Penalised DFA, rule: {name: dfa}, penalty: {name: residual_branch},
                matrix: {penalty.strength: {weak: 1.0e-4, strong: 1.0e-2}}}

becomes the arms ``penalized_weak`` and ``penalized_strong``, labelled "Penalised DFA (weak)" and "Penalised DFA
(strong)". Several paths form their grid, the last varying fastest: ``penalized_weak_slow``, "… (weak, slow)". A path
must not lead to a value that the arm gives already; missing mappings on the way to it are created.

**program.** A program in place of setup and rules; ``harness.spec.programs``.

**for_each.** Estimands, guards and decisions may stand for several; ``harness.spec.for_each`` expands them.

**tuning.** The first values of an arm's space go into the arm; ``harness.spec.tuning``.

**setup.** The common setup goes into every arm; an arm's own ``setup`` overrides it key by key, at any depth. If the
override gives a plug-in another ``name``, that plug-in replaces the common one together with its parameters.

**estimands.** A metric given by its name alone and a contrast given as an expression, ``first - second``, or as a list
of two are expanded by the ``SHORT_FORMS`` of the records; trends by ``harness.spec.trends``.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness.records.contrasts import read_weights
from harness.records.estimands import SHORT_FORMS
from harness.spec.for_each import FOR_EACH, MAX_GRID, WORD, expand_entries
from harness.spec.programs import expand_program, is_built_in
from harness.spec.tree import Node, Path, Problem
from harness.spec.trends import expand_trends
from harness.spec.tuning import TUNING, expand_space, set_node

MAX_PATHS = 8
DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


def expand(root: Node) -> tuple[Node, list[Problem]]:
    """Return the document in the records' form, with every value still at its place in the file.

    A part that does not have the expected shape is left alone, because the records' own types report it. The paths of
    problems are those of the document as written, not as expanded.
    """
    if not isinstance(root.value, dict):
        return root, []
    problems: list[Problem] = []
    matrices: dict[str, list[str]] = {}
    parts, unclear = expand_entries(root.value, _list_axes(root))
    setup = parts.get("setup")
    if "arms" in parts and isinstance(parts["arms"].value, dict):
        arms: dict[str, Node] = {}
        for name, arm in parts["arms"].value.items():
            expanded = _expand_matrix(name, arm, problems)
            if arm.get("matrix") is not None:
                matrices[name] = list(expanded)
            others = (arms.keys() | parts["arms"].value.keys()) - {name}
            problems += [
                Problem(("arms", name), f"the matrix makes a second arm named {taken!r}", "rename one", on_key=True)
                for taken in expanded.keys() & others
            ]
            arms.update(expanded)
        own = parts.get("program") is None
        if "tuning" in parts:
            programmed = set() if own else {name for name, arm in arms.items() if not is_built_in(arm)}
            parts["tuning"], arms, misplaced = expand_space(parts["tuning"], arms, matrices, programmed)
            problems += misplaced
        merged = {name: _merge_setup(arm, setup) if own or is_built_in(arm) else arm for name, arm in arms.items()}
        parts["arms"] = replace(parts["arms"], value=merged)
    parts, mixed = expand_program(parts)
    for section in ("estimands", "exploratory"):
        if section in parts and isinstance(parts[section].value, dict):
            short = parts[section].items()
            parts[section] = replace(
                parts[section], value={name: _expand_estimand(node) for name, node in short.items()}
            )
    parts, unordered = expand_trends(parts, matrices)
    problems = [problem if problem.rule == TUNING else replace(problem, rule="matrix") for problem in problems]
    unordered = [replace(problem, path=_find_written(root, problem.path)) for problem in unordered]
    return replace(root, value=parts), [*problems, *mixed, *unclear, *unordered]


def _find_written(root: Node, path: Path) -> Path:
    """Return the path of an entry as it was written, of one that ``for_each`` made."""
    section, name, *rest = (*path, "")[: max(len(path), 2)]
    entries = root.items(str(section))
    if name in entries:
        return path
    made_by = [one for one in entries if entries[one].get(FOR_EACH) is not None and str(name).startswith(f"{one}_")]
    return (section, max(made_by, key=len), *rest) if made_by else path


def _list_axes(root: Node) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return arm with a matrix → path inside it → the suffixes that the matrix gives."""
    matrices = {name: arm.get("matrix") for name, arm in root.items("arms").items()}
    return {
        name: {dotted: tuple(axis.items()) for dotted, axis in matrix.items().items()}
        for name, matrix in matrices.items()
        if matrix is not None
    }


def _merge_setup(arm: Node, setup: Node | None) -> Node:
    if not isinstance(arm.value, dict):
        return arm
    rest = {key: child for key, child in arm.value.items() if key != "setup"}
    if setup is None:  # reported once, as missing from the file
        return replace(arm, value=rest)
    own = arm.value.get("setup")
    return replace(arm, value={**rest, "setup": setup if own is None else merge(setup, own)})


def merge(base: Node, override: Node) -> Node:
    """Merge ``override`` over ``base``, key by key.

    ``override`` replaces ``base`` as a whole if either is not a mapping or ``override`` names another plug-in.
    """
    if not isinstance(base.value, dict) or not isinstance(override.value, dict):
        return override
    own_name, base_name = override.get("name"), base.get("name")
    if own_name is not None and base_name is not None and own_name.value != base_name.value:
        return override
    merged = dict(base.value)
    for key, child in override.value.items():
        merged[key] = merge(base.value[key], child) if key in base.value else child
    return replace(override, value=merged, base=base)


def _expand_matrix(name: str, arm: Node, problems: list[Problem]) -> dict[str, Node]:
    matrix = arm.get("matrix")
    if matrix is None or not isinstance(arm.value, dict):
        return {name: arm}
    path = ("arms", name, "matrix")
    plain = replace(arm, value={key: child for key, child in arm.value.items() if key != "matrix"})
    found = list(_check_matrix(path, plain, matrix))
    if found:
        problems += found
        return {name: plain}
    varied = matrix.items()
    axes = [[(dotted, suffix, value) for suffix, value in axis.items().items()] for dotted, axis in varied.items()]
    expanded = {}
    for cell in itertools.product(*axes):
        one = plain
        for dotted, _, value in cell:
            one = set_node(one, dotted.split("."), value, varied[dotted])
        suffixes = [suffix for _, suffix, _ in cell]
        expanded["_".join([name, *suffixes])] = _add_suffix(one, ", ".join(suffixes))
    return expanded


def _check_matrix(path: tuple[str, ...], arm: Node, matrix: Node) -> Iterable[Problem]:
    example = "write, for example, {penalty.strength: {weak: 1.0e-4, strong: 1.0e-2}}"
    if not matrix.items():
        yield Problem(path, "matrix must be a mapping: path inside the arm → {suffix: value}", example)
        return
    if len(matrix.items()) > MAX_PATHS:
        yield Problem(path, f"a matrix of {len(matrix.items()):,} paths", f"at most {MAX_PATHS} are allowed")
        return
    for dotted, axis in matrix.items().items():
        at = (*path, dotted)
        first = dotted.split(".")[0]
        if not DOTTED.fullmatch(dotted) or first in ("label", "matrix"):
            yield Problem(at, f"{dotted!r} is not a path inside the arm that a matrix can vary", example, on_key=True)
            continue
        node, rest = arm.nearest(tuple(dotted.split(".")))
        if not rest:
            yield Problem(at, f"{dotted} is given in the arm and in its matrix", "remove it from one", on_key=True)
        elif not isinstance(node.value, dict):
            yield Problem(
                at, f"{dotted} leads into something that is not a mapping", "give a path of keys", on_key=True
            )
        if not axis.items():
            yield Problem(at, f"{dotted} needs values: suffix → value", example)
        for suffix in axis.items():
            if not WORD.fullmatch(suffix):
                remedy = "a suffix is made of a-z, 0-9 and _; the value stands after it"
                yield Problem((*at, suffix), f"{suffix!r} can't end an arm's name", remedy, on_key=True)
    for dotted in matrix.items():
        for other in matrix.items():
            if other.startswith(f"{dotted}."):
                yield Problem(
                    (*path, other), f"{other} lies inside {dotted}, which varies too", "vary one", on_key=True
                )
    if (size := math.prod(len(axis.items()) for axis in matrix.items().values())) > MAX_GRID:
        yield Problem(path, f"this grid has {size:,} arms", f"at most {MAX_GRID:,} are allowed")


def _add_suffix(arm: Node, suffix: str) -> Node:
    label = arm.get("label")
    if label is None or not isinstance(label.value, str):
        return arm
    return replace(arm, value={**arm.items(), "label": replace(label, value=f"{label.value} ({suffix})")})


def _expand_estimand(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    parts = dict(node.value)
    for key, meaning in SHORT_FORMS.items():
        short = parts.get(key)
        if short is not None and isinstance(short.value, str):
            with suppress(ValueError):  # the record reports it, too
                parts[key] = _replace_short(short, meaning(short.value))
    for key in ("contrast", "ratio"):
        listed = parts.get(key)
        if listed is not None and isinstance(listed.value, list):
            with suppress(ValueError):
                parts[key] = _place_arms(listed)
    tasks = parts.get("tasks")
    if tasks is not None and isinstance(tasks.value, list):
        parts["tasks"] = replace(tasks, value=[_expand_task(task) for task in tasks.value])
    return replace(node, value=parts)


def _expand_task(task: Node) -> Node:
    """Return one of the contrasts under tasks as arm → weight; as it is if it isn't one, which the record reports."""
    with suppress(ValueError):
        if isinstance(task.value, str):
            return _replace_short(task, SHORT_FORMS["contrast"](task.value))
        if isinstance(task.value, list):
            return _place_arms(task)
    return task


def _place_arms(listed: Node) -> Node:
    """Return a list of two arms as arm → weight, with each arm at its place in the list."""
    weights = _replace_short(listed, read_weights(listed.plain())).items()
    own = dict(zip(weights, listed.value, strict=False)) if isinstance(listed.value, list) else {}
    placed = {arm: replace(weight, at=own[arm].at, key_at=own[arm].at) for arm, weight in weights.items()}
    return replace(listed, value=placed)


def _replace_short(short: Node, value: Any) -> Node:
    """Return the expansion of a short form, with every part of it at the short form's place."""
    if isinstance(value, dict):
        return replace(short, value={key: _replace_short(short, child) for key, child in value.items()})
    if isinstance(value, tuple):
        return replace(short, value=[_replace_short(short, child) for child in value])
    return replace(short, value=value)
