"""P(wrong outcome) ≤ α for onsets: simulated epochs that are seen through a grid of evaluations, or never.

The truth is known to the simulation epoch by epoch. What is judged is what an experiment would have: the evaluations
before and after, and nothing beyond the end of training.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.criteria.median import Median
from harness.criteria.wilcoxon import Wilcoxon
from harness.inference.atoms import run_atom_tests
from harness.inference.bands import find_alive_bands
from harness.inference.onsets import FAR
from tests.unit.inference.inference_records import atoms_of, spec_of
from tests.validation.test_validation_error_rate import limit

RUNS, SEEDS, LAST, ALPHA = 1500, 10, 60, 0.1
GRIDS = {"every epoch": 1, "every 5": 5, "every 20": 20}


def seen(onsets: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest possible onset, given evaluations after epoch 1, every ``every`` epochs and the last."""
    grid = np.array(sorted({1, *range(every, LAST, every), LAST}))
    place = np.searchsorted(grid, onsets)  # the first evaluation at or after the onset
    never = place == len(grid)
    upper = np.where(never, math.inf, grid[np.minimum(place, len(grid) - 1)])
    lower = np.where(never, LAST + 1, np.concatenate([[0], grid])[place] + 1)
    assert (lower <= onsets).all() and (onsets <= upper).all()
    return lower, upper


def draw_onsets(rng: np.random.Generator, shape: tuple[int, ...], centre: float) -> np.ndarray:
    """Skewed onsets of which about a tenth come after the end of training."""
    return np.maximum(1, np.ceil(centre * np.exp(0.8 * rng.standard_normal(shape))))


def rejected(low: np.ndarray, high: np.ndarray, bands: dict[str, str], criterion: Median | Wilcoxon) -> tuple[str, ...]:
    spec = spec_of(bands, criterion=criterion)
    least, greatest = (np.clip(ends, -FAR, FAR) for ends in (low, high))
    return find_alive_bands(spec, run_atom_tests(atoms_of(tuple(bands.items())), least, criterion, ALPHA, greatest))


@pytest.mark.parametrize("every", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(("bands", "right"), [
    ({"early": "(-inf, 22)", "late": "[22, inf)"}, "late"),  # the median lies at the boundary
    ({"early": "(-inf, 22.5]", "late": "(22.5, inf)"}, "early"),
    ({"early": "(-inf, 21.5)", "middle": "[21.5, 22.5]", "late": "(22.5, inf)"}, "middle"),
])  # fmt: skip
def test_the_median_onset_of_one_arm(every, bands, right):
    rng = np.random.default_rng([1, every, len(bands)])
    centre = 21.5  # so that P(onset ≤ 21) < ½ < P(onset ≤ 22)
    wrong = 0
    for low, high in zip(*seen(draw_onsets(rng, (RUNS, SEEDS), centre), every), strict=True):
        alive = rejected(low, high, bands, Median(name="median", alpha=ALPHA))
        wrong += len(alive) == 1 and alive != (right,)
    assert wrong / RUNS <= limit(ALPHA, RUNS)


@pytest.mark.parametrize("every", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("criterion", [Median(name="median", alpha=ALPHA), Wilcoxon(name="wilcoxon", alpha=ALPHA)])
@pytest.mark.parametrize("centre", [20.0, 60.0, 400.0], ids=["some never", "half never", "nearly all never"])
def test_no_difference_between_two_arms_is_not_taken_for_one(every, criterion, centre):
    """Both arms of a seed share its fate in part, and differ by chance alone: the differences are symmetric about 0."""
    rng = np.random.default_rng([2, every, int(centre)])
    bands = {"sooner": "(-inf, -0.5)", "alike": "[-0.5, 0.5]", "later": "(0.5, inf)"}
    wrong = 0
    shared, own = rng.standard_normal((RUNS, SEEDS, 1)), rng.standard_normal((RUNS, SEEDS, 2))
    low, high = seen(np.maximum(1, np.ceil(centre * np.exp(0.5 * (shared + own)))), every)
    with np.errstate(invalid="ignore"):
        ends = low[..., 0] - high[..., 1], high[..., 0] - low[..., 1]
    for least, greatest in zip(*ends, strict=True):
        alive = rejected(least, greatest, bands, criterion)
        wrong += len(alive) == 1 and alive != ("alike",)
    assert wrong / RUNS <= limit(ALPHA, RUNS)


@pytest.mark.parametrize("criterion", [Median(name="median", alpha=ALPHA), Wilcoxon(name="wilcoxon", alpha=ALPHA)])
def test_a_delay_is_found_through_the_grid(criterion):
    """The tests are not dead: ten seeds find a delay of 25 epochs, though they are looked at every five only."""
    rng = np.random.default_rng(3)
    bands = {"no": "(-inf, 5.5]", "later": "(5.5, inf)"}
    found = 0
    for shared in rng.standard_normal((300, SEEDS)):
        onsets = np.maximum(1, np.ceil(np.stack([45 + 5 * shared, 20 + 5 * shared], 1) + rng.normal(0, 3, (SEEDS, 2))))
        low, high = seen(onsets, 5)
        found += rejected(low[:, 0] - high[:, 1], high[:, 0] - low[:, 1], bands, criterion) == ("later",)
    assert found / 300 > 0.9
