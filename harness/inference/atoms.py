"""Tests of atoms, the parts into which a decision's bands divide the line: ``harness.domain.partition``."""

from __future__ import annotations

import sys

import numpy as np

from harness.criteria import Criterion
from harness.domain.partition import Atom
from harness.errors import HarnessError
from harness.records import AtomTest

SMALLEST_P = sys.float_info.min  # finite data never make a null impossible; a smaller p has underflowed


def run_atom_tests(
    atoms: tuple[Atom, ...], x: np.ndarray, criterion: Criterion, alpha: float, greatest: np.ndarray | None = None
) -> tuple[AtomTest, ...]:
    """Test each atom on the seeds' values ``x``, [n] or unpaired [n, 2], which are all finite and not all equal.

    ``greatest``: the values at their greatest, if they are only known to lie between ``x`` and these.
    """
    tests = []
    for atom in atoms:
        p = compute_atom_p(atom, x, criterion, greatest)
        tests.append(AtomTest(interval=atom.interval, outcome=atom.outcome, p=p, rejected=p <= alpha))
    return tuple(tests)


def compute_atom_p(atom: Atom, x: np.ndarray, criterion: Criterion, greatest: np.ndarray | None = None) -> float:
    """Return p of the null "the true value lies in this atom".

    The test of a half-line is one-sided. For an interior atom [a, b], p = 2·min(p for above b, p for below a): under
    the null each of the two is at most α/2 with probability at most α/2, so the smaller one is with probability at
    most α. Where values are only known to lie in an interval, from ``x`` to ``greatest``, either side gets those that
    speak least against the null.

    Raises:
        HarnessError: the criterion's p is not a probability.
    """
    lower, upper = atom.interval.lower, atom.interval.upper
    if lower is None and upper is None:
        return 1.0
    sides = [criterion.p_greater(x, upper)] if upper is not None else []
    sides += [criterion.p_less(x if greatest is None else greatest, lower)] if lower is not None else []
    if wrong := [p for p in sides if not 0 <= p <= 1]:  # true for NaN too
        raise HarnessError(
            f"criterion {criterion.name} gave p = {wrong[0]}",
            where=f"the atom {atom.interval}",
            remedy="report this as a fault of the criterion",
        )
    return min(1.0, max(len(sides) * min(sides), SMALLEST_P))
