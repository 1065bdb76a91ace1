"""Commands given in a folder, and projects that keep their trail where their settings say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.projects import Project, make_project

SETTINGS = '[tool.harness]\nverdicts = "trail"\ndevice = "cpu"\n'


def harness(folder: Path, *arguments: str, bound: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    environment = inherited | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | variables
    return commands.run(arguments, folder, environment, bound=bound)


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *own, "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def registrations(root: Path) -> list[Path]:
    events = root.rglob("ledger/events/*.json")
    return sorted(path for path in events if json.loads(path.read_text())["type"] == "registered")


def bare_project(root: Path) -> Project:
    """A project that keeps its trail in a folder of its own choice, and was never run."""
    project = make_project(root)
    (project.root / "verdicts").rmdir()
    (project.root / "pyproject.toml").write_text(SETTINGS)
    return project


def bound_by_permissions(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command as one whom permissions bind: they do not bind root, whom containers have."""
    done = harness(folder, *arguments, bound=True)
    if done.returncode == commands.NOT_BOUND:
        pytest.skip("root may not give up what it may")
    return done
