"""Question 4: are two arms' accuracies within ±1 percentage point of each other?"""

from __future__ import annotations

import pytest
from scipy import stats

from tests.questions.asked import Answer, ask
from tests.questions.last_values import last_values


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q04_equivalence", tmp_path_factory)


def test_the_outcome_is_that_of_two_one_sided_tests(answer: Answer) -> None:
    right = last_values(answer.results, ("penalized", "plain"), "test_accuracy")
    gap = 100 * (right[:, 0] - right[:, 1])
    assert answer.values("gap") == pytest.approx(gap.tolist())
    sides = [(cut, side) for cut in (-1, 1) for side in ("less", "greater")]
    p = {(cut, side): stats.ttest_1samp(gap, cut, alternative=side).pvalue for cut, side in sides}
    excluded = {
        "worse": p[-1, "greater"],
        "equivalent": min(1, 2 * min(p[1, "greater"], p[-1, "less"])),
        "better": p[1, "less"],
    }
    (decision,) = answer.verdict["decision"]["decisions"]
    left = [band for band, excluding in excluded.items() if excluding > 0.05]
    assert answer.verdict["outcome"] == (left[0] if len(left) == 1 else "inconclusive")
    assert {atom["outcome"]: atom["p"] for atom in decision["atoms"]} == pytest.approx(excluded)


def test_power_answers_before_anything_is_trained(answer: Answer) -> None:
    said = answer.project.harness("power", "hypotheses/q04_equivalence.yaml").stdout
    assert '"equivalent" has a chance of 80% or more if the true value is between' in said
