"""A question's file as a user asks it: checked, planned and run in a project of its own, once for all its tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.projects import Project
from tests.once import made_once

FOLDER = Path(__file__).parent


class Answer(NamedTuple):
    """A run of a question: its measurements, its verdict, and its page."""

    project: Project
    results: dict[str, Any]
    verdict: dict[str, Any]
    page: str

    def estimate(self, name: str) -> dict[str, Any]:
        """An estimand's result in verdict.json."""
        found: dict[str, Any] = self.verdict["estimates"][name]
        return found

    def values(self, name: str) -> list[Any]:
        """An estimand's values in the order of the seeds."""
        return [seed["value"] for seed in self.estimate(name)["values"]]


def ask(question: str, factory: pytest.TempPathFactory) -> Answer:
    """Check, plan and run ``tests/questions/<question>.yaml``."""

    def make(root: Path) -> None:
        (root / "hypotheses").mkdir(parents=True)
        shutil.copy(FOLDER / f"{question}.yaml", root / "hypotheses")
        file = f"hypotheses/{question}.yaml"
        for verb in (("check", "--strict"), ("plan", file), ("run", file)):
            ran = Project(root).harness(*verb)
            assert ran.returncode == 0, f"{verb}: {ran.stdout}{ran.stderr}"

    project = Project(made_once(factory, question, make))
    (folder,) = (path.parent for path in project.root.glob("verdicts/*/*/verdict.json"))
    results, verdict = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("results", "verdict"))
    return Answer(project, results, verdict, (folder / "verdict.md").read_text("utf-8"))
