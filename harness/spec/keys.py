"""The keys that a record accepts at a place of a document, from the records' annotations."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from harness.plugins.fields import read_descriptions
from harness.plugins.registry import Named, find_members
from harness.records import Record
from harness.spec.tree import Node, Path


def find_known_keys(kind: type[Record], root: Node, path: Path) -> dict[str, str]:
    """Return the keys that the record at ``path`` accepts, each with its description; empty without a record."""
    current: Any = kind
    node: Node | None = root
    for step in path:
        current = _take_step(_resolve(current, node), step)
        node = node.get(step) if node is not None else None
    model = _resolve(current, node)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
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
                return find_members(extra.family).get(str(name.value)) if name is not None else None
        return _resolve(inner, node)
    if get_origin(annotation) in (Union, UnionType):
        kept = [kind for kind in get_args(annotation) if kind is not type(None)]
        return _resolve(kept[0], node) if len(kept) == 1 else None
    return annotation


def _take_step(annotation: Any, step: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(step))
        return None if field is None else Annotated[field.annotation, field, *field.metadata]
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    return arguments[0] if get_origin(annotation) is tuple else None
