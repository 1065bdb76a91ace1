"""Question 2: does removing the terminal layer norm change DFA's hidden norm more than BP's?"""

from __future__ import annotations

import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values

ARMS = ("dfa_noln", "dfa_ln", "bp_noln", "bp_ln")


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q02_interaction", tmp_path_factory)


def test_every_estimand_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    norm = last_values(answer.results, ARMS, "hidden_norm", "median", layer=2)
    right = last_values(answer.results, ARMS, "test_accuracy")
    change = (norm[:, 0] - norm[:, 1]) - (norm[:, 2] - norm[:, 3])
    assert answer.values("change") == pytest.approx(change.tolist())
    assert answer.values("factor") == pytest.approx((norm[:, 0] / norm[:, 1] / (norm[:, 2] / norm[:, 3])).tolist())
    assert answer.values("accuracy") == pytest.approx((100 * right @ [0.5, 0.5, -0.5, -0.5]).tolist())
    less = stats.ttest_1samp(change, 0, alternative="less").pvalue
    more = stats.ttest_1samp(change, 0, alternative="greater").pvalue
    expected = "less" if less <= 0.05 else "more" if more <= 0.05 else "inconclusive"
    assert answer.verdict["outcome"] == expected
    assert answer.verdict["decision"]["p"] == pytest.approx(min(less, more))


def test_the_page_says_what_is_compared(answer: Answer) -> None:
    assert "(DFA, no layer norm − DFA) − (BP, no layer norm − BP)" in answer.page
    assert "(DFA, no layer norm / DFA) / (BP, no layer norm / BP)" in answer.page
    assert "the scale of the test" not in answer.page  # it is of decisions about ratios, and this one is explored
    assert "mean of DFA and DFA, no layer norm − mean of BP and BP, no layer norm" in answer.page


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q02-interaction")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
