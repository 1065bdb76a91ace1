"""Two judged runs side by side: what they differ in, what they estimate, and whether they contradict each other.

A decision's tests leave a set of true values possible: the union of the atoms that it doesn't reject at its α. Whatever
the true value is, this set misses it with a probability of at most α. Two decisions *contradict* each other if they are
about the same quantity (the same comparison of arms that are trained alike) and no true value is left possible by both.
Arms are the same by what is trained, whatever they are called, and a contrast that is turned round is about the same
quantity with the other sign (``harness.pipeline.correspondence``).
At least one of them has then erred, which two decisions on one true value come to with a probability of at most the sum
of their α. Where the comparison is the same but what it is made under is not, both may be right: they are *opposed*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness.domain.form_differences import Difference, drop_inherited, find_differences
from harness.errors import UsageError
from harness.ledger import Ledger
from harness.pipeline.correspondence import (
    UNREAD,
    UNTURNED,
    Turn,
    describe_quantity,
    find_turn,
    match_arms,
    rename_arms,
    subtract_results,
    turn_result,
)
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.records import BandDecision, Estimand, Interval
from harness.wording import format_count, join_words

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
    band: tuple[Interval, ...] = ()
    """True values that the outcome is about; empty of inconclusive and invalid."""

    def turn(self, turn: Turn) -> Part:
        """Return the decision as one on the other's quantity."""
        return replace(
            self,
            estimate=None if self.estimate is None else turn.value(self.estimate),
            interval=None if self.interval is None else turn.pair(self.interval),
            possible=tuple(map(turn.interval, self.possible)),
            band=tuple(map(turn.interval, self.band)),
        )


@dataclass(frozen=True)
class DecisionPair:
    """Two decisions on the same quantity, or of the same name."""

    name: str
    """Name of the decision: in the first file, unless only the second has it."""
    first: Part | None
    """Outcome in the first; None if that has no such decision."""
    second: Part | None
    """Outcome in the second; None if that has no such decision."""
    relation: Relation | None
    """Relation of the two to each other; None if one of them has no such decision."""
    why: str
    """Grounds of the relation, in words; empty if one of them has no such decision."""
    difference: float | None = None
    """Estimate of the second minus that of the first; of ratios the one over the other. None unless both are means of
    the same comparison."""
    difference95: tuple[float, float] | None = None
    """Two-sided 95% confidence interval of the difference: by seeds if both have the same ones, else by Welch's t."""
    other_name: str | None = None
    """Name of the decision in the second file, where that is another."""
    turn: Turn = UNTURNED
    """Way from the second's values, which its part has as they stand in its verdict, to those that are compared."""


@dataclass(frozen=True)
class ClaimPull:
    """A claim that both outcomes move, in opposite directions."""

    claim: str
    """The claim's id."""
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
    """Outcome of the verdict."""
    predicted: str
    """The outcome that its authors expected."""
    seeds: int
    """Number of seeds."""
    deviations: tuple[str, ...]
    """Deviations of the run from its registration, one sentence each, without those that concern wording alone."""


@dataclass(frozen=True)
class Comparison:
    """Two verdicts side by side."""

    first: Side
    """The first."""
    second: Side
    """The second."""
    same_seeds: bool
    """True if both have the same seeds, so that they are not independent evidence."""
    settings: tuple[Difference, ...]
    """Differences of their files, as far as something is trained or decided by them."""
    circumstances: tuple[Difference, ...]
    """Differences of what they ran on and with: device, data, code, versions."""
    decisions: tuple[DecisionPair, ...]
    """Decisions of the two by name, in the order of the first file, then those that only the second has."""
    claims: tuple[ClaimPull, ...]
    """Claims that they move in opposite directions."""
    arms: Mapping[str, str] = field(default_factory=dict)
    """Arm of the second that the first has under another name → that name."""

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
            return "Nothing that they decide can be compared, so that nothing says whether they contradict each other."
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
    ours, theirs = (run.stored.registered.hypothesis for run in (one, other))
    arms = match_arms(ours, theirs)
    forms = _dump(one), rename_arms(_dump(other), arms)
    return Comparison(
        first=_describe(one),
        second=_describe(other),
        same_seeds=_share_seeds(one, other),
        settings=tuple(drop_inherited(_drop_texts(find_differences(forms[0], forms[1])))),
        circumstances=tuple(find_differences(_list_circumstances(one), _list_circumstances(other))),
        decisions=tuple(_pair(*pair, one, other, arms) for pair in _match_decisions(one, other, arms)),
        claims=tuple(_find_pulls(one, other)),
        arms={name: own for name, own in arms.items() if name != own and own in ours.arms},
    )


def _match_decisions(
    one: JudgedRun, other: JudgedRun, arms: Mapping[str, str]
) -> Iterator[tuple[BandDecision | None, BandDecision | None]]:
    """Yield the decisions side by side: those on the same quantity, else those of the same name, else each alone."""
    left, right = list(one.decision.decisions), list(other.decision.decisions)

    def fits(mine: BandDecision, others: BandDecision) -> tuple[bool, bool]:
        turn = find_turn(_find_estimand(mine, one), _find_estimand(others, other), arms)
        return turn is not None, mine.name == others.name

    pairs: dict[str, BandDecision] = {}
    for wanted in ((True, True), (True, False), (False, True)):
        for mine in left:
            if mine.name not in pairs:
                free = (others for others in right if others not in pairs.values() and fits(mine, others) == wanted)
                if (found := next(free, None)) is not None:
                    pairs[mine.name] = found
    yield from ((mine, pairs.get(mine.name)) for mine in left)
    yield from ((None, others) for others in right if others not in pairs.values())


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


def _pair(
    first: BandDecision | None, second: BandDecision | None, one: JudgedRun, other: JudgedRun, arms: Mapping[str, str]
) -> DecisionPair:
    mine, others = (None if part is None else _take(part, run) for part, run in ((first, one), (second, other)))
    if first is None or second is None or mine is None or others is None:
        return DecisionPair((first or second or one.decision.decisions[0]).name, mine, others, None, "")
    named = None if first.name == second.name else second.name
    about, about_other = _find_estimand(first, one), _find_estimand(second, other)
    turn = find_turn(about, about_other, arms)
    if turn is None:
        why = _tell_other_quantities(about, about_other, arms)
        return DecisionPair(first.name, mine, others, "other quantities", why, other_name=named)
    relation, why = _relate(mine, others.turn(turn), _find_other_settings(one, other, about.arms, arms))
    difference, ends = None, None
    if about.seeds == "mean":
        turned = turn_result(second.estimand, turn, first.estimand.unit)
        found = subtract_results(first.estimand, turned, paired=_share_seeds(one, other))
        difference, ends = found or (None, None)
    why += f" (the second's values are compared {turn.told})" if turn.changes else ""
    return DecisionPair(first.name, mine, others, relation, why, difference, ends, named, turn)


def _find_estimand(part: BandDecision, run: JudgedRun) -> Estimand:
    return run.stored.registered.hypothesis.estimands[part.estimand.name]


def _take(part: BandDecision, run: JudgedRun) -> Part:
    about = _find_estimand(part, run)
    spec = run.stored.registered.hypothesis.decisions[part.name]
    left = tuple(atom.interval for atom in part.atoms if not atom.rejected)
    return Part(
        outcome=part.outcome,
        estimate=part.estimand.estimate(about.seeds),
        interval=part.interval,
        level=part.interval_level,
        p=part.p,
        n=part.estimand.n,
        unit=part.estimand.unit,
        cuts=spec.cuts,
        never=part.estimand.never,
        possible=left if part.status == "tested" else (),
        band=spec.about_signed_summary(about).bands.get(part.outcome, ()),
    )


def _tell_other_quantities(about: Estimand, other: Estimand, arms: Mapping[str, str]) -> str:
    """Say in what two estimands differ."""
    parts = describe_quantity(about, {}), describe_quantity(other, arms)
    found = list(find_differences(*parts)) or [Difference(("unit",), about.unit, other.unit)]
    return f"{SAID['other quantities']}, which differ in {_list_fields(found)}"


def _list_fields(differences: Sequence[Difference]) -> str:
    fields = list(dict.fromkeys(one.field for one in differences))
    more = [] if len(fields) <= NAMED else [f"{len(fields) - NAMED} more"]
    return join_words([*fields[:NAMED], *more])


def _find_other_settings(
    one: JudgedRun, other: JudgedRun, compared: Sequence[str], arms: Mapping[str, str]
) -> list[Difference]:
    """Return what is trained otherwise in the arms that an estimand compares, and how diverged seeds count."""
    forms = []
    for run, names in ((one, {}), (other, arms)):
        hypothesis = run.stored.registered.hypothesis
        dumped = {names.get(name, name): arm for name, arm in hypothesis.arms.items()}
        trained = {name: dumped[name].model_dump(mode="json", exclude={"label"}) for name in compared}
        data = {name: record.fingerprint for name, record in run.stored.measurements.data.items()}
        forms.append({"arms": trained, "exclusions": hypothesis.exclusions.model_dump(mode="json"), "data": data})
    return [found for found in find_differences(forms[0], forms[1]) if not UNREAD & set(map(str, found.path))]


def _relate(first: Part, second: Part, settings: Sequence[Difference]) -> tuple[Relation, str]:
    """Return how two decisions on the same comparison stand to each other, and why."""
    if not first.possible or not second.possible:
        return "not tested", SAID["not tested"]
    told = f" (the settings differ in {_list_fields(settings)})" if settings else ""
    if any(_meet(one, other) for one in first.possible for other in second.possible):
        same = bool(first.band) and set(map(str, first.band)) == set(map(str, second.band))
        relation: Relation = "agree" if same else "compatible"
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
