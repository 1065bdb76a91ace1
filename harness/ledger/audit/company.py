"""Shared cohorts, for step 3: a run's company was registered before it, and attempts at all of it are in the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody
from harness.ledger.company import find_company
from harness.ledger.index import StartedRun
from harness.records import Companion


def check(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Check what a run names of the hypotheses whose replicas trained with its own."""
    where, hypothesis = evidence.at(run.digest), run.hypothesis
    for one in run.body.together:
        if told := _describe_flaws(evidence, run, one):
            what = f"run {run.name} trained together with {one.hypothesis}, of which it says otherwise than the events"
            yield AuditFinding("company-otherwise", f"{what}: {told}", where, hypothesis=hypothesis)
    if run.body.together and hypothesis not in {one.hypothesis for one in run.body.together}:
        what = f"run {run.name} does not name itself among the hypotheses that trained together"
        yield AuditFinding("company-otherwise", what, where, hypothesis=hypothesis)
    if not evidence.index.finished(run.digest):
        return  # nothing is trained before all attempts were started
    for name, start in find_company(evidence.index, run).items():
        if start is None:
            what = f"run {run.name} trained replicas of {name} with its own, and no attempt at {name} says so"
            yield AuditFinding("company-unstarted", what, where, hypothesis=hypothesis)


def _describe_flaws(evidence: Evidence, run: StartedRun, one: Companion) -> str:
    """Say what of a companion does not follow from events before the run; empty if all does."""
    index = evidence.index
    forms = {entry.body.canonical for entry in index.fixing(one.hypothesis) if index.before(entry.digest, run.digest)}
    starts = [start for start in index.starts(one.hypothesis) if start.body.together == run.body.together]
    registered = index.body(one.registration)
    flaws = [
        "that is not a registration of it"
        * (not isinstance(registered, RegisteredBody) or registered.hypothesis != one.hypothesis),
        "it was not registered before" * (not index.before(one.registration, run.digest)),
        "it never had that form" * (one.canonical not in forms),
        "its attempt has other seeds" * any(start.body.seeds != one.seeds for start in starts),
    ]
    return "; ".join(filter(None, flaws))
