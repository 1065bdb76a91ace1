"""The registry of plug-ins: the file ``harness/<family>/<name>.py`` provides the name ``<name>`` in YAML.

A plug-in is one frozen pydantic model whose fields are its parameters in the YAML file and whose methods are its
behaviour; its module binds it to the name ``plugin``. Another package adds one through the entry-point group
``harness.<family>``, with the plug-in's name as the name of the entry point. Plug-in modules import torch, NumPy and
SciPy only inside functions, so that listing them stays cheap.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.errors import HarnessError
from harness.plugins.digests import digest_code

FAMILIES = (
    "rules", "metrics", "models", "datasets", "penalties", "criteria", "beacons", "preconditions", "optimizers",
    "schedules", "losses", "adapters",
)  # fmt: skip

"""Families whose plug-ins a hypothesis file names."""
OPERATIONAL = ("launchers",)
"""Families whose plug-ins a project's settings name; nothing of them is part of a hypothesis."""
HIDDEN: Mapping[str, tuple[str, ...]] = {
    "rules": ("program",), "models": ("program",), "datasets": ("program",), "optimizers": ("program",),
    "metrics": ("declared",),
}  # fmt: skip
"""Family → its plug-ins that no file names; see ``find_hidden``."""


class Plugin(BaseModel):
    """Base of every plug-in, with parameters as fields and ``name`` as the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: str
    """Name of the plug-in, which is the name of its file."""


@cache
def find_members(family: str) -> dict[str, type[Plugin]]:
    """Return all plug-ins of a family by name, built-in ones first.

    Raises:
        HarnessError: A module has no ``plugin``, two plug-ins share a name, or one can't be loaded.
    """
    package = importlib.import_module(f"harness.{family}")
    found: dict[str, type[Plugin]] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            _add(found, family, module.name, _find_plugin(f"harness.{family}.{module.name}"))
    for point in sorted(find_entry_points(family), key=lambda p: p.name):
        _add(found, family, point.name, _load(family, point))
    return found


@cache
def find_hidden(family: str) -> dict[str, type[Plugin]]:
    """Return the plug-ins of a family that no file names and that short forms of the file expand to, by name.

    They stand for what a program does by itself. A module ``_<name>.py`` of the family binds one to ``plugin``.
    """
    if family not in HIDDEN:
        return {}
    return {name: _find_plugin(f"harness.{family}._{name}") for name in HIDDEN[family]}


def find_entry_points(family: str) -> tuple[EntryPoint, ...]:
    """Return the entry points by which other packages add plug-ins to a family."""
    return tuple(_find_installed().select(group=f"harness.{family}"))


@cache
def _find_installed() -> Any:
    """Return the entry points of all installed packages.

    Their class depends on Python's version. Each look-up takes milliseconds.
    """
    return entry_points()


def _load(family: str, point: EntryPoint) -> Any:
    """Load the object that another package's entry point names; its code may fail in any way."""
    try:
        return point.load()
    except Exception as error:
        where = f"harness.{family}:{point.name}, from the package {point.dist.name if point.dist else point.module}"
        remedy = "repair or uninstall that package"
        raise HarnessError(
            f"this plug-in can't be loaded: {type(error).__name__}: {error}", where=where, remedy=remedy
        ) from error


def _find_plugin(module: str) -> Any:
    return getattr(importlib.import_module(module), "plugin", None)


def _add(found: dict[str, type[Plugin]], family: str, name: str, plugin: Any) -> None:
    where = f"harness.{family}:{name}"
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise HarnessError("this module binds no plug-in class to the name 'plugin'", where=where)
    if (declared := get_args(plugin.model_fields["name"].annotation)) != (name,):
        raise HarnessError(f"the plug-in's name is declared as {declared}, not Literal[{name!r}]", where=where)
    if name in found:
        raise HarnessError("two plug-ins have this name", where=where, remedy="rename one of them")
    found[name] = plugin


def read_capability(plugin: Plugin, capability: str) -> Any:
    """Return the value that a plug-in's class itself declares for a capability; None if it declares none.

    A capability is a class variable that says which equations the class computes, so that code written for these
    equations may take its place. An inherited declaration does not count, because a subclass may compute anything else.
    """
    return vars(type(plugin)).get(capability)


def list_nested(plugin: Plugin) -> Iterator[tuple[str, Plugin]]:
    """Yield the plug-ins that are parameters of a plug-in, at any depth, each with its family."""
    for name, field in type(plugin).model_fields.items():
        optional = [extra for part in get_args(field.annotation) for extra in getattr(part, "__metadata__", ())]
        for extra in (*field.metadata, *optional):
            if isinstance(extra, Named) and isinstance(inner := getattr(plugin, name), Plugin):
                yield extra.family, inner
                yield from list_nested(inner)


def digest_source(plugin: Plugin) -> str:
    """Return the SHA-256 of the file that defines the plug-in, which a registration pins.

    Line endings make no difference.
    """
    return digest_code(inspect.getfile(type(plugin)), text=True)


@dataclass(frozen=True)
class Named:
    """An annotation for a field that holds a plug-in of a family: ``Annotated[Rule, Named("rules")]``."""

    family: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = (*find_members(self.family).values(), *find_hidden(self.family).values())
        union = kinds[0] if len(kinds) == 1 else Annotated[Union[kinds], Field(discriminator="name")]  # noqa: UP007 (built at run time)
        return handler.generate_schema(union)


BARE = "[name]"
"""Tag of a plug-in that is given by its name alone, in the locations of pydantic's errors."""


@dataclass(frozen=True)
class NamedOrBare(Named):
    """An annotation for a field that holds a plug-in, or its name alone where all its parameters are at their defaults.

    Both ways of writing the latter give the name, so that they mean the same. Whether a bare name is that of a plug-in
    is not checked: whoever reads it reports that.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices: dict[Any, CoreSchema] = {
            name: handler.generate_schema(kind)
            for name, kind in (find_members(self.family) | find_hidden(self.family)).items()
        }
        choices[BARE] = core_schema.str_schema(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)
        tagged = core_schema.tagged_union_schema(choices, discriminator=_find_tag)
        return core_schema.no_info_after_validator_function(_write_bare, tagged)


def _find_tag(value: Any) -> Any:
    if isinstance(value, Plugin):
        return value.name
    return value.get("name") if isinstance(value, Mapping) else BARE


def _write_bare(value: Any) -> Any:
    """Return a plug-in's name in its place if all its parameters are at their defaults."""
    return value.name if isinstance(value, Plugin) and value == type(value).model_construct(name=value.name) else value


@dataclass(frozen=True)
class NamedOrShort(Named):
    """An annotation for a field that holds a plug-in, and in which a file may write its name alone.

    ``schedule: cosine`` means ``schedule: {name: cosine}``. The record holds the plug-in in both cases, and both are
    written as the name where all other parameters are at their defaults.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_write_short, info_arg=True)
        named = super().__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_before_validator_function(_read_short, named, serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        members = find_members(self.family).items()
        short = [name for name, kind in members if not any(map(_is_required, kind.model_fields.items()))]
        return {"anyOf": [{"enum": short}, handler(schema)]}


def _is_required(named: tuple[str, Any]) -> bool:
    name, field = named
    return name != "name" and bool(field.is_required())


def _read_short(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _write_short(value: Plugin, info: core_schema.SerializationInfo) -> Any:
    kind = type(value)
    needs_more = any(map(_is_required, kind.model_fields.items()))
    if not needs_more and value == kind.model_validate({"name": value.name}):
        return value.name
    return value.model_dump(mode=info.mode)
