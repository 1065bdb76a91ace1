"""Looks, for steps 3 and 5: each that was planned was recorded, in order, and is of the results that the run has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import LookBody, RunStartedBody
from harness.ledger.history import run_name
from harness.records import Measurements, Stopping
from harness.wording import counted


def recorded(evidence: Evidence, run: str) -> list[tuple[str, LookBody]]:
    """A run's looks with their digests, in ledger order."""
    bodies = [(digest, evidence.bodies.get(digest)) for digest in evidence.types["look"]]
    return [(digest, body) for digest, body in bodies if isinstance(body, LookBody) and body.run == run]


def planned(evidence: Evidence, start: RunStartedBody) -> tuple[int, ...] | None:
    """Numbers of seeds at which a run is judged; empty where its file asks for no looks, None where it is not here."""
    outline = evidence.outline(start.canonical)
    if outline is None:
        return None
    try:
        stopping = Stopping.model_validate(outline.stopping)
    except ValidationError:
        return None
    return () if stopping.kind == "fixed" else stopping.numbers(len(start.seeds))


def order(evidence: Evidence, run: str, start: RunStartedBody, closings: list[str]) -> Iterator[AuditFinding]:
    """Looks come one after another as planned; the one that ended the run is of the results that it has."""
    taken = recorded(evidence, run)
    if said := _unplanned(evidence, start, taken, closings):
        what = f"the looks of run {run_name(run)}: {said}"
        yield AuditFinding("looks", what, evidence.at(taken[-1][0] if taken else run), hypothesis=start.hypothesis)
    for (before, _), (digest, body) in pairwise(taken):
        if not evidence.before(before, digest):
            what = f"the look at {counted(body.seeds, 'seed')} of run {run_name(run)} is not after the look before it"
            yield AuditFinding("looks", what, evidence.at(digest), hypothesis=start.hypothesis)
    for digest, body in taken:
        results = {evidence.events[c].body.get("results") for c in closings if evidence.before(digest, c)} - {None}
        ended = body.outcome is not None
        wrong = [
            "the run was to end with it, and another look follows" * (ended and digest != taken[-1][0]),
            "the run was closed before it" * any(evidence.before(closing, digest) for closing in closings),
            "the run's results are not those that it is of" * (ended and bool(results - {body.results})),
        ]
        if told := "; ".join(filter(None, wrong)):
            what = f"the look at {counted(body.seeds, 'seed')} of run {run_name(run)}: {told}"
            yield AuditFinding("looks", what, evidence.at(digest), hypothesis=start.hypothesis)


def _unplanned(
    evidence: Evidence, start: RunStartedBody, taken: list[tuple[str, LookBody]], closings: list[str]
) -> str | None:
    """What differs between the looks that were taken and those that the file asks for."""
    wanted = planned(evidence, start)
    if wanted is None:
        return None  # step 4 says that the form is not here
    at = [body.seeds for _, body in taken]
    if at != list(wanted[: len(at)]):
        return f"recorded at {_shown(at)} seeds, and the file asks for {_shown(wanted)}"
    finished = any(evidence.events[closing].type == "run_finished" for closing in closings)
    if wanted and finished and (not taken or taken[-1][1].outcome is None):
        return f"it was finished, and no look ended it: recorded at {_shown(at)} of {_shown(wanted)} seeds"
    return None


def of_results(evidence: Evidence, run: str, start: RunStartedBody, measured: Measurements) -> Iterator[AuditFinding]:
    """Each look against the results as they were with its seeds; the last is of all that there are."""
    taken = recorded(evidence, run)
    for digest, body in taken:
        of = hashlib.sha256(measured.first(body.seeds).to_json().encode()).hexdigest()
        if of != body.results:
            what = f"the look at {counted(body.seeds, 'seed')} of run {run_name(run)} is not of these results"
            yield AuditFinding("look-results", what, evidence.at(digest), of, body.results, start.hypothesis)
    if taken and len(measured.seeds) != taken[-1][1].seeds:
        what = f"run {run_name(run)} has results of other seeds than its last look was of"
        expected, got = counted(taken[-1][1].seeds, "seed"), counted(len(measured.seeds), "seed")
        yield AuditFinding("look-results", what, evidence.at(taken[-1][0]), expected, got, start.hypothesis)


def _shown(numbers: tuple[int, ...] | list[int]) -> str:
    listed = ", ".join(map(str, numbers[:10]))
    return f"{listed}, …" if len(numbers) > 10 else listed or "no"
