"""The interquartile mean over seeds and tasks: over three widths at once, is the paired difference above −2 points?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values
from tests.questions.test_iqm_over_seeds import middle, widened

TASKS = ("w8", "w16", "w24")


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("iqm_over_tasks", tmp_path_factory)


def read_gains(answer: Answer) -> np.ndarray:
    """Differences in points, float64 [seed, task]."""
    deep, shallow = (
        last_values(answer.results, [f"{arm}_{task}" for task in TASKS], "test_accuracy") for arm in ("deep", "shallow")
    )
    return 100 * (deep - shallow)


def test_the_estimate_pools_all_values_of_all_tasks(answer: Answer) -> None:
    gains, estimate = read_gains(answer), answer.estimate("gain")
    assert gains.shape == (30, 3)
    assert estimate["iqm"] == pytest.approx(middle(gains))
    assert answer.values("gain") == pytest.approx(gains.mean(axis=1).tolist())
    assert estimate["sd"] == pytest.approx(gains.mean(axis=1).std(ddof=1))


def test_the_interval_resamples_seeds_with_all_their_tasks(answer: Answer) -> None:
    gains, (decision,) = read_gains(answer), answer.verdict["decision"]["decisions"]
    found = stats.bootstrap(
        tuple(gains.T), lambda *x, axis: stats.trim_mean(np.concatenate(x, axis=-1), 0.25, axis=-1), paired=True,
        vectorized=True, method="BCa", confidence_level=widened(0.9, 30), n_resamples=20_000, batch=2000, rng=1,
    ).confidence_interval  # fmt: skip
    width = found.high - found.low
    assert decision["interval"] == pytest.approx((found.low, found.high), abs=0.1 * width)
    low, high = decision["interval"]
    expected = "above" if low > -2 else "below" if high <= -2 else "inconclusive"
    assert answer.verdict["outcome"] == expected


def test_the_page_names_the_tasks(answer: Answer) -> None:
    assert "tasks DFA (w8) − DFA, blocks frozen (w8); DFA (w16) − " in answer.page
    assert "The interquartile mean of 3 tasks over 30 seeds is" in answer.page


def test_power_says_what_it_takes_for_the_tasks(answer: Answer) -> None:
    said = answer.project.harness("power", "hypotheses/iqm_over_tasks.yaml")
    assert said.returncode == 0
    assert "one normal number per seed stands for its values of all tasks" in " ".join(said.stdout.split())


def test_it_is_judged_again_to_the_byte_and_by_other_criteria(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "iqm-over-tasks")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
    by_t = answer.project.harness("reverdict", "iqm-over-tasks", "--criterion", "t")
    means = read_gains(answer).mean(axis=1)
    above, below = (stats.ttest_1samp(means, -2, alternative=side).pvalue for side in ("greater", "less"))
    expected = "above" if above <= 0.05 else "below" if below <= 0.05 else "inconclusive"
    assert expected in by_t.stdout and "answer a neighbouring question" in by_t.stdout + by_t.stderr
