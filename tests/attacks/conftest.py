"""One good trail for all attacks, made once by real runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.attacks.trails import Trail

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def good_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a good trail. Copy it before changing it."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent  # one for all workers
    folder = shared / "good-project"
    with FileLock(shared / "good-project.lock"):
        if not folder.exists():
            made = shared / "good-project-in-the-making"
            command = [sys.executable, "-m", "tests.attacks.good", str(made)]
            subprocess.run(
                command, cwd=REPOSITORY, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True
            )
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def good_trail(good_project: Path) -> Trail:
    """The good trail in memory. Copy it before changing it."""
    return Trail.read(good_project / "verdicts")


@pytest.fixture
def project(good_project: Path, tmp_path: Path) -> Path:
    """A copy of the good project."""
    return Path(shutil.copytree(good_project, tmp_path / "project"))
