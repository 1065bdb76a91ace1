"""A plug-in from another package, built and installed for real, shows up like a built-in one; a broken one is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "tiny-plugins"
version = "0.1"

[project.entry-points."harness.penalties"]
cubed_branch = "tiny_plugins:CubedBranch"

[project.entry-points."harness.metrics"]
loss_share = "tiny_plugins:LossShare"

[tool.setuptools]
py-modules = ["tiny_plugins"]
""",
    "tiny_plugins.py": '''\
"""Penalties from elsewhere (Nobody 2031, doi 10.0000/none)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.plugins.fields import Unit
from harness.metrics import Metric
from harness.penalties import Penalty


class CubedBranch(Penalty):
    """λ · mean_n Σ_d |f|³."""

    name: Literal["cubed_branch"]
    knee: Annotated[float, Unit("kelvin")] = Field(default=2.5, gt=0)
    """Where it bends."""

    def value(self, branch):
        """[r, n, d] → [r]."""
        return branch.abs().pow(3).sum(-1).mean(-1)


class LossShare(Metric):
    """Training loss over log C."""

    name: Literal["loss_share"]
    layered: ClassVar[bool] = False
    per_sample: ClassVar[bool] = False
    label: ClassVar[str] = "share of the loss at chance"

    def measure(self, evaluation):
        """[r]."""
        return evaluation.train_loss / 2.302585
''',
}


def harness(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    command = [sys.executable, "-m", "harness.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip built and installed the package, offline."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (source / name).write_text(text)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = (ROOT / "tests/corpus/valid/several.yaml").read_text()
    text = text.replace(
        "rule: {name: bp}}", "rule: {name: bp}, penalty: {name: cubed_branch, strength: 0.1, knee: 3}}", 1
    )
    text = text.replace(
        "{probe_samples: 64}", "{probe_samples: 64, metrics: [test_accuracy, train_loss, loss_share]}", 1
    )
    (tmp_path / "x.yaml").write_text(text.replace("{metric: train_loss,", "{metric: loss_share,", 1))
    return tmp_path


def test_check_takes_it_and_reports_its_mistakes(site: Path, folder: Path) -> None:
    assert harness(site, folder, "check", "x.yaml").returncode == 0
    path = folder / "x.yaml"
    path.write_text(path.read_text().replace("knee: 3", "knees: 3"))
    said = harness(site, folder, "check", "x.yaml")
    assert said.returncode == 2
    assert "unknown key 'knees', did you mean 'knee'?" in said.stdout
    assert "no penalty is called 'cubed_branch'" in harness(folder, folder, "check", "x.yaml").stdout  # not installed


def test_schema_and_explain_have_it(site: Path, folder: Path) -> None:
    made = json.loads(harness(site, folder, "schema").stdout)
    field = made["$defs"]["CubedBranch"]["properties"]["knee"]
    assert (field["default"], field["x-unit"], field["description"]) == (2.5, "kelvin", "Where it bends.")
    assert "loss_share" in made["$defs"]["EvaluationSpec"]["properties"]["metrics"]["items"]["enum"]
    said = " ".join(harness(site, folder, "explain", "cubed_branch").stdout.split())
    assert "λ · mean_n Σ_d |f|³." in said
    assert "doi 10.0000/none" in said
    assert "knee a number above 0 2.5 kelvin Where it bends." in said
    assert "cubed_branch from other packages" in harness(site, folder, "doctor", "--device", "cpu").stdout


def test_a_plug_in_that_cannot_be_loaded_is_named(site: Path, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "bad_plugins-1.dist-info").mkdir(parents=True)
    (broken / "bad_plugins-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugins\nVersion: 1\n")
    (broken / "bad_plugins-1.dist-info/entry_points.txt").write_text("[harness.rules]\nbad = bad_plugins:Bad\n")
    (broken / "bad_plugins.py").write_text("raise RuntimeError('half installed')\n")
    said = harness(broken, folder, "check", "x.yaml")
    assert said.returncode == 1
    assert "harness.rules:bad, from the package bad-plugins: this plug-in can't be loaded" in said.stderr
    assert "half installed" in said.stderr
    assert "Traceback" not in said.stderr
