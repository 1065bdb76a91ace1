"""Question 8: what a metric that nobody measured says on stored weights, and what if training goes on from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from tests.e2e.projects import Project
from tests.once import made_once
from tests.questions.asked import FOLDER, Answer, ask

FILE = "hypotheses/q08_goes_on.yaml"


class Both(NamedTuple):
    """The earlier run, and the one that goes on from its weights, in one project."""

    before: Answer
    after: Answer


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    before = ask("q05_fresh_feedback", tmp_path_factory)

    def make(root: Path) -> None:
        shutil.copytree(before.project.root, root)
        project = Project(root)
        (earlier,) = root.glob("verdicts/q05-fresh-feedback/*/verdict.json")
        text = (FOLDER / "q08_goes_on.yaml").read_text("utf-8")
        (root / FILE).write_text(text.replace("000000000000", earlier.parent.name), "utf-8")
        measure = ("measure", "q05-fresh-feedback", "--metric", "hidden_norm", "--epoch", "4", "--device", "cpu")
        for verb in (measure, ("check", "--strict"), ("plan", FILE), ("run", FILE)):
            ran = project.harness(*verb)
            assert ran.returncode == 0, f"{verb}: {ran.stdout}{ran.stderr}"

    project = Project(made_once(tmp_path_factory, "q08_goes_on", make))
    (folder,) = (path.parent for path in project.root.glob("verdicts/q08-goes-on/*/verdict.json"))
    results, verdict = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("results", "verdict"))
    return Both(before, Answer(project, results, verdict, (folder / "verdict.md").read_text("utf-8")))


def last(results: dict[str, Any], arm: str, metric: str, summary: str, layer: int = 0) -> np.ndarray:
    """A metric's values at the last epoch in the order of the seeds."""
    of_arm = sorted((r for r in results["replicas"] if r["arm"] == arm), key=lambda one: one["seed_index"])
    return np.array([one["metrics"][metric]["values"][summary][-1][layer] for one in of_arm])


def test_every_estimand_is_what_numpy_makes_of_the_results(both: Both) -> None:
    results = both.after.results
    norms = {arm: np.log10(last(results, arm, "hidden_norm", "mean", 2)) for arm in ("penalized", "plain")}
    cosines = {arm: last(results, arm, "credit_cosine", "mean") for arm in ("other", "plain")}
    accuracy = {arm: last(results, arm, "test_accuracy", "value") for arm in ("earlier", "plain")}
    expected = {
        "growth": norms["penalized"] - norms["plain"],
        "aligned": cosines["other"] - cosines["plain"],
        "early": 100 * (accuracy["earlier"] - accuracy["plain"]),
    }
    for name, values in expected.items():
        assert both.after.values(name) == pytest.approx(values.tolist()), name


def test_training_went_on_and_did_not_begin(both: Both) -> None:
    """After an epoch, what went on has a lower loss than what began there, by far: all seeds' means are compared."""
    began, went_on = (
        np.mean(
            [one["metrics"]["train_loss"]["values"]["value"][0][0] for one in results["replicas"] if one["arm"] == arm]
        )
        for results, arm in ((both.before.results, "dfa"), (both.after.results, "plain"))
    )
    assert went_on < began
    growth = both.after.values("growth")
    smaller, larger = (stats.ttest_1samp(growth, 0, alternative=side).pvalue for side in ("less", "greater"))
    expected = "smaller" if smaller <= 0.05 else "not_smaller" if larger <= 0.05 else "inconclusive"
    assert both.after.verdict["outcome"] == expected
    assert len({one["weights_sha256"] for one in both.after.results["replicas"]}) == 24


def test_what_nobody_measured_is_measured_on_the_stored_weights(both: Both) -> None:
    (event,) = both.after.project.events("measured")
    kept = both.after.project.root / "verdicts/objects/sha256" / event["body"]["results"]
    measured = json.loads(kept.read_text("utf-8"))
    assert event["body"]["epochs"] == {"dfa": 4, "frozen": 4}
    assert all(name.endswith("-epoch-4.safetensors") for name in event["body"]["weights"])
    norms = last(measured, "dfa", "hidden_norm", "mean", 2)
    assert len(norms) == 6 and np.isfinite(norms).all()
    assert "hidden_norm" not in both.before.results["replicas"][0]["metrics"]
    assert measured["seeds"] == both.before.results["seeds"] != both.after.results["seeds"]


def test_the_page_and_the_registration_name_the_weights(both: Both) -> None:
    (earlier,) = both.before.project.root.glob("verdicts/q05-fresh-feedback/*/verdict.json")
    run = earlier.parent.name
    assert (
        f"Initial weights: run {run}, arm dfa, after its last epoch, each seed from the stored seed" in both.after.page
    )
    assert f"run {run}, arm dfa, after epoch 4" in both.after.page and "with fresh feedback" in both.after.page
    names = {f"run {run}, weights of dfa after epoch {epoch}" for epoch in (4, 12)}
    for kind in ("registered", "run_started"):
        (body,) = [one["body"] for one in both.after.project.events(kind) if one["body"]["hypothesis"] == "q08-goes-on"]
        assert names <= set(body["data"])


def test_it_is_judged_again_to_the_byte_audited_and_replicated_to_the_bit(both: Both, tmp_path: Path) -> None:
    shutil.copytree(both.after.project.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    again = project.harness("reverdict", "q08-goes-on")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
    rerun = project.harness("audit", "--recompute", "--rerun", "q08-goes-on")
    assert rerun.returncode in (0, 5), rerun.stdout  # 5: its author could have chosen seeds
    assert "FAIL" not in rerun.stdout and "initial-" not in rerun.stdout
    replicated = project.harness("replicate", "q08-goes-on")
    assert replicated.returncode == 0 and "the same results to the bit" in replicated.stdout
    shutil.rmtree(next(project.root.glob("verdicts/q05-fresh-feedback/*/weights")))
    refused = project.harness("replicate", "q08-goes-on")
    assert refused.returncode == 2 and "these weights can't be read" in refused.stderr
