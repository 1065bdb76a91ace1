"""Question 13: a difference of two metrics of one replica, of one arm and between arms."""

from __future__ import annotations

import numpy as np
import pytest

from tests.questions.asked import Answer, ask


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q13_two_metrics", tmp_path_factory)


def take(answer: Answer, arm: str, metric: str, summary: str = "value") -> np.ndarray:
    """Numbers of results.json, [seed, epoch, layer]."""
    found = sorted((one for one in answer.results["replicas"] if one["arm"] == arm), key=lambda one: one["seed_index"])
    return np.array([one["metrics"][metric]["values"][summary] for one in found])


def test_every_estimand_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    rho, stacked, correct, fitted = (
        {arm: take(answer, arm, name) for arm in ("penalized", "vanilla")}
        for name in ("perturbation_correlation", "stacked_cosine", "test_accuracy", "train_accuracy")
    )
    mean = {arm: take(answer, arm, "site_cosine", "mean") for arm in ("penalized", "vanilla")}
    apart = {arm: rho[arm] - stacked[arm] for arm in rho}
    epochs = np.array(answer.results["replicas"][0]["metrics"]["stacked_cosine"]["epochs"])
    slope = {arm: np.polyfit([0, 1, 2], (mean[arm] - stacked[arm])[:, -1, :3].T, 1)[0] for arm in mean}
    curve = apart["vanilla"][:, :, [1, 3]].mean(2)
    site = take(answer, "vanilla", "site_cosine", "median")
    expected = {
        "excess": apart["penalized"][:, -1, 2],
        "change": apart["vanilla"][:, -1, 2] - apart["penalized"][:, -1, 2],
        "backwards": -apart["penalized"][:, -1, 2],
        "largest": apart["vanilla"][:, -1, 1:4].max(1),
        "over_time": np.trapezoid(curve, epochs, axis=1) / (epochs[-1] - epochs[0]),
        "weighting": (stacked["vanilla"] - site)[:, 1, 1],
        "gap": 100 * (fitted["vanilla"] - correct["vanilla"])[:, -1, 0],
        "steeper": slope["penalized"] - slope["vanilla"],
    }
    assert expected.keys() == answer.verdict["estimates"].keys()
    for name, values in expected.items():
        rounded = 1e-9 if name == "gap" else 1e-12  # percentage points have nine decimals
        assert answer.values(name) == pytest.approx(values.tolist(), rel=1e-9, abs=rounded), name
    assert epochs.tolist() == [1, 2, 4]
    assert np.ptp(expected["excess"]) > 0 and np.abs(expected["change"]).max() > 0


def test_the_decision_is_student_s_t_of_the_differences(answer: Answer) -> None:
    """The mean of six seeds lies in the reported interval's middle, whose half width is t(.95, 5)·s/√6."""
    values = np.array(answer.values("change"))
    (decision,) = (one for one in answer.verdict["decision"]["decisions"] if one["name"] == "change")
    half = 2.015048372669157 * values.std(ddof=1) / np.sqrt(6)
    assert decision["interval"] == pytest.approx([values.mean() - half, values.mean() + half], rel=1e-9)


def test_the_page_says_what_is_subtracted_from_what(answer: Answer) -> None:
    text = " ".join(answer.page.split())
    both = "correlation of credit and changes of the loss minus cosine of stacked credit and BP gradient"
    assert f"{both}, Penalized DFA, layer 2, mean over seeds" in text
    assert f"{both}, DFA − Penalized DFA, layer 2, mean over seeds" in text
    assert "minus mean" not in text


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q13-two-metrics")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
