"""The keys that a record accepts at a place of a document, from the records' annotations."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from harness.plugins.fields import read_descriptions
from harness.plugins.registry import Named, find_hidden, find_members
from harness.records import Record
from harness.spec.tree import Node, Path


def find_record(kind: type[Record], root: Node, path: Path) -> type[BaseModel] | None:
    """Return the record that belongs at ``path``; None if there is none, or the document doesn't tell which."""
    current: Any = kind
    node: Node | None = root
    for step in path:
        current = _take_step(_resolve(current, node), step)
        node = node.get(step) if node is not None else None
    model = _resolve(current, node)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def find_known_keys(kind: type[Record], root: Node, path: Path) -> dict[str, str]:
    """Return the keys that the record at ``path`` accepts, each with its description; empty without a record."""
    model = find_record(kind, root, path)
    if model is None:
        return {}
    texts = read_descriptions(model)
    return {name: texts.get(name, "").replace("\n", " ") for name in model.model_fields}


def _resolve(annotation: Any, node: Node | None) -> Any:
    """Return the type without Annotated and None; for a plug-in, the class that the node names."""
    if get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        for extra in extras:
            if isinstance(extra, Named):
                name = node.get("name") if node is not None else None
                members = find_members(extra.family) | find_hidden(extra.family)
                return members.get(str(name.value)) if name is not None else None
        return _resolve(inner, node)
    if get_origin(annotation) in (Union, UnionType):
        kept = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _resolve(kept[0] if len(kept) == 1 else _choose_shape(kept, node), node)
    return annotation


def _choose_shape(kinds: Sequence[Any], node: Node | None) -> Any:
    """Return which of several types a mapping means: the one that has most of its keys; None for another value."""
    models = [kind for kind in map(_strip, kinds) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    if node is None or not isinstance(node.value, dict) or not models:
        return None
    keys = node.value.keys()
    return max(models, key=lambda model: len(model.model_fields.keys() & keys))


def _strip(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _take_step(annotation: Any, step: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return None if field is None else Annotated[field.annotation, field, *field.metadata]
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) is tuple else None
