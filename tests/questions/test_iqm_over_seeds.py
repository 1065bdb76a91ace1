"""The interquartile mean over seeds (Agarwal et al. 2021): is the typical difference within two points of zero?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("iqm_over_seeds", tmp_path_factory)


def middle(x: np.ndarray) -> float:
    """The mean of what is left without a quarter of the values on either side."""
    left_out = x.size // 4
    return float(np.sort(x.ravel())[left_out : x.size - left_out].mean())


def widened(level: float, n: int) -> float:
    """The level at which a bootstrap interval of normal values would be as wide as one by t."""
    return 1 - 2 * stats.norm.sf(stats.t.isf((1 - level) / 2, n - 1) * math.sqrt(n / (n - 1)))


def test_the_estimates_are_what_numpy_makes_of_the_results(answer: Answer) -> None:
    arms = ("penalized", "plain")
    right = last_values(answer.results, arms, "test_accuracy")
    norm = last_values(answer.results, arms, "hidden_norm", "median", layer=2)
    gain, ratio = 100 * (right[:, 0] - right[:, 1]), norm[:, 0] / norm[:, 1]
    assert answer.values("gain") == pytest.approx(gain.tolist())
    assert answer.estimate("gain")["iqm"] == pytest.approx(middle(gain))
    assert answer.estimate("norm")["iqm"] == pytest.approx(10 ** middle(np.log10(ratio)))
    assert answer.estimate("gain")["mean"] == pytest.approx(gain.mean())


def test_the_interval_is_near_that_of_scipys_bootstrap(answer: Answer) -> None:
    (decision,) = (one for one in answer.verdict["decision"]["decisions"] if one["name"] == "norm")
    logs = np.log10(answer.values("norm"))
    inner = widened(decision["interval_level"], len(logs))
    found = stats.bootstrap(
        (logs,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="BCa", confidence_level=inner,
        n_resamples=50_000, rng=1,
    ).confidence_interval  # fmt: skip
    width = found.high - found.low
    assert np.log10(decision["interval"]) == pytest.approx((found.low, found.high), abs=0.1 * width)


def test_the_page_names_the_summary_and_the_preconditions(answer: Answer) -> None:
    assert "Penalised DFA − DFA, interquartile mean over seeds" in answer.page
    assert "The interquartile mean over 10 seeds is" in answer.page
    assert "The geometric interquartile mean over 10 seeds is" in answer.page
    assert "bootstrap of the interquartile mean" in answer.page  # the guard's test
    assert "equal_steps: " in answer.page.replace("\\_", "_") and "blocks 2" in answer.page


def test_power_and_sensitivity_know_it(answer: Answer) -> None:
    said = answer.project.harness("power", "hypotheses/iqm_over_seeds.yaml")
    assert said.returncode == 0 and "Simulated through the criterion's own code" in said.stdout
    said = answer.project.harness("reverdict", "iqm-over-seeds", "--criterion", "all")
    assert said.returncode == 0 and "interquartile mean" in said.stdout
    assert "median" in said.stdout and "wilcoxon" in said.stdout


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "iqm-over-seeds")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
