"""Projects that tests of the command line begin with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.projects import Project, make_project
from tests.once import made_once


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose hypothesis was run once, without interruption. Copy it before changing it."""

    def make(folder: Path) -> None:
        ran = make_project(folder).harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
        assert ran.returncode == 0, ran.stderr

    return Project(made_once(tmp_path_factory, "finished", make))


@pytest.fixture
def registered_only(finished: Project, tmp_path: Path) -> Project:
    """The finished project's registration without its runs: a rerun has the same seeds."""
    root = tmp_path / "again"
    shutil.copytree(finished.root, root)
    shutil.rmtree(root / "verdicts" / "tiny")
    for path in (root / "verdicts/ledger/events").glob("*.json"):
        if json.loads(path.read_text())["type"] != "registered":
            path.chmod(0o644)
            path.unlink()
    return Project(root)
