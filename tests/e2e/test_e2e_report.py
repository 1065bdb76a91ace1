"""docs/results.md: its answers are those of the trail, and a question that was run is answered by its verdict."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from harness import spec
from tests.e2e.projects import REPOSITORY, Project

PAGE = (REPOSITORY / "docs/results.md").read_text(encoding="utf-8")
MEMBERS = [
    loaded.hypothesis
    for loaded in (spec.load(path) for path in REPOSITORY.glob("hypotheses/*.yaml") if path.name != "claims.yaml")
    if loaded.hypothesis.family == "field-claims"
]


def results(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "docs/results.py", *arguments], capture_output=True, text=True, check=False
    )


def test_the_page_has_the_answers_that_the_trail_gives_to_every_question() -> None:
    ran = results("--check")
    assert ran.returncode == 0, ran.stderr
    assert len(MEMBERS) >= 15
    for hypothesis in MEMBERS:
        assert PAGE.count(f"\n### {hypothesis.id}: ") == 1 and f"*{hypothesis.title}?*" in " ".join(PAGE.split())


def test_a_question_that_was_run_is_answered_by_what_its_file_says_of_the_outcome(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "hypotheses", tmp_path / "hypotheses")
    file = tmp_path / "hypotheses/first_block_alignment.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["setup"] |= {"dataset": {"name": "digits"}, "epochs": 2, "model": {"name": "residual_mlp", "width": 16}}
    content["setup"]["evaluation"] |= {"probe_samples": 64, "every_epochs": 2}
    content["seeds"] = {"count": 6}
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    ran = Project(tmp_path).harness("run", "hypotheses/first_block_alignment.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (page,) = tmp_path.glob("verdicts/first-block-alignment/*/verdict.json")
    verdict = json.loads(page.read_text(encoding="utf-8"))
    ran = results("--project", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    outcome = verdict["outcome"]
    (row,) = (line for line in ran.stdout.splitlines() if line.startswith("| first-block-alignment |"))
    assert row.split(" | ")[2] == outcome and "1 × 6 × 2" in row
    told = ran.stdout.partition(f"### first-block-alignment: {outcome}\n")[2].partition("\n### ")[0]
    assert f"**{outcome}**" in told and str(content["implications"][outcome]["says"]) in told
    assert verdict["decision"]["summary"] in told
    assert f"1 of {len(MEMBERS)} were run" in ran.stdout
    figure = f"verdicts/first-block-alignment/{verdict['run']}/figures/first.svg"
    assert (f"](../{figure})" in told) == (tmp_path / figure).exists()
