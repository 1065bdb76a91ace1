"""``harness power`` and the warnings of ``check``; ``harness reverdict`` under other criteria and levels."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness import spec
from harness.cli.app import app
from tests.e2e.projects import REPOSITORY, TINY, Project

FILES = sorted(path.name for path in (REPOSITORY / "hypotheses").glob("*.yaml") if path.name != "claims.yaml")
ONE_SCALE = ("bp_penalty_control.yaml", "mode2_direction.yaml", "quickstart_digits.yaml")  # all decisions have one sd


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository's hypotheses and verdicts."""
    root = tmp_path_factory.mktemp("copy") / "project"
    for folder in ("hypotheses", "verdicts"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    return Project(root)


def harness(project: Project, *arguments: str) -> Result:
    """The command in this process: a new one for each would take most of these tests' time."""
    with chdir(project.root):
        return CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments)


def state(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_power_of_every_hypothesis_tells_or_says_what_it_lacks(copy: Project) -> None:
    for name in FILES:
        ran = harness(copy, "power", f"hypotheses/{name}", "--format", "json")
        assert ran.exit_code == 0, ran.stderr
        report = json.loads(ran.stdout)
        told = {part["name"] for part in report["decisions"]}
        lacking = next((note for note in report["notes"] if note.startswith("No standard deviation is known for")), "")
        decisions = spec.load(copy.root / "hypotheses" / name).hypothesis.decisions
        assert told and all(decision in told or decision in lacking for decision in decisions), name


@pytest.mark.parametrize("name", ONE_SCALE)
def test_power_of_a_hypothesis_with_one_sd(copy: Project, name: str) -> None:
    out = copy.root / "out"
    ran = harness(
        copy, "power", f"hypotheses/{name}", "--format", "json", "--out", str(out / "p.svg"), "--out", str(out / "p.md")
    )
    assert ran.exit_code == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["decisions"] and report["together"] is not None
    for part in report["decisions"]:
        assert part["sd_source"].startswith("assumed in the file") and part["draws"] is None
        assert part["prediction"][0]["chances"][1] > 0.5
    assert (out / "p.svg").read_bytes().startswith(b"<?xml")
    assert "](p.svg)" in (out / "p.md").read_text()


def test_power_says_where_the_sd_comes_from(copy: Project) -> None:
    file = "hypotheses/bp_penalty_control.yaml"
    said = harness(copy, "power", file, "--effect", "30").stdout
    assert "1 pp, assumed in the file (seeds.sd)" in said and "1 sd above 25" in said and "as asked" in said
    assert "if the true value is 26 or more" in said
    refused = harness(copy, "power", file, "--effect", "nan")
    assert refused.exit_code == 2 and "--effect" in refused.stderr and "defect" not in refused.stderr
    said = harness(copy, "power", file, "--sd-from", "bp-penalty-control").stdout
    assert "estimated from 10 seeds of run" in said
    said = harness(copy, "power", "hypotheses/mode2_direction.yaml", "--sd-from", "mode2-direction").stdout
    assert (
        "healthy_reference  above 1e-7" in said and "shown not to" in said and "not taken into account for" not in said
    )
    said = harness(copy, "power", "hypotheses/mode2_direction.yaml").stdout
    assert "not taken into account for healthy_reference" in said
    said = harness(copy, "power", file, "--sd", "margin=4").stdout
    assert "4 pp, given by --sd" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sd", "wide"], "is not a standard deviation"),
        (["--sd", "nothing=1"], "there is no decision 'nothing'"),
        (["--sd-from", "mode2-direction"], "has no spread of margin"),
        (["--sd-from", "nowhere"], "there is no verdict on 'nowhere'"),
        (["--sd-from", "bp-penalty-control", "--sd", "4"], "--sd-from has no effect"),
        (["--sd-from", "bp-penalty-control", "--sd", "margin=4"], "--sd-from has no effect"),
        (["--out", "power.png"], "cannot write power.png"),
        (["--format", "yaml"], "unknown format"),
    ],
)
def test_power_refuses_what_it_cannot_do(copy: Project, options: list[str], words: str) -> None:
    ran = harness(copy, "power", "hypotheses/bp_penalty_control.yaml", *options)
    assert ran.exit_code == 2 and words in ran.stderr and "→" in ran.stderr


def test_power_without_an_sd_says_how_to_give_one(project: Project) -> None:
    ran = harness(project, "power", "hypotheses/tiny.yaml")
    assert ran.exit_code == 2 and "no standard deviation between seeds is known" in ran.stderr
    assert "--sd-from" in ran.stderr


def test_check_warns_of_too_few_seeds_and_goes_on(project: Project) -> None:
    bands = '{worse: "(-inf, 0]", better: "(0, inf)"}'
    project.edit(bands, '{worse: "(-inf, 0]", better: "(0, 4)", much: "[4, inf)"}')
    project.edit("  worse: {says", "  much: {says: More.}\n  worse: {says")
    project.edit("seeds: {count: 6}", "seeds: {count: 6, sd: 1.0}")
    assert harness(project, "check").stderr == "1 file valid, 0 errors\n"
    project.edit("sd: 1.0", "sd: 3.0")
    ran = harness(project, "check")
    assert ran.exit_code == 0
    assert ran.stderr == "1 file valid, 0 errors, 1 warning (more about a check: harness explain power)\n"
    line = next(number for number, text in enumerate(TINY.splitlines(), 1) if text.startswith("seeds:"))
    assert ran.stdout.startswith(f"hypotheses/tiny.yaml:{line}:16: warning: 6 seeds would confirm"), ran.stdout
    assert "harness power hypotheses/tiny.yaml" in ran.stdout
    assert harness(project, "check", "--format", "github").stdout.startswith("::warning file=hypotheses/tiny.yaml")
    assert json.loads(harness(project, "check", "--format", "json").stdout)[0]["severity"] == "warning"


@pytest.mark.parametrize("name", ["bp-penalty-control", "mode2-direction"])
def test_other_criteria_and_levels_are_no_verdict_and_leave_no_trace(copy: Project, name: str) -> None:
    before = state(copy.root / "verdicts")
    ran = harness(copy, "reverdict", name, "--alpha", "0.4", "--alpha", "0.01", "--criterion", "all")
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.startswith("Sensitivity analysis: this is not the verdict.")
    for row in (r"as registered +mean +as registered", r"t +mean +\.4 ", r"t +mean +\.01 "):
        assert re.search(rf"^{row}", ran.stdout, re.MULTILINE), ran.stdout
    assert state(copy.root / "verdicts") == before
    refused = harness(copy, "reverdict", name, "--criterion", "oracle")
    assert refused.exit_code == 2 and "there is no criterion 'oracle'" in refused.stderr
    refused = harness(copy, "reverdict", name, "--alpha", "0.7")
    assert refused.exit_code == 2 and "lies above 0 and below .5, and 0.7 does not" in refused.stderr


def test_a_sensitivity_analysis_shows_what_hangs_on_the_level(copy: Project) -> None:
    ran = harness(copy, "reverdict", "mode2-direction", "--alpha", "0.45")
    assert "is inconclusive." in ran.stdout and "partial (another)" in ran.stdout


def test_new_verdicts_come_out_again_with_their_second_opinion(finished: Project) -> None:
    (folder,) = finished.runs()
    stored = json.loads((folder / "verdict.json").read_text())
    part = stored["decision"]["decisions"][0]
    assert stored["v"] == 3 and sum(part["posterior"].values()) == pytest.approx(1)
    assert part["effect_size"]["interval95"][0] < part["effect_size"]["value"] < part["effect_size"]["interval95"][1]
    assert "**A second opinion, which decides nothing.**" in (folder / "verdict.md").read_text()
    ran = harness(finished, "reverdict", "tiny", "--figures")
    assert ran.exit_code == 0 and ran.stderr == "the same to the byte\n"
    assert "figures as the ledger names them" in harness(finished, "reverdict", "tiny").stderr


def test_check_warns_of_a_predicted_single_value_without_any_sd(project: Project) -> None:
    bands = '{worse: "(-inf, 0]", better: "(0, inf)"}'
    project.edit(bands, '{worse: "(-inf, 0)", better: "[0, 0]", much: "(0, inf)"}')
    project.edit("  worse: {says", "  much: {says: More.}\n  worse: {says")
    ran = harness(project, "check")
    assert ran.exit_code == 0 and 'warning: no number of seeds confirms the prediction, "better"' in ran.stdout
