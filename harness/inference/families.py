"""Multiple testing: Holm for tests that decide, Benjamini–Hochberg for tests that only explore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.domain.standard_tests import choose_mean_test
from harness.inference.samples import Sample
from harness.records import Estimand


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Return Holm-adjusted p values in the given order; those up to α may be rejected together, at joint level α.

    The j-th smallest of m is multiplied by m − j + 1, and is never less than the one before it (Holm 1979,
    JSTOR 4615733).
    """
    adjusted = [1.0] * len(p)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def benjamini_hochberg(p: Sequence[float]) -> tuple[float, ...]:
    """Return p values adjusted for the false discovery rate, in the given order.

    The j-th smallest of m is multiplied by m/j, and is never more than the one after it (Benjamini and Hochberg 1995,
    doi 10.1111/j.2517-6161.1995.tb02031.x).
    """
    adjusted = [1.0] * len(p)
    smallest = 1.0
    for rank, index in reversed(list(enumerate(sorted(range(len(p)), key=lambda index: p[index]), 1))):
        smallest = min(smallest, p[index] * len(p) / rank)
        adjusted[index] = smallest
    return tuple(adjusted)


def compute_exploratory_p(
    estimands: Mapping[str, Estimand], samples: Mapping[str, Sample]
) -> dict[str, tuple[float, float]]:
    """Return exploratory contrast → two-sided p of no difference, raw and after Benjamini–Hochberg over all of them.

    Only a contrast of means has a null that needs no registration, namely no difference; nobody registered a value to
    compare a single arm with. The test is that of the interval beside it: t, or Welch's for unpaired arms.
    """
    raw = {
        name: _two_sided(estimand, samples[name])
        for name, estimand in estimands.items()
        if estimand.compares and estimand.seeds == "mean" and samples[name].result.interval95 is not None
    }
    return dict(zip(raw, zip(raw.values(), benjamini_hochberg(tuple(raw.values())), strict=True), strict=True))


def _two_sided(estimand: Estimand, sample: Sample) -> float:
    """Return p of the null that the mean is 0."""
    criterion = choose_mean_test(estimand).criterion
    return min(1.0, 2 * min(criterion.p_greater(sample.data, 0.0), criterion.p_less(sample.data, 0.0)))
