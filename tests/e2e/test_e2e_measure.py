"""``harness measure``: stored weights of a run are measured again, and nothing of the run changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from harness.pipeline.session import Reporter
from tests.e2e.projects import Project, make_project, run_file

FRESH = "credit_cosine:feedback=fresh"


@pytest.fixture
def again(finished: Project, tmp_path: Path) -> Project:
    shutil.copytree(finished.root, tmp_path / "again")
    return Project(tmp_path / "again")


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


def test_what_the_run_measured_comes_out_to_the_bit_and_new_metrics_are_entered(again: Project) -> None:
    (run,) = again.runs()
    before, recorded = digests(run), json.loads((run / "results.json").read_text())
    told = again.harness(
        "measure",
        "tiny",
        "--device",
        "cpu",
        "--metric",
        "credit_cosine",
        "--metric",
        FRESH,
        "--metric",
        "test_accuracy",
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("the same bits as what the run had measured") == 2
    assert digests(run) == before
    (event,) = again.events("measured")
    body = event["body"]
    assert body["metrics"] == ["credit_cosine", FRESH, "test_accuracy"]
    assert body["epochs"] == {"bp": 8, "dfa": 8, "shallow": 8}
    assert body["weights"] == json.loads((run / "env.json").read_text())["weights"]
    assert set(body["plugins"]) == {"metrics/credit_cosine", "metrics/test_accuracy"}
    results = json.loads((again.root / "verdicts/objects/sha256" / body["results"]).read_text())
    old = {(one["arm"], one["seed_index"]): one for one in recorded["replicas"]}
    for one in results["replicas"]:
        was = old[one["arm"], one["seed_index"]]
        assert one["weights_sha256"] == was["weights_sha256"]
        assert set(one["metrics"]) == ({"test_accuracy"} if one["arm"] == "bp" else set(body["metrics"]))
        for name in set(one["metrics"]) - {FRESH}:
            assert one["metrics"][name]["epochs"] == [8]
            for summary, rows in one["metrics"][name]["values"].items():
                assert rows[0] == was["metrics"][name]["values"][summary][-1]
    shown = again.harness("show", "tiny")
    assert "Measured again since, on stored weights" in shown.stdout and FRESH in shown.stdout
    assert "(measured again)" in again.harness("list").stdout
    history = again.harness("show", "tiny", "--history").stdout
    assert f"was measured again, exploratory: credit_cosine, {FRESH}, test_accuracy" in history
    assert json.loads(again.harness("list", "--format", "json").stdout)[0]["measured"] == 1


def test_one_arm_as_json(again: Project) -> None:
    told = again.harness("measure", "tiny", "--device", "cpu", "--metric", FRESH, "--arm", "dfa", "--format", "json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["epochs"] == {"dfa": 8} and found["recorded"] == {}
    assert {one["arm"] for one in found["measurements"]["replicas"]} == {"dfa"}


def test_weights_that_are_elsewhere_missing_or_others_are_told_apart(again: Project, tmp_path: Path) -> None:
    (run,) = again.runs()
    events = len(again.events())
    moved = tmp_path / "elsewhere"
    (run / "weights").rename(moved)
    missing = again.harness("measure", "tiny", "--device", "cpu", "--metric", "hidden_norm", "--arm", "bp")
    assert missing.returncode == 2 and "these weights can't be read: No such file" in missing.stderr
    assert "--weights" in missing.stderr
    file = moved / "bp/3.safetensors"
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    others = again.harness(
        "measure", "tiny", "--device", "cpu", "--metric", "hidden_norm", "--arm", "bp", "--weights", str(moved)
    )
    assert others.returncode == 3 and "not those that the run's env.json names" in others.stderr
    assert len(again.events()) == events
    file.write_bytes(data)
    fine = again.harness(
        "measure", "tiny", "--device", "cpu", "--metric", "hidden_norm", "--arm", "bp", "--weights", str(moved)
    )
    assert fine.returncode == 0 and len(again.events()) == events + 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--metric", "hidden"], "no metric is called 'hidden'"),
        (["--metric", "hidden_norm:feedback=fresh"], "is not a metric with parameters"),
        (["--metric", "train_loss"], "which stored weights don't tell"),
        (["--metric", "validation_loss"], "no images are set apart"),
        (["--metric", "hidden_norm:probe_samples=999"], "the test split has 360"),
        (["--metric", "hidden_norm", "--arm", "none"], "it has no arm 'none'"),
        (["--metric", "credit_norm", "--arm", "bp"], "credit_norm is not defined for bp: rule bp gives no"),
        (["--metric", "alignment_angle", "--arm", "bp"], "rule bp sends the error back through the weights themselves"),
        (["--metric", "hidden_norm", "--epoch", "4"], "it kept those of epoch 8"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_nothing_is_entered(
    finished: Project, arguments: list[str], told: str
) -> None:
    events = len(finished.events())
    refused = finished.harness("measure", "tiny", "--device", "cpu", *arguments)
    assert refused.returncode == 2 and told in refused.stderr, refused.stderr
    assert len(finished.events()) == events


def test_a_run_that_saved_no_weights_says_how_to_have_some(again: Project) -> None:
    path = again.root / "hypotheses/tiny.yaml"
    path.write_text(path.read_text().replace("id: tiny", "id: unkept").replace("  save: [weights]\n", ""))
    assert again.harness("run", "hypotheses/tiny.yaml", "--device", "cpu").returncode == 0
    refused = again.harness("measure", "unkept", "--device", "cpu", "--metric", "hidden_norm")
    assert refused.returncode == 2 and "saved no weights of arm 'bp'" in refused.stderr
    assert "setup.save: [weights]" in refused.stderr


def test_the_epochs_whose_weights_were_kept_are_named(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.edit("epochs: 8", "epochs: 3")
    project.edit("save: [weights]", "save: [weights]\n  save_epochs: [1]")
    run_file(project.root / "hypotheses/tiny.yaml", Reporter())
    refused = project.harness("measure", "tiny", "--device", "cpu", "--metric", "hidden_norm", "--epoch", "2")
    assert refused.returncode == 2 and "it kept those of epochs 1 and 3" in refused.stderr, refused.stderr
