"""The JSON Schema: valid by an independent validator, no stricter than the checker, complete, and not drifted."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel

import harness
from harness.adapters import Adapter
from harness.plugins.fields import find_unit, read_descriptions
from harness.plugins.registry import FAMILIES, Plugin, find_members
from harness.records import Claims, Hypothesis, Record
from harness.spec import make_schema, make_schemas, yaml
from harness.spec.schema import find_undescribed

ROOT = Path(__file__).parents[3]
SCHEMA = make_schema(Hypothesis)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FOLDERS = ("hypotheses", "tests/corpus/valid", "tests/corpus/odd", "tests/questions")
VALID = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.yaml")) if path.name != "claims.yaml"]
# What the form alone says: the schema refuses these too, with the place of the key that is wrong.
REFUSED = {
    "unknown_key": "$.arms.penalized",
    "unknown_top_key": "$",
    "missing_key": "$",
    "missing_in_model": "$.arms.penalized.penalty",
    "unknown_plugin": "$.arms.reference.rule.name",
    "unknown_dataset": "$.setup.dataset.name",
    "unknown_parameter": "$.arms.vanilla.rule",
    "metric_unknown": "$.estimands.gain.metric",
    "metric_unknown_in_setup": "$.setup.evaluation.metrics[2]",
    "out_of_range": "$.decisions.gain.criterion.alpha",
    "bad_interval": "$.decisions.gain.bands.helps",
    "bad_contrast": "$.estimands.gain.contrast",
    "bad_id": "$.id",
    "bad_arm_name": "$.arms",
    "one_band": "$.decisions.gain.bands",
    "seeds_both": "$.seeds",
    "guard_neither": "$.guards.healthy",
    "estimand_both": "$.estimands.gain",
    "prior_data": "$.prior_data_seen",
    "combine_without_holds": "$.combine",
    "combine_rule_and_table": "$.combine",
    "for_each_bad_value": "$.estimands.scale.for_each.layer",
    "for_each_no_values": "$.estimands.scale.for_each.layer",
    "for_each_not_mapping": "$.exploratory.cell.for_each",
    "for_each_on_an_arm": "$.arms.vanilla",
    "matrix_not_mapping": "$.arms.reference.matrix",
    "matrix_suffix": "$.arms.reference.matrix['setup.epochs']",
    "number_as_text": "$.setup.optimizer.lr",
    "reserved_outcome_missing": "$.implications",
    "version_two": "$.schema_version",
}


def content(path: Path) -> Any:
    root = yaml.read(path.read_bytes(), path.name).root
    assert root is not None
    return json.loads(json.dumps(root.plain()))


def test_the_published_schemas_are_what_the_models_say() -> None:
    assert {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schema").glob("*.json")
    } == make_schemas(), "the models or plug-ins changed: run harness schema --out schema, and commit what it writes"


@pytest.mark.parametrize("kind", [Hypothesis, Claims])
def test_the_schema_is_valid_draft_2020_12(kind: type[Record]) -> None:
    made = make_schema(kind)
    assert made["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(made)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_good_files_pass(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(content(path))] == []


@pytest.mark.parametrize(
    "path", [*ROOT.glob("hypotheses/claims.yaml"), *ROOT.glob("tests/corpus/*/claims.yaml")], ids=str
)
def test_claims_pass(path: Path) -> None:
    jsonschema.Draft202012Validator(make_schema(Claims)).validate(content(path))


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_at_their_place(name: str) -> None:
    errors = list(VALIDATOR.iter_errors(content(ROOT / f"tests/corpus/invalid/{name}.yaml")))
    assert REFUSED[name] in {error.json_path for error in errors}


def test_everything_in_it_has_a_description_and_shows_a_value() -> None:
    assert list(find_undescribed(SCHEMA)) == []
    assert list(find_undescribed(make_schema(Claims))) == []


def test_every_plug_in_is_in_it() -> None:
    text = json.dumps(SCHEMA)
    for family in FAMILIES:
        for name, kind in find_members(family).items():
            in_commands_alone = issubclass(kind, Adapter) and kind.tells_runs
            assert (f'"{name}"' in text) != in_commands_alone


@pytest.mark.parametrize("path", sorted(ROOT.glob("hypotheses/*.yaml")), ids=lambda path: path.stem)
def test_every_hypothesis_names_its_schema_for_editors(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() in {file.resolve() for file in ROOT.glob("schema/*.json")}


def models() -> list[type[BaseModel]]:
    """Every record and plug-in of the package."""
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.startswith(("harness.cli", "harness.training")):
            importlib.import_module(module.name)

    def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    kinds = dict.fromkeys([*below(Record), *below(Plugin)])
    return [kind for kind in kinds if kind.__module__.startswith("harness.")]


def is_number(annotation: Any) -> bool:
    return annotation in (int, float) or (annotation is not bool and any(map(is_number, get_args(annotation))))


@pytest.mark.parametrize("model", models(), ids=lambda kind: kind.__name__)
def test_every_field_says_what_it_is_and_in_which_unit(model: type[BaseModel]) -> None:
    texts = read_descriptions(model)
    for name, field in model.model_fields.items():
        assert texts.get(name), f"{model.__module__}.{model.__name__}.{name}: write below the field what it is"
        if is_number(field.annotation):
            wanted = f'{model.__module__}.{model.__name__}.{name}: say its unit, Annotated[…, Unit("…")]; "1" for none'
            assert find_unit(model, name), wanted
