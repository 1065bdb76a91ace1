"""Posterior probabilities and effect sizes, which accompany a decision and never make one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.domain.partition import Atom
from harness.domain.scales import PLAIN, Scale
from harness.records import BandDecision, EffectSize
from harness.stats.distributions import t_cdf
from harness.stats.noncentral import noncentrality_limits

LEVEL = 0.95


def put_on_scale(decision: BandDecision, scale: Scale) -> BandDecision:
    """Return a decision with its mean and its atoms on the scale of the test, on which its standard deviation is."""
    mean = decision.estimand.mean
    if scale is PLAIN or mean is None or mean <= 0:
        return decision
    atoms = scale.enter_atoms(tuple(Atom(test.interval, test.outcome) for test in decision.atoms))
    tests = zip(decision.atoms, atoms, strict=True)
    return decision.model_copy(
        update={
            "estimand": decision.estimand.model_copy(update={"mean": scale.enter(mean)}),
            "atoms": tuple(test.model_copy(update={"interval": atom.interval}) for test, atom in tests),
        }
    )


def compute_posterior(decision: BandDecision) -> Mapping[str, float] | None:
    """Return P(true mean in band | seeds) for every band, under Jeffreys' prior 1/σ for normal values.

    The mean's posterior is then x̄ + (s/√n)·t with n − 1 degrees of freedom (Box and Tiao 1973,
    doi 10.1002/9781118033197). This is a second opinion, on which no outcome ever depends. Return None if nothing was
    tested or the decision is not about a mean.
    """
    result = decision.estimand
    if not decision.atoms or result.mean is None or not result.sd:
        return None
    error = result.sd / math.sqrt(result.n)
    found = dict.fromkeys(decision.bands, 0.0)
    for atom in decision.atoms:
        found[atom.outcome] += _compute_share_between(
            atom.interval.lower, atom.interval.upper, result.mean, error, result.n - 1
        )
    return found


def _compute_share_between(lower: float | None, upper: float | None, centre: float, scale: float, df: int) -> float:
    """Return P(lower < centre + scale·t < upper), by the upper tail above the centre, where small numbers survive."""
    low = -math.inf if lower is None else (lower - centre) / scale
    high = math.inf if upper is None else (upper - centre) / scale
    if low > 0:
        low, high = -high, -low
    return t_cdf(high, df) - t_cdf(low, df)


def compute_effect_size(decision: BandDecision) -> EffectSize | None:
    """Return the mean paired difference in standard deviations of the differences: d_z, with Hedges' correction g_z.

    The interval is exact for normal differences, from the noncentral t, and corrected by the same factor (Hedges 1981,
    doi 10.3102/10769986006002107; Cumming and Finch 2001, doi 10.1177/0013164401614002). Return None if nothing was
    tested.
    """
    result = decision.estimand
    if not decision.atoms or result.mean is None or not result.sd or result.n < 3:
        return None
    df, root = result.n - 1, math.sqrt(result.n)
    standardised = result.mean / result.sd
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    low, high = noncentrality_limits(standardised * root, df, LEVEL)
    return EffectSize(
        value=correction * standardised,
        interval95=(correction * low / root, correction * high / root),
        correction=correction,
    )
