"""Papers that are written once: of this repository's stored verdicts, and of a project hostile to its readers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.ledger import Ledger
from harness.pipeline.paper import write_paper
from tests.e2e.projects import REPOSITORY
from tests.once import made_once
from tests.site.hostile import make_hostile

STORED = ("mode2-direction", "bp-penalty-control")


def make_stored(root: Path) -> None:
    """Make a project with this repository's verdicts and a paper of them."""
    for name in ("verdicts", "hypotheses"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("weights", "work"))
    write_paper(STORED, Ledger(root / "verdicts"), root / "paper")


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the stored verdicts, with their paper. Copy it before changing it."""
    return made_once(tmp_path_factory, "stored-paper", make_stored)


@pytest.fixture(scope="session")
def hostile_paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile project that the tests of the site have, with a paper of its family. Copy it before changing it."""
    project = made_once(tmp_path_factory, "hostile-project", make_hostile)

    def make(root: Path) -> None:
        shutil.copytree(project / "verdicts", root / "verdicts")
        write_paper(["tiny", "other"], Ledger(root / "verdicts"), root / "paper")

    return made_once(tmp_path_factory, "hostile-paper", make)
