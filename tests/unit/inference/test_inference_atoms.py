"""Band algebra: atoms tile the line, and what must not change an outcome does not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.criteria.t import T
from harness.domain.partition import split_line
from harness.errors import HarnessError
from harness.inference import decide
from harness.inference.atoms import compute_atom_p
from harness.records import Band
from tests.unit.inference.inference_records import DIRECTION, MARGIN, cosines, decided, direction, spec_of

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = ("a", "b", "c")


@st.composite
def tilings(draw, cuts=FLOATS):
    """Bands that tile the line: cuts, a side for each, and a label for each piece; some pieces are single points."""
    ends = sorted(draw(st.lists(cuts, min_size=1, max_size=5, unique=True)))
    owners = [draw(st.sampled_from(["left", "right", "point"])) for _ in ends]  # the piece that takes the cut
    pieces, lower = [], "(-inf"
    for end, owner in zip(ends, owners, strict=True):
        pieces.append(f"{lower}, {end!r}{']' if owner == 'left' else ')'}")
        if owner == "point":
            pieces.append(f"[{end!r}, {end!r}]")
        lower = f"{'[' if owner == 'right' else '('}{end!r}"
    pieces.append(f"{lower}, inf)")
    labels = draw(st.lists(st.sampled_from(NAMES), min_size=len(pieces), max_size=len(pieces)))
    assume(len(set(labels)) > 1)
    return {n: " | ".join(p for p, label in zip(pieces, labels, strict=True) if label == n) for n in set(labels)}


def parsed(bands):
    return {name: Band.parse(text) for name, text in bands.items()}


@settings(deadline=None)
@given(tilings(), FLOATS)
def test_every_number_lies_in_exactly_one_atom_and_its_label_is_the_band_that_holds_it(texts, number):
    bands = parsed(texts)
    atoms = split_line(bands)
    ends = [atom.interval.lower for atom in atoms] + [number]
    for value in (end for end in ends if end is not None):
        for near in (value, math.nextafter(value, -math.inf), math.nextafter(value, math.inf)):
            if math.isfinite(near):
                holders = [atom.outcome for atom in atoms if atom.interval.contains(float(near))]
                assert holders == [name for name, band in bands.items() if band.contains(float(near))]
    assert atoms[0].interval.lower is None and atoms[-1].interval.upper is None
    assert all(left.outcome != right.outcome for left, right in itertools.pairwise(atoms))


def test_a_boundary_belongs_to_one_side_and_pieces_of_a_band_merge():
    atoms = split_line(parsed({"low": "(-inf, 1) | [1, 2)", "point": "[2, 2]", "high": "(2, 3] | (3, inf)"}))
    assert [(str(atom.interval), atom.outcome) for atom in atoms] == [
        ("(-inf, 2)", "low"),
        ("[2, 2]", "point"),
        ("(2, inf)", "high"),
    ]


def test_outside_the_bounds_is_nothing_and_the_outermost_atoms_are_half_lines():
    whole = split_line(parsed(DIRECTION))
    bounded = {**DIRECTION, "rejected": "[-1, -0.20] | [0.20, 1]"}
    assert split_line(parsed(bounded), (-1.0, 1.0)) == whole
    beyond = {**DIRECTION, "rejected": "[-1, -0.20] | [0.20, 1]", "absurd": "(-inf, -1) | (1, inf)"}
    assert split_line(parsed(beyond), (-1.0, 1.0)) == whole


@pytest.mark.parametrize("bands", [{"a": "(-inf, 1)", "b": "(1, inf)"}, {"a": "(-inf, 1]", "b": "[1, inf)"}])
def test_a_gap_or_an_overlap_is_refused(bands):
    with pytest.raises(HarnessError, match=r"\[1, 1\]"):
        split_line(parsed(bands))


@pytest.mark.parametrize(("estimate", "cut"), [(-3.0, 0.0), (3.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_the_facing_cut_of_an_atom_is_its_end_on_the_estimates_side(estimate, cut):
    atom = split_line(parsed({"a": "(-inf, 0] | [1, inf)", "b": "(0, 1)"}))[1]
    assert atom.facing_cut(estimate) == cut


def test_an_interior_atom_pays_for_its_two_tests_and_a_half_line_does_not():
    x = np.array([0.04, 0.07, 0.05, 0.09, 0.06])
    student = T(name="t")
    low, middle, _, high, _ = split_line(parsed({**DIRECTION, "confirmed": "(-0.05, 0.05)"}))[:5]
    assert low.interval.lower is None
    assert compute_atom_p(low, x, student) == student.p_greater(x, -0.20)
    assert compute_atom_p(middle, x, student) == 2 * student.p_greater(x, -0.05)
    assert compute_atom_p(high, x, student) == 1.0  # the estimate lies in it


DATA = st.lists(st.integers(-400, 400), min_size=3, max_size=8).filter(lambda x: len(set(x)) > 1)
CUTS = st.integers(-300, 300).map(float)


@settings(max_examples=60, deadline=None)
@given(DATA, tilings(CUTS))
def test_other_names_give_the_other_name(x, bands):
    names = {"a": "z", "b": "y", "c": "x"}
    relabelled = {names[name]: text for name, text in bands.items()}
    assert {names[name] for name in decided(x, bands)} == set(decided(x, relabelled))


def moved(bands, factor, shift):
    """The bands under v → factor·v + shift, factor > 0, exactly."""
    new = {}
    for name, band in parsed(bands).items():
        parts = []
        for part in band:
            low = "-inf" if part.lower is None else repr(part.lower * factor + shift)
            high = "inf" if part.upper is None else repr(part.upper * factor + shift)
            parts.append(f"{'[' if part.lower_closed else '('}{low}, {high}{']' if part.upper_closed else ')'}")
        new[name] = " | ".join(parts)
    return new


@settings(max_examples=60, deadline=None)
@given(DATA, tilings(CUTS), st.integers(-1000, 1000), st.integers(-40, 40))
def test_shifting_and_scaling_data_and_bands_together_changes_nothing(x, bands, shift, power):
    factor = 2.0**power  # exact, and the shift is in units of it, so that no boundary case is rounded away
    after = [value * factor + shift * factor for value in x]
    assert decided(x, bands) == decided(after, moved(bands, factor, shift * factor))


@settings(max_examples=60, deadline=None)
@given(DATA, tilings(CUTS), CUTS, st.booleans())
def test_an_extra_cut_inside_a_band_changes_nothing(x, bands, cut, left):
    texts = {}
    for name, band in parsed(bands).items():
        parts = []
        for part in band:
            inside = (part.lower is None or part.lower < cut) and (part.upper is None or cut < part.upper)
            low, high = str(part).split(", ")
            parts += (
                [f"{low}, {cut}{']' if left else ')'}", f"{'(' if left else '['}{cut}, {high}"]
                if inside
                else [str(part)]
            )
        texts[name] = " | ".join(parts)
    assert split_line(parsed(texts)) == split_line(parsed(bands))
    assert decided(x, texts) == decided(x, bands)


@settings(max_examples=60, deadline=None)
@given(DATA, tilings(CUTS), st.sampled_from([0.01, 0.05, 0.2]))
def test_a_decided_outcome_never_contradicts_its_interval(x, bands, alpha):
    alive = decided(x, bands, alpha)
    low, high = T(name="t").interval(np.asarray(x, dtype=float), 1 - 2 * alpha)
    slack = 1e-9 * max(abs(low), abs(high), 1.0)
    for atom in split_line(spec_of(bands).bands):
        above = atom.interval.lower is not None and atom.interval.lower >= high - slack
        below = atom.interval.upper is not None and atom.interval.upper <= low + slack
        assert atom.outcome in alive or above or below
    assert len(alive) >= 1  # the estimate's own band is never excluded


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_a_whole_decision_agrees_with_its_own_atoms(values):
    decision = decide(direction(), cosines(values)).decisions[0]
    if decision.status == "tested" and decision.outcome != "inconclusive":
        assert all(
            test.rejected == (test.outcome != decision.outcome) or test.outcome == decision.outcome
            for test in decision.atoms
        )
        assert (
            decision.p == max(test.p for test in decision.atoms if test.outcome != decision.outcome) <= decision.alpha
        )
    if decision.status == "tested" and decision.outcome == "inconclusive":
        assert decision.boundary in (-0.2, -0.05, 0.05, 0.2) and decision.p > decision.alpha


def test_the_margin_bands_give_three_atoms():
    assert [atom.interior for atom in split_line(parsed(MARGIN))] == [False, True, False]
