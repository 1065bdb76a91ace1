"""Code that is neither harness's nor Python's nor of a package that harness requires: found, and known by digest.

A plug-in of another package may import anything. Of its code a registration therefore pins the whole distribution, and
whatever that imports; and of a run it is noted what was loaded by its end, by whomever.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions, requires
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.errors import HarnessError
from harness.plugins.digests import digest_code
from harness.plugins.registry import FAMILIES, Plugin, find_entry_points

REQUIRED = (
    "torch", "torchvision", "numpy", "scipy", "pydantic", "pyyaml", "jinja2", "matplotlib", "typer", "rich",
    "safetensors", "scikit-learn", "pillow", "rfc8785", "filelock", "platformdirs",
    "triton", "rfc3161-client", "py-arkworks-bls12381", "cryptography", "rocrate", "prereg-harness",
)  # fmt: skip
"""Packages that harness requires, with its extras for users; as in pyproject.toml, which an installation may lack.
triton comes with builds of PyTorch for a card, and its version is noted of every run."""
COMPILED = {"cuda_utils", "__triton_launcher"}
"""Modules that Triton, whose version is noted, compiles from its own files in the folder of its cache."""
UNTOLD = {"harness", "__main__", "__mp_main__"}
STANDARD = sysconfig.get_path("stdlib")
SITE = {"site-packages", "dist-packages"}
"""Folders within that of the standard library, of what is installed."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OWN_NAME = re.compile(r"^Name:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
IMPORTED = (".py", *EXTENSION_SUFFIXES)
"""Ends of the names of files that Python imports."""


class Package(BaseModel):
    """A distribution, or a module that belongs to none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """Version of the distribution; empty for a module that belongs to none."""
    files: str
    """SHA-256 over its files: one line for each, sorted by path, "<digest>  <path>"."""


def list_modules() -> tuple[str, ...]:
    """Return the top-level names of other people's modules that are loaded in this process, sorted."""
    loaded = list(sys.modules.items())
    tops = {name.partition(".")[0] for name, module in loaded if _has_file(module) and not _is_compiled(name, module)}
    return tuple(sorted(name for name in tops if _is_other(name)))


def explain_failure(error: Exception) -> HarnessError | None:
    """Return the message for an error that other people's code raised; None if it was raised elsewhere."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if frame.f_globals.get("__file__") and _is_other(top):
            return HarnessError(
                f"the code of {', '.join(_find_owners(top))} failed: {type(error).__name__}: {error}",
                where=f"line {line} of {module}",
                remedy="mend it there, or ask whoever wrote it; harness --debug … shows how it was called",
            )
    return None


def describe_packages(modules: Iterable[str], known: Mapping[str, Package] | None = None) -> dict[str, Package]:
    """Return the packages that modules of these top-level names belong to: name → version and digest.

    ``known``: those that were described before; they are returned as they were then.
    """
    known = known or {}
    found: dict[str, set[str]] = {}
    for module in modules:
        for owner in _find_owners(module):
            found.setdefault(owner, set()).add(module)
    new = {owner: _describe(owner, frozenset(found[owner])) for owner in sorted(found.keys() - known.keys())}
    return {**new, **known}


def find_missing(packages: Iterable[str]) -> tuple[str, ...]:
    """Return which of these packages, by the names that a registration pins, are not installed here."""
    return tuple(name for name in packages if _find_distribution(name) is None and not _find_places(name))


def list_behind(plugins: Iterable[Plugin]) -> tuple[str, ...]:
    """Return the top-level names of other people's modules that plug-ins come from, and that those import, sorted.

    Imports are read from the source, within functions too. One that is made by other means is not seen before it is
    loaded.
    """
    waiting = {type(plugin).__module__.partition(".")[0] for plugin in plugins}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or not _is_other(name):
            continue
        found.add(name)
        for owner in _find_owners(name):
            for path, file in _list_files(owner, frozenset({name})).items():
                if path.endswith(".py"):
                    waiting |= set(_list_imports(file))
    return tuple(sorted(found))


def _is_compiled(name: str, module: object) -> bool:
    """Tell whether Triton has compiled a module of its own on this machine: its bytes are those of no other."""
    file, folder = getattr(module, "__file__", None), os.environ.get("TRITON_CACHE_DIR")
    return name in COMPILED and isinstance(file, str) and folder is not None and Path(file).is_relative_to(folder)


def _has_file(module: object) -> bool:
    return bool(getattr(module, "__file__", None) or getattr(module, "__path__", None))


@cache
def _is_other(name: str) -> bool:
    """Tell whether a top-level module is neither harness's, nor Python's, nor of a package that harness requires."""
    if name in UNTOLD or name in sys.stdlib_module_names or name.startswith("__editable__"):
        return False
    return bool(_find_owners(name))


@cache
def _find_owners(module: str) -> tuple[str, ...]:
    """Return whose module it is: other people's distributions, or itself if it belongs to none; nothing if ours."""
    owners = _map_modules().get(module) or [
        point.dist.name
        for family in FAMILIES
        for point in find_entry_points(family)
        if point.dist is not None and point.module.partition(".")[0] == module
    ]
    if owners:
        foreign = {_normalise(owner) for owner in owners} - _list_required()
        return tuple(sorted(owner for owner in foreign if not _is_brought_along(owner)))
    places = _find_places(module)
    ours = any(
        (place.is_relative_to(STANDARD) and SITE.isdisjoint(place.parts)) or _is_within_ours(place) for place in places
    )
    return (module,) if places and not ours else ()


def _is_brought_along(name: str) -> bool:
    """Tell whether a distribution is installed within a package that harness requires, as setuptools brings some."""
    held = _find_distribution(name)
    return held is not None and _is_within_ours(Path(str(held.locate_file(""))))


def _is_within_ours(place: Path) -> bool:
    """Tell whether a file or folder lies in a package that harness requires.

    What Cython compiles is loaded under its last name alone.
    """
    inside = [place.relative_to(folder).parts[:1] for folder in sys.path if folder and place.is_relative_to(folder)]
    owners = [_map_modules().get(top[0].partition(".")[0], []) for top in inside if top]
    return any(found and {_normalise(owner) for owner in found} <= _list_required() for found in owners)


@cache
def _map_modules() -> dict[str, list[str]]:
    """Return the distributions that have a top-level module: the module's name → theirs.

    ``packages_distributions`` of the standard library takes ten times as long, since it parses all of a distribution's
    metadata for its name and makes a path of each of its files.
    """
    found: dict[str, list[str]] = {}
    for held in distributions():
        declared = (held.read_text("top_level.txt") or "").split()
        named = OWN_NAME.search(held.read_text("METADATA") or "")
        name = held.name if named is None else named[1]
        for module in declared or sorted(_list_tops(held)):
            found.setdefault(module, []).append(name)
    return found


def _list_tops(held: Distribution) -> set[str]:
    """Return the top-level names of the modules among a distribution's files."""
    recorded = held.read_text("RECORD")
    if recorded is None:
        files = [file.as_posix() for file in held.files or ()]
    else:
        files = [row[0] for row in csv.reader(recorded.splitlines()) if row]
    parts = [file.partition("/") for file in files if file.endswith(IMPORTED)]
    tops = {top if folder else top.partition(".")[0] for top, folder, _ in parts}
    return {*filter(str.isidentifier, tops)}  # others can't be imported


@cache
def _list_required() -> frozenset[str]:
    """Return the distributions that harness requires, and those that they require, without their extras."""
    found: set[str] = set()
    waiting = [*REQUIRED]
    while waiting:
        if (name := _normalise(waiting.pop())) in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [match[0] for line in lines if "extra ==" not in line and (match := NAME.match(line))]
    return frozenset(found)


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _describe(owner: str, modules: frozenset[str]) -> Package:
    found = _find_distribution(owner)
    lines = "".join(f"{_digest(path)}  {name}\n" for name, path in sorted(_list_files(owner, modules).items()))
    return Package(version="" if found is None else found.version, files=hashlib.sha256(lines.encode()).hexdigest())


def _digest(path: str) -> str:
    try:
        return digest_code(path, text=path.endswith(".py"))
    except OSError:
        return "missing"


def _list_files(owner: str, modules: frozenset[str]) -> dict[str, str]:
    """Return the files of a distribution, or of a module without one, by their path below where it is installed.

    Those that are installed with it, and whatever else lies in the folders of its modules: one that is installed for
    editing has its code elsewhere. Without what differs from machine to machine.
    """
    found: dict[str, str] = {}
    held = _find_distribution(owner)
    for file in (held.files or ()) if held is not None else ():
        if _counts(name := file.as_posix()):
            found[name] = str(file.locate())
    for module in {*modules, *(name for name, owners in _map_modules().items() if owner in map(_normalise, owners))}:
        for place in _find_places(module):
            for name, path in _walk(place):
                if name not in found and _counts(name) and os.path.isfile(path):  # noqa: PTH113
                    found[name] = path
    return found


def _walk(place: Path) -> Iterator[tuple[str, str]]:
    """Yield a module's file, or all below its folder: the path below where it is installed, and the file's own.

    Notebooks have loaded packages of thousands of files, for each of which a ``Path`` would cost ten times a text.
    """
    if not place.is_dir():
        yield place.name, str(place)
        return
    top = len(os.path.join(place.parent, ""))  # noqa: PTH118
    for folder, folders, files in os.walk(place):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        below = folder[top:].replace(os.sep, "/")
        yield from ((f"{below}/{file}", os.path.join(folder, file)) for file in files)  # noqa: PTH118


def _find_places(module: str) -> tuple[Path, ...]:
    """Return where a top-level module lies: its folder or its file; nothing for what several distributions share."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # ValueError: it was loaded by other means, and has no spec
        file = getattr(sys.modules.get(module), "__file__", None)
        return (Path(file),) if isinstance(file, str) else ()
    if spec is None or spec.origin is None or not spec.has_location:
        return ()
    origin = Path(spec.origin)
    return (origin.parent if spec.submodule_search_locations else origin,)


def _find_distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        return None


def _counts(name: str) -> bool:
    """Tell whether a file is code or data, and no note of an installer, nor what Python compiled from another."""
    parts = name.split("/")
    if ".." in parts or parts[-1].endswith((".pyc", ".pth")) or "__pycache__" in parts:
        return False
    notes = any(part.endswith((".dist-info", ".egg-info")) for part in parts)
    return not notes and not parts[-1].startswith("__editable__")


def _list_imports(file: str) -> Iterator[str]:
    """Yield the top-level names that a source file imports by their full name, wherever in it."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return  # if it can't be parsed, it can't be imported
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
