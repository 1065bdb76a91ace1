"""One good trail for all attacks, made once by real runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.draws import build
from tests.attacks.trails import Trail
from tests.once import made_once

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def good_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a good trail. Copy it before changing it."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "tests.attacks.good", str(folder)]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=REPOSITORY, check=True, env=one_thread, capture_output=True)

    return made_once(tmp_path_factory, "good-project", make)


@pytest.fixture(scope="session")
def good_trail(good_project: Path) -> Trail:
    """The good trail in memory. Copy it before changing it."""
    return Trail.read(good_project / "verdicts")


@pytest.fixture
def project(good_project: Path, tmp_path: Path) -> Path:
    """A copy of the good project."""
    return Path(shutil.copytree(good_project, tmp_path / "project"))


@pytest.fixture(scope="session")
def drawn_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose one run has seeds from a witness. Copy it before changing it."""

    def make(folder: Path) -> None:
        folder.mkdir()
        build(folder)

    return made_once(tmp_path_factory, "drawn-project", make)


@pytest.fixture
def drawn(drawn_project: Path) -> Trail:
    """The trail of that project in memory."""
    return Trail.read(drawn_project / "verdicts")
