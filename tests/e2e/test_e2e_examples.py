"""The examples as they stand: each a git project of its own, run whole as it is registered, audited, and run again.

It takes minutes of a processor, most of them imports of the libraries that the examples train with, once a replica. So
CI does it beside what else it does after the tests, which have single replicas of the long ones.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from harness.spec import load
from tests.e2e.environments import make_environment_without
from tests.e2e.programs import ProgramProject
from tests.e2e.projects import REPOSITORY

EXAMPLES = tuple(sorted(path.parent.name for path in REPOSITORY.glob("examples/*/hypotheses")))
pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")


@pytest.mark.examples
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_judged_audited_and_run_again_as_it_stands(name: str, tmp_path: Path) -> None:
    # Beside another build of torch, PyPI's torchvision can't be imported, which Lightning tries wherever it is there.
    python = make_environment_without("torchvision", tmp_path / "venv")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    shutil.copytree(REPOSITORY / "examples" / name, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    project = ProgramProject(tmp_path / "project")
    project.git("init", "--quiet")
    project.commit()
    (file,) = (project.root / "hypotheses").glob("*.yaml")
    hypothesis = load(file).hypothesis
    ran = project.harness("run", f"hypotheses/{file.name}", "--yes", "--parallel", "2", PATH=path)
    assert ran.returncode == 0, ran.stderr
    (folder,) = (found.parent for found in project.root.glob("verdicts/*/*/verdict.json"))
    told = json.loads((folder / "verdict.json").read_text())["decision"]
    assert told["outcome"] in {*hypothesis.outcomes} - {"invalid"}, ran.stdout
    replicas = json.loads((folder / "results.json").read_text())["replicas"]
    assert len(replicas) == len(hypothesis.arms) * hypothesis.seeds.number
    assert {one["status"] for one in replicas} == {"finished"}
    project.commit()
    audited = project.harness("audit", "--recompute", "--rerun", hypothesis.id, PATH=path)
    assert audited.returncode == 0, audited.stdout + audited.stderr
