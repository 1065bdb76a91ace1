"""Subsets, validation splits and other labels from a file to its page, and everything that is promised of runs."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.digits import Digits
from tests.e2e.projects import TINY, Project, make_project
from tests.once import made_once
from tests.oracles.reference_data import split_training

PARTS = """\
  dataset: {name: digits}
  subset: {classes: [0, 1, 2, 3, 7]}
  validation: {share: 0.2}
"""
METRICS = "metrics: [test_accuracy, train_loss, gradient_norm, credit_cosine, validation_accuracy, validation_loss]"
FILE = (
    TINY.replace("  dataset: {name: digits}\n", PARTS)
    .replace("metrics: [test_accuracy, gradient_norm, credit_cosine]", METRICS)
    .replace("bp: {label: BP, rule: {name: bp}}", "bp: {label: BP, rule: {name: bp}, setup: {labels: {name: random}}}")
    .replace("freeze: [blocks]}", "freeze: [blocks], setup: {subset: {size: 200}, batch_size: 50}}")
    .replace(
        "exploratory:\n",
        "exploratory:\n  kept: {metric: validation_accuracy, arm: dfa, unit: pp}\n"
        "  held: {metric: validation_loss, contrast: dfa - shallow}\n",
    )
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(folder: Path) -> None:
        done = make_project(folder, FILE).harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
        assert done.returncode == 0, done.stderr

    return Project(made_once(tmp_path_factory, "data", make))


def test_the_plan_counts_the_images_that_are_used(project: Project) -> None:
    (project.root / "hypotheses/tiny.yaml").write_text(FILE)
    assert project.harness("check", "--strict").returncode == 0
    shown = json.loads(project.harness("plan", "hypotheses/tiny.yaml", "--format", "json").stdout)
    steps = {arm: cohort["steps"] for cohort in shown["cohorts"] for arm in cohort["arms"]}
    whole, part = "146 validation, 170 test images of 5 classes", "digits: 200 training"
    assert shown["data_used"] == {"bp, dfa": f"digits: 583 training, {whole}", "shallow": f"{part}, {whole}"}
    assert f"data of shallow: {part}, {whole}" in project.harness("plan", "hypotheses/tiny.yaml").stdout
    assert steps == {"bp": 8 * 5, "dfa": 8 * 5, "shallow": 8 * 4}  # of 729 images 146 are set apart, in batches of 128


def test_results_and_page_say_what_was_used(ran: Project) -> None:
    (folder,) = ran.runs()
    record = json.loads((folder / "results.json").read_text())["data"]["digits"]
    images = Digits(name="digits").load(Path(), print)
    assert record["train"] == 1437 and record["canonical"] and record["fingerprint"] == images.fingerprint
    first, second = record["used"]
    assert (first["arms"], second["arms"]) == (["bp", "dfa"], ["shallow"])
    classes = [0, 1, 2, 3, 7]
    for part, size in ((first, None), (second, 200)):
        train, apart = split_training(images.train_labels.tolist(), classes, validation=146, size=size)
        assert (part["train"], part["validation"]) == (len(train), len(apart))
        assert part["test"] == int(np.isin(images.test_labels, classes).sum())
        assert part["classes"] == [str(number) for number in classes]
    assert first["validation_fingerprint"] == second["validation_fingerprint"]
    assert first["fingerprint"] != second["fingerprint"]
    page = (folder / "verdict.md").read_text()
    assert "bp, dfa: trained on 583 and tested on 170 images of the classes 0, 1, 2, 3, 7" in page
    assert "shallow: trained on 200 " in page and "and validated on 146 " in page
    assert "| Validation split | 0.2 of the training images, the same for all replicas |" in page
    assert page.count("| Subset: classes 0, 1, 2, 3, 7; Labels: ") == 2
    assert "| Subset: 200 training images of classes 0, 1, 2, 3, 7; Labels: original; Batch size: 50 |" in page
    assert page.count("Labels: random") == 1 and page.count("Labels: original") == 2


def test_validation_metrics_are_estimated_like_any_other(ran: Project) -> None:
    (folder,) = ran.runs()
    results, verdict = (json.loads((folder / f"{name}.json").read_text()) for name in ("results", "verdict"))

    def last(arm: str, metric: str) -> np.ndarray:
        return np.array(
            [r["metrics"][metric]["values"]["value"][-1][0] for r in results["replicas"] if r["arm"] == arm]
        )

    found = {name: [seed["value"] for seed in one["values"]] for name, one in verdict["estimates"].items()}
    assert found["kept"] == pytest.approx((100 * last("dfa", "validation_accuracy")).tolist())
    assert found["held"] == pytest.approx(
        (last("dfa", "validation_loss") - last("shallow", "validation_loss")).tolist()
    )
    steps = last("dfa", "validation_accuracy") * 146
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)


def test_the_run_is_judged_and_trained_again_to_the_same(ran: Project, tmp_path: Path) -> None:
    shutil.copytree(ran.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    again = project.harness("reverdict", "tiny")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
    replicated = project.harness("replicate", "tiny", "--device", "cpu")
    assert replicated.returncode == 0, replicated.stderr
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == 5 and "FAIL" not in audited.stdout, audited.stdout  # nobody noted a head


def test_a_killed_run_goes_on_to_the_same_bytes(ran: Project, tmp_path: Path) -> None:
    """A run of the same registration is killed amid training; its resumption gives the results of the first."""
    shutil.copytree(ran.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    (first,) = project.runs()
    process = project.start_until(
        "cohort 1", "run", "hypotheses/tiny.yaml", "--device", "cpu", "--checkpoint-every", "0"
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = project.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    others = set(project.runs()) - {first}
    assert others
    for other in others:  # two where it was killed too late
        assert (other / "results.json").read_bytes() == (first / "results.json").read_bytes()


def test_results_without_an_intervention_hold_no_word_of_any(finished: Project) -> None:
    (folder,) = finished.runs()
    data = json.loads((folder / "results.json").read_text())["data"]["digits"]
    assert set(data) == {"fingerprint", "origin", "canonical", "train", "test"}
    (event,) = finished.events("registered")
    form = json.loads((finished.root / "verdicts/objects/sha256" / event["body"]["canonical"]).read_text())
    for setup in (form["setup"], *(arm["setup"] for arm in form["arms"].values())):
        assert not {"labels", "subset", "validation"} & set(setup)
