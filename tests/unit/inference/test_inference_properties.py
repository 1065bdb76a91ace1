"""What must not change an outcome does not, whatever the criterion; and no outcome contradicts its own interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.criteria.bca import Bca
from harness.criteria.bounded import Bounded
from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.criteria.median import Median
from harness.criteria.sign_flip import SignFlip
from harness.criteria.t import T
from harness.criteria.t_sequence import TSequence
from harness.criteria.welch import Welch
from harness.criteria.wilcoxon import Wilcoxon
from harness.domain.partition import split_line
from harness.plugins.registry import find_members
from tests.unit.inference.inference_records import judged, spec_of
from tests.unit.inference.test_inference_atoms import CUTS, moved, parsed, tilings

ALL = [
    T(name="t"),
    SignFlip(name="sign_flip"),
    Wilcoxon(name="wilcoxon"),
    Median(name="median"),
    Bounded(name="bounded"),
    TSequence(name="t_sequence"),
    Welch(name="welch"),
    Bca(name="bca"),
    IqmBootstrap(name="iqm_bootstrap"),
]
EVERY = pytest.mark.parametrize("criterion", ALL, ids=lambda criterion: criterion.name)
RESAMPLED = ("bca", "iqm_bootstrap")
LOOSE = 0.3  # so that ten seeds decide something, by any criterion
BOUNDS = (-1000.0, 1000.0)


def test_these_are_all_criteria():
    assert {criterion.name for criterion in ALL} == set(find_members("criteria"))


def domain(criterion, factor=1.0, shift=0.0):
    if not criterion.needs_bounds:
        return -math.inf, math.inf
    return BOUNDS[0] * factor + shift, BOUNDS[1] * factor + shift


def shaped(criterion, x):
    """The drawn numbers as data: for unpaired arms beside a second arm; enough of them for a bootstrap."""
    x = np.asarray(x, dtype=float)
    if criterion.name in RESAMPLED:
        return np.concatenate([x, x + 1, x - 2, x, x + 3])
    return np.stack([x, np.arange(len(x)) % 3], axis=1) if criterion.unpaired else x


DATA = st.lists(st.integers(-400, 400), min_size=6, max_size=10).filter(lambda x: len(set(x)) > 1)


@EVERY
@settings(max_examples=20, deadline=None)
@given(x=DATA, bands=tilings(CUTS))
def test_other_names_give_the_other_name(criterion, x, bands):
    names = {"a": "z", "b": "y", "c": "x"}
    here = judged(shaped(criterion, x), bands, criterion, domain(criterion), LOOSE)
    relabelled = {names[name]: text for name, text in bands.items()}
    there = judged(shaped(criterion, x), relabelled, criterion, domain(criterion), LOOSE)
    assert there.outcome == names.get(here.outcome, here.outcome)
    assert {names[name] for name in here.alive} == set(there.alive)


@EVERY
@settings(max_examples=20, deadline=None)
@given(x=DATA, bands=tilings(CUTS), shift=st.integers(-1000, 1000), power=st.integers(-40, 40))
def test_shifting_and_scaling_data_and_bands_together_changes_nothing(criterion, x, bands, shift, power):
    factor = 2.0**power  # exact, and the shift is in units of it, so that no boundary case is rounded away
    offset = shift * factor
    data = shaped(criterion, x)
    after = data * factor + (np.array([offset, 0.0]) if criterion.unpaired else offset)
    here = judged(data, bands, criterion, domain(criterion), LOOSE)
    there = judged(after, moved(bands, factor, offset), criterion, domain(criterion, factor, offset), LOOSE)
    assert (here.outcome, here.alive, here.status) == (there.outcome, there.alive, there.status)


@EVERY
@settings(max_examples=20, deadline=None)
@given(x=DATA, bands=tilings(CUTS), cut=CUTS, left=st.booleans())
def test_an_extra_cut_inside_a_band_changes_nothing(criterion, x, bands, cut, left):
    texts = {}
    for name, band in parsed(bands).items():
        parts = []
        for part in band:
            inside = (part.lower is None or part.lower < cut) and (part.upper is None or cut < part.upper)
            low, high = str(part).split(", ")
            pieces = [f"{low}, {cut}{']' if left else ')'}", f"{'(' if left else '['}{cut}, {high}"]
            parts += pieces if inside else [str(part)]
        texts[name] = " | ".join(parts)
    data = shaped(criterion, x)
    here = judged(data, bands, criterion, domain(criterion), LOOSE)
    there = judged(data, texts, criterion, domain(criterion), LOOSE)
    assert here.atoms == there.atoms and here.outcome == there.outcome


@EVERY
@settings(max_examples=30, deadline=None)
@given(x=DATA, bands=tilings(CUTS), alpha=st.sampled_from([0.02, 0.05, LOOSE]))
def test_no_outcome_contradicts_its_own_interval(criterion, x, bands, alpha):
    data = shaped(criterion, x)
    decision = judged(data, bands, criterion, domain(criterion), alpha)
    if decision.status != "tested":
        assert decision.outcome == "inconclusive"
        return
    low, high = criterion.on(domain(criterion)).interval(data, 1 - 2 * alpha)
    slack = 1e-9 * max(1.0, *(abs(end) for end in (low, high) if math.isfinite(end)), 1000.0)
    slack = max(slack, 1e-2 * (high - low)) if criterion.name in RESAMPLED else slack  # its ends lie between resamples
    atoms = split_line(spec_of(bands).bands, domain(criterion))
    for atom, test in zip(atoms, decision.atoms, strict=True):
        lower, upper = atom.interval.lower, atom.interval.upper
        outside = (lower is not None and lower >= high - slack) or (upper is not None and upper <= low + slack)
        assert outside or not test.rejected
        clear = (lower is not None and lower > high + slack) or (upper is not None and upper < low - slack)
        assert test.rejected or not clear or atom.interior  # an interior atom is tested at α/2
    if decision.outcome != "inconclusive":
        band = parsed(bands)[decision.outcome]
        assert any(
            (part.lower is None or part.lower <= high + slack) and (part.upper is None or part.upper >= low - slack)
            for part in band
        )
        assert decision.p is not None and 0 < decision.p <= alpha


@pytest.mark.parametrize("criterion", [c for c in ALL if not c.unpaired], ids=lambda criterion: criterion.name)
@settings(max_examples=20, deadline=None)
@given(x=DATA, which=st.integers(0, 5))
def test_a_mirror_changes_nothing_even_with_a_seed_on_the_cut(criterion, x, which):
    """A seed on the cut lies neither above nor below it."""
    data = shaped(criterion, x)
    cut = float(x[which])
    if (
        criterion.name in RESAMPLED
    ):  # the mirror's seeds are sorted the other way, so others are drawn: as many as can be
        criterion = criterion.model_copy(update={"resamples": 99_999})
    on = criterion.on(domain(criterion))
    greater, less = on.p_greater(data, cut), on.p_less(-data, -cut)
    if criterion.name in RESAMPLED:
        assert greater == pytest.approx(less, abs=2e-2)
    else:
        assert greater == pytest.approx(less, rel=1e-9, abs=1e-12)
