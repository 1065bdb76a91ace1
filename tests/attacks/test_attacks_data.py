"""Data that call themselves the official files and are not."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.attacks.corpus import rename_digests, rewrite_json
from tests.attacks.good import CLAIMS, FILE
from tests.attacks.trails import Trail, audited, sorts
from tests.e2e import commands

ROOT = Path(__file__).parents[2]
PLUGIN = '''\
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from harness.datasets import Dataset, Images


class Better(Dataset):
    """Whatever suits."""

    name: Literal["better"]
    channels: ClassVar[int] = 1
    size: ClassVar[int] = 8
    classes: ClassVar[int] = 2
    train_count: ClassVar[int] = 256
    test_count: ClassVar[int] = 256
    mean: ClassVar[tuple[float, ...]] = (0.0,)
    std: ClassVar[tuple[float, ...]] = (1.0,)
    bundled: ClassVar[bool] = True

    def load(self, root, notify):
        labels = np.arange(256) % 2
        images = np.broadcast_to((labels * 255).astype(np.uint8)[:, None, None, None], (256, 1, 8, 8)).copy()
        return Images(images, labels, images, labels, ("no", "yes"), "the one and only source", canonical=True)

    def locate(self, root):
        return "bundled"
'''


def harness(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(root / "site"), str(ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return commands.run(arguments, root, environment)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a hypothesis on digits."""
    (tmp_path / "hypotheses").mkdir()
    (tmp_path / "hypotheses/claims.yaml").write_text(CLAIMS)
    text = FILE.format(id="one", title="One", lr="3.0e-3", width=4, epochs=1, batch=256, cut="-90", moves="")
    (tmp_path / "hypotheses/one.yaml").write_text(text.replace("says: It helps., }", "says: It helps.}"))
    (tmp_path / "site").mkdir()
    return tmp_path


def test_altered_digits_are_named_before_anything_is_run(root: Path) -> None:
    """Another scikit-learn, found before the installed one, with one pixel of one digit changed."""
    said = harness(root, "plan", "hypotheses/one.yaml", "--device", "cpu")
    assert "data: digits, bundled with scikit-learn\n" in said.stdout, said.stderr
    known = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    folder = root / "site/sklearn/datasets/data"
    folder.mkdir(parents=True)
    (root / "site/sklearn/__init__.py").write_text("")
    rows = gzip.decompress(known.read_bytes())
    (folder / known.name).write_bytes(gzip.compress(b"1" + rows[1:]))
    strange = "not the images that scikit-learn is known to bundle"
    for arguments in (("plan", "hypotheses/one.yaml", "--device", "cpu"), ("doctor", "--device", "cpu")):
        assert strange in harness(root, *arguments).stdout


def test_a_data_set_of_another_package_is_not_official_by_its_own_word(root: Path) -> None:
    (root / "site/better_data.py").write_text(PLUGIN)
    metadata = root / "site/better_data-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: better-data\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[harness.datasets]\nbetter = better_data:Better\n")
    file = root / "hypotheses/one.yaml"
    text = file.read_text().replace("{name: digits}", "{name: better}").replace("batch_size: 256", "batch_size: 64")
    file.write_text(text.replace("probe_samples: 256", "probe_samples: 64"))
    ran = harness(root, "run", "hypotheses/one.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (page,) = root.glob("verdicts/one/*/verdict.md")
    text = page.read_text()
    assert "; the official files;" not in text
    assert "**The data are not known to be the official files of better**: the one and only source; official by" in text
    assert json.loads((page.parent / "results.json").read_text())["data"]["better"]["canonical"] is False


def call_official(trail: Trail, name: str) -> None:
    """Give the data of every run another fingerprint, and let the results call them the official files of ``name``."""
    fingerprint = next(event["body"]["data"]["digits"] for _, event in trail.events() if event["type"] == "registered")
    pairs = {fingerprint: "ab" * 32}

    def change(value: dict) -> None:
        value["data"] = {name: value["data"]["digits"] | {"fingerprint": "ab" * 32, "canonical": True}}

    for path in [path for path in trail.files if path.endswith("/results.json") and "/pilot-" not in path]:
        before, after = rewrite_json(trail, path, change)
        pairs[before] = after
    rename_digests(trail, pairs)


def test_results_that_call_altered_data_official_are_found(good_trail: Trail) -> None:
    trail = good_trail.copy()
    call_official(trail, "digits")
    assert "data-not-official" in sorts(audited(trail))


def test_results_that_call_unknown_data_official_are_told(good_trail: Trail) -> None:
    trail = good_trail.copy()
    call_official(trail, "mnist")
    told = [finding.what for finding in audited(trail).findings if finding.code == "data-by-word"]
    assert told and all(what.startswith("only whoever ran it says that the data of mnist, abab") for what in told)
