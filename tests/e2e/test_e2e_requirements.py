"""The locked sets of versions hold what pyproject.toml asks for, all of it, and only once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PYTORCH = {"torch", "torchvision"}
PYTHONS = ("3.11", "3.12", "3.13")


def asked(*, development: bool) -> Iterator[Requirement]:
    """What pyproject.toml asks for, with the extras that the development extra asks for in its turn."""
    texts = list(PROJECT["dependencies"])
    if development:
        extras = PROJECT["optional-dependencies"]
        texts += [
            text
            for name in ("dev", "tsa", "beacons", "crate", "notebook", "parquet", "tensorboard", "mlflow")
            for text in extras[name]
        ]
    for requirement in map(Requirement, texts):
        if requirement.name != PROJECT["name"]:
            yield requirement


def pins(name: str) -> dict[str, list[tuple[Version, Requirement]]]:
    """Package → its exact versions in a file of requirements/, each with the marker that chooses it."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[tuple[Version, Requirement]]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.partition("--hash")[0])
            (exact,) = requirement.specifier
            assert exact.operator == "==", line
            found.setdefault(canonicalize_name(requirement.name), []).append((Version(exact.version), requirement))
    return found


def chosen(entries: list[tuple[Version, Requirement]], python: str) -> list[Version]:
    """The versions that pip would take under this Python on Linux."""
    here = default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}
    here |= {"sys_platform": "linux", "platform_machine": "x86_64"}
    return [version for version, pin in entries if pin.marker is None or pin.marker.evaluate(here)]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("file", "development"), [("run.txt", False), ("dev.txt", True)])
def test_each_locked_set_holds_one_allowed_version_of_all_that_is_asked_for(
    file: str, development: bool, python: str
) -> None:
    locked = pins(file) | pins("pytorch.txt")
    for requirement in asked(development=development):
        (version,) = chosen(locked[canonicalize_name(requirement.name)], python)
        assert requirement.specifier.contains(version), f"{file}: {requirement.name} {version}"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_pages_are_built_with_one_allowed_version_of_all_that_their_group_names(python: str) -> None:
    locked = pins("docs.txt")
    for requirement in map(Requirement, PYPROJECT["dependency-groups"]["docs"]):
        (version,) = chosen(locked[canonicalize_name(requirement.name)], python)
        assert requirement.specifier.contains(version), f"{requirement.name} {version}"


def test_running_and_testing_take_the_same_versions() -> None:
    run, dev = pins("run.txt"), pins("dev.txt")
    versions = {name: [version for version, _ in entries] for name, entries in run.items()}
    assert versions == {name: [version for version, _ in dev[name]] for name in run}


@pytest.mark.parametrize("file", ["run.txt", "dev.txt", "docs.txt"])
def test_every_locked_package_has_hashes_and_pytorch_is_left_to_its_own_file(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 30
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    assert not PYTORCH & set(pins(file))
    assert set(pins("pytorch.txt")) == PYTORCH


def test_the_lowest_set_holds_the_lower_bounds() -> None:
    lowest = pins("lowest.txt") | pins("pytorch-lowest.txt")
    for requirement in asked(development=True):
        bounds = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
        assert bounds, f"{requirement} has no lower bound, so nobody knows what it was tested with"
        (bound,) = bounds
        ((version, _),) = lowest[canonicalize_name(requirement.name)]
        assert version.release[: len(bound.release)] == bound.release, f"{requirement.name}: {version}"


def test_what_builds_harness_is_locked_too() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    for requirement in map(Requirement, build):
        for entries in (pins("run.txt"), pins("dev.txt"), pins("lowest.txt")):
            assert all(requirement.specifier.contains(version) for version, _ in entries[requirement.name])
