"""Hostile numbers, for every criterion through a whole decision: a named status, never a silent p = 0."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.criteria import NEVER, compute_t_misses
from harness.domain.partition import split_line
from harness.errors import HarnessError
from harness.inference import decide
from harness.inference.atoms import run_atom_tests
from harness.plugins.registry import find_members
from harness.records import Band, Decision, Hypothesis
from harness.stats.distributions import t_exceeded
from tests.unit.inference.inference_records import judged, make_hypothesis, make_measurements

ALL = [kind.model_validate({"name": name}) for name, kind in find_members("criteria").items()]
EVERY = pytest.mark.parametrize("criterion", ALL, ids=lambda criterion: criterion.name)
pytestmark = pytest.mark.filterwarnings("error")
STATUSES = {"tested", "too_few", "degenerate", "diverged", "seed_not_applied"}
BANDS = {"low": "(-inf, -0.2]", "middle": "(-0.2, 0.2)", "high": "[0.2, inf)"}


def hypothesis(criterion, policy="invalid") -> Hypothesis:
    """A contrast of accuracies, which have bounds and can be paired or not."""
    estimand = {"metric": "test_accuracy", "contrast": "penalized - shallow", "seeds": criterion.targets}
    if criterion.unpaired:
        estimand["pairing"] = "unpaired"
    made = make_hypothesis({"e": estimand}, {"d": ("e", BANDS)}, exclusions={"diverged": policy})
    spec = made.decisions["d"].model_copy(update={"criterion": criterion})
    return made.model_copy(update={"decisions": {"d": spec}})


def decided(criterion, first, policy="invalid", poison=None, **more) -> Decision:
    """The decision on these accuracies of the first arm, the second's being a little spread about 0.1."""
    second = [0.1 + 0.001 * (seed % 3) for seed in range(len(first))]
    measured = make_measurements(
        {("penalized", "test_accuracy"): first, ("shallow", "test_accuracy"): second}, n=len(first), **more
    )
    if poison is not None:  # past the record's own check, into the second seed of the first arm
        series = measured.replicas[1].metrics["test_accuracy"]
        series = series.model_copy(update={"values": {"value": ((poison,),) * 2}})
        replica = measured.replicas[1].model_copy(update={"metrics": {"test_accuracy": series}})
        measured = measured.model_copy(update={"replicas": (measured.replicas[0], replica, *measured.replicas[2:])})
    return decide(hypothesis(criterion, policy), measured)


def sound(decision: Decision) -> Decision:
    """Writable, with a named status and no p that is zero or no probability."""
    decision.to_json()
    for part in decision.decisions:
        assert part.status in STATUSES
        assert all(0 < test.p <= 1 for test in part.atoms)
        assert part.p is None or 0 < part.p <= 1
        assert part.status == "tested" or (part.p is None and part.atoms == ())
    return decision


CLEAR = [0.9 + 0.004 * (seed % 7) for seed in range(40)]


@EVERY
def test_clear_data_are_decided(criterion):
    decision = sound(decided(criterion, CLEAR))
    assert decision.outcome == "high" and decision.decisions[0].status == "tested"


@EVERY
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1.5])
@pytest.mark.parametrize("policy", ["invalid", "exclude"])
def test_no_hostile_number_reaches_a_criterion(criterion, poison, policy, monkeypatch):
    seen = []
    for method in ("p_greater", "p_less", "interval"):
        real = getattr(type(criterion), method)

        def spy(self, x, argument, real=real):
            seen.append(bool(np.isfinite(x).all() and np.abs(x).max() <= 1))
            return real(self, x, argument)

        monkeypatch.setattr(type(criterion), method, spy)
    decision = sound(decided(criterion, CLEAR, policy, poison))
    assert all(seen)
    if poison == 5e-324:  # a number like any other
        assert decision.decisions[0].estimand.n == 40 and decision.decisions[0].status == "tested"
    elif policy == "invalid":
        assert decision.outcome == "invalid" and decision.decisions[0].status == "diverged" and not seen
    else:
        assert decision.outcome == "high" and decision.decisions[0].estimand.n == 39


@EVERY
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_seeds_are_never_tested_below_the_smallest_n(criterion, n):
    decision = sound(decided(criterion, CLEAR[:n])).decisions[0]
    enough = n >= max(2, criterion.on((-1.0, 1.0)).smallest_n(0.05))
    assert decision.status == ("tested" if enough else "too_few")
    if n == 1:
        assert decision.outcome == "inconclusive" and decision.interval is None and decision.estimand.mean is not None


@EVERY
def test_constant_data_are_degenerate(criterion):
    second = {("shallow", "test_accuracy"): [0.1] * 40}
    measured = make_measurements({("penalized", "test_accuracy"): [0.9] * 40, **second})
    decision = sound(decide(hypothesis(criterion), measured))
    assert decision.outcome == "inconclusive" and decision.decisions[0].status == "degenerate"


@EVERY
def test_ties_are_tested(criterion):
    decision = sound(decided(criterion, [0.9] * 20 + [0.91] * 20))
    assert decision.decisions[0].status == "tested" and decision.outcome == "high"
    on_the_cut = [0.3 + 0.001 * (seed % 3) for seed in range(40)]  # the paired differences are 0.2, each of them
    assert sound(decided(criterion, on_the_cut)).outcome != "middle"


@EVERY
@pytest.mark.parametrize(("policy", "n"), [("invalid", 9), ("exclude", 9), ("worst_case", 10)])
def test_one_diverged_of_ten(criterion, policy, n):
    decision = sound(decided(criterion, CLEAR[:10], policy, diverged={("penalized", 4): 3}))
    part = decision.decisions[0]
    assert part.estimand.n == n and decision.diverged == {"penalized": (4,)}
    rate, low, high = decision.divergence_rate["penalized"]
    assert rate == 0.1 and 0 < low < rate < high < 1 and decision.clean_rate_limit is None
    if policy == "invalid":
        assert decision.outcome == "invalid" and part.status == "diverged"
    else:
        assert part.status == ("tested" if n >= criterion.on((-1.0, 1.0)).smallest_n(0.05) else "too_few")
        assert part.outcome in ("high", "inconclusive")


def test_bca_describes_below_thirty_seeds_and_decides_nothing():
    bca = next(criterion for criterion in ALL if criterion.name == "bca")
    part = decided(bca, CLEAR[:29]).decisions[0]
    assert part.status == "too_few" and part.outcome == "inconclusive" and part.interval is not None
    assert decided(bca, CLEAR[:30]).outcome == "high"
    assert bca.model_copy(update={"expanded": False}).smallest_n(0.05) == NEVER


@EVERY
@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-100, 1e100, 1e149])
def test_extreme_scales_give_a_status_and_a_probability(criterion, scale):
    x = scale * np.linspace(0.5, 1.0, 40)
    data = np.stack([x, -x[::-1]], axis=1) if criterion.unpaired else x
    bands = {"low": "(-inf, 0]", "high": "(0, inf)"}
    domain = (-2 * scale, 2 * scale) if criterion.needs_bounds else (-math.inf, math.inf)
    part = judged(data, bands, criterion, domain)
    assert part.status in ("tested", "degenerate")
    if scale > 1e-150:
        assert part.status == "tested" and part.outcome == "high" and 0 < part.p <= 0.05


@EVERY
def test_a_cut_at_the_end_of_the_numbers_is_far_away(criterion):
    x = np.linspace(0.5, 1.0, 40)
    data = np.stack([x, -x[::-1]], axis=1) if criterion.unpaired else x
    far = {"low": "(-inf, 1e308]", "high": "(1e308, inf)"}
    domain = (-1e300, 1.5e308) if criterion.needs_bounds else (-math.inf, math.inf)
    part = judged(data, far, criterion, domain)
    assert part.outcome in ("low", "inconclusive") and part.atoms[1].p > 0


@pytest.mark.parametrize("name", sorted(set(find_members("criteria")) - {"bca", "iqm_bootstrap", "sign_flip"}))
def test_an_underflow_is_not_a_proof(name):
    """Two thousand seeds far from the cut: p would be below the smallest float. (That of a bootstrap is never so small;
    sign_flip counts patterns, which takes long for so many seeds.)
    """
    criterion = find_members("criteria")[name].model_validate({"name": name})
    rng = np.random.default_rng(1)
    x = rng.normal(0.9, 1e-6, 2000)
    data = np.stack([x, rng.normal(0, 1e-6, 2000)], axis=1) if criterion.unpaired else x
    domain = (-1.0, 1.0) if criterion.needs_bounds else (-math.inf, math.inf)
    part = judged(data, {"low": "(-inf, -0.5]", "high": "(-0.5, inf)"}, criterion, domain)
    assert part.outcome == "high" and 0 < part.p < 1e-100


def test_a_criterion_that_gives_no_probability_is_an_error():
    student = next(criterion for criterion in ALL if criterion.name == "t")

    class Broken(type(student)):
        """p is NaN."""

        def p_less(self, x, cut):
            return math.nan

    broken = Broken(name="t")
    atoms = split_line({name: Band.parse(text) for name, text in BANDS.items()})
    with pytest.raises(HarnessError, match="criterion t gave p = nan"):
        run_atom_tests(atoms, np.array([0.1, 0.2]), broken, 0.05)


@pytest.mark.parametrize(("df", "shift", "alpha"), [(4, 50.0, 0.05), (9, 38.0, 0.025), (9999, 38.0, 0.05)])
def test_a_chance_that_scipy_has_no_number_for_is_still_a_chance(df, shift, alpha):
    assert 0 <= compute_t_misses(shift, 1.0, 1, df, t_exceeded(alpha, df)) < 1e-9


@EVERY
@pytest.mark.parametrize("alpha", [1e-17, 1e-300])
def test_a_level_that_rounds_to_one_has_an_interval_without_end(criterion, alpha):
    """Where a decision at that α is allowed at all."""
    data = np.array(CLEAR * 40)[: min(1600, max(40, criterion.smallest_n(alpha)))]
    if len(data) < criterion.smallest_n(alpha):
        return
    x = np.stack([data, data[::-1] - 0.5], axis=1) if criterion.unpaired else data
    low, high = criterion.on((0.0, 1.0)).interval(x, 1 - 2 * alpha)
    assert (low, high) in ((-math.inf, math.inf), (0.0, 1.0)) or (low <= data.min() and high >= data.max())
