"""p of growing runs at several looks in one call: what each run's first seeds give by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from harness.criteria.bounded import Bounded
from harness.criteria.median import Median
from harness.criteria.welch import Welch

BOUNDS = (-1.0, 2.0)
CUTS = (-1.0, -0.97, -0.2, 0.5, 1.9, 2.0)
BOUNDED = Bounded(name="bounded").on(BOUNDS)


def alone(criterion, runs, cut, looks, above):
    p = criterion.p_greater if above else criterion.p_less
    return np.array([[p(x[:n], cut) for x in runs] for n in looks])


def values(kind, runs, n):
    stream = np.random.default_rng([n, runs])
    if kind == "normal":
        return np.clip(stream.normal(0.5, 0.4, (runs, n)), *BOUNDS)
    if kind == "tight":
        return stream.normal(0.5, 0.01, (runs, n))
    if kind == "on the bounds":
        return stream.choice(BOUNDS, (runs, n))
    rising = np.sort(stream.uniform(*BOUNDS, (runs, n)), axis=1)  # first all against the null, then all for it
    return rising[:, ::-1] if kind == "falling" else rising


@pytest.mark.parametrize("kind", ["normal", "tight", "on the bounds", "rising", "falling"])
@pytest.mark.parametrize(("runs", "n", "looks"), [(6, 40, range(2, 41)), (3, 500, (9, 77, 499, 500)), (2, 3, (3,))])
def test_bounded_gives_the_p_of_every_prefix(kind, runs, n, looks):
    """500 seeds take fewer points than the exact rule has."""
    x = values(kind, runs, n)
    x[:, 1] = x[:, 0] / 2  # never all the same
    for cut in CUTS:
        for above in (True, False):
            found = BOUNDED.p_by_look(x, cut, tuple(looks), above=above)
            expected = alone(BOUNDED, x, cut, looks, above)
            assert found.shape == (len(looks), runs)
            assert found == pytest.approx(expected, rel=1e-7, abs=1e-300), (cut, above)


def test_with_fewer_points_many_seeds_would_have_another_p(monkeypatch):
    x = np.random.default_rng(1).choice(BOUNDS, (3, 500), p=(0.42, 0.58))
    exact = alone(BOUNDED, x, 0.5, (500,), True)
    assert BOUNDED.p_by_look(x, 0.5, (500,), above=True) == pytest.approx(exact, rel=1e-7)
    monkeypatch.setattr("harness.criteria.bounded.POINTS", 0.5)
    assert BOUNDED.p_by_look(x, 0.5, (500,), above=True) != pytest.approx(exact, rel=1e-3)


def test_without_bounds_there_is_no_bet():
    x = values("normal", 2, 5)
    assert (Bounded(name="bounded").p_by_look(x, 0.0, (2, 5), above=True) == 1).all()


@pytest.mark.parametrize("criterion", [BOUNDED, Median(name="median")])
def test_values_that_are_all_the_same_are_not_tested(criterion):
    x = np.array([[2.0, 2.0, 2.0, 2.0, 1.9], [1.9, 2.0, 2.0, 2.0, 2.0]])
    found = criterion.p_by_look(x, -0.9, (1, 2, 4, 5), above=True)
    assert found[:3, 0].tolist() == [1, 1, 1] and found[0, 1] == 1
    assert found[3, 0] == pytest.approx(alone(criterion, x, -0.9, (5,), True)[0, 0])
    assert (found[1:, 1] < 0.5).all()


def test_any_other_criterion_is_asked_look_by_look():
    stream = np.random.default_rng(4)
    for criterion, shape in ((Median(name="median"), (3, 12)), (Welch(name="welch"), (3, 12, 2))):
        x = stream.normal(0.4, 1.0, shape)
        for above in (True, False):
            found = criterion.p_by_look(x, 0.1, (2, 7, 12), above=above)
            assert (found == alone(criterion, x, 0.1, (2, 7, 12), above)).all()


def test_a_wealth_beyond_all_numbers_is_a_p_of_zero():
    x = np.full((1, 400), 2.0)
    x[0, 0] = 1.0
    assert BOUNDED.p_by_look(x, -1 + 1e-6, (60, 400), above=True).tolist() == [[0.0], [0.0]]
