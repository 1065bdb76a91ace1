"""Files that describe the project to others' tools: its name, its citation, its hooks, what its wheel holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from harness import __version__
from tests.e2e.folders import git
from tests.e2e.projects import REPOSITORY

NAME = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]


def tracked() -> list[Path]:
    """Every file that git tracks here, relative to the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    paths = [Path(name) for name in listed.decode().split("\0") if name]
    return [path for path in paths if (REPOSITORY / path).is_file()]


def test_the_wheel_is_typed_carries_its_templates_and_is_not_called_as_somebody_elses(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = archive.read(metadata).decode()
        entries = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert {
        "harness/py.typed",
        "harness/_templates/verdict.md.j2",
        "harness/_templates/site/base.html",
        "harness/cli/app.py",
    } <= names
    assert all(re.match(r"(harness|prereg_harness-[\d.a-z]+\.dist-info)/", name) for name in names)
    assert f"\nName: {NAME}\n" in described and f"\nVersion: {__version__}\n" in described
    assert "harness = harness.cli:main" in entries


def test_nobody_is_told_to_install_the_other_project_of_this_name() -> None:
    told = re.compile(r"install\s+(?:-{1,2}[\w-]+\s+)*['\"]?harness(?![\w./-])")
    assert told.search("pip install -U 'harness[tsa]'") and not told.search(f"pip install '{NAME}[tsa]'")
    found = []
    for path in tracked():
        if path.parts[0] != "verdicts" and (REPOSITORY / path) != Path(__file__):
            text = (REPOSITORY / path).read_text(encoding="utf-8", errors="replace")
            found += [f"{path}: {match[0]!r}" for match in told.finditer(text)]
    assert not found


def test_the_citation_names_this_version() -> None:
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert Version(cited["version"]) == Version(__version__)
    assert {"cff-version", "message", "title", "authors", "license"} <= set(cited)


def test_tests_find_what_they_share_without_path_tricks() -> None:
    """From the package tests, by full names: any folder may have files of any names."""
    trick = re.compile(r"^\s*(sys\.path\.(insert|append)\(|(from|import) (conftest|test_\w+)\b)", re.MULTILINE)
    assert trick.search("sys.path.insert(0, 'x')") and trick.search("from test_other import helper")
    paths = [path for path in tracked() if path.parts[0] == "tests" and path.suffix == ".py"]
    assert len(paths) > 100
    assert [str(path) for path in paths if trick.search((REPOSITORY / path).read_text(encoding="utf-8"))] == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository with this one's tracked files as they are now, in one commit."""
    folder = tmp_path / "copy"
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, folder / path)
    git(folder, "init", "--quiet")
    git(folder, "config", "core.autocrlf", "false")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "As it is")
    return folder


def run_hooks(folder: Path, *which: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PRE_COMMIT_HOME": str(folder.parent / "pre-commit"), "PRE_COMMIT_COLOR": "never"}
    command = [sys.executable, "-m", "pre_commit", "run", *which]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_hooks_find_nothing_to_mend_and_mend_what_is_not_hashed_or_wrong_on_purpose(copy: Path) -> None:
    clean = run_hooks(copy, "--all-files")
    assert clean.returncode == 0, clean.stdout
    assert clean.stdout.count("Passed") >= 9 and git(copy, "status", "--porcelain") == ""

    untidy = "  \n\n\n"
    code = copy / "harness/errors.py"
    tidy = code.read_text(encoding="utf-8")
    code.write_text(tidy + untidy, encoding="utf-8")
    kept = [
        next(copy.glob("verdicts/*/*/verdict.md")),
        next(copy.glob("verdicts/ledger/events/*.json")),
        copy / "hypotheses/quickstart_digits.yaml",
        copy / "templates/verdict.md.j2",
        next(copy.glob("tests/corpus/invalid/*.yaml")),
    ]
    before = {}
    for path in kept:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + untidy.encode())
        before[path] = path.read_bytes()
    mended = run_hooks(copy, "--files", str(code), *map(str, kept))
    assert mended.returncode == 1, mended.stdout
    assert code.read_text(encoding="utf-8") == tidy
    assert {path: path.read_bytes() for path in kept} == before
