"""Step 3: what the page of a verdict says of its run, which env.json holds, against what the events say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any, Protocol

from harness.ledger.amendments import list_amendments
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody, SeededBody, VerdictBody
from harness.ledger.code import MEANING
from harness.ledger.covered import list_before
from harness.ledger.index import Entered, Entry, LedgerIndex, StartedRun
from harness.ledger.pins import Pins
from harness.ledger.runs import describe_state, list_attempts
from harness.records import Draw, Provenance, Sibling


class Siblings(Protocol):
    """The other hypotheses that a ledger holds on the claims of one; only a stage that reads YAML can tell."""

    def list_at(self, hypothesis: str, moment: str) -> tuple[Sibling, ...]:
        """Return the siblings of a hypothesis that an event's past holds."""
        ...

    def list_on_claims(self, hypothesis: str) -> frozenset[str]:
        """Return the other hypotheses that could move one of the same claims."""
        ...


FindSiblings = Callable[[Evidence], Siblings]
DescribeTrials = Callable[[Pins, StartedRun, Entered, str], tuple[str, ...]]
"""Says what a run with this results.json shows of its deviations in code; only a stage that knows them all can tell."""
SHOWN = 5
"""Other hypotheses that a note names."""
SLACK = timedelta(days=1)
"""Time by which the clocks of one run may be set back or forth between its events."""
ENVIRONMENT = (
    "commit",
    "no_commit",
    "of_commit",
    "dirty",
    "dirty_digest",
    "harness",
    "code",
    "packages",
    "python",
    "platform",
)


def check(
    evidence: Evidence,
    run: StartedRun,
    verdict: Entry[VerdictBody],
    describe_trials: DescribeTrials,
    siblings: Siblings,
) -> Iterator[AuditFinding]:
    """Find what the page of a verdict leaves out, or tells otherwise than the events do."""
    page = evidence.page(run, verdict.body.files.get("env.json"))
    if page is None:
        yield from _check_readable(evidence, run, verdict)
        return
    start, where = run.body, evidence.at(verdict.digest)
    yield from _check_attempts(evidence, run, verdict, page)
    if page.siblings is not None:
        yield from _check_siblings(evidence, run, verdict, page.siblings, siblings)
    yield from _check_deviations(run, page, where)
    if not _is_between(run.claimed_time, page.finished, verdict.claimed_time):
        what = "the verdict's page tells of an end that is not between its start and its verdict"
        span = f"{run.claimed_time} to {verdict.claimed_time}"
        yield AuditFinding("page-otherwise", what, where, span, page.finished, start.hypothesis)
    for name, owed, got in _compare(evidence, run, page):
        what = f"the verdict's page tells another {name} than the events"
        yield AuditFinding("page-otherwise", what, where, str(owed), str(got), start.hypothesis)
    if page.resumed < (owed := len(evidence.index.past(start.hypothesis, verdict.digest).resumptions(run.digest))):
        what = "the verdict's page tells of fewer sessions of its run than the events"
        yield AuditFinding("page-otherwise", what, where, str(owed), str(page.resumed), start.hypothesis)
    # As of the verdict, or of the start: another branch's events may have come in between.
    moments = [evidence.index.past(start.hypothesis, event) for event in (verdict.digest, run.digest)]
    yield from _check_amendments(moments, run, page, where)
    fixed = evidence.index.fixed(start.amendment or start.registration)
    if fixed is not None:
        results = verdict.body.files.get("results.json", "")
        in_code = any(line.startswith(tuple(MEANING.values())) for line in start.deviations)
        owed = [describe_trials(fixed.body.pins, run, past, results) if in_code else () for past in moments]
        if page.tried not in owed:
            what = "the verdict's page tells otherwise what its run shows of its deviations"
            expected, got = ("; ".join(lines) or "nothing" for lines in (owed[0], page.tried))
            yield AuditFinding("page-otherwise", what, where, expected, got, start.hypothesis)


def _check_readable(evidence: Evidence, run: StartedRun, verdict: Entry[VerdictBody]) -> Iterator[AuditFinding]:
    """Find an env.json that is what the verdict names and can't be read; step 4 says what else is wrong with it."""
    path = f"{run.folder}/env.json"
    named = verdict.body.files.get("env.json")
    with suppress(OSError):
        if path in evidence.files.paths and evidence.files.digest(path) == named:
            what = "what the verdict's page tells of its run is in no form that this version reads"
            yield AuditFinding("page-unreadable", what, evidence.files.shown(path), hypothesis=run.hypothesis)


def _check_attempts(
    evidence: Evidence, run: StartedRun, verdict: Entry[VerdictBody], page: Provenance
) -> Iterator[AuditFinding]:
    """Name attempts that the page leaves out, makes up, or tells another end of."""
    where, hypothesis = evidence.at(verdict.digest), run.hypothesis
    before, by_now = (
        {attempt.run: attempt for attempt in list_attempts(evidence.index.past(hypothesis, event), hypothesis)}
        for event in (run.digest, verdict.digest)
    )
    told = [attempt.run for attempt in page.attempts]
    if hidden := {*by_now, str(run.name)} - {*told}:
        what = f"the verdict's page leaves out {len(hidden)} of the attempts before it"
        yield AuditFinding("attempts-hidden", what, where, min(hidden), "not listed", hypothesis)
    if twice := [name for name in told if told.count(name) > 1]:
        what = "the verdict's page tells of an attempt more than once"
        yield AuditFinding("page-otherwise", what, where, "once", twice[0], hypothesis)
    for attempt in page.attempts:
        if attempt.run not in by_now:
            what = f"the verdict's page tells of attempt {attempt.run}, which no event before the verdict began"
            yield AuditFinding("page-otherwise", what, where, "no such attempt", attempt.run, hypothesis)
            continue
        known = [by_now[attempt.run], before.get(attempt.run, by_now[attempt.run])]
        if attempt.run == run.name:
            end = {"status": "finished", "outcome": verdict.body.outcome, "reason": None}
            known = [known[0].model_copy(update=end)]
        for field in ("status", "outcome", "reason", "started"):
            owed, got = [getattr(one, field) for one in known], getattr(attempt, field)
            if got not in owed:
                name = "end" if field == "status" else field
                what = f"the verdict's page tells another {name} of attempt {attempt.run}"
                yield AuditFinding("attempts-hidden", what, where, str(owed[0]), str(got), hypothesis)


def _check_siblings(
    evidence: Evidence,
    run: StartedRun,
    verdict: Entry[VerdictBody],
    told: tuple[Sibling, ...],
    siblings: Siblings,
) -> Iterator[AuditFinding]:
    """Name other hypotheses that the page leaves out, makes up, or tells another story of.

    Others may have been registered or run while this one trained: then the page holds what was known at some moment
    between its start and its verdict.
    """
    where, hypothesis, index = evidence.at(verdict.digest), run.hypothesis, evidence.index
    before, by_now = (
        {one.hypothesis: one for one in siblings.list_at(hypothesis, event)} for event in (run.digest, verdict.digest)
    )
    if hidden := before.keys() - {one.hypothesis for one in told}:
        what = f"the verdict's page leaves out {len(hidden)} other hypotheses on its claims"
        yield AuditFinding("siblings-hidden", what, where, min(hidden), "not listed", hypothesis)
    for one in told:
        known = [other[one.hypothesis] for other in (by_now, before) if one.hypothesis in other]
        if not known:
            what = f"the verdict's page tells of {one.hypothesis}, which is not a hypothesis on its claims"
            yield AuditFinding("page-otherwise", what, where, "no such hypothesis", one.hypothesis, hypothesis)
        elif one not in known and not any(_was_so(index, one, other, verdict.digest) for other in known):
            what = f"the verdict's page tells of {one.hypothesis} otherwise than the events"
            owed, got = (json.dumps(entry.model_dump(mode="json"), ensure_ascii=False) for entry in (known[0], one))
            yield AuditFinding("siblings-hidden", what, where, owed, got, hypothesis)


def find_untold_siblings(evidence: Evidence, hypothesis: str, siblings: Siblings) -> Iterator[AuditFinding]:
    """Name what pages of earlier forms don't tell: other hypotheses on their claims."""
    runs = [run for run in evidence.index.starts(hypothesis) if evidence.index.verdict(run.digest) is not None]
    for run in runs:
        entered = evidence.index.verdict(run.digest)
        page = evidence.page(run, entered.body.files.get("env.json")) if entered is not None else None
        if page is not None and page.siblings is None and (others := siblings.list_on_claims(hypothesis)):
            listed = ", ".join(nsmallest(SHOWN, others)) + (", …" if len(others) > SHOWN else "")
            what = f"its page, of a form without them, does not list other hypotheses on its claims: {listed}"
            where = evidence.files.shown(f"{run.folder}/verdict.md")
            yield AuditFinding("siblings-untold", what, where, hypothesis=hypothesis)
            return


def _was_so(index: LedgerIndex, told: Sibling, known: Sibling, moment: str) -> bool:
    """Tell whether a sibling was as the page has it at some time before a moment, and is the one that is known."""
    same = known.model_copy(update={"attempts": told.attempts, "became": told.became, "outcome": told.outcome})
    if told != same:
        return False
    events = index.past(told.hypothesis, moment).events
    for end in range(len(events)):
        attempts = list_attempts(LedgerIndex(events[:end], index.ancestry), told.hypothesis)
        if describe_state(attempts) == (told.attempts, told.became, told.outcome):
            return True
    return False


def _is_between(start: str, moment: str, end: str) -> bool:
    """Tell whether a moment lies between two others, or outside by less than a clock may have been set meanwhile."""
    try:
        first, told, last = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z") for text in (start, moment, end))
    except ValueError:
        return False
    return first - SLACK <= told <= last + SLACK


def _check_deviations(run: StartedRun, page: Provenance, where: str) -> Iterator[AuditFinding]:
    start = run.body
    if unsaid := [text for text in start.deviations if text not in page.deviations]:
        what = "the verdict's page leaves out a deviation of its run"
        yield AuditFinding("deviations-hidden", what, where, unsaid[0], "not listed", start.hypothesis)
    if made_up := [text for text in page.deviations if text not in start.deviations]:
        what = "the verdict's page tells of a deviation that its run's event does not"
        yield AuditFinding("page-otherwise", what, where, "no such deviation", made_up[0], start.hypothesis)
    if start.words is not None and start.words != page.words:
        what = "the verdict's page leaves out what differs in words"
        yield AuditFinding("deviations-hidden", what, where, start.words, page.words or "nothing", start.hypothesis)
    if start.words is None and page.words is not None:
        what = "the verdict's page tells of a difference in words that its run's event does not"
        yield AuditFinding("page-otherwise", what, where, "nothing", page.words, start.hypothesis)


def _compare(evidence: Evidence, run: StartedRun, page: Provenance) -> Iterator[tuple[str, Any, Any]]:
    """Yield what of the page is not as the run's event, and that of its registration, have it: name, owed, told."""
    start = run.body
    owed: dict[str, Any] = {
        "run": run.name,
        "registration": start.registration,
        "started": run.claimed_time,
        "device": start.device,
        "command": start.command,
        "together": start.together,
        **{name: getattr(start.environment, name) for name in ENVIRONMENT},
    }
    if not page.code and not start.environment.code_kinds:
        del owed["code"]  # it was noted in events first
    if start.arithmetic is not None:
        owed["arithmetic"] = start.arithmetic
    if page.loaded is not None:
        owed["loaded"] = page.loaded | start.environment.foreign  # and whatever was loaded later, which no event tells
    if page.anchors is not None:
        owed["anchors"] = list_before(evidence.index, run)
    registered = evidence.index.entry(start.registration)
    if registered is not None and isinstance(registered.body, RegisteredBody):
        owed["registered_time"] = registered.claimed_time
        owed["hand_picked_seeds"] = not isinstance(registered.body.seeds, int)
    seeded = evidence.index.entry(start.seeded or "")
    body = None if seeded is None else seeded.body
    owed["drawn"] = (
        Draw(event=start.seeded or "", time=body.time, value=body.value, record=body.record)
        if isinstance(body, SeededBody)
        else None
    )
    for name, value in owed.items():
        if getattr(page, name) != value:
            yield name.replace("_", " "), value, getattr(page, name)


def _check_amendments(
    moments: list[LedgerIndex], run: StartedRun, page: Provenance, where: str
) -> Iterator[AuditFinding]:
    """Name amendments that the page leaves out or makes up; code from then may have told otherwise which deviate."""
    known = [list_amendments(past, run.hypothesis) for past in moments]
    lines = [line for found in known for amendment in found for line in amendment.lines]
    kept = [line for amendment in known[0] if not amendment.deviates for line in amendment.lines]
    if made_up := [line for line in page.amendments if line not in lines]:
        what = "the verdict's page tells of an amendment that no event before it made"
        yield AuditFinding("page-otherwise", what, where, "no such amendment", made_up[0], run.hypothesis)
    if unsaid := [line for line in kept if line not in (*page.amendments, *page.deviations)]:
        what = "the verdict's page leaves out an amendment before its run"
        yield AuditFinding("page-otherwise", what, where, unsaid[0], "not listed", run.hypothesis)
