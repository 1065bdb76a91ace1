"""docs/scripts.md: its commands, in its order, do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.domain.tuning import make_search
from harness.pipeline.program import write_commands
from harness.spec import load
from tests.e2e import commands
from tests.e2e.projects import REPOSITORY
from tests.e2e.test_e2e_docs import block
from tests.unit.programs.toys import write_hypothesis

PAGE = "docs/scripts.md"


@pytest.mark.skipif(shutil.which("awk") is None or os.name == "nt", reason="the example is a shell program with awk")
def test_from_a_script_to_a_verdict_as_the_page_says(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    who = {f"GIT_{role}_{part}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    own = {"HARNESS_CACHE": str(tmp_path / "cache"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    said, folder = {}, tmp_path
    first, linked = ("a project", "a run", "afterwards"), ("elsewhere", "the other cluster", "linked")
    explored = ("old results", "explored", "declared")
    with commands.offer(tmp_path / "tools") as program:
        own["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        for mark in (*first, *linked, *explored, "a new file"):
            script = "\n".join(block(mark, PAGE))
            command = ["bash", "-euc", script]
            environment = inherited | who | own
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=commands.PATIENCE
            )
            assert done.returncode == 0, f"{mark}: {done.stdout}{done.stderr}"
            said[mark] = done.stdout + done.stderr
            folder = tmp_path / "antithetic"
    assert "antithetic: ./estimate.sh antithetic 1000 '{seed}' '{out}/error.csv'" in said["a run"]
    assert re.search(r"^antithetic: \w+ \((as predicted|predicted: smaller)\)$", said["a run"], re.MULTILINE)
    assert "Measured by the program itself" in said["a run"]
    assert "the same to the byte" in said["afterwards"]
    assert "the same results to the bit" in said["afterwards"]
    assert "40 runs told: 40 counted" in said["linked"]
    assert re.search(r"^antithetic-elsewhere: \w+ \(.*; trained outside harness\)$", said["linked"], re.MULTILINE)
    assert "Trained outside harness" in said["linked"]
    assert re.search(r"^antithetic-before: not pre-registered: exploratory \(", said["explored"], re.MULTILINE)
    assert "# NOT PRE-REGISTERED: EXPLORATORY: " in said["explored"]
    assert "10 runs told: 10 counted" in said["explored"]
    assert "antithetic-before: registered as " in said["declared"]
    assert (folder / "hypotheses/sgd_decay.yaml").exists()


def test_the_page_shows_a_search_that_a_file_may_have(tmp_path: Path) -> None:
    (shown,) = re.findall(r"<!-- tuned -->\n\n```yaml\n(.*?)```", (REPOSITORY / PAGE).read_text(), re.DOTALL)
    estimands = {"margin": {"metric": "test_accuracy", "contrast": "sgd - adam", "unit": "pp"}}
    program = {"command": ["./train", "{rate}", "{seed}"], "lock": "none", "timeout": "1 h"}
    hypothesis = load(
        write_hypothesis(tmp_path, program=program, estimands=estimands, **yaml.safe_load(shown))
    ).hypothesis
    assert len(make_search(hypothesis).arms) == 6


def test_the_page_shows_what_else_a_file_may_say(tmp_path: Path) -> None:
    (shown,) = re.findall(r"<!-- told -->\n\n```yaml\n(.*?)```", (REPOSITORY / PAGE).read_text(), re.DOTALL)
    estimands = {"margin": {"metric": "test_accuracy", "contrast": "decay_high - decay_low", "unit": "pp"}}
    results = {"form": "jsonl", "file": "metrics.jsonl"}
    told = yaml.safe_load(shown)
    hypothesis = load(write_hypothesis(tmp_path, estimands=estimands, results=results, **told)).hypothesis
    commands = write_commands(hypothesis)
    assert [f"{name}: {command.split()[5]}" for name, command in commands.items()] == [
        "decay_low: 0.0001", "decay_high: 0.1"
    ]  # fmt: skip
    assert {metric.called for arm in hypothesis.arms.values() for metric in arm.setup.evaluation.measured} == {
        *told["metrics"]
    }


def test_the_page_shows_the_example_s_own_file() -> None:
    (shown,) = re.findall(
        r"```yaml\n(program:\n  command: \[\./estimate.*?)```", (REPOSITORY / PAGE).read_text(), re.DOTALL
    )
    path = REPOSITORY / "examples/antithetic/hypotheses/antithetic.yaml"
    whole = yaml.safe_load(path.read_text())
    assert yaml.safe_load(shown).items() <= whole.items()
    assert load(path).hypothesis.program is not None
