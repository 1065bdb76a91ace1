"""Step 3: registered before it was run, every attempt closed and counted, amendments classified."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.ledger.audit import agreement, amended, commits, company, explored, linked, looks, pages, proofs, tuned
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.audit.similar import find_near_duplicates
from harness.ledger.bodies import AmendedBody, EventType, RegisteredBody, RunFinishedBody, VerdictBody
from harness.ledger.differing import keep_meaningful
from harness.ledger.index import Entry, Fixing, StartedRun
from harness.ledger.progress import describe_progress
from harness.ledger.second import find_registered_elsewhere
from harness.wording import format_count

PROMISE = "it was registered before it was run, every attempt is closed and counted, every deviation is named"
REFERENCES = ("registration", "amendment", "amends", "seeded", "run", "verdict", "head")
"""Fields that name another event, which must be there and before."""


class Meaning(NamedTuple):
    """The meaning of a text beside that of a registered canonical form."""

    same: bool
    unread: str | None = None
    """Reason why neither can be read here; None if they can."""
    remedy: str | None = None
    """The remedy for that, where one can be told."""


CompareMeaning = Callable[[Evidence, str, Fixing], Meaning]
"""Function that tells whether the text of a digest means what was fixed; only the stage that reads YAML can tell."""


def check(
    evidence: Evidence,
    compare_meaning: CompareMeaning,
    describe_trials: pages.DescribeTrials,
    find_siblings: pages.FindSiblings,
) -> Iterator[AuditFinding]:
    """Check the order and the number of registrations, amendments and attempts."""
    yield from _check_references(evidence)
    yield from find_near_duplicates(evidence)
    yield from explored.check_declared(evidence)
    yield from _find_elsewhere(evidence)
    siblings = find_siblings(evidence)
    for hypothesis in evidence.index.hypotheses:
        yield from _check_registrations(evidence, hypothesis)
        yield from amended.check(evidence, hypothesis)
        yield from agreement.check(evidence, hypothesis)
        yield from commits.check(evidence, hypothesis)
        for run in evidence.index.starts(hypothesis):
            yield from _check_start(evidence, run, compare_meaning)
            yield from proofs.check(evidence, run)
            yield from linked.check(evidence, run)
            yield from _check_end(evidence, run)
            for verdict in evidence.index.verdicts(run.digest):
                yield from pages.check(evidence, run, verdict, describe_trials, siblings)
        yield from pages.find_untold_siblings(evidence, hypothesis, siblings)


def _check_references(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find events that name something that is not in the ledger, or that was not there before them."""
    for event in evidence.index.events:
        fields = {} if event.content is None else vars(event.content)
        for field in REFERENCES:
            named = fields.get(field)
            if not isinstance(named, str) or evidence.index.before(named, event.digest):
                continue
            code = "not-registered-before" if field == "registration" else "reference"
            state = "is not in the ledger" if named not in evidence.index.digests else "is not before it"
            what = f"the {field} that this {event.type} event names {state}"
            yield AuditFinding(
                code, what, evidence.at(event.digest), named, state, evidence.index.subject(event.digest)
            )


def _check_registrations(evidence: Evidence, hypothesis: str) -> Iterator[AuditFinding]:
    index = evidence.index
    registered = [entry.digest for entry in index.of(hypothesis, RegisteredBody)]
    if not registered:
        for run in index.starts(hypothesis):
            what = "it was run and never registered"
            yield AuditFinding("not-registered-before", what, evidence.at(run.digest), hypothesis=hypothesis)
        return
    first = registered[0]
    for other in registered[1:]:
        after = index.before(first, other)
        code = "registered-again" if after else "registered-side-by-side"
        what = f"a second registration, {'after' if after else 'neither before nor after'} {first[:12]}"
        yield AuditFinding(code, what, evidence.at(other), first, other, hypothesis)
    for run in index.starts(hypothesis):
        named = run.body.registration
        if not isinstance(index.body(named), RegisteredBody) or index.subject(named) != hypothesis:
            what = "it names something else than its hypothesis's registration"
            yield AuditFinding("not-registered-before", what, evidence.at(run.digest), first, named, hypothesis)


def _find_elsewhere(evidence: Evidence) -> Iterator[AuditFinding]:
    """Name registrations of the same hypotheses in other trails of the project or its repository."""
    if evidence.around is None or not evidence.index.hypotheses:
        return
    found, notes = find_registered_elsewhere(evidence.around, evidence.index.hypotheses)
    for other in found:
        code = "registered-by-another" if other.other_project else "registered-elsewhere"
        what = f"{other.hypothesis} is registered in {other.what}, too, by event {other.event[:12]} ({other.time})"
        yield AuditFinding(code, what, str(other.place), hypothesis=other.hypothesis)
    for note in notes:
        yield AuditFinding("not-searched", note, str(evidence.around.project))


def _check_start(evidence: Evidence, run: StartedRun, compare_meaning: CompareMeaning) -> Iterator[AuditFinding]:
    """Check a run against what was registered, or amended before it."""
    body = run.body
    entry = evidence.index.fixed(body.amendment or body.registration)
    if entry is None:
        return  # named already
    where, fixed = evidence.at(run.digest), entry.body
    meaning = compare_meaning(evidence, body.raw, fixed) if body.raw != fixed.raw else Meaning(same=True)
    if meaning.unread is not None:
        what = f"the text that it was run with can't be compared with the registered one: {meaning.unread}"
        yield AuditFinding("meaning-unread", what, where, hypothesis=body.hypothesis, command=meaning.remedy)
    elif not meaning.same:
        what = "it was run with another meaning than was registered or amended before it"
        yield AuditFinding("meaning-changed", what, where, fixed.raw, body.raw, body.hypothesis)
    if body.amendment is None and (skipped := _find_amendment_before(evidence, run)):
        what = f"it was run as registered, past the amendment {skipped[:12]}"
        yield AuditFinding("meaning-changed", what, where, skipped, "no amendment named", body.hypothesis)
    said = "\n".join(body.deviations)
    for change in amended.list_changes(fixed, body):
        if change.name not in (f"{said}\n{body.words}" if change.words else said):
            what = f"{change.name} is not the registered one, and its deviations do not say so"
            yield AuditFinding("deviation-unnamed", what, where, change.before, change.now, body.hypothesis)
    if deviations := keep_meaningful(body.deviations):
        what = f"run {run.name} deviates: {'; '.join(deviations)}"
        yield AuditFinding("deviated", what, where, hypothesis=body.hypothesis)


def _find_amendment_before(evidence: Evidence, run: StartedRun) -> str | None:
    """Return the first amendment of the meaning before a run; None if there is none."""
    for entry in evidence.index.of(run.hypothesis, AmendedBody):
        if entry.body.kind == "meaning" and evidence.index.before(entry.digest, run.digest):
            return entry.digest
    return None


def _check_end(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Check how a run ended, and whether its verdict follows that end."""
    closings, verdicts = evidence.index.closings(run.digest), evidence.index.verdicts(run.digest)
    where, hypothesis = evidence.at(run.digest), run.hypothesis
    if not closings:
        what = f"attempt {run.name} was started and neither finished nor closed"
        yield AuditFinding("run-open", what, where, hypothesis=hypothesis)
    if resumed := evidence.index.resumptions(run.digest):
        came = "; ".join(filter(None, (describe_progress(entry.body.progress) for entry in resumed)))
        what = f"attempt {run.name} was resumed {format_count(len(resumed), 'time')}{f', {came}' if came else ''}"
        yield AuditFinding("resumed", what, evidence.at(resumed[-1].digest), hypothesis=hypothesis)
    if peeks := evidence.index.peeks(run.digest):
        came = describe_progress(peeks[0].body.progress)
        what = f"values of run {run.name} were looked at before its end{f', {came}' if came else ''}"
        yield AuditFinding("peeked", what, evidence.at(peeks[0].digest), hypothesis=hypothesis)
    for end in closings:
        progress = None if isinstance(end.body, RunFinishedBody) else end.body.progress
        if not isinstance(end.body, RunFinishedBody) and progress is not None and progress.readable:
            what = f"attempt {run.name} was given up {describe_progress(progress)}: {end.body.reason}"
            yield AuditFinding("given-up-late", what, evidence.at(end.digest), hypothesis=hypothesis)
    endings = {(end.event.type, getattr(end.body, "results", None)) for end in closings}
    if len(endings) > 1:
        what = f"attempt {run.name} was closed in {len(endings)} ways: {', '.join(sorted(kind for kind, _ in endings))}"
        yield AuditFinding("closed-twice", what, evidence.at(closings[1].digest), hypothesis=hypothesis)
    yield from looks.check_order(evidence, run)
    yield from tuned.check_order(evidence, run)
    yield from company.check(evidence, run)
    if evidence.index.finished(run.digest) and not verdicts:
        what = f"attempt {run.name} was finished and never judged"
        yield AuditFinding("run-unjudged", what, where, hypothesis=hypothesis)
    said = {json.dumps(verdict.event.body, sort_keys=True) for verdict in verdicts} if verdicts[1:] else ()
    if len(said) > 1:
        what = f"attempt {run.name} has {len(said)} different verdicts"
        yield AuditFinding("judged-twice", what, evidence.at(verdicts[1].digest), hypothesis=hypothesis)
    for verdict in verdicts:
        yield from _check_verdict(evidence, run, verdict)


def _check_verdict(evidence: Evidence, run: StartedRun, verdict: Entry[VerdictBody]) -> Iterator[AuditFinding]:
    """Check that a verdict is on results that were finished before it, and what its page tells of attempts."""
    index, hypothesis = evidence.index, run.hypothesis
    where, results = evidence.at(verdict.digest), verdict.body.files.get("results.json")
    finished = index.finished(run.digest)
    if results not in {end.body.results for end in finished if index.before(end.digest, verdict.digest)}:
        what = "no run_finished event before this verdict names its results"
        got = results or "no results.json"
        yield AuditFinding("not-finished-before", what, where, EventType.RUN_FINISHED, got, hypothesis)
