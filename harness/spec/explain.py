"""What a name in a hypothesis file means: a plug-in, an option or a check, from the models and their own texts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.criteria import Criterion
from harness.errors import UsageError
from harness.plugins.fields import declarations, docstring
from harness.plugins.registry import FAMILIES, Plugin, members
from harness.records import Hypothesis
from harness.spec import arms
from harness.spec.checks import CHECKS
from harness.spec.forms import suggestion
from harness.spec.scalars import Surprising, resolve
from harness.spec.schema import Json, json_schema, model_schema
from harness.wording import exact, level

NOUNS = {"datasets": "data set", "penalties": "penalty", "criteria": "criterion"}
"""Family → what one of its members is called, where that is not the name without its s."""
PLAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 _./()+-]*[A-Za-z0-9.)])?")
"""Texts that are certain to need no quotes; all others get some."""
OPEN = "*"
"""Stands in a path for a name that the file's author chooses."""


@dataclass(frozen=True)
class Parameter:
    """A key that can be written below a name."""

    name: str
    values: str
    """What it may be, in words."""
    default: str | None
    """As it is written in YAML; None: it must be given."""
    unit: str | None
    description: str


@dataclass(frozen=True)
class Explanation:
    """What a name means."""

    kind: str
    """"rule", "option", "check", …"""
    name: str
    text: str
    """What it is, with its equation."""
    source: str | None = None
    """Where it comes from, in the words of its file."""
    facts: tuple[tuple[str, str, str], ...] = ()
    """Declared property, value, what it means."""
    parameters: tuple[Parameter, ...] = ()
    example: str | None = None


def explain(name: str) -> list[Explanation]:
    """Everything that ``name`` may mean: a plug-in, an option's path or the end of one, a check.

    Raises:
        UsageError: nothing has this name.
    """
    found = []
    for family in FAMILIES:
        found += [_plugin(family, kind) for key, kind in members(family).items() if name in (key, f"{family}.{key}")]
    found += [_option(path, part) for path, part in _options() if _means(name, path)]
    if name in CHECKS:
        found.append(Explanation("check", name, CHECKS[name]))
    if not found:
        known = names()
        remedy = "see harness explain without a name for all of them"
        raise UsageError(f"nothing is called {name!r}{suggestion(name, known)}", where="harness explain", remedy=remedy)
    return found


def names() -> dict[str, str]:
    """Everything that can be explained → what it is."""
    plugins = {key: NOUNS.get(family, family[:-1]) for family in FAMILIES for key in members(family)}
    options = {path: "option" for path, _ in _options()}
    return {**plugins, **options, **{name: "check" for name in CHECKS if name not in options}}


def _means(name: str, path: str) -> bool:
    plain = path.replace(f".{OPEN}", "")
    return name in (path, plain) or (("." in name or "." in plain) and plain.endswith(f".{name}"))


def _plugin(family: str, kind: type[Plugin]) -> Explanation:
    made = model_schema(kind)
    module = docstring(sys.modules[kind.__module__]).strip()
    facts = declarations(kind)
    declared = {key: value for key, value in facts.items() if not callable(value[0]) and key != "source"}
    own = facts.get("source", (None, ""))[0]
    shown = [(key, scalar(value), " ".join(text.split())) for key, (value, text) in declared.items()]
    if issubclass(kind, Criterion) and not kind.needs_bounds and set(made.get("required", ())) <= {"name"}:
        shown.append(_fewest_seeds(kind))
    return Explanation(
        kind=NOUNS.get(family, family[:-1]),
        name=str(made["properties"]["name"]["const"]),
        text=docstring(kind),
        source="\n".join(filter(None, (module, own if own and own not in module else None))) or None,
        facts=tuple(shown),
        parameters=tuple(_parameters(made, made.get("$defs", {}))),
        example=plugin_example(kind),
    )


def _fewest_seeds(kind: type[Criterion]) -> tuple[str, str, str]:
    criterion = kind.model_validate({"name": model_schema(kind)["properties"]["name"]["const"]})
    found = ", ".join(f"{criterion.smallest_n(alpha)} at α = {level(alpha)}" for alpha in (0.05, 0.025, 0.01))
    return "smallest n", found, "The fewest seeds with which it can exclude a band; bands between two cuts take α/2."


def plugin_example(kind: type[Plugin]) -> str:
    """A plug-in as it stands in a file, with what must be given: ``{name: dfa}``."""
    made = model_schema(kind)
    required = [key for key in made.get("required", ()) if key != "name"]
    return scalar({key: _example(made["properties"][key]) for key in ("name", *required)})


def _option(path: str, part: _Part) -> Explanation:
    schema, parts = part.schema, part.parts
    text = str(part.schema.get("description", ""))
    inner = _resolved(schema, parts)
    if inner is not schema and inner.get("description") not in (None, text):
        text = f"{text}\n{inner['description']}".strip()
    if path.endswith(".matrix"):
        text = docstring(arms)
    parameter = _parameter(path, schema, parts, required=part.required)
    facts = [("values", parameter.values, ""), ("unit", parameter.unit or "", "")]
    if parameter.default is not None:
        facts.append(("default", parameter.default, ""))
    elif part.required:
        facts.append(("required", "yes", ""))
    return Explanation(
        kind="option",
        name=path,
        text=text,
        facts=tuple(fact for fact in facts if fact[1]),
        parameters=tuple(_parameters(inner, parts)),
        example=scalar(schema["examples"][0]) if schema.get("examples") else None,
    )


@dataclass(frozen=True)
class _Part:
    schema: Json
    parts: Json
    required: bool


def _options() -> Iterator[tuple[str, _Part]]:
    """Every path of the file's form, with its schema. An arm's setup is that of the file and not walked again."""
    whole = json_schema(Hypothesis)
    plugins = {name for family in FAMILIES for name in members(family)}
    parts: Json = {**whole["$defs"]}
    matrix = parts["ArmWithMatrix"]["properties"]["matrix"]
    parts["Arm"] = {**parts["Arm"], "properties": {**parts["Arm"]["properties"], "matrix": matrix}}

    def walk(prefix: str, schema: Json) -> Iterator[tuple[str, _Part]]:
        for name, field in schema.get("properties", {}).items():
            path = f"{prefix}{name}"
            yield path, _Part(field, parts, name in schema.get("required", ()))
            if path not in (f"arms.{OPEN}.setup", f"arms.{OPEN}.matrix"):
                yield from below(path, field)

    def below(path: str, field: Json) -> Iterator[tuple[str, _Part]]:
        inner = _resolved(field, parts)
        named = inner.get("properties", {}).get("name", {}).get("const")
        if "allOf" in inner or named in plugins:  # a plug-in's parameters are explained under its own name
            return
        yield from walk(f"{path}.", inner)
        for entry in (*inner.get("patternProperties", {}).values(), *([inner["items"]] if "items" in inner else ())):
            yield from below(f"{path}.{OPEN}", entry.get("else", entry))

    yield from walk("", whole)


def _resolved(schema: Json, parts: Json) -> Json:
    """What a reference, or the one alternative that is not null, leads to."""
    if "$ref" in schema:
        return _resolved(parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    kept = [part for part in schema.get("anyOf", ()) if part.get("type") != "null" and part.keys() & {"$ref", "type"}]
    return _resolved(kept[-1], parts) if kept and "properties" not in schema else schema


def _parameters(schema: Json, parts: Json) -> Iterator[Parameter]:
    for name, field in schema.get("properties", {}).items():
        if not (name == "name" and "const" in field):
            yield _parameter(name, field, parts, required=name in schema.get("required", ()))


def _parameter(name: str, field: Json, parts: Json, *, required: bool) -> Parameter:
    return Parameter(
        name=name,
        values=_values(field, parts),
        default=None if required else scalar(field.get("default")),
        unit=field.get("x-unit"),
        description=" ".join(str(field.get("description", "")).split()),
    )


def _values(field: Json, parts: Json) -> str:
    """``a whole number of 1 or more``, ``mean, std or median``."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_values(part, parts) for part in field["anyOf"]))
    if "$ref" in field:
        return _values(parts[field["$ref"].removeprefix("#/$defs/")], parts)
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return " or ".join(str(value) for value in field["enum"])
    if "allOf" in field:
        return "one of " + ", ".join(field["properties"]["name"]["enum"])
    if "prefixItems" in field or "items" in field:
        return "a list" + (f" of: {_values(field['items'], parts)}" if isinstance(field.get("items"), dict) else "")
    words = {"integer": "a whole number", "number": "a number", "string": "a text", "object": "a mapping"}
    words |= {"boolean": "true or false", "null": "null"}
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = [f"{limit} {exact(field[key])}" for key, limit in limits.items() if key in field]
    return " ".join([words.get(str(field.get("type")), "anything"), ", ".join(bounds)]).strip()


def _example(field: Json) -> Any:
    return next(iter(field.get("examples", ())), field.get("const", field.get("default")))


def scalar(value: Any) -> str:
    """A value as it is written in a file, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {scalar(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and not _surprising(value) else json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _surprising(text: str) -> bool:
    try:
        return resolve(text) != text
    except Surprising:
        return True
