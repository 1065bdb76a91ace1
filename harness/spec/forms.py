"""Checks of form: types, ranges and keys as the records declare them, with findings in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.records import Record
from harness.spec.keys import find_known_keys
from harness.spec.tree import MAX_FINDINGS, Node, Path, Problem
from harness.wording import format_exact

R = TypeVar("R", bound=Record)

LONGEST = 100
LISTED = 30
NEIGHBOURS = 500
"""Maximum number of names that are compared with a wrong one; each comparison costs about 20 μs."""
WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list, such as [a, b]",
    "dict_type": "a mapping, such as {key: value}",
    "model_type": "a mapping, such as {key: value}",
    "model_attributes_type": "a mapping, such as {name: …}",
}
RANGE = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def validate(kind: type[R], root: Node) -> tuple[R | None, list[Problem]]:
    """Return the record made from a document, or None and the problems with its form.

    Validation is strict: a string is not a number, 5.0 is not a whole number, true is not 1.
    """
    try:
        record = kind.model_validate(root.plain(), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [problem for detail in details[:MAX_FINDINGS] for problem in _describe_error(kind, root, detail)]
    return record, []


def make_part(kind: type[R], node: Node | None) -> R | None:
    """Return the record made from part of a document; None if it is missing or malformed, as ``validate`` reports."""
    return validate(kind, node)[0] if node is not None else None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?``, or an empty string if no known name is similar."""
    close = difflib.get_close_matches(name[:LONGEST], [*known][:NEIGHBOURS], n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def join_names(names: Collection[str]) -> str:
    """Return the names joined by commas, shortened if there are very many."""
    shown = ", ".join([*names][:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def _describe_error(kind: type[Record], root: Node, detail: ErrorDetails) -> Iterator[Problem]:
    of, context, path = detail["type"], detail.get("ctx", {}), _convert_path(root, detail["loc"])
    if of == "missing":
        yield from _report_missing(kind, root, path)
        return
    if of == "extra_forbidden":
        fields = find_known_keys(kind, root, path[:-1])
        if len(path) == 3 and path[0] == "arms":
            fields["matrix"] = "expanded before the records see it"
        message = f"unknown key {path[-1]!r}{suggest(str(path[-1]), fields)}"
        yield Problem(path, message, f"keys known here: {', '.join(fields)}" if fields else None, on_key=True)
        return
    node, _ = root.nearest(path)
    key = f"an entry of {_find_key(path)}" if path and isinstance(path[-1], int) else _find_key(path)
    if of == "string_pattern_mismatch":
        joined = "hyphens" if "(-" in context["pattern"] else "underscores"  # both patterns have ranges, a-z
        on_key = detail["loc"][-1] == "[key]"
        shown = path[-1] if on_key else node.value
        remedy = f"use lower-case words (a-z, 0-9) joined by {joined}"
        yield Problem(path, f"{_show(shown)} is not a valid name", remedy, on_key=on_key)
    elif of == "union_tag_not_found":
        yield Problem(path, f"missing key 'name' in {key}", "say which one: {name: …}", on_key=True)
    elif of == "union_tag_invalid":
        yield _report_unknown_plugin(
            (*path, "name"), key, str(context["tag"]), _parse_choices(context["expected_tags"])
        )
    elif of == "literal_error":
        choices = _parse_choices(context["expected"])
        if path[-1:] == ("name",) and len(path) > 1:
            yield _report_unknown_plugin(path, _find_key(path[:-1]), str(node.value), choices)
        else:
            hint = suggest(node.value, choices) if isinstance(node.value, str) else ""
            wanted = _join_choices(choices or [context["expected"]])
            yield Problem(path, f"{key} must be {wanted}, is {_show(node.value)}{hint}")
    elif of in WANTED:
        yield Problem(path, f"{key} must be {WANTED[of]}, is {_show(node.value)}", _suggest_type(of, key, node))
    elif of in RANGE:
        limit, words = RANGE[of]
        yield Problem(path, f"{key} must be {words} {format_exact(context[limit])}, is {_show(node.value)}")
    elif of in ("too_short", "too_long"):
        limit = context["min_length"] if of == "too_short" else context["max_length"]
        words = "at least" if of == "too_short" else "at most"
        yield Problem(path, f"{key} needs {words} {limit} {'entry' if limit == 1 else 'entries'}", on_key=True)
    elif of in ("string_too_short", "string_too_long"):
        wrong = "is empty" if of == "string_too_short" else f"is longer than {context['max_length']:,} characters"
        yield Problem(path, f"{key} {wrong}")
    elif of == "value_error":
        yield Problem(path, str(context["error"]))
    else:  # a plug-in's own types
        yield Problem(path, f"{key}: {detail['msg']}")


def _report_missing(kind: type[Record], root: Node, path: Path) -> Iterator[Problem]:
    if len(path) == 3 and path[0] == "arms" and path[2] == "setup":
        return  # the missing common setup is reported
    parent, rest = root.nearest(path[:-1])
    key = str(path[-1])
    if parent.base is not None and not rest:
        return  # merged from two mappings: the common one lacks it too, which is reported
    field = find_known_keys(kind, root, path[:-1]).get(key)
    where = f" in {path[-2]}" if len(path) > 1 else ""
    yield Problem(path, f"missing key {key!r}{where}", f"add it: {field}" if field else "add it")


def _convert_path(root: Node, loc: tuple[int | str, ...]) -> Path:
    """Return pydantic's location as a path of the document, without plug-in tags and pydantic's own marks."""
    path: list[int | str] = []
    node: Node | None = root
    for step in loc:
        if step == "[key]":
            break
        child = node.get(step) if node is not None else None
        name = node.get("name") if node is not None else None
        if child is None and name is not None and name.value == step:
            continue
        path.append(step)
        node = child
    return tuple(path)


def _find_key(path: Path) -> str:
    """Return the key by which a reader knows the value; for a list item, the key of the list."""
    return next((step for step in reversed(path) if isinstance(step, str)), "the file")


def _report_unknown_plugin(path: Path, kind: str, name: str, known: list[str]) -> Problem:
    return Problem(path, f"no {kind} is called {name!r}{suggest(name, known)}", f"known: {', '.join(known)}")


def _parse_choices(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _join_choices(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _suggest_type(of: str, key: str, node: Node) -> str | None:
    value = node.value
    if of == "string_type" and isinstance(value, bool | int | float):
        return f'quote it: "{_show(value)}"'
    if of == "model_attributes_type" and isinstance(value, str):
        return f"write {key}: {{name: {value}}}"
    if of in ("int_type", "float_type", "int_from_float") and isinstance(value, str):
        return "write the number without quotes"
    if of == "tuple_type" and not isinstance(value, dict):
        return f"write {key}: [{_show(value)}]"
    return None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
