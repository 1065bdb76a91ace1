"""``init_from``: arms that start from stored weights, checked, planned, piloted and run against the run they name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.projects import TINY, Project

FILE = "hypotheses/onward.yaml"


def write_on(project: Project, *changes: tuple[str, str]) -> str:
    """A file whose arms go on from the tiny run's; return the run's name."""
    (run,) = project.runs()
    start = f'init_from: {{run: "{run.name}", arm: dfa}}'
    text = TINY.replace("id: tiny", "id: onward").replace("  save: [weights]\n", "").replace("epochs: 8", "epochs: 2")
    text = text.replace(", supports: [depth-helps]", "").replace(", walks_back: [depth-helps]", "")
    text = re.sub(r"(rule: \{name: \w+\})", rf"\1, {start}", text)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (project.root / FILE).write_text(text)
    return run.name


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    shutil.copytree(finished.root, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.mark.parametrize(
    ("change", "key", "told"),
    [
        (("count: 6", "count: 7"), "run", "7 seeds can't start from 6"),
        (("width: 16", "width: 8"), "run", "trained another model"),
        (("  epochs: 2", "  precision: float64\n  epochs: 2"), "run", "trained in float32, and this arm in float64"),
        (("  epochs: 2", "  subset: {classes: [1, 2]}\n  epochs: 2"), "run", "trained on other data: digits"),
        (("arm: dfa}", "arm: none}"), "arm", "it has no arm 'none'"),
        (("arm: dfa}", "arm: dfa, epoch: 4}"), "epoch", "it kept no weights of arm 'dfa' at epoch 4"),
        (('run: "', 'run: "000'), "run", "there is no verdict on '000"),
    ],
    ids=["seeds", "model", "precision", "data", "arm", "epoch", "run"],
)
def test_what_does_not_fit_is_found_at_its_place_and_is_not_run(
    finished: Project, change: tuple[str, str], key: str, told: str, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project")
    shutil.copytree(finished.root, project.root)
    write_on(project, change)
    checked = project.harness("check", FILE, "--format", "json")
    found = [one for one in json.loads(checked.stdout) if one["rule"] == "init-from"]
    assert checked.returncode == 2 and len(found) == 3 and all(told in one["message"] for one in found)
    line = (project.root / FILE).read_text().splitlines()[found[0]["line"] - 1]
    assert re.match(r'["\w]', line[found[0]["column"] - 1 :]) and f"{key}: " in line[: found[0]["column"] - 1]
    assert found[0]["remedy"]
    for verb in ("run", "plan", "register"):
        refused = project.harness(verb, FILE)
        assert refused.returncode == 2 and told in refused.stderr, refused.stderr
    assert len(project.events()) == len(finished.events())


def test_a_run_without_weights_cannot_be_started_from(project: Project) -> None:
    write_on(project)
    text = (project.root / FILE).read_text()
    unkept = re.sub(r", init_from: \{.*?\}", "", text).replace("id: onward", "id: unkept")
    (project.root / "hypotheses/unkept.yaml").write_text(unkept)
    assert project.harness("run", "hypotheses/unkept.yaml", "--device", "cpu").returncode == 0
    (run,) = (path.parent.name for path in project.root.glob("verdicts/unkept/*/verdict.json"))
    (project.root / FILE).write_text(re.sub(r'run: "\w+"', f'run: "{run}"', text))
    checked = project.harness("check", FILE)
    assert checked.returncode == 2 and "saved no weights of arm 'dfa'" in checked.stdout + checked.stderr


def test_weights_that_are_missing_or_others_stop_it_before_anything_is_entered(project: Project) -> None:
    write_on(project)
    (run,) = project.runs()
    events = len(project.events())
    (run / "weights/dfa/5.safetensors").rename(project.root / "away")
    planned = project.harness("plan", FILE)
    assert planned.returncode == 0 and "1 of 6 files not here" in planned.stdout
    missing = project.harness("run", FILE, "--device", "cpu")
    assert missing.returncode == 2 and "these weights can't be read" in missing.stderr
    (run / "weights/dfa/5.safetensors").write_bytes((run / "weights/dfa/4.safetensors").read_bytes())
    others = project.harness("run", FILE, "--device", "cpu")
    assert others.returncode == 3 and "not those that the run's env.json names" in others.stderr
    assert len(project.events()) == events
    (project.root / "away").replace(run / "weights/dfa/5.safetensors")
    ran = project.harness("run", FILE, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (started,) = [one["body"] for one in project.events("run_started") if one["body"]["hypothesis"] == "onward"]
    (registered,) = [one["body"] for one in project.events("registered") if one["body"]["hypothesis"] == "onward"]
    name = f"run {run.name}, weights of dfa after epoch 8"
    assert started["data"][name] == registered["data"][name] and not started["deviations"]


def test_registering_needs_the_trail_and_a_pilot_the_weights(project: Project) -> None:
    write_on(project)
    pilot = project.harness("run", FILE, "--pilot", "--device", "cpu")
    assert pilot.returncode == 0, pilot.stderr
    (run,) = project.runs()
    shutil.rmtree(run / "weights")
    registered = project.harness("register", FILE)
    assert registered.returncode == 0 and f"run {run.name}, weights of dfa after epoch 8" in registered.stdout
    assert project.harness("run", FILE, "--device", "cpu").returncode == 2


def test_training_goes_on_from_a_run_that_went_on_itself_with_the_first_feedback(project: Project) -> None:
    """The feedback of a chain of runs is that of its first, to the bit, and measuring them again draws the same."""
    first = write_on(project, ("  evaluation:", "  save: [weights, feedback]\n  evaluation:"))
    assert project.harness("run", FILE, "--device", "cpu").returncode == 0
    (second,) = (path.parent for path in project.root.glob("verdicts/onward/*/verdict.json"))
    text = (project.root / FILE).read_text()
    third = text.replace("id: onward", "id: further").replace(first, second.name)
    (project.root / "hypotheses/further.yaml").write_text(third)
    ran = project.harness("run", "hypotheses/further.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (last,) = (path.parent for path in project.root.glob("verdicts/further/*/verdict.json"))
    from safetensors.numpy import load_file

    for index in range(6):
        one, other = (load_file(run / f"weights/dfa/{index}.safetensors") for run in (second, last))
        names = [name for name in one if name.startswith("feedback/")]
        assert names and all((one[name] == other[name]).all() for name in names)
    for run in ("onward", "further"):
        again = project.harness("measure", run, "--device", "cpu", "--metric", "credit_cosine", "--arm", "dfa")
        assert again.returncode == 0 and "the same bits as what the run had measured" in again.stdout, again.stderr
