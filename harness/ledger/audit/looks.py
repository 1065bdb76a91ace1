"""Looks, for steps 3 and 5: each that was planned was recorded, in order, and is of the results that the run has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import LookBody, RunStartedBody
from harness.ledger.index import Entry, StartedRun
from harness.records import Measurements, Stopping
from harness.wording import format_count


def plan_looks(evidence: Evidence, start: RunStartedBody) -> tuple[int, ...] | None:
    """Return the numbers of seeds at which a run is judged, if its file asks for looks; None if its form is missing."""
    outline = evidence.outline(start.canonical)
    if outline is None:
        return None
    try:
        stopping = Stopping.model_validate(outline.stopping)
    except ValidationError:
        return None
    return () if stopping.kind == "fixed" else stopping.numbers(len(start.seeds))


def check_order(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Check that looks come one after another as planned, and that the last is of the results that the run has."""
    index, taken = evidence.index, evidence.index.looks(run.digest)
    closings, finished = index.closings(run.digest), index.finished(run.digest)
    if said := _find_unplanned(evidence, run, taken, finished=bool(finished)):
        what = f"the looks of run {run.name}: {said}"
        where = evidence.at(taken[-1].digest if taken else run.digest)
        yield AuditFinding("looks", what, where, hypothesis=run.hypothesis)
    for before, look in pairwise(taken):
        if not index.before(before.digest, look.digest):
            what = (
                f"the look at {format_count(look.body.seeds, 'seed')} of run {run.name} is not after the look before it"
            )
            yield AuditFinding("looks", what, evidence.at(look.digest), hypothesis=run.hypothesis)
    for digest, body in ((look.digest, look.body) for look in taken):
        results = {end.body.results for end in finished if index.before(digest, end.digest)}
        ended = body.outcome is not None
        wrong = [
            "the run was to end with it, and another look follows" * (ended and digest != taken[-1].digest),
            "the run was closed before it" * any(index.before(closing.digest, digest) for closing in closings),
            "the run's results are not those that it is of" * (ended and bool(results - {body.results})),
        ]
        if told := "; ".join(filter(None, wrong)):
            what = f"the look at {format_count(body.seeds, 'seed')} of run {run.name}: {told}"
            yield AuditFinding("looks", what, evidence.at(digest), hypothesis=run.hypothesis)


def _find_unplanned(
    evidence: Evidence, run: StartedRun, taken: Sequence[Entry[LookBody]], *, finished: bool
) -> str | None:
    """Say what differs between the looks that were taken and those that the file asks for."""
    wanted = plan_looks(evidence, run.body)
    if wanted is None:
        return None  # step 4 says that the form is not here
    at = [look.body.seeds for look in taken]
    if at != list(wanted[: len(at)]):
        return f"recorded at {_format_numbers(at)} seeds, and the file asks for {_format_numbers(wanted)}"
    if wanted and finished and (not taken or taken[-1].body.outcome is None):
        return (
            f"it was finished, and no look ended it: recorded at {_format_numbers(at)} of "
            f"{_format_numbers(wanted)} seeds"
        )
    return None


def check_results(evidence: Evidence, run: StartedRun, measured: Measurements) -> Iterator[AuditFinding]:
    """Check each look against the results as they were with its seeds. The last look judges all results."""
    taken = evidence.index.looks(run.digest)
    for digest, body in ((look.digest, look.body) for look in taken):
        of = hashlib.sha256(measured.take_first(body.seeds).to_json().encode()).hexdigest()
        if of != body.results:
            what = f"the look at {format_count(body.seeds, 'seed')} of run {run.name} is not of these results"
            yield AuditFinding("look-results", what, evidence.at(digest), of, body.results, run.hypothesis)
    if taken and len(measured.seeds) != taken[-1].body.seeds:
        what = f"run {run.name} has results of other seeds than its last look was of"
        expected, got = format_count(taken[-1].body.seeds, "seed"), format_count(len(measured.seeds), "seed")
        yield AuditFinding("look-results", what, evidence.at(taken[-1].digest), expected, got, run.hypothesis)


def _format_numbers(numbers: tuple[int, ...] | list[int]) -> str:
    listed = ", ".join(map(str, numbers[:10]))
    return f"{listed}, …" if len(numbers) > 10 else listed or "no"
