"""Finds plug-ins: the file ``harness/<family>/<name>.py`` is the name ``<name>`` in YAML.

A plug-in is one frozen pydantic model whose fields are its parameters in the YAML file and whose methods are its
behaviour; its module binds it to the name ``plugin``. Another package adds one through the entry-point group
``harness.<family>``, with the plug-in's name as the entry point's. Plug-in modules import torch, NumPy and SciPy
inside functions only, so that listing them stays cheap.
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
    """Base of every plug-in: parameters as fields, ``name`` as the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    name: str
    """The plug-in's name: its file's name."""


@cache
def members(family: str) -> dict[str, type[Plugin]]:
    """All plug-ins of a family, by name, built-in ones first.

    Raises:
        HarnessError: a module without ``plugin``, two plug-ins of one name, or one that can't be loaded.
    """
    package = importlib.import_module(f"harness.{family}")
    found: dict[str, type[Plugin]] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            _add(found, family, module.name, _plugin_of(f"harness.{family}.{module.name}"))
    for point in sorted(_installed().select(group=f"harness.{family}"), key=lambda p: p.name):
        _add(found, family, point.name, _load(family, point))
    return found


@cache
def _installed() -> Any:
    """What all installed packages announce; its class depends on Python's version. Each look takes milliseconds."""
    return entry_points()


def _load(family: str, point: EntryPoint) -> Any:
    """What another package's entry point names; its code may fail in any way."""
    try:
        return point.load()
    except Exception as error:
        where = f"harness.{family}:{point.name}, from the package {point.dist.name if point.dist else point.module}"
        remedy = "mend or uninstall that package"
        raise HarnessError(
            f"this plug-in can't be loaded: {type(error).__name__}: {error}", where=where, remedy=remedy
        ) from error


def _plugin_of(module: str) -> Any:
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


def declared(plugin: Plugin, capability: str) -> Any:
    """Return what the class of a plug-in itself declares under the name of a capability; None if it does not.

    A capability is a class variable that says which equations the class computes, so that code written for these may
    take its place. What is inherited does not count: a subclass may compute anything else.
    """
    return vars(type(plugin)).get(capability)


def source_digest(plugin: Plugin) -> str:
    """SHA-256 of the file that defines the plug-in: what a registration pins. Line ends are no difference."""
    return hashlib.sha256(normalised(Path(inspect.getfile(type(plugin))).read_bytes())).hexdigest()


def normalised(source: bytes) -> bytes:
    """The text of a source file or template with the line ends that Python reads in it: a checkout may change them."""
    return source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@dataclass(frozen=True)
class Named:
    """Annotation for a field that holds a plug-in of a family: ``Annotated[Rule, Named("rules")]``."""

    family: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = tuple(members(self.family).values())
        union = kinds[0] if len(kinds) == 1 else Annotated[Union[kinds], Field(discriminator="name")]  # noqa: UP007 (built at run time)
        return handler.generate_schema(union)
