"""Expansion of ``for_each``: one entry of the file stands for one per cell of a grid.

Estimands, exploratory estimands, guards and decisions may hold ``for_each``: variable → its values. ::

    estimands:
      gain: {for_each: {strength: penalized}, metric: test_accuracy, contrast: "penalized_{strength} - vanilla"}
    decisions:
      gain: {for_each: {strength: penalized}, estimand: "gain_{strength}", …}
    combine: {rule: all, holds: {gain: [better]}, outcome: every_strength_helps, otherwise: some_does_not}

The values of a variable are those of an arm's matrix, by the arm's name (``penalized``) or, for one path of a matrix
that varies several, with the path behind it (``penalized.penalty.strength``); or a list of words and whole numbers,
such as the layers ``[1, 2, 3]``. If the matrix gives the suffixes weak and strong, the entry becomes ``gain_weak`` and
``gain_strong``, and ``{strength}`` in its texts becomes weak and strong; where it is all of a text, a number stays one.
Several variables form their grid, the last varying fastest.

``combine`` names all decisions of an entry by the entry's own name, under ``holds``. Its rule corrects for their
number: ``all`` claims its outcome only if every decision holds, each at α (intersection-union test), and the contrary
at α divided by their number; ``any`` does so the other way round; a table tests each decision that it names at α
divided by their number.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from harness.spec.forms import EXPANDED, join_names
from harness.spec.tree import Node, Path, Problem
from harness.wording import suggest

FOR_EACH = "for_each"
SECTIONS = tuple(section for section, key in EXPANDED.items() if key == FOR_EACH)
"""Sections whose entries may stand for several."""
MAX_VARIABLES = 8
MAX_GRID = 1_000
"""Largest number of arms that a matrix makes, and of entries that one stands for."""
WORD = re.compile(r"[a-z0-9][a-z0-9_]*")
"""Ending of a made name: a suffix of a matrix, or a value of a variable."""
VARIABLE = re.compile(r"[a-z][a-z0-9_]*")
USE = re.compile(r"\{([^{}]*)\}")
"""A variable in a text."""
EXAMPLE = "write, for example, {strength: penalized}, the name of an arm with a matrix, or {layer: [1, 2, 3]}"

Axes = Mapping[str, tuple[str, ...]]
"""Path inside an arm → the suffixes that its matrix gives."""


@dataclass
class _Expansion:
    """The expansion of one document."""

    matrices: Mapping[str, Axes]
    """Arm with a matrix → its axes."""
    problems: list[Problem] = field(default_factory=list)

    def report(self, path: Path, message: str, remedy: str | None = None, *, on_key: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, message, remedy, on_key, rule=FOR_EACH))


def expand_entries(parts: Mapping[str, Node], matrices: Mapping[str, Axes]) -> tuple[dict[str, Node], list[Problem]]:
    """Return the document's parts with every entry that has ``for_each`` in place of which there are several.

    An entry with a problem is left as it is, without its ``for_each``. Paths of problems are those of the document as
    written.
    """
    expansion = _Expansion(matrices)
    made = dict(parts)
    decisions: dict[str, tuple[str, ...]] = {}
    for section in SECTIONS:
        node = parts.get(section)
        if node is None or not any(entry.get(FOR_EACH) is not None for entry in node.items().values()):
            continue
        entries: dict[str, Node] = {}
        for name, entry in node.items().items():
            found = _expand_entry((section, name), entry, expansion)
            for taken in found.keys() & (entries.keys() | node.items().keys() - {name}):
                expansion.report((section, name), f"{FOR_EACH} makes a second {taken!r}", "rename one", on_key=True)
            entries |= found
            if section == "decisions" and entry.get(FOR_EACH) is not None:
                decisions[name] = tuple(found)
        made[section] = replace(node, value=entries)
    if "combine" in parts:
        made["combine"] = _name_decisions(parts["combine"], decisions)
    return made, expansion.problems


def _expand_entry(path: Path, entry: Node, expansion: _Expansion) -> dict[str, Node]:
    name = str(path[-1])
    variables = entry.get(FOR_EACH)
    if variables is None:
        return {name: entry}
    plain = replace(entry, value={key: child for key, child in entry.items().items() if key != FOR_EACH})
    before = len(expansion.problems)
    axes = _read_variables((*path, FOR_EACH), variables, expansion)
    if axes:
        _check_uses(path, plain, variables, expansion)
    if len(expansion.problems) > before:
        return {name: plain}
    made = {}
    for cell in itertools.product(*axes.values()):
        values = dict(zip(axes, cell, strict=True))
        made["_".join([name, *map(str, cell)])] = _fill_in(plain, values)
    return made


def _read_variables(path: Path, variables: Node, expansion: _Expansion) -> dict[str, tuple[str | int, ...]]:
    """Return variable → its values."""
    if not variables.items():
        expansion.report(path, f"{FOR_EACH} must be a mapping: variable → its values", EXAMPLE)
        return {}
    if len(variables.items()) > MAX_VARIABLES:
        expansion.report(path, f"{len(variables.items()):,} variables", f"at most {MAX_VARIABLES} are allowed")
        return {}
    axes = {}
    for variable, node in variables.items().items():
        at = (*path, variable)
        if not VARIABLE.fullmatch(variable):
            remedy = "use lower-case words (a-z, 0-9) joined by underscores"
            expansion.report(at, f"{variable!r} is not a valid name of a variable", remedy, on_key=True)
        values = _read_values(at, node, expansion)
        if len(values) > len(set(map(str, values))):
            expansion.report(at, f"{variable} has a value twice", "remove one")
        axes[variable] = values
    if (size := math.prod(map(len, axes.values()))) > MAX_GRID:
        expansion.report(path, f"this grid has {size:,} entries", f"at most {MAX_GRID:,} are allowed")
    return axes


def _read_values(path: Path, node: Node, expansion: _Expansion) -> tuple[str | int, ...]:
    """Return the values of a variable: those of a matrix, or the ones that are listed."""
    if isinstance(node.value, str):
        return _find_in_matrix(path, node.value, expansion)
    if not isinstance(node.value, list) or not node.value:
        expansion.report(path, "a variable's values are those of an arm's matrix, or a list", EXAMPLE)
        return ()
    values: list[str | int] = []
    for position, child in enumerate(node.value):
        value = child.value
        if isinstance(value, bool) or not isinstance(value, str | int) or not WORD.fullmatch(str(value)):
            remedy = "a value is a whole number, or a word made of a-z, 0-9 and _; others are those of a matrix"
            expansion.report((*path, position), "this can't end a name", remedy)
            continue
        values.append(value)
    return tuple(values)


def _find_in_matrix(path: Path, text: str, expansion: _Expansion) -> tuple[str, ...]:
    arm, _, dotted = text.partition(".")
    axes = expansion.matrices.get(arm)
    if axes is None:
        known = expansion.matrices
        remedy = f"arms with a matrix: {join_names(known)}" if known else "give an arm a matrix, or list the values"
        expansion.report(path, f"there is no arm with a matrix named {arm!r}{suggest(arm, known)}", remedy)
        return ()
    if not dotted:
        return tuple("_".join(cell) for cell in itertools.product(*axes.values()))
    if dotted not in axes:
        remedy = f"it varies {join_names(axes)}"
        expansion.report(path, f"the matrix of {arm!r} does not vary {dotted}{suggest(dotted, axes)}", remedy)
        return ()
    return axes[dotted]


def _check_uses(path: Path, entry: Node, variables: Node, expansion: _Expansion) -> None:
    """Report variables that are used and not there, or there and not used."""
    used: set[str] = set()
    for at, name in _find_uses(entry, path):
        used.add(name)
        if name not in variables.items():
            known = variables.items()
            remedy = f"variables of {FOR_EACH} here: {join_names(known)}"
            expansion.report(at, f"there is no variable {name!r}{suggest(name, known)}", remedy)
    for name in variables.items().keys() - used:
        message = f"{{{name}}} is nowhere in {path[-1]!r}: the same would be asked again and again"
        remedy = f"write {{{name}}} where its value belongs, or remove it"
        expansion.report((*path, FOR_EACH, name), message, remedy, on_key=True)


def _find_uses(node: Node, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every variable that a text or a key names, with its place."""
    if isinstance(node.value, str):
        yield from ((path, name) for name in USE.findall(node.value))
    elif isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from (((*path, key), name) for name in USE.findall(key))
            yield from _find_uses(child, (*path, key))
    elif isinstance(node.value, list):
        for position, child in enumerate(node.value):
            yield from _find_uses(child, (*path, position))


def _fill_in(node: Node, values: Mapping[str, str | int]) -> Node:
    """Return the node with each variable's value in its place."""
    if isinstance(node.value, str):
        whole = USE.fullmatch(node.value)
        return replace(node, value=values[whole[1]] if whole else _fill_text(node.value, values))
    if isinstance(node.value, dict):
        children = {_fill_text(key, values): _fill_in(child, values) for key, child in node.value.items()}
        return replace(node, value=children)
    if isinstance(node.value, list):
        return replace(node, value=[_fill_in(child, values) for child in node.value])
    return node


def _fill_text(text: str, values: Mapping[str, str | int]) -> str:
    return USE.sub(lambda found: str(values[found[1]]), text)


def _name_decisions(combine: Node, decisions: Mapping[str, tuple[str, ...]]) -> Node:
    """Return ``combine`` with every decision of an entry in the place of the entry, under ``holds``."""
    holds = combine.get("holds")
    if holds is None or not holds.items():
        return combine
    named = {each: bands for name, bands in holds.items().items() for each in decisions.get(name, (name,))}
    return replace(combine, value={**combine.items(), "holds": replace(holds, value=named)})
