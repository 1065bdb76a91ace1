"""Question 6: does an effect that was found on one network replicate on another (both must hold)?"""

from __future__ import annotations

import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values

NETWORKS = ("narrow", "wide")


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q06_replicates", tmp_path_factory)


def test_both_must_hold_as_scipy_decides_from_the_results(answer: Answer) -> None:
    none, some = [], []
    for network in NETWORKS:
        right = last_values(answer.results, (f"penalized_{network}", f"vanilla_{network}"), "test_accuracy")
        gain = 100 * (right[:, 0] - right[:, 1])
        assert answer.values(f"gain_{network}") == pytest.approx(gain.tolist())
        none.append(stats.ttest_1samp(gain, 0, alternative="less").pvalue)
        some.append(stats.ttest_1samp(gain, 0, alternative="greater").pvalue)
    holds = max(some) <= 0.05  # every decision at α: an intersection-union test
    fails = min(none) <= 0.05 / len(NETWORKS)  # some decision, of two: Bonferroni
    expected = "replicates" if holds else "not_both" if fails else "inconclusive"
    assert answer.verdict["outcome"] == expected


def test_the_two_networks_are_what_the_file_says(answer: Answer) -> None:
    assert "residual\\_mlp" in answer.page
    for label in ("Penalised DFA (narrow)", "Penalised DFA (wide)", "DFA (narrow)", "DFA (wide)"):
        assert label in answer.page


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q06-replicates")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
