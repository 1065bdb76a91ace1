"""Expansion of the file's short forms: a matrix into arms, the common setup into every arm, names into metrics.

**matrix.** An arm may hold ``matrix``: dotted path inside the arm → {suffix: value}. ::

    penalized: {label: Penalised DFA, rule: {name: dfa}, penalty: {name: residual_branch},
                matrix: {penalty.strength: {weak: 1.0e-4, strong: 1.0e-2}}}

becomes the arms ``penalized_weak`` and ``penalized_strong``, labelled "Penalised DFA (weak)" and "Penalised DFA
(strong)". Several paths form their grid, the last varying fastest: ``penalized_weak_slow``, "… (weak, slow)". A path
must not lead to a value that the arm gives already; missing mappings on the way to it are created.

**setup.** The common setup goes into every arm; an arm's own ``setup`` overrides it key by key, at any depth. If the
override gives a plug-in another ``name``, that plug-in replaces the common one together with its parameters.

**estimands.** A metric given by its name alone and a contrast given as ``first - second`` are expanded by the
``SHORT_FORMS`` of the records.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness.records.estimands import SHORT_FORMS
from harness.spec.tree import Node, Problem

MAX_PATHS = 8
MAX_GRID = 1_000
SUFFIX = re.compile(r"[a-z0-9][a-z0-9_]*")
DOTTED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


def expand(root: Node) -> tuple[Node, list[Problem]]:
    """Return the document in the records' form, with every value still at its place in the file.

    A part that does not have the expected shape is left alone, because the records' own types report it. The paths of
    problems are those of the document as written, not as expanded.
    """
    if not isinstance(root.value, dict):
        return root, []
    problems: list[Problem] = []
    parts = dict(root.value)
    setup = parts.get("setup")
    if "arms" in parts and isinstance(parts["arms"].value, dict):
        arms: dict[str, Node] = {}
        for name, arm in parts["arms"].value.items():
            expanded = _expand_matrix(name, arm, problems)
            others = (arms.keys() | parts["arms"].value.keys()) - {name}
            problems += [
                Problem(("arms", name), f"the matrix makes a second arm named {taken!r}", "rename one", on_key=True)
                for taken in expanded.keys() & others
            ]
            arms.update({key: _merge_setup(value, setup) for key, value in expanded.items()})
        parts["arms"] = replace(parts["arms"], value=arms)
    for section in ("estimands", "exploratory"):
        if section in parts and isinstance(parts[section].value, dict):
            short = parts[section].items()
            parts[section] = replace(
                parts[section], value={name: _expand_estimand(node) for name, node in short.items()}
            )
    return replace(root, value=parts), problems


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
            one = _set_value(one, dotted.split("."), value, varied[dotted])
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
            if not SUFFIX.fullmatch(suffix):
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


def _set_value(node: Node, path: list[str], value: Node, by: Node) -> Node:
    """Return ``node`` with ``value`` at ``path``; mappings created on the way get the place of ``by``'s key."""
    if not path:
        return value
    below = node.get(path[0]) or Node({}, by.key_at, by.key_at)
    return replace(node, value={**node.items(), path[0]: _set_value(below, path[1:], value, by)})


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
    return replace(node, value=parts)


def _replace_short(short: Node, value: Any) -> Node:
    """Return the expansion of a short form, with every part of it at the short form's place."""
    if isinstance(value, dict):
        return replace(short, value={key: _replace_short(short, child) for key, child in value.items()})
    if isinstance(value, tuple):
        return replace(short, value=[_replace_short(short, child) for child in value])
    return replace(short, value=value)
