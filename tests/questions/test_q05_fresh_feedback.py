"""Question 5: is the credit aligned only with the feedback that training used, or with fresh feedback as well."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.questions.asked import Answer, ask

FRESH = "credit_cosine:feedback=fresh"


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return ask("q05_fresh_feedback", tmp_path_factory)


def last(answer: Answer, arm: str, metric: str) -> np.ndarray:
    """Mean over samples of a metric at layer 0 and the last epoch, in the order of the seeds."""
    of_arm = sorted((r for r in answer.results["replicas"] if r["arm"] == arm), key=lambda one: one["seed_index"])
    return np.array([one["metrics"][metric]["values"]["mean"][-1][0] for one in of_arm])


def test_every_estimand_is_what_numpy_makes_of_the_results(answer: Answer) -> None:
    expected = {
        "own": last(answer, "dfa", "credit_cosine"),
        "fresh": last(answer, "dfa", FRESH),
        "other_draw": last(answer, "dfa", f"{FRESH},draw=1"),
        "on_training_images": last(answer, "dfa", "credit_cosine:probe_split=train,probe_samples=32"),
        "frozen": last(answer, "frozen", FRESH),
    }
    for name, values in expected.items():
        assert answer.values(name) == pytest.approx(values.tolist()), name
    assert len({tuple(values) for values in expected.values()}) == 5


def test_the_answer_is_what_the_table_makes_of_scipys_tests(answer: Answer) -> None:
    left = []
    for metric in ("credit_cosine", FRESH):
        above, below = (
            stats.ttest_1samp(last(answer, "dfa", metric), 0.2, alternative=side).pvalue for side in ("greater", "less")
        )
        left.append([band for band, p in (("aligned", below), ("apart", above)) if p > 0.05 / 2])  # two decisions
    means = {"none" if own == "apart" else "own" if fresh == "apart" else "any" for own in left[0] for fresh in left[1]}
    assert answer.verdict["outcome"] == (means.pop() if len(means) == 1 else "inconclusive")


def test_the_page_tells_the_variants_apart(answer: Answer) -> None:
    for told in ("(fresh feedback)", "(fresh feedback, draw 1)", "(32 training samples)"):
        assert f"**cosine of credit and BP gradient {told}, mean over samples**" in answer.page
        assert f"cosine of credit and BP gradient {told}, DFA, layer 0" in answer.page
    figures = {path.name for path in answer.project.root.glob("verdicts/*/*/figures/*-layers.svg")}
    assert {"credit_cosine-layers.svg", "credit_cosine-feedback-fresh-layers.svg"} < figures
    assert len(figures) == 4


def test_it_is_judged_again_to_the_byte_and_audited(answer: Answer) -> None:
    again = answer.project.harness("reverdict", "q05-fresh-feedback")
    assert again.returncode == 0 and "the same to the byte" in again.stderr
    assert answer.project.harness("audit", "--recompute").returncode in (0, 5)  # 5: its author could have chosen seeds
