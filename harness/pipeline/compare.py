"""Two judged runs side by side: what they differ in, what they estimate, and whether they contradict each other.

A decision's tests leave a set of true values possible: the union of the atoms that it doesn't reject at its α. Whatever
the true value is, this set misses it with a probability of at most α. Two decisions *contradict* each other if they are
about the same quantity (the same comparison of arms that are trained alike) and no true value is left possible by both.
At least one of them has then erred, which two decisions on one true value come to with a probability of at most the sum
of their α. Where the comparison is the same but what it is made under is not, both may be right: they are *opposed*.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.domain.form_differences import Difference, drop_inherited, find_differences
from harness.errors import UsageError
from harness.ledger import Ledger
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.records import BandDecision, Estimand, EstimandResult, Interval
from harness.stats.distributions import t_exceeded
from harness.wording import RATIO_UNIT, format_count, join_words

Relation = Literal["contradict", "opposed", "agree", "compatible", "other quantities", "not tested"]
SAID: Mapping[Relation, str] = {
    "contradict": "no true value is left possible by both: at least one of them has erred",
    "opposed": "no true value is left possible by both, but they are made under other settings: both may be right",
    "agree": "both come to the same band",
    "compatible": "some true values are left possible by both",
    "other quantities": "they are about other quantities",
    "not tested": "nothing was tested in one of them",
}
"""Relation → what it means."""
NO_SETTINGS = frozenset(
    {"schema_version", "id", "title", "question", "rationale", "prior_data_seen", "implications", "family", "why"}
    | {"label", "otherwise", "justification", "sd", "exploratory"}
)
"""Fields of a hypothesis that are words, assumptions, or decide nothing."""
UNREAD = frozenset({"save", "save_epochs", "metrics"})
"""Fields of a set-up that change nothing that is trained or compared."""
NAMED = 4
"""Fields that a sentence names."""


@dataclass(frozen=True)
class Part:
    """A decision of one of the two."""

    outcome: str
    """Name of a band, inconclusive or invalid."""
    estimate: float | None
    """The estimate that the criterion tests."""
    interval: tuple[float, float] | None
    """Confidence interval at level 1 − 2α."""
    level: float
    """Confidence level of the interval."""
    p: float | None
    """p-value of the outcome."""
    n: int
    """Number of seeds with a value."""
    unit: str
    """Unit of estimate and interval."""
    cuts: tuple[float, ...]
    """Boundaries between the bands."""
    never: tuple[str, str] | None
    """Words for minus infinity and infinity among onsets; None for other estimands."""
    possible: tuple[Interval, ...]
    """True values that the tests leave possible; empty if nothing was tested."""


@dataclass(frozen=True)
class DecisionPair:
    """A decision of a name, in both."""

    name: str
    """Its name in the files."""
    first: Part | None
    """Its outcome in the first; None if that has no such decision."""
    second: Part | None
    """Its outcome in the second; None if that has no such decision."""
    relation: Relation | None
    """Relation of the two to each other; None if one of them has no such decision."""
    why: str
    """Grounds of the relation, in words; empty if one of them has no such decision."""
    difference: float | None = None
    """Estimate of the second minus that of the first; of ratios the one over the other. None unless both are means of
    the same comparison."""
    difference95: tuple[float, float] | None = None
    """Two-sided 95% confidence interval of the difference: by seeds if both have the same ones, else by Welch's t."""


@dataclass(frozen=True)
class ClaimPull:
    """A claim that both outcomes move, in opposite directions."""

    claim: str
    """Its id."""
    first: Literal["supports", "walks back"]
    """Effect of the first outcome on it."""
    second: Literal["supports", "walks back"]
    """Effect of the second outcome on it."""


@dataclass(frozen=True)
class Side:
    """One of the two verdicts."""

    hypothesis: str
    """The hypothesis's id."""
    run: str
    """The run's short name."""
    outcome: str
    """Its outcome."""
    predicted: str
    """The outcome that its authors expected."""
    seeds: int
    """Number of seeds."""
    deviations: tuple[str, ...]
    """Its deviations from the registration, one sentence each, without those that concern wording alone."""


@dataclass(frozen=True)
class Comparison:
    """Two verdicts side by side."""

    first: Side
    """The first."""
    second: Side
    """The second."""
    same_seeds: bool
    """True if both have the same seeds, so that they are no independent evidence."""
    settings: tuple[Difference, ...]
    """Differences of their files, as far as something is trained or decided by them."""
    circumstances: tuple[Difference, ...]
    """Differences of what they ran on and with: device, data, code, versions."""
    decisions: tuple[DecisionPair, ...]
    """Their decisions by name, in the order of the first file, then those that only the second has."""
    claims: tuple[ClaimPull, ...]
    """Claims that they move in opposite directions."""

    @property
    def contradict(self) -> bool:
        """True if any decision of the one contradicts that of the other."""
        return any(pair.relation == "contradict" for pair in self.decisions)

    @property
    def conclusion(self) -> str:
        """Tell in one sentence whether the two contradict each other."""
        if self.contradict:
            named = [pair.name for pair in self.decisions if pair.relation == "contradict"]
            return f"They contradict each other on {join_words(named)}: {SAID['contradict']}."
        compared = [pair for pair in self.decisions if pair.relation in ("agree", "compatible", "opposed")]
        if not compared:
            return "Nothing that they decide can be compared: they can't contradict each other."
        opposed = [pair.name for pair in compared if pair.relation == "opposed"]
        if opposed:
            return f"They are opposed on {join_words(opposed)}: {SAID['opposed']}."
        return "They don't contradict each other."


def compare_runs(first: str, second: str, trail: Ledger) -> Comparison:
    """Compare two judged runs of a trail, each by its first digits or as the last verdict on a hypothesis.

    Raises:
        UsageError: nothing of one of these names was judged, or both name the same run.
        Tampered: their files are not those that the ledger names.
    """
    one, other = read_judged_run(trail, first), read_judged_run(trail, second)
    if one.run.digest == other.run.digest:
        remedy = "name two runs by their first digits; harness show ID --history lists them"
        raise UsageError(f"both names are of run {one.run.name}", where="harness compare", remedy=remedy)
    return compare_judged(one, other)


def compare_judged(one: JudgedRun, other: JudgedRun) -> Comparison:
    """Compare two judged runs."""
    forms = _dump(one), _dump(other)
    names = dict.fromkeys(part.name for run in (one, other) for part in run.decision.decisions)
    return Comparison(
        first=_describe(one),
        second=_describe(other),
        same_seeds=_share_seeds(one, other),
        settings=tuple(drop_inherited(_drop_texts(find_differences(forms[0], forms[1])))),
        circumstances=tuple(find_differences(_list_circumstances(one), _list_circumstances(other))),
        decisions=tuple(_pair(name, one, other) for name in names),
        claims=tuple(_find_pulls(one, other)),
    )


def _dump(run: JudgedRun) -> dict[str, Any]:
    return run.stored.registered.hypothesis.model_dump(mode="json")


def _describe(run: JudgedRun) -> Side:
    stored = run.stored
    return Side(
        hypothesis=run.run.hypothesis,
        run=run.run.name,
        outcome=run.decision.outcome,
        predicted=stored.registered.hypothesis.prediction.outcome,
        seeds=len(stored.measurements.seeds),
        deviations=run.deviations,
    )


def _share_seeds(one: JudgedRun, other: JudgedRun) -> bool:
    return one.stored.measurements.seeds == other.stored.measurements.seeds


def _drop_texts(differences: Iterator[Difference]) -> Iterator[Difference]:
    return (one for one in differences if not NO_SETTINGS & set(map(str, one.path)))


def _list_circumstances(run: JudgedRun) -> dict[str, Any]:
    about, measured = run.stored.provenance, run.stored.measurements
    return {
        "registration": run.stored.registered.registration[:12],
        "seeds": f"{format_count(len(measured.seeds), 'seed')}, the first is {measured.seeds[0]}",
        "data": {name: record.fingerprint[:12] for name, record in measured.data.items()},
        "device": about.device,
        "arithmetic": about.arithmetic,
        "harness": about.harness,
        "code": about.code[:12],
        "python": about.python,
        "platform": about.platform,
        "packages": about.packages,
    }


def _pair(name: str, one: JudgedRun, other: JudgedRun) -> DecisionPair:
    records = [next((part for part in run.decision.decisions if part.name == name), None) for run in (one, other)]
    first, second = records
    if first is None or second is None:
        parts = [None if part is None else _take(part, run) for part, run in zip(records, (one, other), strict=True)]
        return DecisionPair(name, parts[0], parts[1], None, "")
    mine, others = _take(first, one), _take(second, other)
    about, about_other = _find_estimand(first, one), _find_estimand(second, other)
    if about.model_dump(mode="json") != about_other.model_dump(mode="json"):
        return DecisionPair(name, mine, others, "other quantities", _tell_other_quantities(about, about_other))
    settings = _find_other_settings(one, other, about.arms)
    relation, why = _relate(mine, others, settings)
    found = None
    if about.seeds == "mean":
        found = _subtract(first.estimand, second.estimand, paired=_share_seeds(one, other))
    return DecisionPair(name, mine, others, relation, why, *(found or (None, None)))


def _find_estimand(part: BandDecision, run: JudgedRun) -> Estimand:
    return run.stored.registered.hypothesis.estimands[part.estimand.name]


def _take(part: BandDecision, run: JudgedRun) -> Part:
    spec = run.stored.registered.hypothesis.decisions[part.name]
    left = tuple(atom.interval for atom in part.atoms if not atom.rejected)
    return Part(
        outcome=part.outcome,
        estimate=part.estimand.estimate(_find_estimand(part, run).seeds),
        interval=part.interval,
        level=part.interval_level,
        p=part.p,
        n=part.estimand.n,
        unit=part.estimand.unit,
        cuts=spec.cuts,
        never=part.estimand.never,
        possible=left if part.status == "tested" else (),
    )


def _tell_other_quantities(about: Estimand, other: Estimand) -> str:
    """Say in what two estimands differ."""
    found = list(find_differences(about.model_dump(mode="json"), other.model_dump(mode="json")))
    return f"{SAID['other quantities']}, which differ in {_list_fields(found)}"


def _list_fields(differences: Sequence[Difference]) -> str:
    fields = list(dict.fromkeys(one.field for one in differences))
    more = [] if len(fields) <= NAMED else [f"{len(fields) - NAMED} more"]
    return join_words([*fields[:NAMED], *more])


def _find_other_settings(one: JudgedRun, other: JudgedRun, arms: Sequence[str]) -> list[Difference]:
    """Return what is trained otherwise in the arms that an estimand compares, and how diverged seeds count."""
    forms = []
    for run in (one, other):
        hypothesis = run.stored.registered.hypothesis
        trained = {arm: hypothesis.arms[arm].model_dump(mode="json", exclude={"label"}) for arm in arms}
        data = {name: record.fingerprint for name, record in run.stored.measurements.data.items()}
        forms.append({"arms": trained, "exclusions": hypothesis.exclusions.model_dump(mode="json"), "data": data})
    return [found for found in find_differences(forms[0], forms[1]) if not UNREAD & set(map(str, found.path))]


def _relate(first: Part, second: Part, settings: Sequence[Difference]) -> tuple[Relation, str]:
    """Return how two decisions on the same comparison stand to each other, and why."""
    if not first.possible or not second.possible:
        return "not tested", SAID["not tested"]
    told = f" (the settings differ in {_list_fields(settings)})" if settings else ""
    if any(_meet(one, other) for one in first.possible for other in second.possible):
        decided = first.outcome == second.outcome != "inconclusive" and first.cuts == second.cuts
        relation: Relation = "agree" if decided else "compatible"
        return relation, SAID[relation] + told
    relation = "opposed" if settings else "contradict"
    return relation, SAID[relation] + told


def _meet(one: Interval, other: Interval) -> bool:
    """Tell whether two intervals have a number in common."""
    lower = max((one, other), key=lambda part: (-math.inf if part.lower is None else part.lower, not part.lower_closed))
    upper = min((one, other), key=lambda part: (math.inf if part.upper is None else part.upper, part.upper_closed))
    if lower.lower is None or upper.upper is None or lower.lower < upper.upper:
        return True
    return lower.lower == upper.upper and lower.lower_closed and upper.upper_closed


def _subtract(
    first: EstimandResult, second: EstimandResult, *, paired: bool
) -> tuple[float, tuple[float, float] | None] | None:
    """Return the second mean minus the first with its 95% interval; of ratios the one over the other.

    With the same seeds the interval is that of the differences seed by seed, else Welch's.
    """
    ratio = first.unit == RATIO_UNIT
    if first.mean is None or second.mean is None or (ratio and min(first.mean, second.mean) <= 0):
        return None
    means = [math.log10(one.mean) if ratio else one.mean for one in (first, second) if one.mean is not None]
    difference = means[1] - means[0]
    error = _find_error_of_pairs(first, second, ratio=ratio) if paired else _find_error_of_two(first, second)
    ends = None
    if error is not None:
        half = t_exceeded(0.025, error[1]) * error[0] if error[0] else 0.0
        ends = (difference - half, difference + half)
    if not ratio:
        return difference, ends
    return 10**difference, None if ends is None else (10 ** ends[0], 10 ** ends[1])


def _find_error_of_two(first: EstimandResult, second: EstimandResult) -> tuple[float, float] | None:
    """Return the standard error of the difference of two independent means, and its degrees of freedom (Welch)."""
    if first.sd is None or second.sd is None or first.n < 2 or second.n < 2:
        return None
    parts = [(one.sd or 0.0) ** 2 / one.n for one in (first, second)]
    weights = [part**2 / (one.n - 1) for part, one in zip(parts, (first, second), strict=True)]
    return math.sqrt(sum(parts)), sum(parts) ** 2 / sum(weights) if sum(weights) else 1.0


def _find_error_of_pairs(first: EstimandResult, second: EstimandResult, *, ratio: bool) -> tuple[float, float] | None:
    """Return the standard error of the mean difference over the same seeds, and its degrees of freedom."""
    pairs = [(one.value, other.value) for one, other in zip(first.values, second.values, strict=True)]
    kept = [(one, other) for one, other in pairs if one is not None and other is not None]
    if ratio:
        kept = [(math.log10(one), math.log10(other)) for one, other in kept if min(one, other) > 0]
    if len(kept) < 2 or len(kept) < max(first.n, second.n):
        return None
    return statistics.stdev(other - one for one, other in kept) / math.sqrt(len(kept)), len(kept) - 1.0


def _find_pulls(one: JudgedRun, other: JudgedRun) -> Iterator[ClaimPull]:
    """Yield the claims that one outcome supports or restores and the other walks back."""
    moves = []
    for run in (one, other):
        implication = run.stored.registered.hypothesis.implications[run.decision.outcome]
        moves.append((set(implication.supports) | set(implication.restores), set(implication.walks_back)))
    for claim in sorted(moves[0][0] & moves[1][1]):
        yield ClaimPull(claim, "supports", "walks back")
    for claim in sorted(moves[0][1] & moves[1][0]):
        yield ClaimPull(claim, "walks back", "supports")
