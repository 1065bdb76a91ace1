"""Step 3: what the page of a verdict says of its run, which env.json holds, against what the events say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from harness.ledger.amendments import list_amendments
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody, VerdictBody
from harness.ledger.code import MEANING
from harness.ledger.index import Entered, Entry, LedgerIndex, StartedRun
from harness.ledger.pins import Pins
from harness.ledger.runs import list_attempts
from harness.records import Provenance

DescribeTrials = Callable[[Pins, StartedRun, Entered, str], tuple[str, ...]]
"""Says what a run with this results.json shows of its deviations in code; only a stage that knows them all can tell."""
ENVIRONMENT = ("commit", "no_commit", "dirty", "dirty_digest", "harness", "code", "packages", "python", "platform")


def check(
    evidence: Evidence, run: StartedRun, verdict: Entry[VerdictBody], describe_trials: DescribeTrials
) -> Iterator[AuditFinding]:
    """Find what the page of a verdict leaves out, or tells otherwise than the events do."""
    page = evidence.page(run, verdict.body.files.get("env.json"))
    if page is None:
        return  # step 4 says what is wrong with the file
    start, where = run.body, evidence.at(verdict.digest)
    yield from _check_attempts(evidence, run, verdict, page)
    yield from _check_deviations(run, page, where)
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


def _check_attempts(
    evidence: Evidence, run: StartedRun, verdict: Entry[VerdictBody], page: Provenance
) -> Iterator[AuditFinding]:
    """Name attempts that the page leaves out, makes up, or tells another end of."""
    where, hypothesis = evidence.at(verdict.digest), run.hypothesis
    before, by_now = (
        {attempt.run: attempt for attempt in list_attempts(evidence.index.past(hypothesis, event), hypothesis)}
        for event in (run.digest, verdict.digest)
    )
    if hidden := {*before, str(run.name)} - {attempt.run for attempt in page.attempts}:
        what = f"the verdict's page leaves out {len(hidden)} of the attempts before it"
        yield AuditFinding("attempts-hidden", what, where, min(hidden), "not listed", hypothesis)
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
        **{name: getattr(start.environment, name) for name in ENVIRONMENT},
    }
    if not page.code and not start.environment.code_kinds:
        del owed["code"]  # it was noted in events first
    if start.arithmetic is not None:
        owed["arithmetic"] = start.arithmetic
    registered = evidence.index.entry(start.registration)
    if registered is not None and isinstance(registered.body, RegisteredBody):
        owed["registered_time"] = registered.claimed_time
        owed["hand_picked_seeds"] = not isinstance(registered.body.seeds, int)
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
