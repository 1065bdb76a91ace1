"""The power of every question: the chance of each outcome, or one clear reason why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.projects import Project

FILES = sorted(Path(__file__).parent.glob("*.yaml"))
REFUSED = {"q03_onset": "decision 'collapse' is about an onset, which has no standard deviation: it may be never"}
"""Question without a power → the reason that is given."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_question_has_a_power_or_a_reason(file: Path, tmp_path: Path) -> None:
    ran = Project(tmp_path).harness("power", str(file), "--sd", "1", "--format", "json")
    if file.stem in REFUSED:
        assert ran.returncode == 2
        assert REFUSED[file.stem] in ran.stderr
        assert "count seeds instead" in ran.stderr
        return
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [decision["name"] for decision in told["decisions"]]
    for decision in told["decisions"]:
        sums = np.array(decision["chances"]).sum(axis=-1)
        assert sums.size and sums == pytest.approx(np.ones_like(sums), abs=1e-3), decision["name"]


def test_what_power_takes_for_granted_at_equal_ground_is_said(tmp_path: Path) -> None:
    file = Path(__file__).parent / "q12_equal_ground.yaml"
    ran = Project(tmp_path).harness("power", str(file), "--sd", "5")
    assert "For same_loss, every seed is taken to come so far: one of which an arm never does has no value" in " ".join(
        ran.stdout.split()
    )
