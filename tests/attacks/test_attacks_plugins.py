"""Code behind a plug-in of another package: what it imports is pinned with it, and what was loaded is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.attacks.good import CLAIMS, FILE
from tests.e2e import commands

ROOT = Path(__file__).parents[2]
PLUGIN = '''\
"""A penalty that does nothing itself: what it computes is elsewhere."""

from typing import Literal

from harness.penalties import Penalty
from thin_plugins.shape import bend


class Thin(Penalty):
    """Whatever ``bend`` says."""

    name: Literal["thin"]

    def value(self, branch):
        """[r, n, d] → [r]."""
        return bend(branch)
'''
SHAPE = """\
from maths_elsewhere import power


def bend(branch):
    import maths_without_a_home

    loaded = __import__("importlib").import_module("maths_" + "by_night")
    return maths_without_a_home.mean(power(branch)) * loaded.ONE
"""
FILES = {
    "thin_plugins/__init__.py": PLUGIN,
    "thin_plugins/shape.py": SHAPE,
    "thin_plugins/table.csv": "1,2,3\n",
    "thin_plugins-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: thin-plugins\nVersion: 1.0\n",
    "thin_plugins-1.0.dist-info/entry_points.txt": "[harness.penalties]\nthin = thin_plugins:Thin\n",
    "thin_plugins-1.0.dist-info/top_level.txt": "thin_plugins\n",
    "maths_elsewhere.py": "def power(branch):\n    return branch.pow(2)\n",
    "maths_elsewhere-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: maths.Elsewhere\nVersion: 2.5\n",
    "maths_elsewhere-2.5.dist-info/top_level.txt": "maths_elsewhere\n",
    "maths_without_a_home.py": "def mean(branch):\n    return branch.sum(-1).mean(-1)\n",
    "maths_by_night.py": "ONE = 1.0\n",
}
METRIC = {
    "fat_plugins.py": '''\
"""A metric."""

from typing import Literal

from harness.metrics.train_loss import TrainLoss


class Fat(TrainLoss):
    """The training loss under another name."""

    name: Literal["fat"]
''',
    "fat_plugins-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fat-plugins\nVersion: 1.0\n",
    "fat_plugins-1.0.dist-info/entry_points.txt": "[harness.metrics]\nfat = fat_plugins:Fat\n",
    "fat_plugins-1.0.dist-info/top_level.txt": "fat_plugins\n",
}


def harness(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(root / "site"), str(ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return commands.run(arguments, root, environment)


def register(root: Path, files: Mapping[str, str], name: str, *changes: tuple[str, str]) -> None:
    """Register a file of this name, changed as said, in a project with a plug-in whose files lie in site/."""
    for path, text in files.items():
        (root / "site" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "site" / path).write_text(text)
    (root / "hypotheses").mkdir()
    (root / "hypotheses/claims.yaml").write_text(CLAIMS)
    form = FILE.format(id=name, title=name.title(), lr="3.0e-3", width=4, epochs=2, batch=256, cut="-90", moves="")
    for old, new in (("says: It helps., }", "says: It helps.}"), *changes):
        form = form.replace(old, new, 1)
    (root / f"hypotheses/{name}.yaml").write_text(form)
    done = harness(root, "register", f"hypotheses/{name}.yaml")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a registration of a file that uses the plug-in, which lies in site/."""
    root = tmp_path_factory.mktemp("registered")
    register(root, FILES, "thin", ("rule: {name: bp}}", "rule: {name: bp}, penalty: {name: thin, strength: 0.1}}"))
    return root


def run(root: Path) -> str:
    done = harness(root, "run", "hypotheses/thin.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("thin_plugins/shape.py", "thin-plugins"),  # beside the plug-in's own file
        ("thin_plugins/table.csv", "thin-plugins"),  # no code
        ("maths_elsewhere.py", "maths-elsewhere"),  # of another distribution, which it imports
        ("maths_without_a_home.py", "maths_without_a_home"),  # of none, imported within a function
    ],
)
def test_what_a_plug_in_imports_cannot_be_exchanged_after_the_registration(
    registered: Path, tmp_path: Path, file: str, package: str
) -> None:
    root = Path(shutil.copytree(registered, tmp_path / "project"))
    with (root / "site" / file).open("a") as text:
        text.write("# 4,5,6\n")
    said = harness(root, "plan", "hypotheses/thin.yaml", "--device", "cpu").stdout
    assert "this run deviates: the code that trains and measures differs from the registered one" in said
    assert f"the package {package})" in said


def test_a_run_with_other_code_behind_its_plug_in_says_so(registered: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(registered, tmp_path / "project"))
    (root / "site/maths_elsewhere.py").write_text(FILES["maths_elsewhere.py"].replace("pow(2)", "pow(4)"))
    assert "the package maths-elsewhere): the numbers could differ" in run(root)
    (page,) = root.glob("verdicts/thin/*/verdict.md")
    assert "**This run deviated from its registration**" in page.read_text()
    audited = harness(root, "audit").stdout
    assert "FAIL" not in audited and "(deviates)" in audited


def test_what_was_loaded_is_told_though_no_import_names_it(registered: Path, tmp_path: Path) -> None:
    """``maths_by_night`` is loaded while a worker trains, ``sitecustomize`` by Python itself."""
    root = Path(shutil.copytree(registered, tmp_path / "project"))
    (root / "site/sitecustomize.py").write_text("import no_spec\n")
    (root / "site/no_spec.py").write_text("__spec__ = None\n")  # so that nobody finds it by its name
    assert "deviates" not in run(root)
    (folder,) = root.glob("verdicts/thin/*/")
    loaded = json.loads((folder / "env.json").read_text())["loaded"]
    assert {"thin-plugins", "maths-elsewhere", "maths_without_a_home", "maths_by_night", "sitecustomize"} <= set(loaded)
    assert "no_spec" in loaded
    assert (loaded["thin-plugins"]["version"], loaded["maths-elsewhere"]["version"]) == ("1.0", "2.5")
    assert not {"torch", "numpy", "harness", "prereg-harness", "scikit-learn"} & set(loaded)
    page = (folder / "verdict.md").read_text()
    assert f"by\\_night (SHA-256 of its files `{loaded['maths_by_night']['files']}`)" in page
    before = loaded["maths_by_night"]
    (root / "site/maths_by_night.py").write_text("ONE = 1.5\n")
    run(root)
    (other,) = [path for path in root.glob("verdicts/thin/*/") if path != folder]
    assert json.loads((other / "env.json").read_text())["loaded"]["maths_by_night"] != before


def test_code_that_a_run_finds_changed_is_not_resumed_or_held_to_the_same_bits(
    registered: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(registered, tmp_path / "project"))
    run(root)
    same = harness(root, "replicate", "thin", "--device", "cpu")
    assert same.returncode == 0 and "changed" not in same.stdout + same.stderr
    (root / "site/maths_elsewhere.py").write_text(FILES["maths_elsewhere.py"].replace("pow(2)", "pow(4)"))
    again = harness(root, "replicate", "thin", "--device", "cpu")
    assert "its other people's packages changed: maths-elsewhere" in again.stdout + again.stderr


def test_a_trail_whose_plug_ins_are_not_installed_is_not_checked_and_not_called_tampered(
    registered: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(registered, tmp_path / "project"))
    with (root / "hypotheses/thin.yaml").open("a") as text:
        text.write("# another text of the same meaning\n")
    run(root)
    intact = harness(root, "audit", "--recompute")
    assert "FAIL" not in intact.stdout and "unread" not in intact.stdout
    shutil.move(root / "site", root / "elsewhere")
    for options, lines in ((("--recompute",), "36"), ((), "3")):
        found = harness(root, "audit", *options)
        assert found.returncode == 5, found.stdout
        told = " ".join(f"{found.stdout}{found.stderr}".split())
        assert "tampered:" not in told and "FAIL" not in told and "differs," not in told
        assert all(f"NOT CHECKED {line}" in told for line in lines)
        assert "the plug-in thin is not installed here" in told
        assert "install maths-elsewhere, maths_without_a_home and thin-plugins, pinned by the registration" in told


def test_a_metric_that_is_not_installed_leaves_a_text_unread_too(tmp_path: Path) -> None:
    register(tmp_path, METRIC, "fat", ("[train_loss]", "[train_loss, fat]"))
    assert harness(tmp_path, "audit", "--recompute").returncode == 5  # it lies in no repository
    shutil.rmtree(tmp_path / "site")
    found = harness(tmp_path, "audit", "--recompute")
    assert found.returncode == 5 and "the plug-in fat is not installed here" in found.stdout + found.stderr
