"""Question 1: does the penalty's effect on the deep credit cosine rise over strengths 0, 1e-4, 1e-2, 1e-1?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values

ARMS = ("dfa_none", "dfa_weak", "dfa_middle", "dfa_strong")
STRENGTHS = (0, 1e-4, 1e-2, 1e-1)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q01_dose_response", tmp_path_factory)


def test_every_slope_is_that_of_the_least_squares_line_at_each_seed(answer: Answer) -> None:
    cosine = last_values(answer.results, ARMS, "credit_cosine", "mean", layer=1)
    right = last_values(answer.results, ARMS, "test_accuracy")
    per_tenfold = [stats.linregress(np.log10(STRENGTHS[1:]), row[1:]).slope for row in cosine]
    assert answer.values("per_tenfold") == pytest.approx(per_tenfold)
    assert answer.values("per_unit") == pytest.approx([100 * stats.linregress(STRENGTHS, row).slope for row in right])
    assert answer.values("per_step") == pytest.approx([stats.linregress(range(4), row).slope for row in cosine])
    for step in (1, 2, 3):
        assert answer.values(f"rise_{step}") == pytest.approx((cosine[:, step] - cosine[:, step - 1]).tolist())


def test_the_outcome_needs_every_step(answer: Answer) -> None:
    steps = np.diff(last_values(answer.results, ARMS, "credit_cosine", "mean", layer=1), axis=1)
    up = stats.ttest_1samp(steps, 0, alternative="greater").pvalue
    down = stats.ttest_1samp(steps, 0, alternative="less").pvalue
    expected = "every_step" if up.max() <= 0.05 else "not_every_step" if down.min() <= 0.05 / 3 else "inconclusive"
    assert answer.verdict["outcome"] == expected
    assert [part["name"] for part in answer.verdict["decision"]["decisions"]] == ["rise_1", "rise_2", "rise_3"]


def test_the_page_says_what_rises(answer: Answer) -> None:
    assert "DFA (weak) − DFA (none)" in answer.page
    assert "slope per tenfold penalty.strength over DFA (weak), DFA (middle) and DFA (strong)" in answer.page
    assert "All three decisions must hold" in answer.page


def test_power_is_of_every_step_and_of_all_together(answer: Answer) -> None:
    said = answer.project.harness("power", "hypotheses/q01_dose_response.yaml").stdout
    assert all(f"\nrise_{step}\n" in said for step in (1, 2, 3))


def test_it_is_judged_again_to_the_byte(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q01-dose-response")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
