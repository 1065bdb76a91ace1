"""Wording of a decision: its reasons as sentences in the requested form of verdict.json."""

from __future__ import annotations

from harness.domain.templates import VERSION
from harness.records import Decision, Hypothesis, Notice
from harness.verdict.sentences import TODAY, Words
from harness.verdict.sentences_before import BEFORE
from harness.wording import format_count, join_words

FORM_OF_TODAY = 3
"""First form with the current sentences, and with the current format of numbers on its page."""


def word_decision(hypothesis: Hypothesis, decision: Decision, form: int = VERSION) -> Decision:
    """Return a decision of ``harness.inference.decide`` with its sentences in the given form of verdict.json."""
    words = TODAY if form >= FORM_OF_TODAY else BEFORE
    assert decision.reason is not None
    pilot = decision.reason.kind == "pilot"
    parts = []
    for part in decision.decisions:
        spec = hypothesis.decisions[part.name]
        steps = words.explain(part, spec, hypothesis.estimands[spec.estimand], pilot)
        parts.append(part.model_copy(update={"steps": steps, "estimand": words.measured(part.estimand)}))
    summary = _write_summary(hypothesis, decision, words)
    return decision.model_copy(
        update={
            "decisions": tuple(parts),
            "guards": tuple(
                guard.model_copy(update={"estimand": words.measured(guard.estimand)}) for guard in decision.guards
            ),
            "exploratory": tuple(words.measured(result) for result in decision.exploratory),
            "summary": f"{summary} {_look(hypothesis, decision)}" if decision.looks else summary,
            "combination": words.combination(decision.combined) if decision.combined is not None else None,
            "warnings": tuple(_write_warning(notice, hypothesis, decision, words) for notice in decision.notices),
        }
    )


def _write_summary(hypothesis: Hypothesis, decision: Decision, words: Words) -> str:
    """Return a notice as a sentence."""
    reason = decision.reason
    assert reason is not None
    kind, counts = reason.kind, reason.seeds
    if kind == "pilot":
        return "Pilot: no outcome."
    if kind == "seed_not_applied":
        labels = join_words([hypothesis.arms[arm].label for arm in counts])
        same = "identical weights" if hypothesis.program is None else "identical weights or measurements"
        return f"Invalid: different seeds of {labels} ended with {same}, so the seed was not applied."
    if kind in ("diverged", "failed"):
        of = f"of {reason.measured} seeds of"
        lost = join_words([f"{count} {of} {hypothesis.arms[arm].label}" for arm, count in counts.items()])
        return f"Invalid: {lost} {kind}, and the file allows no outcome then."
    if kind == "without_value":
        return f"Invalid: {words.without_value(counts)}, and the file allows no outcome then."
    if kind == "guard_violated":
        return f"Invalid: {words.violated([guard for guard in decision.guards if guard.status == 'violated'])}"
    if kind == "guard_unverified":
        return words.unverified([guard for guard in decision.guards if guard.status == "unverified"])
    if hypothesis.combine is not None:
        return words.several(decision.decisions, decision.outcome, decision.p)
    (part,) = decision.decisions
    spec = hypothesis.decisions[part.name]
    return words.summary(part, spec, hypothesis.estimands[spec.estimand], decision.p, hypothesis.stopping.parts)


def _look(hypothesis: Hypothesis, decision: Decision) -> str:
    """Return the sentence ``Look 2 of 3, each at α/3.``, or as it applies."""
    number, planned = len(decision.looks), hypothesis.looks
    if hypothesis.stopping.kind == "looks":
        return f"Look {number} of {len(planned)}, each at α/{len(planned)}."
    judged = decision.looks[-1].seeds
    return f"Judged at {judged} of at most {planned[-1]} seeds, by a test that holds at any number of them."


def _write_warning(notice: Notice, hypothesis: Hypothesis, decision: Decision, words: Words) -> str:
    name, count = notice.about or "", notice.count
    measured = decision.reason.measured if decision.reason is not None else 0
    if notice.kind == "seed_not_applied":
        same = "identical weights" if hypothesis.program is None else "identical weights or measurements"
        return f"{hypothesis.arms[name].label}: seeds {words.seeds(notice.seeds)} ended with {same}."
    if notice.kind == "after_look":
        return f"{count} seeds were measured; those after the look at {decision.looks[-1].seeds} do not count."
    return {
        "pilot": "This is a pilot: its numbers are prior data, and it gives no outcome.",
        "other_number": words.other_number(count or 0, hypothesis.seeds.number),
        "two_seeds": f"{name}: with 2 seeds, a t test rests wholly on the values being normal.",
        "all_alike": f"{name}: all seeds give the same value up to rounding.",
        "left_out": words.left_out(name, count or 0, measured),
        **_write_onset_warnings(name, count or 0, measured),
        "stood_in": f"{name}: the worst value stands in at {count} of {measured} seeds.",
    }[notice.kind]


def _write_onset_warnings(name: str, count: int, measured: int) -> dict[str, str]:
    """Return what a reader must know of onsets, by the kind of notice."""
    where = f"{name}: at {count} of {format_count(measured, 'seed')}"
    return {
        "between_evaluations": f"{where} it is only known between which evaluations the onset lies, if what has begun "
        "goes on until the next; every test takes the possible epoch that speaks least for it.",
        "never": f"{where} an arm never comes to it in its training, which counts as later than every epoch; of a "
        'contrast, "first arm never" and "second arm never" say which of the two arms does not.',
        "both_never": f"{where} neither arm ever comes to it: which would have been later is not known, and they speak "
        "for no band.",
    }
