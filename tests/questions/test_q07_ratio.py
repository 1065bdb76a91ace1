"""Question 7: is the hidden norm of one arm over 100 times the other's?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q07_ratio", tmp_path_factory)


def test_the_ratio_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    norms = last_values(answer.results, ("dfa", "bp"), "hidden_norm", "median", layer=2)
    ratio = norms[:, 0] / norms[:, 1]
    assert answer.values("growth") == pytest.approx(ratio.tolist())
    logs, estimate = np.log10(ratio), answer.estimate("growth")
    assert estimate["mean"] == pytest.approx(stats.gmean(ratio))
    assert estimate["sd"] == pytest.approx(logs.std(ddof=1))
    low, high = stats.t.interval(0.95, 5, logs.mean(), stats.sem(logs))
    assert estimate["interval95"] == pytest.approx([10**low, 10**high])
    excluded = {
        "smaller": stats.ttest_1samp(logs, 0, alternative="greater").pvalue,
        "comparable": 2 * min(tail(logs, 1, "greater"), tail(logs, 0, "less")),
        "over_ten": 2 * min(tail(logs, 2, "greater"), tail(logs, 1, "less")),
        "far_over": tail(logs, 2, "less"),
    }
    left = [band for band, p in excluded.items() if p > 0.05]
    assert answer.verdict["outcome"] == (left[0] if len(left) == 1 else "inconclusive")


def tail(logs: np.ndarray, cut: float, side: str) -> float:
    return float(stats.ttest_1samp(logs, cut, alternative=side).pvalue)


def test_the_page_and_power_speak_of_ratios(answer: Answer) -> None:
    assert "DFA / BP, layer 2, median over samples, geometric mean over seeds" in answer.page
    assert "The geometric mean over 6 seeds is" in answer.page
    said = answer.project.harness("power", "hypotheses/q07_ratio.yaml").stdout
    assert "Standard deviation between seeds: 0.1 (log10), assumed in the file (seeds.sd)" in said
    assert "1 sd above 100" in said
    refused = answer.project.harness("power", "hypotheses/q07_ratio.yaml", "--effect", "-2")
    assert refused.returncode == 2 and "no ratio is −2" in refused.stderr


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q07-ratio")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
