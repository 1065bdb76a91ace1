"""The registry of plug-ins: the file ``harness/<family>/<name>.py`` provides the name ``<name>`` in YAML.

A plug-in is one frozen pydantic model whose fields are its parameters in the YAML file and whose methods are its
behaviour; its module binds it to the name ``plugin``. Another package adds one through the entry-point group
``harness.<family>``, with the plug-in's name as the name of the entry point. Plug-in modules import torch, NumPy and
SciPy only inside functions, so that listing them stays cheap.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from harness.errors import HarnessError

FAMILIES = ("rules", "metrics", "models", "datasets", "penalties", "criteria", "beacons")


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


def digest_source(plugin: Plugin) -> str:
    """Return the SHA-256 of the file that defines the plug-in, which a registration pins.

    Line endings make no difference.
    """
    return hashlib.sha256(normalise_newlines(Path(inspect.getfile(type(plugin))).read_bytes())).hexdigest()


def normalise_newlines(source: bytes) -> bytes:
    """Return the contents of a source file or template with newlines as Python reads them.

    A checkout may change them.
    """
    return source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@dataclass(frozen=True)
class Named:
    """An annotation for a field that holds a plug-in of a family: ``Annotated[Rule, Named("rules")]``."""

    family: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = tuple(find_members(self.family).values())
        union = kinds[0] if len(kinds) == 1 else Annotated[Union[kinds], Field(discriminator="name")]  # noqa: UP007 (built at run time)
        return handler.generate_schema(union)
