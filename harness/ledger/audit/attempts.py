"""Step 3: registered before it was run, every attempt closed and counted, amendments classified."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from harness.ledger.audit import amended, looks, pages
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.audit.similar import near_duplicates
from harness.ledger.bodies import AmendedBody, RegisteredBody, RunStartedBody, VerdictBody
from harness.ledger.differing import meaningful
from harness.ledger.history import run_name
from harness.ledger.second import registered_elsewhere

PROMISE = "it was registered before it was run, every attempt is closed and counted, every deviation is named"
REFERENCES = ("registration", "amendment", "amends", "run", "verdict", "head")
"""Fields that name another event, which must be there and before."""

SameMeaning = Callable[[Evidence, str, RegisteredBody | AmendedBody], bool]
"""Whether the text of this digest means what was fixed; only the stage that reads YAML can tell."""


def check(evidence: Evidence, same_meaning: SameMeaning, shown: pages.Shown) -> Iterator[AuditFinding]:
    """What is wrong with the order and the number of registrations, amendments and attempts."""
    yield from _references(evidence)
    yield from near_duplicates(evidence)
    yield from _elsewhere(evidence)
    for hypothesis in evidence.hypotheses:
        yield from _registrations(evidence, hypothesis)
        yield from amended.check(evidence, hypothesis)
        for run, body in evidence.starts(hypothesis):
            yield from _start(evidence, run, body, same_meaning)
            yield from _end(evidence, run, body)
            for verdict in evidence.verdicts[run]:
                yield from pages.check(evidence, run, verdict, body, shown)


def _references(evidence: Evidence) -> Iterator[AuditFinding]:
    """Events that name something which is not there, or which was not before them."""
    for event in evidence.order:
        if event.digest not in evidence.bodies:
            continue
        for field in REFERENCES:
            named = event.body.get(field)
            if not isinstance(named, str) or evidence.before(named, event.digest):
                continue
            sort = "not-registered-before" if field == "registration" else "reference"
            state = "is not in the ledger" if named not in evidence.events else "is not before it"
            what = f"the {field} that this {event.type} event names {state}"
            yield AuditFinding(sort, what, evidence.at(event.digest), named, state, evidence.whose(event.digest))


def _registrations(evidence: Evidence, hypothesis: str) -> Iterator[AuditFinding]:
    registered = evidence.of(hypothesis, "registered")
    if not registered:
        for run, _ in evidence.starts(hypothesis):
            what = "it was run and never registered"
            yield AuditFinding("not-registered-before", what, evidence.at(run), hypothesis=hypothesis)
        return
    first = registered[0]
    for other in registered[1:]:
        after = evidence.before(first, other)
        sort = "registered-again" if after else "registered-side-by-side"
        what = f"a second registration, {'after' if after else 'neither before nor after'} {first[:12]}"
        yield AuditFinding(sort, what, evidence.at(other), first, other, hypothesis)
    for run, body in evidence.starts(hypothesis):
        if evidence.registration(body.registration) is None or evidence.whose(body.registration) != hypothesis:
            what = "it names something else than its hypothesis's registration"
            yield AuditFinding("not-registered-before", what, evidence.at(run), first, body.registration, hypothesis)


def _elsewhere(evidence: Evidence) -> Iterator[AuditFinding]:
    """Registrations of the same hypotheses in other trails of the project or its repository."""
    if evidence.around is None or not evidence.hypotheses:
        return
    found, notes = registered_elsewhere(evidence.around, evidence.hypotheses)
    for other in found:
        sort = "registered-by-another" if other.other_project else "registered-elsewhere"
        what = f"{other.hypothesis} is registered in {other.what}, too, by event {other.event[:12]} ({other.time})"
        yield AuditFinding(sort, what, str(other.place), hypothesis=other.hypothesis)
    for note in notes:
        yield AuditFinding("not-searched", note, str(evidence.around.project))


def _start(evidence: Evidence, run: str, body: RunStartedBody, same_meaning: SameMeaning) -> Iterator[AuditFinding]:
    """A run against what was registered, or amended before it."""
    fixed = evidence.bodies.get(body.amendment or body.registration)
    if not isinstance(fixed, RegisteredBody | AmendedBody):
        return  # named already
    where = evidence.at(run)
    if body.raw != fixed.raw and not same_meaning(evidence, body.raw, fixed):
        what = "it was run with another meaning than was registered or amended before it"
        yield AuditFinding("meaning-changed", what, where, fixed.raw, body.raw, body.hypothesis)
    if body.amendment is None and (skipped := _amended_before(evidence, run, body.hypothesis)):
        what = f"it was run as registered, past the amendment {skipped[:12]}"
        yield AuditFinding("meaning-changed", what, where, skipped, "no amendment named", body.hypothesis)
    said = "\n".join(body.deviations)
    for change in amended.changes(fixed, body):
        if change.name not in (f"{said}\n{body.words}" if change.words else said):
            what = f"{change.name} is not the registered one, and its deviations do not say so"
            yield AuditFinding("deviation-unnamed", what, where, change.before, change.now, body.hypothesis)
    if deviations := meaningful(body.deviations):
        what = f"run {run_name(run)} deviates: {'; '.join(deviations)}"
        yield AuditFinding("deviated", what, where, hypothesis=body.hypothesis)


def _amended_before(evidence: Evidence, run: str, hypothesis: str) -> str | None:
    for digest in evidence.of(hypothesis, "amended"):
        if evidence.events[digest].body["kind"] == "meaning" and evidence.before(digest, run):
            return digest
    return None


def _end(evidence: Evidence, run: str, body: RunStartedBody) -> Iterator[AuditFinding]:
    """How a run ended, and whether its verdict follows that end."""
    closings, verdicts = evidence.closings[run], evidence.verdicts[run]
    where, name = evidence.at(run), run_name(run)
    if not closings:
        what = f"attempt {name} was started and neither finished nor closed"
        yield AuditFinding("run-open", what, where, hypothesis=body.hypothesis)
    endings = {(evidence.events[digest].type, evidence.events[digest].body.get("results")) for digest in closings}
    if len(endings) > 1:
        what = f"attempt {name} was closed in {len(endings)} ways: {', '.join(sorted(kind for kind, _ in endings))}"
        yield AuditFinding("closed-twice", what, evidence.at(closings[1]), hypothesis=body.hypothesis)
    yield from looks.order(evidence, run, body, closings)
    finished = [digest for digest in closings if evidence.events[digest].type == "run_finished"]
    if finished and not verdicts:
        what = f"attempt {name} was finished and never judged"
        yield AuditFinding("run-unjudged", what, where, hypothesis=body.hypothesis)
    said = {json.dumps(evidence.events[digest].body, sort_keys=True) for digest in verdicts} if verdicts[1:] else ()
    if len(said) > 1:
        what = f"attempt {name} has {len(said)} different verdicts"
        yield AuditFinding("judged-twice", what, evidence.at(verdicts[1]), hypothesis=body.hypothesis)
    for verdict in verdicts:
        yield from _verdict(evidence, run, verdict, finished, body)


def _verdict(
    evidence: Evidence, run: str, verdict: str, finished: list[str], start: RunStartedBody
) -> Iterator[AuditFinding]:
    body = evidence.bodies[verdict]
    assert isinstance(body, VerdictBody)
    where, results = evidence.at(verdict), body.files.get("results.json")
    before = [d for d in finished if evidence.before(d, verdict)]
    if results not in {evidence.events[digest].body["results"] for digest in before}:
        what = "no run_finished event before this verdict names its results"
        got = results or "no results.json"
        yield AuditFinding("not-finished-before", what, where, "run_finished", got, start.hypothesis)
