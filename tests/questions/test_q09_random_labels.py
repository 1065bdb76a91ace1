"""Question 9: how much of an arm's growth happens when the labels are random."""

from __future__ import annotations

import numpy as np
import pytest

from tests.questions.asked import Answer, ask


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q09_random_labels", tmp_path_factory)


def last(answer: Answer, arm: str, metric: str, summary: str = "value", layer: int = 0) -> np.ndarray:
    """A metric's values at the last epoch in the order of the seeds."""
    of_arm = sorted((r for r in answer.results["replicas"] if r["arm"] == arm), key=lambda one: one["seed_index"])
    return np.array([one["metrics"][metric]["values"][summary][-1][layer] for one in of_arm])


def test_every_estimand_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    norms = {arm: np.log10(last(answer, arm, "hidden_norm", "mean", 2)) for arm in ("labelled", "shuffled", "random")}
    norms["noisy"] = np.log10(last(answer, "noisy", "hidden_norm", "mean", 2))
    expected = {
        "growth": norms["random"] - norms["labelled"],
        "memorised": norms["shuffled"] - norms["labelled"],
        "halfway": norms["noisy"] - norms["labelled"],
        "fit": last(answer, "shuffled", "train_loss"),
        "truth": last(answer, "shuffled", "train_loss_original"),
        "chance": 100 * last(answer, "random", "test_accuracy"),
    }
    for name, values in expected.items():
        assert answer.values(name) == pytest.approx(values.tolist()), name


def test_what_is_learned_is_what_the_labels_say(answer: Answer) -> None:
    """Arms of a seed start from the same weights and see the same batches: labels alone make the difference."""
    accuracy = {arm: last(answer, arm, "test_accuracy").mean() for arm in ("labelled", "random", "shuffled")}
    assert accuracy["labelled"] > max(accuracy["random"], accuracy["shuffled"])
    weights = [replica["weights_sha256"] for replica in answer.results["replicas"]]
    assert len(set(weights)) == 24
    losses = {arm: last(answer, arm, "train_loss_original").mean() for arm in ("labelled", "random")}
    assert losses["labelled"] < losses["random"]


def test_the_page_names_the_labels_of_each_arm(answer: Answer) -> None:
    for told in ("original", "shuffled", "random", "noisy, share 0.4"):
        assert f"| Labels: {told} |" in answer.page


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q09-random-labels")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
