"""P(wrong outcome) ≤ α for an interquartile mean over seeds and tasks, and why seeds are resampled with their tasks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.criteria.iqm_bootstrap import ENOUGH_POOLED, IqmBootstrap

ALPHA, RUNS, N, TASKS = 0.05, 200, ENOUGH_POOLED, 3
CRITERION = IqmBootstrap(name="iqm_bootstrap").over(TASKS)
SHAPES = {
    "normal": lambda z: z,
    "exponential": lambda z: -np.log(stats.norm.sf(z)),
    "t, 3 df": lambda z: stats.t.ppf(stats.norm.cdf(z), 3),
}


def draw(runs: int, shape: str, shared: float, apart: float) -> np.ndarray:
    """Values of tasks that share part of their variance through the seed and lie ``apart``, [runs, n, tasks]."""
    rng = np.random.default_rng(17)
    z = math.sqrt(shared) * rng.normal(size=(runs, N, 1)) + math.sqrt(1 - shared) * rng.normal(size=(runs, N, TASKS))
    return SHAPES[shape](z) + apart * np.arange(TASKS)


def find_truth(shape: str, apart: float) -> float:
    """The interquartile mean of so many values that it is the distribution's: of the quantiles of each task, pooled."""
    quantiles = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    return float(stats.trim_mean(SHAPES[shape](quantiles)[:, None] + apart * np.arange(TASKS), 0.25, axis=None))


def limit(runs: int = RUNS) -> float:
    return ALPHA + 3.5 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.parametrize(
    ("shape", "shared", "apart"),
    [
        ("normal", 0.0, 0.0),
        ("normal", 0.6, 2.0),
        ("exponential", 0.3, 0.0),
        ("exponential", 0.0, 0.5),
        ("t, 3 df", 0.6, 2.0),
    ],
)
def test_one_sided_tests_err_as_rarely_as_alpha_says(shape, shared, apart):
    truth = find_truth(shape, apart)
    data = draw(RUNS, shape, shared, apart)
    # Both of one sample after the other: they read the same resamples.
    found = np.array([(CRITERION.p_greater(x, truth), CRITERION.p_less(x, truth)) for x in data])
    greater, less = (found <= ALPHA).mean(axis=0)
    assert greater <= limit() and less <= limit()


def test_resampling_each_task_by_itself_errs_too_often():
    """What Agarwal et al. do is right for runs that share nothing; here tasks share their seeds."""
    rng, wrong = np.random.default_rng(3), 0
    columns = np.arange(TASKS)
    for x in draw(RUNS, "normal", 0.8, 0.0):
        drawn = x[rng.integers(0, N, (500, N, TASKS)), columns]
        means = stats.trim_mean(drawn.reshape(500, -1), 0.25, axis=1)
        wrong += np.quantile(means, ALPHA) > 0
    assert wrong / RUNS > limit()


def test_it_is_no_dead_test():
    """Half a spread above the cut is nearly always seen."""
    data = draw(100, "normal", 0.3, 0.0)
    assert np.mean([CRITERION.p_greater(x, -0.5) <= ALPHA for x in data]) > 0.9
