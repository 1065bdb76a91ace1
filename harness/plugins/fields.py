"""Descriptions and units of a model's fields, read from the docstring below each field.

Descriptions are read from the source only on demand: pydantic would parse it at every start.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler

SECTIONS = ("Equation", "Source", "Use", "Traps")
"""Sections at the end of a plug-in's class docstring: what it computes, who published it, when to use it, and what to
beware of. Each is a line of its own, ``Use:``, above indented lines."""
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):\n((?: +.*(?:\n|\Z)|\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Unit:
    """An annotation that gives a number its unit: ``epochs: Annotated[int, Unit("epochs")]``. "1" is dimensionless."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-unit": self.text}


def find_unit(model: type[BaseModel], name: str) -> str | None:
    """Return the unit of a model's field; None if it has none."""
    return next((extra.text for extra in model.model_fields[name].metadata if isinstance(extra, Unit)), None)


def read_docstring(described: Any) -> str:
    """Return the unindented docstring of a module, class or function; under ``python -OO`` from its source."""
    if described.__doc__ or sys.flags.optimize < 2:
        return inspect.cleandoc(described.__doc__ or "")
    try:
        tree = ast.parse(Path(inspect.getfile(described)).read_text(encoding="utf-8"))
    except (OSError, TypeError):
        return ""
    if inspect.ismodule(described):
        return ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == described.__name__:
            return ast.get_docstring(node) or ""
    return ""


def read_sections(described: Any) -> tuple[str, dict[str, str]]:
    """Return a class's docstring without its sections, and section → text for those that it has.

    Line ends mean something in an equation and nothing in the other sections, whose lines are joined.
    """
    docstring = read_docstring(described)
    found = {name: inspect.cleandoc(f"\n{body}").strip() for name, body in SECTION.findall(docstring)}
    texts = {name: body if name == "Equation" else " ".join(body.split()) for name, body in found.items()}
    return SECTION.sub("", docstring).strip(), texts


def read_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return field → docstring below it, from the most derived class that declares the field."""
    found = _read_below(model)
    declared = {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: text for name, text in {**found, **declared}.items() if name in model.model_fields}


def read_declarations(model: type[BaseModel]) -> dict[str, tuple[Any, str]]:
    """Return class variable → its value and the docstring below it, for those that have a value."""
    order = [name for base in reversed(model.__mro__) for name in inspect.get_annotations(base)]
    names = [name for name in order if name in model.__class_vars__]
    texts = _read_below(model)
    return {name: (getattr(model, name), texts.get(name, "")) for name in dict.fromkeys(names) if hasattr(model, name)}


def _read_below(model: type[BaseModel]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _read_below_fields(base)
    return found


def _read_below_fields(model: type[BaseModel]) -> dict[str, str]:
    try:
        classes = _read_classes(inspect.getfile(model))
    except (OSError, TypeError):  # no source: created at run time, or installed without it
        return {}
    return classes.get(model.__qualname__, {})


@cache
def _read_classes(file: str) -> dict[str, dict[str, str]]:
    """Return class → field → docstring below it, for all classes of a file."""
    found: dict[str, dict[str, str]] = {}
    waiting: list[tuple[str, ast.AST]] = [("", ast.parse(Path(file).read_text(encoding="utf-8")))]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                name = f"{prefix}{child.name}"
                found[name] = _read_texts(child.body)
                waiting.append((f"{name}.", child))
    return found


def _read_texts(body: list[ast.stmt]) -> dict[str, str]:
    texts = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                texts[field.target.id] = inspect.cleandoc(text)
    return texts
