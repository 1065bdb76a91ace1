"""Places to train at other than this process: ``[tool.harness.on.NAME]`` in pyproject.toml.

[tool.harness.on.cluster]
kind = "slurm"
folder = "/shared/harness-work"
options = ["--partition=gpu", "--gres=gpu:1", "--time=02:00:00"]
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError
from harness.launchers import FAMILY, Launcher
from harness.pipeline.project import Project
from harness.pipeline.roots import ON, find_places
from harness.plugins.registry import find_members
from harness.system.storage import build_storage_error
from harness.wording import suggest

KIND = "kind"
"""Key of the launcher's name. A launcher's own field for it is called ``name``, as in every plug-in."""

ADDRESSED = "dask"
"""Launcher that is reached by an address, which may be named in the place of a place."""


@dataclass(frozen=True)
class Place:
    """A place to train at."""

    name: str
    """NAME in ``[tool.harness.on.NAME]``."""
    launcher: Launcher
    """The launcher, its folder an absolute path: below the one that is described, the user's own."""


def find_place(name: str, project: Project) -> Place:
    """Find the place that somebody names, or that is at an address.

    Raises:
        UsageError: the project's settings have no such place, or describe it wrongly, or somebody else may write to
            this user's folder there.
    """
    if "://" in name:
        from platformdirs import user_state_path

        own = {KIND: ADDRESSED, "address": name, "folder": str((user_state_path("harness") / "jobs").absolute())}
        return _make_own(name, _read_launcher(own, "--on"), Path(own["folder"]))
    home, places = find_places(project.root)
    if name not in places:
        known = ", ".join(sorted(places)) or "none yet"
        remedy = f"describe it in pyproject.toml under [{ON}.{name}], see docs/cluster.md; known places: {known}"
        raise UsageError(f"no place is called {name!r}{suggest(name, places)}", where="--on", remedy=remedy)
    launcher = _read_launcher(places[name], f"{home / 'pyproject.toml'} [{ON}.{name}]")
    return _make_own(name, launcher, (home / Path(launcher.folder).expanduser()).absolute())


def make_folder(place: Place) -> None:
    """Make this user's folder at a place, unless it is there.

    Raises:
        UsageError: somebody else has made it, or may write to it.
        StorageFailed: it can't be made.
    """
    folder = Path(place.launcher.folder)
    try:
        folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    except OSError as error:
        raise build_storage_error(folder, error) from error
    _refuse_strange(folder, place.name)


def _make_own(name: str, launcher: Launcher, folder: Path) -> Place:
    """Return a place with this user's folder, so that several may use one place; where users have no number, it is all.

    Raises:
        UsageError: somebody else has made it, or may write to it.
    """
    own = folder / str(os.geteuid()) if hasattr(os, "geteuid") else folder
    _refuse_strange(own, name)
    return Place(name, launcher.model_copy(update={"folder": str(own)}))


def _refuse_strange(folder: Path, name: str) -> None:
    """Refuse a user's folder that others can put files in: what lies there is run, and taken for results."""
    try:
        found = folder.lstat()
    except OSError:  # it is yet to be made
        return
    if not hasattr(os, "geteuid"):
        return
    told = None
    if not stat.S_ISDIR(found.st_mode):
        told = "is not a folder, or is a link"
    elif found.st_uid != os.geteuid():
        told = f"belongs to the user {found.st_uid}"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        told = "can be written by others"
    if told is not None:
        remedy = "look at what is there, and remove it or take others' rights (chmod 700); or name another folder"
        raise UsageError(f"{folder}, for your jobs, {told}", where=f"--on {name}", remedy=remedy)


def _read_launcher(table: Mapping[str, Any], where: str) -> Launcher:
    kinds = find_members(FAMILY)
    kind = table.get(KIND)
    if not isinstance(kind, str) or kind not in kinds:
        told = "kind is missing" if kind is None else f"{kind!r} is not a kind of launcher"
        raise UsageError(
            told, where=where, remedy=f"kinds: {', '.join(kinds)}; see harness explain {next(iter(kinds))}"
        )
    own = {key: value for key, value in table.items() if key != KIND}
    try:
        found = kinds[kind].model_validate({**own, "name": kind} if "name" not in own else own)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        told = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
        known = ", ".join(sorted(set(kinds[kind].model_fields) - {"name"}))
        raise UsageError(f"{key}: {told}", where=where, remedy=f"keys of {kind}: {known}") from error
    assert isinstance(found, Launcher)
    return found
