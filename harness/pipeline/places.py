"""Places to train at other than this process: ``[tool.harness.on.NAME]`` in pyproject.toml.

[tool.harness.on.cluster]
kind = "slurm"
folder = "/shared/harness-work"
options = ["--partition=gpu", "--gres=gpu:1", "--time=02:00:00"]
"""

from __future__ import annotations

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
    """The launcher, its folder an absolute path."""


def find_place(name: str, project: Project) -> Place:
    """Find the place that somebody names, or that is at an address.

    Raises:
        UsageError: the project's settings have no such place, or describe it wrongly.
    """
    if "://" in name:
        from platformdirs import user_state_path

        own = {KIND: ADDRESSED, "address": name, "folder": str((user_state_path("harness") / "jobs").absolute())}
        return Place(name, _read_launcher(own, "--on"))
    home, places = find_places(project.root)
    if name not in places:
        known = ", ".join(sorted(places)) or "none yet"
        remedy = f"describe it in pyproject.toml under [{ON}.{name}], see docs/cluster.md; known places: {known}"
        raise UsageError(f"no place is called {name!r}{suggest(name, places)}", where="--on", remedy=remedy)
    launcher = _read_launcher(places[name], f"{home / 'pyproject.toml'} [{ON}.{name}]")
    folder = (home / Path(launcher.folder).expanduser()).absolute()
    return Place(name, launcher.model_copy(update={"folder": str(folder)}))


def _read_launcher(table: Mapping[str, Any], where: str) -> Launcher:
    kinds = find_members(FAMILY)
    kind = table.get(KIND)
    if not isinstance(kind, str) or kind not in kinds:
        told = "kind is missing" if kind is None else f"{kind!r} is no kind of launcher"
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
