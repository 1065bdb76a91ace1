"""JSON Schemas (draft 2020-12) of the files that people write, from the models and the installed plug-ins.

A schema describes the file, not the merged record: arms override parts of the setup and may hold a matrix, a metric may
be given by its name and a contrast as a string. It never refuses what ``harness check`` accepts; rules that relate one
part of a file to another are beyond it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from harness.plugins.fields import read_descriptions, read_sections
from harness.plugins.registry import BARE, HIDDEN, find_members
from harness.records import (
    RESERVED_OUTCOMES,
    Arm,
    Claims,
    Combine,
    Estimand,
    EvaluationSpec,
    Guard,
    Hypothesis,
    Labels,
    PriorData,
    Record,
    Seeds,
)
from harness.records.program import Results, list_forms
from harness.records.readings import Condition, Onset
from harness.records.trends import Trend
from harness.spec.arms import DOTTED
from harness.spec.for_each import FOR_EACH, SECTIONS, USE, VARIABLE, WORD

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FILES: dict[str, type[Record]] = {"hypothesis.schema.json": Hypothesis, "claims.schema.json": Claims}
"""Published file → model of the files that it describes."""
NAME = VARIABLE.pattern
STAND_INS = frozenset(name for hidden in HIDDEN.values() for name in hidden)
"""Plug-ins that no file names."""
DECLARED = "a metric that the file declares, where a program measures"

Json = dict[str, Any]


def make_model_schema(model: type[BaseModel]) -> Json:
    """Return the schema of one model, such as a plug-in."""
    made = model.model_json_schema(schema_generator=_FileForm)
    if "$ref" not in made:
        return made
    return {**made["$defs"][made["$ref"].removeprefix("#/$defs/")], "$defs": made["$defs"]}  # it holds one of its kind


def make_schemas() -> dict[str, str]:
    """Return file name → contents of every published schema."""
    return {name: json.dumps(make_schema(kind), indent=1, ensure_ascii=False) + "\n" for name, kind in FILES.items()}


def make_schema(kind: type[Record]) -> Json:
    """Return the schema of files that hold a ``kind``."""
    made = kind.model_json_schema(schema_generator=_FileForm)
    if kind is Hypothesis:
        _adapt_arms(made)
        _adapt_entries(made)
        _adapt_program(made)
    # Pydantic lists definitions in the order of its visits, which depends on what was built before.
    made["$defs"] = dict(sorted(made["$defs"].items()))
    return {"$schema": DRAFT, "title": f"harness {kind.__name__.lower()} file", **made}


class _FileForm(GenerateJsonSchema):
    """Pydantic's generator with descriptions, closed mappings, plug-ins by name and the file's short forms."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: a title made from the key says nothing."""
        return False

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Return the value in the order of declaration, in which people read it."""
        return value

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Add the docstring below each field; and that of the class, of a plug-in without its sections."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        made.pop("title", None)
        made["description"] = " ".join(read_sections(model)[0].split())
        made |= {key: made.pop(key) for key in ("additionalProperties",) if key in made}  # after it, under -OO too
        texts = read_descriptions(model)
        for name, field in made.get("properties", {}).items():
            if name in texts:
                field["description"] = " ".join(texts[name].split())
        for parent, adapt in ADAPTATIONS.items():
            if issubclass(model, parent):
                adapt(made)
        return made

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """Refuse keys that match no pattern."""
        made = super().dict_schema(schema)
        if "patternProperties" in made:
            made["additionalProperties"] = False
        return made

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        """Drop the length limit of strings that are stripped before they are measured."""
        made = super().str_schema(schema)
        if schema.get("strip_whitespace"):
            made.pop("maxLength", None)
        return made

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        """Choose by name, so that an editor reports errors of the intended plug-in and not of all; or by shape."""
        choices: dict[str, CoreSchema] = {
            name: choice for name, choice in schema["choices"].items() if name not in STAND_INS
        }
        if not isinstance(schema["discriminator"], str) and BARE not in choices:  # by its shape, not by a name
            return {"anyOf": [self.generate_inner(choice) for choice in choices.values()]}
        made = {name: self.generate_inner(choice) for name, choice in choices.items()}
        return {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"enum": list(made)}},
            "allOf": [_choose(name, choice) for name, choice in made.items()],
        }


def _choose(name: str, choice: Json) -> Json:
    return {"if": _require_name(name), "then": choice}


def _require_name(name: str) -> Json:
    return {"properties": {"name": {"const": name}}, "required": ["name"]}


def _require_key(key: str) -> Json:
    """Return the schema that demands a key that is not null."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


def _require_one(*keys: str) -> Callable[[Json], None]:
    def adapt(made: Json) -> None:
        made["oneOf"] = [_require_key(key) for key in keys]

    return adapt


def _adapt_prior_data(made: Json) -> None:
    made["anyOf"] = [{"properties": {"level": {"const": "none"}}}, _require_key("what")]


def _adapt_estimand(made: Json) -> None:
    _require_one("arm", "contrast", "ratio", "trend", "tasks")(made)
    fields = made["properties"]
    names = list(find_members("metrics"))
    for key in ("metric", "minus"):
        metric = fields[key]
        fields[key] = {
            "description": metric.pop("description", ""),
            "examples": metric.pop("examples", names[:1]),
            "anyOf": [
                {"enum": names},
                {"type": "string", "pattern": f"^{NAME}$", "description": DECLARED},
                *metric.pop("anyOf", [metric]),
            ],
        }
    pair = {"type": "array", "items": {"type": "string", "pattern": f"^{NAME}$"}, "minItems": 2, "maxItems": 2}
    for key, pattern, form in (
        ("contrast", r"^[a-z0-9_.,+*/()\s-]+$", "first - second; mean(a, b) - c"),
        ("ratio", r"^[a-z0-9_*/()\s]+$", "first / second"),
    ):
        text = {"type": "string", "pattern": pattern, "description": form}
        fields[key]["anyOf"] = [text, pair, *fields[key]["anyOf"]]
    fields["epoch"]["anyOf"].insert(1, {"const": "last"})
    listed = fields["tasks"]["anyOf"][0]
    listed["minItems"] = 2
    listed["items"] = {"anyOf": [*fields["contrast"]["anyOf"][:2], listed["items"]]}


def _adapt_trend(made: Json) -> None:
    fields = made["properties"]
    numbers = fields["arms"]
    name = {"type": "string", "pattern": f"^{NAME}$"}
    fields["arms"] = {
        "description": numbers.pop("description", ""),
        "examples": numbers.pop("examples"),
        "anyOf": [name, {"type": "array", "items": name, "minItems": 1}, numbers],
    }
    fields["shape"]["enum"] = [*fields["shape"]["enum"], "monotone"]


def _adapt_evaluation(made: Json) -> None:
    items: Json = made["properties"]["metrics"]["items"]
    names = list(find_members("metrics"))
    items["properties"] = {"name": {"enum": names}}
    items["allOf"] = [choice for choice in items["allOf"] if choice != _choose(BARE, choice["then"])]
    made["properties"]["metrics"]["items"] = {"anyOf": [{"enum": names}, items]}


def _adapt_hypothesis(made: Json) -> None:
    made["properties"]["implications"]["required"] = list(RESERVED_OUTCOMES)


def _adapt_combine(made: Json) -> None:
    simple = [_require_key(key) for key in ("holds", "outcome", "otherwise")]
    made["if"] = {"properties": {"rule": {"const": "table"}}}
    made["then"] = {"allOf": [_require_key("table"), *({"not": part} for part in simple)]}
    made["else"] = {"allOf": [{"not": _require_key("table")}, *simple]}


def _adapt_labels(made: Json) -> None:
    made["if"] = {"properties": {"name": {"const": "noisy"}}, "required": ["name"]}
    made["then"] = _require_key("share")
    made["else"] = {"not": _require_key("share")}


ADAPTATIONS: dict[type[BaseModel], Callable[[Json], None]] = {
    Seeds: _require_one("count", "list"),
    Guard: _require_one("above", "below"),
    Onset: _require_one("above", "below"),
    Condition: _require_one("above", "below"),
    Estimand: _adapt_estimand,
    Trend: _adapt_trend,
    PriorData: _adapt_prior_data,
    Combine: _adapt_combine,
    EvaluationSpec: _adapt_evaluation,
    Labels: _adapt_labels,
    Hypothesis: _adapt_hypothesis,
}
"""Record → conditions that its schema gets beyond those of its fields; records that inherit from it get them too."""


def _adapt_arms(made: Json) -> None:
    """Let an arm's setup hold only the overrides, and let a matrix supply any part of an arm."""
    parts: Json = made["$defs"]
    plain: Json = parts[Arm.__name__]
    override = _make_partial(parts["Setup"], parts)
    override["description"] = (
        "This arm's overrides of the common setup, key by key, at any depth. Write only what differs."
    )
    plain["properties"]["setup"] = override
    varied = _make_partial({**plain, "properties": {**plain["properties"], "setup": {}}}, parts)
    varied["properties"]["setup"] = override
    varied["properties"]["matrix"] = {
        "description": "A grid of arms: path inside the arm → {suffix of the arm's name: value}.",
        "examples": [{"penalty.strength": {"weak": 1.0e-4, "strong": 1.0e-2}}],
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "patternProperties": {
            f"^{DOTTED.pattern}$": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "patternProperties": {f"^{WORD.pattern}$": {}},
            }
        },
    }
    plain["required"].remove("setup")
    varied["required"] = ["label", "matrix"]
    parts["ArmWithMatrix"] = varied
    made["properties"]["arms"]["patternProperties"] = {
        pattern: {"if": {"required": ["matrix"]}, "then": {"$ref": "#/$defs/ArmWithMatrix"}, "else": arm}
        for pattern, arm in made["properties"]["arms"]["patternProperties"].items()
    }


def _adapt_program(made: Json) -> None:
    """Let a program stand in place of the setup and the arms' rules, or beside them, and its metrics likewise."""
    made["required"].remove("setup")
    made["$defs"][Arm.__name__]["required"].remove("rule")
    known = {"if": {"type": "string"}, "then": {"anyOf": [{"enum": list(find_members("metrics"))}, {"pattern": "[{]"}]}}
    measured = {"additionalProperties": {"properties": {"metric": known, "minus": known}}}
    trained = {"anyOf": [{"required": ["rule"]}, {"required": ["matrix"]}]}
    made["$defs"][Results.__name__]["properties"]["form"]["enum"] = [*list_forms()]
    made["if"] = _require_key("program")
    made["then"] = {"required": ["metrics", "results"]}
    made["else"] = {
        "required": ["setup"],
        "properties": {
            "arms": {"additionalProperties": trained},
            "estimands": measured,
            "exploratory": measured,
        },
    }


def _adapt_entries(made: Json) -> None:
    """Let an entry with ``for_each`` hold variables in its texts and in the place of its values."""
    parts: Json = made["$defs"]
    for section in SECTIONS:
        (pattern, entry), *_ = made["properties"][section]["patternProperties"].items()
        name = entry["$ref"].removeprefix("#/$defs/")
        each = f"{name}ForEach"
        parts[each] = {
            **{key: parts[name][key] for key in ("type", "description", "additionalProperties")},
            "properties": {
                FOR_EACH: _describe_for_each(),
                **{
                    key: {
                        "description": field["description"],
                        "anyOf": [
                            {"type": "string", "pattern": USE.pattern},
                            {"$ref": f"#/$defs/{name}/properties/{key}"},
                        ],
                    }
                    for key, field in parts[name]["properties"].items()
                },
            },
            "required": [FOR_EACH, *parts[name].get("required", ())],
        }
        made["properties"][section]["patternProperties"] = {
            pattern: {"if": {"required": [FOR_EACH]}, "then": {"$ref": f"#/$defs/{each}"}, "else": entry}
        }


def _describe_for_each() -> Json:
    value = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{WORD.pattern}$"}]}
    return {
        "description": (
            "Variables for whose values the entry stands, one after the other: variable → arm whose matrix gives its "
            "values, or a list of them. {variable} in a text becomes the value."
        ),
        "examples": [{"strength": "penalized"}, {"layer": [1, 2, 3]}],
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "patternProperties": {
            f"^{VARIABLE.pattern}$": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": value}]}
        },
    }


def _make_partial(schema: Json, parts: Json, within: tuple[str, ...] = ()) -> Json:
    """Return the schema with every key optional, at any depth, references resolved, and no key demanding another.

    A plug-in within a plug-in of its kind may be anything.
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        inner = parts[name] if name not in within else {}
        own = {key: value for key, value in schema.items() if key != "$ref"}
        return _make_partial({**inner, **own}, parts, (*within, name))
    left_out = ("required", "default", "if", "then", "else")
    made: Json = {key: copy.deepcopy(value) for key, value in schema.items() if key not in left_out}
    if "properties" in made:
        fields = schema["properties"].items()
        made["properties"] = {name: _make_partial(field, parts, within) for name, field in fields}
    if "allOf" in made and "name" in made.get("properties", {}):  # plug-ins: without a name any of them may be meant
        branches = [_make_partial(branch["then"], parts, within) for branch in schema["allOf"]]
        texts: Json = {key: schema[key] for key in ("description", "examples") if key in schema}
        return {**texts, "anyOf": branches}
    if "anyOf" in made:
        made["anyOf"] = [_make_partial(branch, parts, within) for branch in schema["anyOf"]]
    return made


def find_undescribed(schema: Json) -> Iterator[str]:
    """Yield the paths of fields without a description, and of scalar fields that show no example value."""
    for part, made in {"file": schema, **schema["$defs"]}.items():
        for name, field in made.get("properties", {}).items():
            if "description" not in field and "const" not in field:
                yield f"{part}.{name}: no description"
            if not _shows_a_value(field):
                yield f"{part}.{name}: no example"


def _shows_a_value(field: Json) -> bool:
    telling = {"examples", "const", "enum", "$ref", "items", "prefixItems", "patternProperties", "properties"}
    if telling & field.keys() or field.get("default") is not None or field.get("type") == "boolean":
        return True
    return any(_shows_a_value(part) for part in field.get("anyOf", ()))
