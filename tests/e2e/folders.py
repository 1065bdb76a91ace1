"""Commands given in a folder, and projects that keep their trail where their settings say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.projects import Project, make_project

SETTINGS = '[tool.harness]\nverdicts = "trail"\ndevice = "cpu"\n'


def harness(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    environment = inherited | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | variables
    return commands.run(arguments, folder, environment)


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


BOUND = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit("permissions do not bind")
os.execv(sys.executable, [sys.executable, "-m", "harness.cli", *sys.argv[1:]])
"""
"""Becomes the command line, as one whom permissions bind: they do not bind root, whom containers have."""


def bound_by_permissions(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BOUND, *arguments]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    environment = kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=commands.PATIENCE, check=False
    )
    if "permissions do not bind" in done.stderr:
        pytest.skip("root may not give up what it may")
    return done
