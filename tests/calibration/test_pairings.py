"""P(wrong outcome) ≤ α for every form of estimand under every criterion that may judge it, reduced.

``tests/calibration/full.py`` writes the same with more data sets to docs/calibration.md.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from harness.criteria import trim_quarters
from harness.stats import summaries
from tests.calibration.batch import one_sided
from tests.calibration.evaluated import evaluate_readings
from tests.calibration.full import DOCS, TEXT
from tests.calibration.pairings import (
    FAMILIES,
    FORMS,
    LAYERS,
    ONSETS,
    PAIRED,
    SEEDS,
    SKEWED,
    Form,
    OnsetCase,
    find_coarse_rate,
    find_family_rate,
    find_onset_rate,
    find_rate,
    find_tuned_rate,
    find_unpaired_rate,
    standard_error,
)
from tests.calibration.scenarios import CRITERIA
from tests.calibration.test_calibration import ALPHA, RESAMPLED, limit

RUNS = 1000
BY_FORM = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.words)


@BY_FORM
def test_the_simulated_numbers_are_those_that_harness_evaluates(form: Form) -> None:
    found, estimand = form.draw(3, SEEDS), form.estimand()
    sample = evaluate_readings(estimand, found.series[1], found.loss[1])
    expected = form.values(found, estimand)[1]
    assert sample.x == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert not sample.degenerate and sample.x.std() > 1e-3


def test_every_summary_is_among_the_forms() -> None:
    """Those that are left out are like another: the greatest layer or epoch like the least layer."""
    said = [form.says for form in FORMS]
    layers, epochs = ({says[key] for says in said if key in says} for key in ("layers", "epochs"))
    assert layers == set(summaries.LayerSummary.__args__) - {"max"}
    assert epochs == set(summaries.EpochSummary.__args__) - {"min", "max"}
    assert len(LAYERS) > 2


@pytest.mark.parametrize("name", PAIRED)
@BY_FORM
def test_wrong_outcomes_are_as_rare_as_alpha_says(form: Form, name: str) -> None:
    runs = RUNS // 2 if name in RESAMPLED else RUNS
    rate = find_rate(form, name, runs, ALPHA)
    assert rate is None or rate <= limit(runs)
    assert (rate is None) == (name == "bounded" and form.estimand().in_logs)
    if name in ("t", "sign_flip", "wilcoxon"):
        assert rate is not None and rate >= 0.02  # these are tests at their level, not dead ones


def test_skewed_readings_err_where_a_comparison_is_not_balanced() -> None:
    """The page says so. An interaction cancels the skew; arms that weigh differently do not."""
    balanced, mean_of_arms, _ = (find_rate(form, "t", 4000, ALPHA) for form in SKEWED)
    assert balanced is not None and balanced <= limit(4000)
    assert mean_of_arms is not None and mean_of_arms > limit(4000)


@pytest.mark.parametrize("case", ONSETS, ids=lambda case: f"{case.words}, {case.criterion}")
def test_onsets(case: OnsetCase) -> None:
    rate = find_onset_rate(case, 4000, ALPHA)
    assert (rate > limit(4000)) == case.warned


@pytest.mark.parametrize("name", ["t", "median", "wilcoxon"])
@pytest.mark.parametrize("rule", FAMILIES)
def test_families_of_decisions(rule: str, name: str) -> None:
    assert find_family_rate(rule, name, 500, ALPHA) <= limit(500)


@pytest.mark.parametrize("candidates", [(3, 3), (8, 1)])
def test_arms_that_were_tuned_on_other_seeds(candidates: tuple[int, int]) -> None:
    assert find_tuned_rate(candidates, 4000, ALPHA) <= limit(4000)


def test_the_seeds_that_chose_must_not_decide() -> None:
    assert find_tuned_rate((8, 1), 1000, ALPHA, fresh=False) > 2 * limit(1000)


def test_welch_is_right_for_independent_arms_alone() -> None:
    """Hence the warning: arms that share their seeds may depend on each other either way."""
    independent, against, together = (find_unpaired_rate(r, 4000, ALPHA) for r in (0.0, -0.8, 0.8))
    assert together < independent <= limit(4000) < against


@pytest.mark.parametrize("case", ONSETS, ids=lambda case: f"{case.words}, {case.criterion}")
def test_the_page_has_not_drifted(case: OnsetCase) -> None:
    """Its rates are today's, but for chance."""
    page, rate = (DOCS / "calibration.md").read_text("utf-8"), find_onset_rate(case, 4000, ALPHA)
    row = re.search(rf"\| {re.escape(case.words)} \| `{case.criterion}` \| ([\d.]+) ± ([\d.]+) \|", page)
    assert row is not None
    assert float(row[1]) == pytest.approx(rate, abs=4 * math.hypot(float(row[2]), standard_error(rate, 4000)) + 1e-4)


def test_the_page_says_what_its_generator_writes() -> None:
    page = " ".join((DOCS / "calibration.md").read_text("utf-8").split())
    for part in re.split(r"\{[a-z:,]+\}", TEXT):
        assert " ".join(part.split()) in page


def test_the_page_has_a_row_for_every_pairing() -> None:
    page = (DOCS / "calibration.md").read_text("utf-8")
    for words in (*(form.words for form in (*FORMS, *SKEWED)), *(case.words for case in ONSETS)):
        assert f"| {words} |" in page, words
    rates = [float(cell) for cell in re.findall(r"\b0\.\d{4}\b", page.partition("## The forms of an estimand")[2])]
    assert len(rates) > len(FORMS) * (len(PAIRED) - 1) and not any(map(math.isnan, rates))


@pytest.mark.parametrize("step", [0.25, 0.5])
@pytest.mark.parametrize("n", [8, 20])
def test_interquartile_means_in_steps_of_half_a_spread(step: float, n: int) -> None:
    """Skewed values on a grid, as accuracies are; of coarser ones the page says that they err."""
    quantiles = -np.log1p(-(np.arange(400_001) + 0.5) / 400_001)
    truth = trim_quarters(np.round(quantiles / step) * step).mean()
    x = np.round(np.random.default_rng(61).exponential(size=(RUNS, n)) / step) * step
    found = one_sided(CRITERIA["iqm_bootstrap"], x[np.ptp(x, axis=1) > 0])(float(truth))
    assert max((side <= ALPHA).mean() for side in found) <= limit(RUNS)


def test_coarser_ones_err() -> None:
    assert find_coarse_rate(10, 2000, ALPHA) > limit(2000)
