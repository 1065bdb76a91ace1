"""Group-sequential judgement: the registered looks one after the other, up to the first that gives an outcome.

Planned looks: each of K interim analyses is made at α/K, decisions and guards alike, so the probability that any of
them gives a wrong outcome is at most α (Bonferroni), whatever the criterion. Anytime-valid: the criterion's p holds at
all numbers of seeds at once, so decisions use their whole α; a guard's test does not, so its α is divided as for
planned looks.

Any outcome but inconclusive ends the run, invalid too: more seeds mend neither a diverged seed nor a violated guard.
"""

from __future__ import annotations

from harness.errors import HarnessError
from harness.inference.outcome import judge, judge_briefly
from harness.records import Decision, Hypothesis, Look, Measurements, Notice
from harness.wording import format_count


def decide(hypothesis: Hypothesis, measurements: Measurements) -> Decision:
    """Return the decision after the seeds measured so far: that of the look which gave an outcome, else of the last.

    The first seeds of a longer run give the same: a decision never depends on seeds after the look that it stopped at.
    It holds no sentences yet; ``harness.verdict.word_decision`` adds them.

    Raises:
        HarnessError: there are fewer seeds than at the first look; otherwise as ``judge``.
    """
    if measurements.pilot or hypothesis.stopping.kind == "fixed":
        return judge(hypothesis, measurements)
    planned = hypothesis.looks
    measured = len(measurements.seeds)
    due = [seeds for seeds in planned if seeds <= measured]
    if not due:
        raise HarnessError(
            f"{format_count(measured, 'seed')} {'was' if measured == 1 else 'were'} measured, but the first look is at "
            f"{planned[0]}",
            where="results.json",
            remedy="run the hypothesis: it trains the seeds that are missing",
        )
    shares = {"parts": hypothesis.stopping.parts, "guard_parts": len(planned)}
    taken: list[Look] = []
    for seeds in due:
        outcome, p = judge_briefly(hypothesis, measurements.take_first(seeds), **shares)
        taken.append(Look(seeds=seeds, outcome=outcome, p=p))
        if outcome != "inconclusive":
            break
    decision = judge(hypothesis, measurements.take_first(taken[-1].seeds), **shares)
    notices = decision.notices
    if measured > taken[-1].seeds:
        notices = (*notices, Notice(kind="after_look", count=measured))
    return decision.model_copy(update={"looks": tuple(taken), "notices": notices})


def needs_more_seeds(hypothesis: Hypothesis, decision: Decision) -> bool:
    """Tell whether the stopping rule requires more seeds after this decision."""
    judged = decision.looks[-1].seeds if decision.looks else hypothesis.looks[-1]
    return decision.outcome == "inconclusive" and judged < hypothesis.looks[-1]
