"""Explanations of the names in a hypothesis file (plug-ins, options, checks), from the models and their docstrings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from harness.adapters import Adapter
from harness.criteria import Criterion
from harness.errors import UsageError
from harness.plugins.fields import read_declarations, read_docstring, read_sections
from harness.plugins.registry import FAMILIES, OPERATIONAL, Plugin, find_members
from harness.records import Hypothesis
from harness.spec import arms, for_each
from harness.spec.checks import CHECKS
from harness.spec.for_each import FOR_EACH
from harness.spec.scalars import write_scalar
from harness.spec.schema import Json, make_model_schema, make_schema
from harness.wording import format_exact, format_level, suggest

BY_NAME = ("adapters",)
"""Families whose members have no parameters, and are named by a text."""
EXPLAINED = (*FAMILIES, *OPERATIONAL)
NOUNS = {"datasets": "data set", "penalties": "penalty", "criteria": "criterion", "losses": "loss"}
"""Family → noun for its members, if that is not the family's name without its s."""
OPEN = "*"
"""A path component that stands for a name chosen by the file's author."""


@dataclass(frozen=True)
class Parameter:
    """A key that can be written below a name."""

    name: str
    values: str
    """Permitted values, in words."""
    default: str | None
    """Default as written in YAML; None if a value is required."""
    unit: str | None
    description: str


@dataclass(frozen=True)
class Explanation:
    """The explanation of a name."""

    kind: str
    """Kind of thing: "rule", "option", "check", …."""
    name: str
    text: str
    """Description."""
    equation: str | None = None
    """Equation of what the plug-in computes, on one line or several."""
    source: str | None = None
    """Origin of the plug-in; where its class doesn't tell, the docstring of its file."""
    use: str | None = None
    """Advice on when to use the plug-in."""
    traps: str | None = None
    """Traps to beware of."""
    facts: tuple[tuple[str, str, str], ...] = ()
    """Declared property, its value, and its meaning."""
    parameters: tuple[Parameter, ...] = ()
    example: str | None = None


def explain(name: str) -> list[Explanation]:
    """Return everything that ``name`` may mean: a plug-in, an option's path or the end of one, a check.

    If it is none of these, but a parameter of plug-ins or one of an option's values, return those plug-ins or options.

    Raises:
        UsageError: Nothing has this name.
    """
    found = []
    for family in EXPLAINED:
        found += [
            _explain_plugin(family, kind)
            for key, kind in find_members(family).items()
            if name in (key, f"{family}.{key}", f"{name_member(family, '')}.{key}")
        ]
    found += [_explain_option(path, part) for path, part in _list_options() if _matches(name, path)]
    if name in CHECKS:
        found.append(Explanation("check", name, CHECKS[name]))
    found = found or _find_mentions(name)
    if not found:
        known = list_names()
        remedy = "run harness explain without a name to list everything"
        raise UsageError(f"nothing is called {name!r}{suggest(name, known)}", where="harness explain", remedy=remedy)
    return found


def _find_mentions(name: str) -> list[Explanation]:
    """Return the plug-ins that have a parameter of this name, or else the options that have it as a value."""
    plugins = [plugin for family in EXPLAINED for plugin in explain_family(family)]
    found = [plugin for plugin in plugins if any(parameter.name == name for parameter in plugin.parameters)]
    return found or [
        _explain_option(path, part) for path, part in _list_options() if name in part.schema.get("enum", ())
    ]


def list_names() -> dict[str, tuple[str, ...]]:
    """Return every name that can be explained → the kinds of all that is called so."""
    plugins = [(key, name_member(family)) for family in EXPLAINED for key in find_members(family)]
    options, checks = [(path, "option") for path, _ in _list_options()], [(name, "check") for name in CHECKS]
    found: dict[str, tuple[str, ...]] = {}
    for name, kind in (*plugins, *options, *checks):
        found[name] = (*found.get(name, ()), kind)
    return found


def name_member(family: str, space: str = " ") -> str:
    """Return the noun for the members of a family, with this in place of a space: "rule", "data set" or "dataset"."""
    return NOUNS.get(family, family[:-1]).replace(" ", space)


def _matches(name: str, path: str) -> bool:
    plain = path.replace(f".{OPEN}", "")
    return name in (path, plain) or (("." in name or "." in plain) and plain.endswith(f".{name}"))


def explain_family(family: str) -> list[Explanation]:
    """Return the explanations of all plug-ins of a family, by name."""
    return [_explain_plugin(family, kind) for _, kind in sorted(find_members(family).items())]


def _explain_plugin(family: str, kind: type[Plugin]) -> Explanation:
    made = make_model_schema(kind)
    text, sections = read_sections(kind)
    facts = read_declarations(kind)
    declared = {key: value for key, value in facts.items() if not callable(value[0]) and key != "source"}
    own = facts.get("source", (None, ""))[0]
    shown = [(key, write_scalar(value), " ".join(text.split())) for key, (value, text) in declared.items()]
    if issubclass(kind, Criterion) and not kind.needs_bounds and set(made.get("required", ())) <= {"name"}:
        shown.append(_describe_fewest_seeds(kind))
    return Explanation(
        kind=name_member(family),
        name=str(made["properties"]["name"]["const"]),
        text=text,
        equation=sections.get("Equation"),
        source=sections.get("Source") or own or read_docstring(sys.modules[kind.__module__]).strip() or None,
        use=sections.get("Use"),
        traps=sections.get("Traps"),
        facts=tuple(shown),
        parameters=tuple(_list_parameters(made, made.get("$defs", {}))),
        example=_write_use(family, kind),
    )


def _describe_fewest_seeds(kind: type[Criterion]) -> tuple[str, str, str]:
    criterion = kind.model_validate({"name": make_model_schema(kind)["properties"]["name"]["const"]})
    found = ", ".join(f"{criterion.smallest_n(alpha)} at α = {format_level(alpha)}" for alpha in (0.05, 0.025, 0.01))
    return (
        "smallest n",
        found,
        "Fewest seeds with which the criterion can exclude a band; bands between two cuts take α/2.",
    )


def _write_use(family: str, kind: type[Plugin]) -> str | None:
    """Return how a file names a plug-in; None of one that stands in pyproject.toml, or in a command."""
    if family in OPERATIONAL or (issubclass(kind, Adapter) and kind.tells_runs):
        return None
    return str(get_args(kind.model_fields["name"].annotation)[0]) if family in BY_NAME else write_example(kind)


def write_example(kind: type[Plugin]) -> str:
    """Return a plug-in as it is written in a file, with its required parameters: ``{name: dfa}``."""
    made = make_model_schema(kind)
    required = [key for key in made.get("required", ()) if key != "name"]
    return write_scalar({key: _find_example(made["properties"][key]) for key in ("name", *required)})


def _explain_option(path: str, part: _Part) -> Explanation:
    schema, parts = part.schema, part.parts
    text = str(part.schema.get("description", ""))
    shapes = _list_shapes(schema, parts)
    for inner in shapes:
        if inner is not schema and inner.get("description") not in (None, text):
            text = f"{text}\n{inner['description']}".strip()
    if path.endswith(".matrix"):
        text = read_docstring(arms)
    if path.endswith(f".{FOR_EACH}"):
        text = read_docstring(for_each)
    parameter = _describe_parameter(path, schema, parts, required=part.required)
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
        parameters=tuple(parameter for inner in shapes for parameter in _list_parameters(inner, parts)),
        example=write_scalar(schema["examples"][0]) if schema.get("examples") else None,
    )


@dataclass(frozen=True)
class _Part:
    schema: Json
    parts: Json
    required: bool


@cache  # making the schema takes a tenth of a second, and whoever explains all names asks for each
def _list_options() -> tuple[tuple[str, _Part], ...]:
    """Return every path of the file format with its schema, as ``_walk_options`` finds them."""
    return tuple(_walk_options())


def _walk_options() -> Iterator[tuple[str, _Part]]:
    """Yield every path of the file format with its schema.

    The setup of an arm is that of the file and is not traversed again.
    """
    whole = make_schema(Hypothesis)
    plugins = {name for family in EXPLAINED for name in find_members(family)}
    parts: Json = {**whole["$defs"]}
    matrix = parts["ArmWithMatrix"]["properties"]["matrix"]
    parts["Arm"] = {**parts["Arm"], "properties": {**parts["Arm"]["properties"], "matrix": matrix}}
    for each in [name for name in parts if name.endswith("ForEach")]:
        plain = each.removesuffix("ForEach")
        added = {FOR_EACH: parts[each]["properties"][FOR_EACH]}
        parts[plain] = {**parts[plain], "properties": {**parts[plain]["properties"], **added}}

    def walk(prefix: str, schema: Json) -> Iterator[tuple[str, _Part]]:
        for name, field in schema.get("properties", {}).items():
            path = f"{prefix}{name}"
            yield path, _Part(field, parts, name in schema.get("required", ()))
            if path not in (f"arms.{OPEN}.setup", f"arms.{OPEN}.matrix"):
                yield from below(path, field)

    def below(path: str, field: Json) -> Iterator[tuple[str, _Part]]:
        for inner in _list_shapes(field, parts):
            yield from inside(path, inner)

    def inside(path: str, inner: Json) -> Iterator[tuple[str, _Part]]:
        named = inner.get("properties", {}).get("name", {}).get("const")
        if "allOf" in inner or named in plugins:  # a plug-in's parameters are explained under its own name
            yield from walk(f"{path}.", {"properties": _find_shared(inner, parts)})
            return
        yield from walk(f"{path}.", inner)
        for entry in (*inner.get("patternProperties", {}).values(), *([inner["items"]] if "items" in inner else ())):
            yield from below(f"{path}.{OPEN}", entry.get("else", entry))

    yield from walk("", whole)


def _find_shared(union: Json, parts: Json) -> Json:
    """Return the parameters that all of several plug-ins have and that are the same in all, by name."""
    members = [_resolve(branch["then"], parts).get("properties", {}) for branch in union.get("allOf", ())]
    if not members:
        return {}
    return {name: field for name, field in members[0].items() if all(one.get(name) == field for one in members)}


def _resolve(schema: Json, parts: Json) -> Json:
    """Return the schema behind a reference, or the only alternative that is not null."""
    if "$ref" in schema:
        return _resolve(parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    kept = [part for part in schema.get("anyOf", ()) if part.get("type") != "null" and part.keys() & {"$ref", "type"}]
    return _resolve(kept[-1], parts) if kept and "properties" not in schema else schema


def _list_shapes(schema: Json, parts: Json) -> list[Json]:
    """Return the schemas of all mappings that a value may be, or else the only one that ``_resolve`` finds."""
    mappings = [_resolve(part, parts) for part in schema.get("anyOf", ()) if "$ref" in part]
    return mappings if len(mappings) > 1 else [_resolve(schema, parts)]


def _list_parameters(schema: Json, parts: Json) -> Iterator[Parameter]:
    for name, field in schema.get("properties", {}).items():
        if not (name == "name" and ("const" in field or "allOf" in schema)):  # the values name the plug-ins already
            yield _describe_parameter(name, field, parts, required=name in schema.get("required", ()))


def _describe_parameter(name: str, field: Json, parts: Json, *, required: bool) -> Parameter:
    return Parameter(
        name=name,
        values=_describe_values(field, parts),
        default=None if required else write_scalar(field.get("default")),
        unit=field.get("x-unit"),
        description=" ".join(str(field.get("description", "")).split()),
    )


def _describe_values(field: Json, parts: Json) -> str:
    """Return the permitted values in words: ``a whole number at least 1``, ``mean or std or median``."""
    if "anyOf" in field:
        named = {name for part in field["anyOf"] if "allOf" in part for name in part["properties"]["name"]["enum"]}
        told = (part for part in field["anyOf"] if not named.issuperset(part.get("enum", ("",))))  # names that follow
        return " or ".join(dict.fromkeys(_describe_values(part, parts) for part in told))
    if "$ref" in field:
        return _describe_values(parts[field["$ref"].removeprefix("#/$defs/")], parts)
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return " or ".join(str(value) for value in field["enum"])
    if "allOf" in field:
        return "one of " + ", ".join(field["properties"]["name"]["enum"])
    if "prefixItems" in field or "items" in field:
        return "a list" + (
            f" of: {_describe_values(field['items'], parts)}" if isinstance(field.get("items"), dict) else ""
        )
    words = {"integer": "a whole number", "number": "a number", "string": "a string", "object": "a mapping"}
    words |= {"boolean": "true or false", "null": "null"}
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    bounds = [f"{limit} {format_exact(field[key])}" for key, limit in limits.items() if key in field]
    return " ".join([words.get(str(field.get("type")), "anything"), ", ".join(bounds)]).strip()


def _find_example(field: Json) -> Any:
    return next(iter(field.get("examples", ())), field.get("const", field.get("default")))
