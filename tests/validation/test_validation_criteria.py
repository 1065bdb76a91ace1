"""Reference values of every criterion, and agreement with SciPy, statsmodels and pingouin over random data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from harness.criteria import estimate_parameter
from harness.criteria.bca import Bca
from harness.criteria.bounded import Bounded
from harness.criteria.iqm_bootstrap import IqmBootstrap
from harness.criteria.median import Median, sign_p
from harness.criteria.sign_flip import SignFlip
from harness.criteria.t import T
from harness.criteria.t_sequence import TSequence
from harness.criteria.welch import Welch, compare
from harness.criteria.wilcoxon import Wilcoxon

# pingouin and statsmodels are imported by the tests that compare with them: whatever is loaded in this process, any
# run that a test makes in it describes file by file, as other people's packages.
STUDENT, FLIPS, RANKS, SIGNS = T(name="t"), SignFlip(name="sign_flip"), Wilcoxon(name="wilcoxon"), Median(name="median")
WELCH, SEQUENCE, BETS = Welch(name="welch"), TSequence(name="t_sequence"), Bounded(name="bounded")
QUARTERS = IqmBootstrap(name="iqm_bootstrap", resamples=99_999)
EFRON = Bca(name="bca", resamples=99_999, expanded=False)

# Student 1908, R's sleep: extra hours of sleep, first drug minus second.
SLEEP = np.array([-1.2, -2.4, -1.3, -1.3, 0, -1, -1.8, -0.8, -4.6, -1.4])
# Darwin 1876, The Effects of Cross and Self Fertilisation: heights of crossed minus self-fertilised maize, in eighths
# of an inch; R's boot package has them as darwin. Fisher 1935, section 21, counts 1726 of the 32768 sign patterns.
DARWIN = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75.0])
# NCSS, Two-Sample T-Tests for Equivalence, its example 1.
NCSS_A = np.array([452, 874, 554, 447, 356, 754, 558, 574, 664, 682, 547, 435, 245.0])
NCSS_B = np.array([546, 547, 774, 465, 459, 665, 467, 365, 589, 534, 456, 651, 654, 665, 546, 537.0])
# R, package boot: sixteen times.
BOOT = np.array([10, 12, 12.5, 12.5, 13.9, 15, 21, 22, 23, 34, 50, 81, 89, 121, 134, 213])


def two_sided(criterion, x, cut=0.0):
    return min(1.0, 2 * min(criterion.p_greater(x, cut), criterion.p_less(x, cut)))


# Reference 1: sleep -------------------------------------------------------------------------------------------------


def test_sleep():
    assert SLEEP.mean() / (SLEEP.std(ddof=1) / math.sqrt(10)) == pytest.approx(-4.062128, abs=5e-7)
    assert two_sided(STUDENT, SLEEP) == pytest.approx(0.002832890, abs=5e-10)
    assert STUDENT.interval(SLEEP, 0.90) == pytest.approx((-2.293005, -0.866995), abs=5e-7)
    assert STUDENT.interval(SLEEP, 0.95) == pytest.approx((-2.459886, -0.700114), abs=5e-7)
    assert STUDENT.p_greater(SLEEP, -0.5) == pytest.approx(0.989241, abs=5e-7)
    assert STUDENT.p_less(SLEEP, 0.5) == pytest.approx(0.000231903, abs=5e-10)
    assert two_sided(FLIPS, SLEEP) == 0.00390625
    assert estimate_parameter("pseudomedian", SLEEP) == pytest.approx(-1.3, abs=1e-12)
    assert SIGNS.interval(SLEEP, 0.95) == (-2.4, -0.8)


def test_sleep_t_sequence():
    """The sequence of error 5% on both sides: what the criterion calls its interval at 90%, α on each side."""
    assert SEQUENCE.c_squared == 0.5
    assert SEQUENCE.interval(SLEEP, 0.90) == pytest.approx((-3.085260, -0.074740), abs=5e-7)
    low, high = SEQUENCE.interval(SLEEP, 0.90)
    assert SEQUENCE.p_greater(SLEEP, low) == pytest.approx(0.05, rel=1e-9)
    assert SEQUENCE.p_less(SLEEP, high) == pytest.approx(0.05, rel=1e-9)


def test_the_t_sequence_is_a_mixture_of_noncentral_t():
    """One over p is ∫ density of t under effect δ over density under none, δ ~ N(0, 1/c²)."""
    x = SLEEP[:6]
    t, n = float(x.mean() / (x.std(ddof=1) / math.sqrt(6))), 6
    ratio, _ = integrate.quad(
        lambda d: (
            stats.nct.pdf(t, n - 1, d * math.sqrt(n)) / stats.t.pdf(t, n - 1) * stats.norm.pdf(d, scale=math.sqrt(2))
        ),
        -12,
        12,
        limit=200,
    )
    assert SEQUENCE.p_less(x, 0.0) == pytest.approx(1 / ratio, rel=1e-6)


# Reference 2: Darwin's maize ----------------------------------------------------------------------------------------


def test_darwin():
    assert two_sided(RANKS, DARWIN) == pytest.approx(0.041260, abs=5e-7)
    assert DARWIN.mean() / (DARWIN.std(ddof=1) / math.sqrt(15)) == pytest.approx(2.147987, abs=5e-7)
    assert two_sided(STUDENT, DARWIN) == pytest.approx(0.049703, abs=5e-7)
    assert STUDENT.interval(DARWIN, 0.95) == pytest.approx((0.031193, 41.835473), abs=5e-7)
    assert two_sided(FLIPS, DARWIN) == 1726 / 32768 == pytest.approx(0.052673, abs=5e-7)
    assert FLIPS.interval(DARWIN, 0.95) == pytest.approx((-0.166667, 41), abs=5e-7)
    assert estimate_parameter("pseudomedian", DARWIN) == 25
    assert RANKS.interval(DARWIN, 0.95) == (4, 41.5)


# Reference 3: NCSS --------------------------------------------------------------------------------------------------


def test_ncss_two_sample_equivalence():
    found = compare(NCSS_A, NCSS_B)
    assert found.df == pytest.approx(19.169002, abs=5e-7)
    assert stats.t.sf(found.t(-110), found.df) == pytest.approx(0.036279, abs=5e-7)
    assert stats.t.cdf(found.t(110), found.df) == pytest.approx(0.020016, abs=5e-7)
    assert found.interval(0.95) == pytest.approx((-120.273364, 104.042594), abs=5e-7)


# Reference 4: R's boot ----------------------------------------------------------------------------------------------


def test_bca_of_rs_boot():
    assert EFRON.interval(BOOT, 0.95) == pytest.approx((32.31, 91.43), rel=0.005)


def test_percentile_interval_of_rs_boot():
    """The reference's own check: SciPy's resampling, with which bca is compared below, comes to R's numbers."""
    drawn = stats.bootstrap((BOOT,), np.mean, method="percentile", n_resamples=200_000, batch=50_000, rng=1)
    assert tuple(drawn.confidence_interval) == pytest.approx((28.86, 84.21), rel=0.005)


def test_bca_agrees_with_scipy():
    """Of its own resamples, hence the tolerance: a fiftieth of the interval."""
    for seed, n in ((1, 8), (2, 30)):
        x = np.random.default_rng(seed).exponential(2.0, n)
        expected = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=99_999, rng=seed).confidence_interval
        width = expected.high - expected.low
        assert EFRON.interval(x, 0.95) == pytest.approx((expected.low, expected.high), abs=0.02 * width)


def test_without_bias_and_acceleration_bca_is_the_percentile_interval():
    x = np.concatenate([BOOT, -BOOT])  # symmetric: neither, but for the resamples' own noise
    expected = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=99_999, rng=1).confidence_interval
    assert EFRON.interval(x, 0.95) == pytest.approx((expected.low, expected.high), rel=0.02)


# The interquartile mean ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 10, 31])
def test_the_interquartile_mean_is_scipys_trimmed_mean(n):
    """As rliable has it: scipy.stats.trim_mean(scores, proportiontocut=0.25, axis=None)."""
    x = np.random.default_rng(n).normal(size=(n, 3))
    assert estimate_parameter("iqm", x[:, 0]) == pytest.approx(stats.trim_mean(x[:, 0], 0.25), rel=1e-12)
    assert estimate_parameter("iqm", x) == pytest.approx(stats.trim_mean(x, 0.25, axis=None), rel=1e-12)
    assert estimate_parameter("iqm", SLEEP) == pytest.approx(np.mean([-1.0, -1.2, -1.3, -1.3, -1.4, -1.8]), rel=1e-12)


@pytest.mark.parametrize("tasks", [1, 3])
def test_the_bootstrap_of_the_interquartile_mean_is_scipys_at_a_wider_level(tasks):
    """Of its own resamples, hence the tolerance: a fiftieth of the interval. Seeds are drawn with all their tasks."""
    n = 30
    x = np.random.default_rng(5).exponential(2.0, (n, tasks)) + 3 * np.arange(tasks)
    inner = 1 - 2 * stats.norm.sf(stats.t.isf(0.05, n - 1) * math.sqrt(n / (n - 1)))
    expected = stats.bootstrap(
        tuple(x.T), lambda *drawn, axis: trimmed(np.stack(drawn, axis=-1)), paired=True, vectorized=True, method="BCa",
        confidence_level=inner, n_resamples=20_000, batch=2000, rng=3,
    ).confidence_interval  # fmt: skip
    width = expected.high - expected.low
    found = QUARTERS.over(tasks).interval(x[:, 0] if tasks == 1 else x, 0.9)
    assert found == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def trimmed(drawn):
    """The trimmed mean of all values of the last two axes."""
    return stats.trim_mean(drawn.reshape(*drawn.shape[:-2], -1), 0.25, axis=-1)


def test_a_middle_half_without_spread_decides_nothing():
    x = np.array([-9.0, -5, 0.3, 0.3, 0.3, 0.3 + 1e-16, 0.3, 0.3, 4, 8])
    assert QUARTERS.p_greater(x, -1.0) == QUARTERS.p_less(x, 1.0) == 1
    assert QUARTERS.interval(x, 0.9) == (-math.inf, math.inf)
    x[3:5] += (0.1, 0.2)
    assert QUARTERS.p_greater(x, -1.0) < 0.2 and all(map(math.isfinite, QUARTERS.interval(x, 0.9)))


def test_one_seed_that_collapses_hardly_moves_it():
    x = np.random.default_rng(2).normal(5, 1, 12)
    low, high = QUARTERS.interval(x, 0.9)
    x[3] = -1e6
    again = QUARTERS.interval(x, 0.9)
    assert abs(again[0] - low) < 1 and abs(again[1] - high) < 1
    assert STUDENT.interval(x, 0.9)[0] < -1e5


def test_too_few_seeds_have_an_interval_and_no_p():
    x = np.random.default_rng(1).normal(3, 0.1, (29, 4))
    assert QUARTERS.p_greater(x[:7, 0], 0.0) == 1 > QUARTERS.p_greater(x[:8, 0], 0.0)
    assert QUARTERS.over(4).p_greater(x, 0.0) == 1 and QUARTERS.over(4).interval(x, 0.9)[0] > 2
    assert QUARTERS.p_greater(x, 0.0) < 0.01, "the same data as one task's would decide"


def test_seeds_and_tasks_have_no_order():
    x = np.random.default_rng(4).normal(size=(30, 4))
    shuffled = np.random.default_rng(5).permutation(x)[:, [2, 0, 3, 1]]
    assert QUARTERS.over(4).interval(shuffled, 0.9) == QUARTERS.over(4).interval(x, 0.9)


# Reference 5: power -------------------------------------------------------------------------------------------------


def test_power_of_a_one_sided_t_test():
    from statsmodels.stats.power import TTestPower

    assert 1 - STUDENT.type_two(0.8, 1.0, 10, 0.05) == pytest.approx(0.754425, abs=5e-7)
    for n, effect, alpha in ((5, 0.5, 0.05), (12, 1.1, 0.025), (40, 0.2, 0.1)):
        expected = TTestPower().power(effect, n, alpha, alternative="larger")
        assert 1 - STUDENT.type_two(effect, 1.0, n, alpha) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("per_group", "power"), [(3, 0.038563), (8, 0.288712), (15, 0.693389), (30, 0.943256), (50, 0.994582)]
)
def test_power_of_tost(per_group, power):
    """δ = −4, sd 18, ±19.2, two groups with a pooled variance: one-sample TOST with the same df and standard error."""
    n = 2 * per_group - 1
    error = 18 * math.sqrt(2 / per_group)
    unit = np.linspace(-1, 1, n)
    unit = unit / (unit.std(ddof=1) / math.sqrt(n))  # mean 0, standard error 1

    def inside(q):
        """P(both tests reject | the estimated standard error is q times the true one)."""
        _, half = STUDENT.interval(unit * error * q, 0.90)
        chance = stats.norm.cdf((19.2 - half + 4) / error) - stats.norm.cdf((half - 19.2 + 4) / error)
        return max(chance, 0.0) * stats.chi.pdf(q * math.sqrt(n - 1), n - 1) * math.sqrt(n - 1)

    _, half = STUDENT.interval(unit * error, 0.90)
    found, _ = integrate.quad(inside, 0, 19.2 / half, epsabs=1e-10, epsrel=1e-10)
    assert found == pytest.approx(power, abs=5e-7)


# Agreement over random data -----------------------------------------------------------------------------------------

RNG = np.random.default_rng(12)
DATA = [pytest.param(RNG.normal(0.4, 1, n), round(float(RNG.normal()), 3), id=f"n{n}") for n in (2, 5, 9, 20, 50)]


@pytest.mark.parametrize(("x", "cut"), DATA)
def test_t_agrees(x, cut):
    import pingouin
    from statsmodels.stats.weightstats import DescrStatsW

    for side in ("greater", "less"):
        p = STUDENT.p_greater(x, cut) if side == "greater" else STUDENT.p_less(x, cut)
        assert p == pytest.approx(stats.ttest_1samp(x, cut, alternative=side).pvalue, rel=1e-12)
        assert p == pytest.approx(float(pingouin.ttest(x, cut, alternative=side).iloc[0]["p_val"]), rel=1e-9)
        larger = {"greater": "larger", "less": "smaller"}[side]
        assert p == pytest.approx(DescrStatsW(x).ttest_mean(cut, alternative=larger)[1], rel=1e-9)


@pytest.mark.parametrize(("x", "cut"), DATA)
def test_wilcoxon_agrees_where_there_are_no_ties(x, cut):
    import pingouin

    for side, test in (("greater", RANKS.p_greater), ("less", RANKS.p_less)):
        assert test(x, cut) == pytest.approx(stats.wilcoxon(x - cut, alternative=side, method="exact").pvalue, rel=1e-9)
        found = float(pingouin.wilcoxon(x - cut, alternative=side, method="exact").iloc[0]["p_val"])
        assert test(x, cut) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("criterion", [RANKS, FLIPS, SIGNS], ids=lambda criterion: criterion.name)
@pytest.mark.parametrize("probabilities", [(0.25, 0.5, 0.25), (0.4, 0.2, 0.4), (0.45, 0.1, 0.45)])
def test_ties_and_zeros_make_no_p_too_small(criterion, probabilities):
    """Exactly, over all samples of six from −1, 0 and 1 with the truth on the cut: P(p ≤ α) ≤ α for every α."""
    chance: dict[float, float] = {}
    for sample in itertools.product(range(3), repeat=6):
        p = criterion.p_greater(np.array(sample) - 1.0, 0.0)
        chance[p] = chance.get(p, 0.0) + math.prod(probabilities[k] for k in sample)
    assert len(chance) > 5
    total = 0.0
    for p in sorted(chance):
        total += chance[p]
        assert total <= p + 1e-12


def test_wilcoxon_beyond_500_seeds_is_the_normal_approximation():
    x = np.random.default_rng(3).normal(0.05, 1, 501)
    expected = stats.wilcoxon(x, alternative="greater", method="approx", correction=True).pvalue
    assert RANKS.p_greater(x, 0.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("x", "cut"), DATA)
def test_the_sign_test_and_its_interval_agree(x, cut):
    test = stats.quantile_test(x, q=cut, p=0.5, alternative="greater")  # the median is greater than the cut
    assert SIGNS.p_greater(x, cut) == pytest.approx(test.pvalue, rel=1e-9)
    assert SIGNS.p_less(x, cut) == pytest.approx(stats.quantile_test(x, q=cut, p=0.5, alternative="less").pvalue)
    low, high = SIGNS.interval(x, 0.9)
    expected = stats.quantile_test(x, p=0.5).confidence_interval(0.9)
    if math.isfinite(low) and math.isfinite(expected.low):
        assert (low, high) == (expected.low, expected.high)
    else:
        assert math.isinf(low) and len(x) < 5


@pytest.mark.parametrize("n", [3, 6, 9])
def test_sign_flip_agrees_with_scipys_permutations(n):
    rng = np.random.default_rng(n)
    for x in (rng.normal(0.5, 1, n), rng.integers(-3, 6, n) / 10):
        for side, test in (("greater", FLIPS.p_greater), ("less", FLIPS.p_less)):
            expected = stats.permutation_test(
                (x,), np.sum, permutation_type="samples", alternative=side, n_resamples=np.inf
            )
            assert test(x, 0.0) == pytest.approx(expected.pvalue, rel=1e-12)


def test_the_sign_flip_interval_is_hartigans():
    """Its ends are means of subsets: for n = 6 at 2·2/64, the second smallest and second largest of 63."""
    x = np.random.default_rng(1).normal(0, 1, 6)
    means = sorted(x[[bool(k >> i & 1) for i in range(6)]].mean() for k in range(1, 64))
    assert FLIPS.interval(x, 1 - 4 / 64) == pytest.approx((means[1], means[-2]), rel=1e-9)


def test_sign_flip_beyond_30_seeds_is_an_upper_bound_and_close():
    """Against 400,000 random patterns, and against t, which it tends to."""
    x = np.random.default_rng(6).normal(0.3, 1, 40)
    p = FLIPS.p_greater(x, 0.0)
    signs = np.random.default_rng(7).choice(np.array([-1.0, 1.0], dtype=np.float32), (400_000, 40))
    drawn = float((signs @ x.astype(np.float32) >= x.sum()).mean())
    assert drawn - 4 * math.sqrt(drawn / 400_000) <= p <= 1.05 * drawn + 4 * math.sqrt(drawn / 400_000)
    assert p == pytest.approx(STUDENT.p_greater(x, 0.0), rel=0.2)


@pytest.mark.parametrize("sizes", [(2, 2), (5, 5), (4, 30)])
def test_welch_agrees(sizes):
    import pingouin
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    rng = np.random.default_rng(sum(sizes))
    a, b = rng.normal(1, 1, sizes[0]), rng.normal(0, 3, sizes[1])
    found = compare(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert 2 * stats.t.sf(abs(found.t(0)), found.df) == pytest.approx(expected.pvalue, rel=1e-9)
    interval = CompareMeans(DescrStatsW(a), DescrStatsW(b)).tconfint_diff(usevar="unequal")
    assert found.interval(0.95) == pytest.approx(interval, rel=1e-9)
    assert found.df == pytest.approx(float(pingouin.ttest(a, b, correction=True).iloc[0]["dof"]), abs=1e-2)
    if sizes[0] == sizes[1]:
        x = np.stack([a, b], axis=1)
        greater = stats.ttest_ind(a - 0.7, b, equal_var=False, alternative="greater").pvalue
        assert WELCH.p_greater(x, 0.7) == pytest.approx(greater, rel=1e-9)
        assert WELCH.p_less(x, 0.7) == pytest.approx(1 - greater, rel=1e-9)
        assert WELCH.interval(x, 0.95) == pytest.approx(interval, rel=1e-9)


def test_betting_is_the_universal_portfolio():
    """One over p is ∫ Π(1 − f + f(x − a)/(cut − a)) dBeta(½, ½)(f)."""
    x, cut = np.random.default_rng(2).uniform(-1, 3, 7), 0.4
    wealth, _ = integrate.quad(
        lambda u: float(np.prod(1 - math.sin(u) ** 2 + math.sin(u) ** 2 * (x + 1) / (cut + 1))) * 2 / math.pi,
        0,
        math.pi / 2,
    )
    assert BETS.on((-1, 3)).p_greater(x, cut) == pytest.approx(min(1.0, 1 / wealth), rel=1e-9)
    below, _ = integrate.quad(
        lambda u: float(np.prod(1 - math.sin(u) ** 2 + math.sin(u) ** 2 * (3 - x) / (3 - cut))) * 2 / math.pi,
        0,
        math.pi / 2,
    )
    assert BETS.on((-1, 3)).p_less(x, cut) == pytest.approx(min(1.0, 1 / below), rel=1e-9)


def test_the_wealth_of_a_gambler_is_at_most_one_on_average():
    """Exactly, over all outcomes of seven coins whose mean is the cut."""
    total = 0.0
    for k in range(8):
        x = np.array([1.0] * k + [0.0] * (7 - k))
        p = BETS.on((0, 1)).p_greater(x, 0.3)
        total += stats.binom.pmf(k, 7, 0.3) / p if p < 1 else stats.binom.pmf(k, 7, 0.3)
    assert 1 <= total < 1.6  # p is cut at 1, so the mean of 1/p is above that of the wealth itself


@pytest.mark.parametrize(
    ("criterion", "n", "slack"),
    [
        (WELCH, 9, 0.01),
        (SEQUENCE, 9, 0),
        (SIGNS, 10, 0),
        (SIGNS, 15, 0),
        (FLIPS, 10, 0.03),
        (RANKS, 10, 0.06),
        (IqmBootstrap(name="iqm_bootstrap"), 16, 0.08),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_type_two_is_the_share_of_simulated_samples_that_miss(criterion, n, slack):
    """Exact for t_sequence and median; near for the others."""
    x = np.random.default_rng(4).normal(0, 1, (1000, n, 2) if criterion.unpaired else (1000, n))
    effect, sd = 0.9, math.sqrt(2) if criterion.unpaired else 1.0
    x = x + ([effect, 0.0] if criterion.unpaired else effect)
    missed = np.mean([criterion.p_greater(row, 0.0) > 0.025 for row in x])
    expected = criterion.type_two(effect, sd, n, 0.025)
    assert missed == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 1000) + slack)


@pytest.mark.parametrize(("count", "n"), [(0, 101), (60, 101), (101, 101), (1100, 2000), (5100, 10_000)])
def test_many_coins_agree_with_few(count, n):
    """Above 100 the incomplete beta function takes over from counting."""
    assert sign_p(count, n) == pytest.approx(stats.binom.sf(count - 1, n, 0.5), rel=1e-9)
    assert sign_p(60, 100) == pytest.approx(stats.binom.sf(59, 100, 0.5), rel=1e-12)
