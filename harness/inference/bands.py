"""A single decision: the band that holds the true value, as far as the seeds can tell."""

from __future__ import annotations

import math
from typing import Literal

from harness.criteria import Criterion
from harness.domain.partition import Atom, split_line
from harness.inference.atoms import run_atom_tests
from harness.inference.onsets import restore_infinity
from harness.inference.samples import Sample, keep_finite
from harness.inference.seeds import compute_sd_limits, count_seeds_needed, find_hurdles
from harness.records import AtomTest, BandDecision, DecisionSpec

Status = Literal["tested", "too_few", "degenerate", "diverged", "seed_not_applied"]


def judge_bands(
    name: str,
    spec: DecisionSpec,
    sample: Sample,
    bounds: tuple[float, float],
    alpha: float | None = None,
    *,
    seeds_applied: bool = True,
    described: bool = True,
) -> BandDecision:
    """Test every atom's null at α; the outcome is k if and only if every atom not labelled k is rejected.

    P(wrong outcome) ≤ α: a wrong outcome requires the rejection of the atom that holds the true value, a single test at
    level α (an intersection–union test; TOST is the special case of one interior band). ``alpha`` is the criterion's,
    unless a combination of decisions requires a smaller one. The interval, the blocking cut and the seeds needed are
    omitted unless ``described``. ``bounds`` and the result are in the estimand's unit, the sample's data on its scale.

    Raises:
        HarnessError: the bands do not tile ``bounds``.
    """
    own_atoms, scale = split_line(spec.bands, bounds), sample.scale
    atoms = scale.enter_atoms(own_atoms)
    criterion = spec.criterion.on((scale.enter(bounds[0]), scale.enter(bounds[1]))).over(sample.tasks)
    alpha = criterion.alpha if alpha is None else alpha
    status = _find_status(atoms, criterion, sample, seeds_applied, alpha)
    tests = run_atom_tests(atoms, sample.data, criterion, alpha, sample.upper) if status == "tested" else ()
    describable = described and status in ("tested", "too_few") and len(sample.x) > 1 and not sample.degenerate
    alive = find_alive_bands(spec, tests)
    estimate = sample.result.estimate(criterion.targets)
    home = next((atom.outcome for atom in own_atoms if estimate is not None and atom.interval.contains(estimate)), None)
    outcome = alive[0] if tests and len(alive) == 1 else "inconclusive"
    if status in ("diverged", "seed_not_applied"):
        outcome = "invalid"
    standard = outcome if outcome in spec.bands else home
    needed: tuple[int | None, int | None] = (None, None)
    boundary = None
    if described and tests and outcome == "inconclusive" and estimate is not None and home is not None:
        boundary = _find_blocking_cut(own_atoms, tests, estimate, home)
        steps, sd = find_hurdles(atoms, scale.enter(estimate), home, alpha), sample.result.sd
        if sd is not None:
            needed = (
                count_seeds_needed(criterion, steps, sd),
                count_seeds_needed(criterion, steps, compute_sd_limits(sd, len(sample.x))[1]),
            )
    return BandDecision(
        name=name,
        estimand=sample.result,
        criterion=criterion.name,
        alpha=alpha,
        status=status,
        interval=find_interval(criterion, sample, 1 - 2 * alpha) if describable else None,
        interval_level=1 - 2 * alpha,
        atoms=_leave_scale(tests, own_atoms),
        bands={band: str(parts) for band, parts in spec.bands.items()},
        outcome=outcome,
        alive=alive,
        p=max((test.p for test in tests if test.outcome != standard), default=None),
        boundary=boundary,
        seeds_needed=needed[0],
        seeds_needed_pessimistic=needed[1],
        steps=(),
    )


def _leave_scale(tests: tuple[AtomTest, ...], atoms: tuple[Atom, ...]) -> tuple[AtomTest, ...]:
    """Return tests, of which there may be none, with their atoms in the estimand's unit."""
    return tuple(
        test.model_copy(update={"interval": atom.interval})
        for test, atom in zip(tests, atoms if tests else (), strict=True)
    )


def find_interval(criterion: Criterion, sample: Sample, level: float) -> tuple[float, float] | None:
    """Return the confidence interval; None if an end is not finite, or of onsets, which may never come, if both are."""
    if sample.upper is None:
        return keep_finite(sample.scale.leave_interval(criterion.interval(sample.data, level)))
    ends = criterion.interval(sample.data, level)[0], criterion.interval(sample.upper, level)[1]
    low, high = (restore_infinity(end) for end in ends)
    return None if math.isinf(low) and math.isinf(high) else (low, high)


def find_alive_bands(spec: DecisionSpec, tests: tuple[AtomTest, ...]) -> tuple[str, ...]:
    """Return the bands with an atom that is not rejected, in the file's order; all of them where nothing was tested."""
    if not tests:
        return tuple(spec.bands)
    left = {test.outcome for test in tests if not test.rejected}
    return tuple(band for band in spec.bands if band in left)


def _find_status(
    atoms: tuple[Atom, ...], criterion: Criterion, sample: Sample, seeds_applied: bool, alpha: float
) -> Status:
    """Return "tested" if the atoms can be tested, otherwise the gravest reason why they cannot."""
    if not seeds_applied:
        return "seed_not_applied"
    if sample.blocked:
        return "diverged"
    fewest = min(criterion.smallest_n(atom.level(alpha)) for atom in atoms)
    if len(sample.x) < max(2, fewest):  # some atom could never be rejected
        return "too_few"
    return "degenerate" if sample.degenerate else "tested"


def _find_blocking_cut(
    atoms: tuple[Atom, ...], tests: tuple[AtomTest, ...], estimate: float, home: str
) -> float | None:
    """Return the cut between the estimate and the atom of another band that is furthest from rejection."""
    blocking = []
    for atom, test in zip(atoms, tests, strict=True):
        cut = atom.facing_cut(estimate)
        if atom.outcome != home and not test.rejected and cut is not None:
            blocking.append((test.p, -abs(estimate - cut), cut))
    return max(blocking)[2] if blocking else None
