"""Checks of onsets: their condition can come to hold, and nothing asks of them what ordered values do not have."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.places import find_censoring
from harness.records import Arm, DecisionSpec, Estimand
from harness.records.bands import find_cuts
from harness.records.contrasts import is_difference
from harness.records.readings import EpochWhen
from harness.spec.conditions import check_lasting, check_threshold
from harness.spec.draft import Draft
from harness.spec.tree import Path, Problem
from harness.wording import format_for_file

SYMMETRIC = 0.5
"""Magnitude of a cut up to which it says no more of two onsets than that they are equal or not."""


def check_onset(path: Path, estimand: Estimand) -> Iterator[Problem]:
    """Yield what does not go with an onset, and a condition that the metric's bounds decide beforehand."""
    onset = estimand.onset
    if onset is None:
        return
    for key, remedy in (
        ("epoch", "remove epoch: an onset is looked for in all evaluated epochs"),
        ("epochs", "remove epochs: an onset is one epoch"),
    ):
        if getattr(estimand, key) is not None and not (key == "epoch" and estimand.epochs is not None):
            message = f"{key} says when a value is taken, and an onset is an epoch"
            yield Problem((*path, key), message, remedy, on_key=True)
    if estimand.transform == "log10":
        message = "log10 of an onset: the condition is about the metric, and the result is an epoch"
        yield Problem((*path, "transform"), message, "remove transform, and write the threshold in the metric's unit")
    if estimand.unit == "pp":
        message = "an onset is an epoch and has no percentage points"
        yield Problem((*path, "unit"), message, "remove unit, and write the threshold as a fraction")
    if not estimand.in_logs:
        then = ("this onset never comes", "this onset comes at the first evaluation")
        yield from check_threshold((*path, "onset"), onset, estimand.metric.called, estimand.reading_domain, then)


def check_onset_on_arm(path: Path, estimand: Estimand, name: str, arm: Arm) -> Iterator[Problem]:
    """Yield an onset that asks for more evaluations in a row than there are."""
    if estimand.onset is not None:
        yield from check_lasting((*path, "onset"), estimand.onset, name, arm)


def check_censored(draft: Draft) -> Iterator[Problem]:
    """Yield summaries and comparisons of onsets that would need to know how late "never" is."""
    for section, estimands in (("estimands", draft.estimands), ("exploratory", draft.exploratory)):
        for name, estimand in estimands.items():
            if estimand.onset is None:
                continue
            path = (section, name)
            if estimand.pairing == "unpaired":
                message = "censored means: unpaired arms are compared by their means, which onsets do not have"
                yield Problem((*path, "pairing"), message, "remove pairing: arms share their seeds", on_key=True)
            if estimand.compares and not (estimand.contrast is not None and is_difference(estimand.contrast)):
                message = "censored means: a sum of several onsets has no value where some of them are never"
                yield Problem((*path, estimand.comparison), message, "compare two arms by contrast: first - second")
            if estimand.pairing == "seed" and (why := find_censoring(estimand, estimand.seeds)) is not None:
                choices = "seeds: median (criterion median)"
                if estimand.contrast is not None:
                    choices += " or seeds: pseudomedian (criterion wilcoxon)"
                censored = "censored means: " if estimand.seeds == "mean" else ""
                yield Problem((*path, "seeds"), f"{censored}{why}", f"set {choices}")
    yield from _check_symmetry(draft)
    yield from _check_left_out(draft)
    yield from _check_spread(draft)


def _check_symmetry(draft: Draft) -> Iterator[Problem]:
    """Yield a warning for signed ranks of differences about a delay: never in one arm more often makes them skewed."""
    users: list[tuple[Path, str, tuple[float, ...]]]
    users = [(("decisions", name, "criterion"), one.estimand, one.cuts) for name, one in draft.decisions.items()]
    users += [(("guards", name), one.estimand, (one.above or one.below or 0.0,)) for name, one in draft.guards.items()]
    for path, about, cuts in users:
        estimand = draft.estimands.get(about)
        if estimand is None or estimand.onset is None or not estimand.compares:
            continue
        if estimand.seeds == "pseudomedian" and any(abs(cut) > SYMMETRIC for cut in cuts):
            message = "wilcoxon assumes differences that are symmetric about the boundary, and onsets that never come "
            message += "make them skewed if the arms differ: it then errs more often than alpha says"
            remedy = "set seeds: median (criterion median), which assumes nothing about their distribution"
            yield Problem(path, message, remedy, on_key=path[0] == "guards", severity="warning")


def _check_left_out(draft: Draft) -> Iterator[Problem]:
    """Yield a warning for leaving out seeds that never come so far: what decides whether they count is an outcome."""
    if draft.exclusions.diverged != "exclude":
        return
    for noun, users in (("decision", draft.decisions), ("guard", draft.guards)):
        for name, user in users.items():
            estimand = draft.estimands.get(user.estimand)
            if estimand is None or not isinstance(estimand.epoch, EpochWhen):
                continue
            message = f"censored means: {noun} {name!r} leaves out each seed in which an arm never comes to what "
            message += f"{user.estimand} waits for, and is about the other seeds alone"
            remedy = "set exclusions: {diverged: invalid}, or ask for a condition that every replica meets"
            yield Problem(("exclusions", "diverged"), message, remedy, severity="warning")


def _check_spread(draft: Draft) -> Iterator[Problem]:
    """Yield an assumed standard deviation that has nothing to be about, because every decision is about an onset."""
    about = [draft.estimands.get(decision.estimand) for decision in draft.decisions.values()]
    if draft.seeds is None or draft.seeds.sd is None or not about:
        return
    if all(estimand is not None and estimand.onset is not None for estimand in about):
        message = "an onset may be never and has no standard deviation between seeds"
        yield Problem(("seeds", "sd"), message, "remove sd", on_key=True)


def check_onset_bands(path: Path, decision: DecisionSpec, estimand: Estimand, draft: Draft) -> Iterator[Problem]:
    """Yield cuts that lie so late that nothing trained could be shown to lie beyond them."""
    for cut in decision.cuts:
        if (problem := find_too_late(cut, estimand, draft)) is not None:
            band = next(name for name, parts in decision.bands.items() if cut in find_cuts({name: parts}))
            yield Problem((*path, band), *problem)


def find_too_late(cut: float, estimand: Estimand, draft: Draft) -> tuple[str, str] | None:
    """Return why no onset, or no difference of two, can be shown to lie beyond a cut, and a remedy; None if one can.

    After E epochs, an onset that never comes is known to lie at E + 1 or later, and no more.
    """
    if estimand.onset is None or not all(arm in draft.arms for arm in estimand.arms):
        return None
    ends = [draft.arms[arm].setup.epochs for arm in estimand.arms]
    beyond = format_for_file(cut)
    if len(ends) == 1 and cut >= ends[0] + 1:
        message = f"no onset is seen after epoch {ends[0]}, the last: that one lies beyond {beyond} can't be shown"
        return message, f"let it be {ends[0]}.5 at most, beyond which is only never"
    if len(ends) == 2 and not -ends[1] < cut < ends[0]:
        message = f"no difference beyond {beyond} can be shown in {ends[cut < 0]} epochs of training"
        return message, f"let it lie between {-ends[1]} and {ends[0]}"
    return None
