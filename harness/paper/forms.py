"""A registration in the question form of OSF's and of AsPredicted's templates, to be pasted into theirs.

Sources: the template OSF Preregistration (Bowman et al. 2016, doi 10.31222/osf.io/epgjd), and AsPredicted's questions,
https://aspredicted.org. Questions are shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from harness.domain.tuning import count_replicas
from harness.paper.design import describe_tuning
from harness.paper.markup import code, foreign, quoted
from harness.paper.methods import (
    SEEN,
    describe_arms,
    describe_data,
    describe_decisions,
    describe_exclusions,
    describe_exploratory,
    describe_guards,
    describe_rule_of_decision,
    describe_seeds,
    describe_training,
    introduce_arms,
)
from harness.records import Hypothesis
from harness.wording import format_count

AUTHOR = "For the author."
INDICES = "None beside the estimands, whose names say how they summarise samples, layers, epochs and seeds."


class Question(NamedTuple):
    """A question of a form, with the answer that the registered file gives."""

    title: str
    told: list[str]
    """Sentences."""
    items: list[str]
    """A list after them."""


def answer_osf(form: Hypothesis, pilots: int) -> list[tuple[str, list[Question]]]:
    """Return the sections of the OSF template with their questions; ``pilots``: number of those before."""
    conditions = _tell_conditions(form)
    return [
        ("Study information", [
            Question("Title", [foreign(form.title)], []),
            Question("Authors", [AUTHOR], []),
            Question("Description", list(_tell_background(form)), []),
            Question("Hypotheses", _tell_hypothesis(form), _list_implications(form)),
        ]),
        ("Design plan", [
            Question("Study type", ["An experiment: models are trained under conditions that researchers assign."], []),
            Question("Blinding", ["No blinding is involved: a program trains, measures and judges."], []),
            Question("Study design", *conditions),
            Question("Randomization", ["Within subjects: every seed is trained in every arm.",
                                       *list(describe_seeds(form))[:2]], []),
        ]),
        ("Sampling plan", [
            Question("Existing data", _tell_seen(form, pilots), []),
            Question("Data collection procedures", [*describe_data(form), *describe_training(form)], []),
            Question("Sample size", [_tell_sample(form)], []),
            Question("Sample size rationale", [_tell_rationale(form)], []),
            Question("Stopping rule", [list(describe_seeds(form))[-1]], []),
        ]),
        ("Variables", [
            Question("Manipulated variables", *conditions),
            Question("Measured variables", ["Metrics and where they are read:"], describe_decisions(form)),
            Question("Indices", [INDICES], []),
        ]),
        ("Analysis plan", [
            Question("Statistical models", [], describe_decisions(form)),
            Question("Transformations", [_tell_transformations(form)], []),
            Question("Inference criteria", list(describe_rule_of_decision(form)), describe_guards(form)),
            Question("Data exclusion", [describe_exclusions(form)], []),
            Question("Missing data", [_tell_missing(form)], []),
            Question("Exploratory analysis", [_tell_exploratory(form)], describe_exploratory(form)),
        ]),
        ("Other", [Question("Other", _tell_other(form), [])]),
    ]  # fmt: skip


def answer_aspredicted(form: Hypothesis, pilots: int) -> list[tuple[str, list[Question]]]:
    """Return AsPredicted's questions; ``pilots``: number of those before the registration."""
    conditions = _tell_conditions(form)
    return [
        ("", [
            Question("1) Have any data been collected for this study already?", _tell_seen(form, pilots), []),
            Question("2) What's the main question being asked or hypothesis being tested in this study?",
                     [foreign(form.question), *_tell_hypothesis(form)], []),
            Question("3) Describe the key dependent variable(s), specifying how they will be measured.",
                     list(describe_training(form))[-1:], describe_decisions(form)),
            Question("4) How many and which conditions will participants be assigned to?", *conditions),
            Question("5) Specify exactly which analyses you will conduct.",
                     list(describe_rule_of_decision(form)), describe_guards(form)),
            Question("6) Describe how outliers will be defined and handled, and the rule for excluding observations.",
                     [describe_exclusions(form)], []),
            Question("7) How many observations will be collected, or what will determine the sample size?",
                     [_tell_sample(form), _tell_rationale(form), list(describe_seeds(form))[-1]], []),
            Question("8) Anything else you would like to pre-register?",
                     [*_tell_other(form), _tell_exploratory(form)], describe_exploratory(form)),
        ]),
    ]  # fmt: skip


FORMS: Mapping[str, Callable[[Hypothesis, int], list[tuple[str, list[Question]]]]] = {
    "osf": answer_osf,
    "aspredicted": answer_aspredicted,
}
"""Form → what answers it."""


def _tell_background(form: Hypothesis) -> Iterator[str]:
    yield foreign(form.question)
    if form.rationale is not None:
        yield foreign(form.rationale)


def _tell_hypothesis(form: Hypothesis) -> list[str]:
    return [
        f"{foreign(form.title)}.".replace("..", "."),
        f"The predicted outcome is {quoted(form.prediction.outcome)}: {foreign(form.prediction.why)}",
    ]


def _list_implications(form: Hypothesis) -> list[str]:
    return [
        f"If the outcome is {quoted(outcome)}: {foreign(implication.says)}"
        for outcome, implication in form.implications.items()
    ]


def _tell_seen(form: Hypothesis, pilots: int) -> list[str]:
    """Return what had been seen: what the registration declares, and the pilots that the ledger holds before it."""
    seen = form.prior_data_seen
    what = f": {foreign(seen.what)}" if seen.what is not None else "."
    if pilots:
        told = f"the ledger holds {format_count(pilots, 'pilot run')} of this hypothesis, whose numbers are prior data."
        return [
            f"Yes, in part; before the registration, {told}",
            f"Of earlier data the registration declares that {SEEN[seen.level]}{what}",
        ]
    answer = "No" if seen.level == "none" else "Yes, in part"
    return [f"{answer}; at the registration, {SEEN[seen.level]}{what}"]


def _tell_conditions(form: Hypothesis) -> tuple[list[str], list[str]]:
    return [introduce_arms(form)], describe_arms(form) + list(describe_tuning(form))


def _tell_sample(form: Hypothesis) -> str:
    seeds, arms = format_count(form.seeds.number, "seed"), format_count(len(form.arms), "arm")
    most = "" if form.stopping.kind == "fixed" else "at most "
    told = f"{most.capitalize()}{seeds} in each of {arms}: {most}{form.seeds.number * len(form.arms):,} trained models."
    if form.tuning is None:
        return told
    return f"{told} Beside these, {count_replicas(form.tuning):,} that serve the choice of settings alone."


def _tell_rationale(form: Hypothesis) -> str:
    given = form.seeds.justification
    return foreign(given) if given is not None else f"The registered file gives no reason for this number. {AUTHOR}"


def _tell_missing(form: Hypothesis) -> str:
    failed = "" if form.program is None else ", or one at which the program failed"
    return f"A seed without a usable value is one that diverged{failed}; see data exclusion."


def _tell_transformations(form: Hypothesis) -> str:
    logs = [code(name) for name, estimand in form.estimands.items() if estimand.in_logs]
    if not logs:
        return "None."
    return f"Values of {', '.join(logs)} are tested as decimal logarithms."


def _tell_exploratory(form: Hypothesis) -> str:
    count = len(form.exploratory)
    return (
        f"{format_count(count, 'estimand')} will be reported and never decide:"
        if count
        else "No exploratory analysis is planned."
    )


def _tell_other(form: Hypothesis) -> list[str]:
    told = [f"The registration itself is the file of the hypothesis {code(form.id)} in the project's audit trail."]
    if form.family is not None:
        told.append(
            f"It belongs to the family {code(form.family)}, whose p-values are read together and adjusted by "
            "Holm's method."
        )
    return told
