"""Checks of form: types, ranges and keys as the records declare them, with findings in plain words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from harness.errors import Finding
from harness.plugins.registry import BARE, find_members
from harness.records import Record
from harness.records.program import BYTES, SECONDS
from harness.records.readings import SHAPES
from harness.spec.keys import find_known_keys, find_record
from harness.spec.scalars import write_scalar
from harness.spec.tree import MAX_FINDINGS, Node, Path, Problem
from harness.wording import format_exact, join_words, suggest

R = TypeVar("R", bound=Record)

DISTRIBUTIONS = ("uniform", "loguniform", "integer")
LISTED = 30
EXPANDED = {
    "arms": "matrix",
    "estimands": "for_each",
    "guards": "for_each",
    "decisions": "for_each",
    "exploratory": "for_each",
}
"""Section of the file → key by which one entry stands for several."""
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
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
UNKNOWN_PLUGIN = re.compile(r"no (?!command )[a-z ]+ is called '(?!(?:program|declared)')([^']*)'")
"""Beginning of the message about a name that no plug-in has, here and in rules; not of what no file may name."""
UNITS = (*SECONDS, *BYTES)
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
        if len(path) == 3 and (key := EXPANDED.get(str(path[0]))) is not None:
            fields[key] = "expanded before the records see it"
        message = _explain_unknown(root, path) or f"unknown key {path[-1]!r}{suggest(str(path[-1]), fields)}"
        yield Problem(path, message, f"keys known here: {', '.join(fields)}" if fields else None, on_key=True)
        return
    node, _ = root.nearest(path)
    key = f"an entry of {_find_key(path)}" if path and isinstance(path[-1], int) else _find_key(path)
    if of == "string_pattern_mismatch":
        yield _report_bad_name(path, node, detail)
    elif of == "union_tag_not_found":
        yield Problem(path, f"missing key 'name' in {key}", "say which one: {name: …}", on_key=True)
    elif of == "union_tag_invalid":
        noun = key.removeprefix("an entry of ").removesuffix("s") if isinstance(path[-1], int) else key
        noun = "metric" if noun == "minus" else noun
        known = [name for name in _parse_choices(context["expected_tags"]) if name not in (BARE, "program", "declared")]
        yield _report_unknown_plugin((*path, "name"), noun, str(context["tag"]), known)
    elif of == "literal_error":
        choices = _parse_choices(context["expected"])
        if path[-1:] == ("name",) and len(path) > 1:
            yield _report_unknown_plugin(path, _find_key(path[:-1]), str(node.value), choices)
        else:
            hint = suggest(node.value, choices) if isinstance(node.value, str) else ""
            wanted = join_words(choices or [context["expected"]], "or")
            meant = "write unit: pp for percentage points" if key == "unit" and not hint else None
            yield Problem(path, f"{key} must be {wanted}, is {_show(node.value)}{hint}", meant)
    elif of == "string_type" and (units := _suggest_units(kind, root, path)):
        yield Problem(path, f"{key} needs a unit, is {_show(node.value)}", f"write {key}: {join_words(units, 'or')}")
    elif of in WANTED:
        yield Problem(
            path, f"{key} must be {WANTED[of]}, is {_show(node.value)}", _suggest_type(kind, root, path, of, key)
        )
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
        yield Problem(path, str(context["error"]), getattr(context["error"], "remedy", None))
    else:  # a plug-in's own types
        yield Problem(path, f"{key}: {detail['msg']}")


def _report_bad_name(path: Path, node: Node, detail: ErrorDetails) -> Problem:
    """Return the problem that a string does not have the form that its place asks for."""
    shown = _show(node.value)
    if path[-1:] == ("run",):
        remedy = 'give the first 12 digits or more, in quotes: run: "76d31344c971"'
        return Problem(path, f"{shown} is not a run, which has digits 0-9 and a-f", remedy)
    if detail["loc"][-1] == BARE:
        remedy = "parameters have keys of their own, such as {name: credit_cosine, feedback: fresh}"
        return Problem(path, f"{shown} is not the name of a metric", remedy)
    joined = "hyphens" if "(-" in detail["ctx"]["pattern"] else "underscores"  # both patterns have ranges, a-z
    on_key = detail["loc"][-1] == "[key]"
    shown = _show(path[-1]) if on_key else shown
    remedy = f"use lower-case words (a-z, 0-9) joined by {joined}"
    return Problem(path, f"{shown} is not a valid name", remedy, on_key=on_key)


def _explain_unknown(root: Node, path: Path) -> str | None:
    """Return why a metric doesn't have a parameter that other metrics have; None if it is not such a parameter."""
    name = root.nearest((*path[:-1], "name"))[0].value
    kind = find_members("metrics").get(name) if isinstance(name, str) else None
    if kind is None:
        return None
    if path[-1] in ("feedback", "draw"):
        return f"{name} has no {path[-1]!r}: it reads no credit vectors, which feedback matrices would make"
    if path[-1] in ("probe_samples", "probe_split"):
        return f"{name} has no {path[-1]!r}: it is not measured on a probe batch"
    return None


def _report_missing(kind: type[Record], root: Node, path: Path) -> Iterator[Problem]:
    if len(path) == 3 and path[0] == "arms" and path[2] == "setup":
        return  # the missing common setup is reported
    parent, rest = root.nearest(path[:-1])
    key = str(path[-1])
    if parent.base is not None and not rest:
        return  # merged from two mappings: the common one lacks it too, which is reported
    field = find_known_keys(kind, root, path[:-1]).get(key)
    where = f" in {_find_key(path[:-1])}" if len(path) > 1 else ""
    yield Problem(path, f"missing key {key!r}{where}", f"add it: {field}" if field else "add it")


def _convert_path(root: Node, loc: tuple[int | str, ...]) -> Path:
    """Return pydantic's location as a path of the document, without its tags (of plug-ins, of shapes) and marks."""
    path: list[int | str] = []
    node: Node | None = root
    for step in loc:
        if step in ("[key]", BARE):
            break
        child = node.get(step) if node is not None else None
        name = node.get("name") if node is not None else None
        short = node is not None and node.value == step  # a plug-in that is given by its name alone
        if child is None and (step in SHAPES or short or (name is not None and name.value == step)):
            continue
        path.append(step)
        node = child
    return tuple(path)


def _find_key(path: Path) -> str:
    """Return the key by which a reader knows the value; for a list item, the key of the list."""
    return next((step for step in reversed(path) if isinstance(step, str)), "the file")


def list_unknown_plugins(findings: Collection[Finding]) -> frozenset[str]:
    """Return the names that no plug-in has here, if nothing else is wrong with a file; otherwise nothing."""
    named = [UNKNOWN_PLUGIN.match(finding.message) for finding in findings]
    return frozenset(found[1] for found in named if found is not None) if all(named) else frozenset()


def _report_unknown_plugin(path: Path, kind: str, name: str, known: list[str]) -> Problem:
    return Problem(path, f"no {kind} is called {name!r}{suggest(name, known)}", f"known: {', '.join(known)}")


def _parse_choices(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _suggest_units(kind: type[Record], root: Node, path: Path) -> list[str]:
    """Return a number with each unit that its place takes, such as 10 s; empty if it takes none, or no number."""
    value, record = root.nearest(path)[0].value, find_record(kind, root, path[:-1])
    field = record.model_fields.get(str(path[-1])) if record is not None else None
    if field is None or isinstance(value, bool) or not isinstance(value, int | float):
        return []
    number = format_exact(value)
    return [] if _fits(field, number) else [one for unit in UNITS if _fits(field, one := f"{number} {unit}")]


def _suggest_type(kind: type[Record], root: Node, path: Path, of: str, key: str) -> str | None:
    """Return what to write in place of a value of the wrong type; None if that can't be told."""
    value = root.nearest(path)[0].value
    where = f"{key}: " if path and isinstance(path[-1], str) else ""
    if of == "string_type" and isinstance(value, bool | int | float):
        return f'quote it: "{_show(value)}"'
    if isinstance(value, str) and key in ("when", "until") and of != "tuple_type":
        return f"write {where}{{metric: train_loss, below: 0.5}}, for example"
    if (
        of in ("model_type", "model_attributes_type")
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    ):
        written = _write_mapping(find_record(kind, root, path), value)
        return None if written is None else f"write {where}{written}"
    if isinstance(value, str) and path[:2] == ("tuning", "space") and value in DISTRIBUTIONS:
        return f"write {where}{{distribution: {value}, low: …, high: …}}"
    if isinstance(value, str) and key == "epoch" and value in ("best", "when", "spent", "last"):
        given = {"best": "{best: METRIC}", "when": "{when: {metric: …, below: …}}", "spent": "{spent: steps}"}
        return f"write {where}{given[value]}" if value in given else "leave it out: the last epoch is the default"
    if of in ("int_type", "float_type", "int_from_float") and isinstance(value, str) and NUMBER.fullmatch(value):
        return "write the number without quotes"
    if of == "tuple_type" and not isinstance(value, dict):
        if key == "command" and isinstance(value, str):
            example = "its words one by one, such as command: [python, train.py]"
            return f"write {where}{words}" if (words := write_command(value)) else f"write {example}"
        return f"write {where}{write_scalar([value])}"
    return None


def write_command(text: str) -> str | None:
    """Return a command as a file has it, split as a shell would; None if it is empty or its quotes don't close."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    return write_scalar(words) if words else None


def _write_mapping(record: type[BaseModel] | None, value: str | float) -> str | None:
    """Return the mapping that a bare value most likely stands for: a plug-in by its name, or a record's first value."""
    if record is None:
        return f"{{name: {value}}}" if isinstance(value, str) else None
    fields = record.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    ordered = sorted(fields, key=lambda name: (name != "name", name not in required))
    fitting = next((name for name in ordered if _fits(fields[name], value)), None)
    if fitting is None:
        return None
    more = ", …" * any(name != fitting for name in required)
    shown = format_exact(value) if not isinstance(value, str) else value if value[:1].isalpha() else f'"{value}"'
    return f"{{{fitting}: {shown}{more}}}"


def _fits(field: FieldInfo, value: object) -> bool:
    """Tell whether a field takes a value."""
    wanted: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    try:
        TypeAdapter(wanted).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


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
