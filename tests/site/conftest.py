"""A project that is hostile to its readers, and its site, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.projects import Project
from tests.once import made_once
from tests.site.browser import Browser, open_browser
from tests.site.hostile import make_hostile


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser. Whoever uses it resets it first."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project. Copy it before changing it."""
    return Project(made_once(tmp_path_factory, "hostile-project", make_hostile))


@pytest.fixture(scope="session")
def pages(hostile: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its site."""

    def build(folder: Path) -> None:
        done = hostile.harness("site", str(folder), "--title", "<i>Trail</i>")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "hostile-site", build)
