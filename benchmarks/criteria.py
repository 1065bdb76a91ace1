"""Time of one decision by criterion and number of seeds: python benchmarks/criteria.py. Loads no torch."""

from __future__ import annotations

import math
import time

import numpy as np

from harness.criteria import Criterion
from harness.domain.partition import split_line
from harness.inference.atoms import run_atom_tests
from harness.plugins.registry import find_members
from harness.records import Band

BANDS = {"low": "(-inf, 0]", "middle": "(0, 1)", "high": "[1, inf)"}
NUMBERS = (5, 10, 20, 30, 50, 200)


def seconds(criterion: Criterion, n: int) -> float:
    """Return the seconds of three atom tests and an interval: the best of three runs, each on other values."""
    atoms = split_line({name: Band.parse(text) for name, text in BANDS.items()})
    best = math.inf
    for seed in range(3):
        x = np.random.default_rng(seed).normal(0.3, 1.0, (n, 2) if criterion.unpaired else n).clip(-7, 7)
        start = time.perf_counter()
        run_atom_tests(atoms, x, criterion, criterion.alpha)
        criterion.interval(x, 0.9)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print one line per criterion."""
    print("milliseconds  " + "".join(f"{f'n = {n}':>10}" for n in NUMBERS))
    for name, kind in find_members("criteria").items():
        criterion = kind.model_validate({"name": name})
        assert isinstance(criterion, Criterion)
        times = [1000 * seconds(criterion.on((-8.0, 8.0)), n) for n in NUMBERS]
        print(f"{name:14}" + "".join(f"{value:10.1f}" for value in times))


if __name__ == "__main__":
    main()
