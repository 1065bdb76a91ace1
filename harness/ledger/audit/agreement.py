"""Attempts of one registration, held against each other, for step 3: what trained the same came to the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.ledger.attempt import list_arithmetic_changes, list_environment_changes
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RunFinishedBody
from harness.ledger.index import Entry, StartedRun

TRAINING = ("numbers", "plugins")
"""Kinds of harness's own code that train."""


def check(evidence: Evidence, hypothesis: str) -> Iterator[AuditFinding]:
    """Find finished attempts with the same registration, plan, device and code as an earlier one, and other results."""
    first: dict[Any, tuple[StartedRun, str]] = {}
    for run in evidence.index.starts(hypothesis):
        for end in evidence.index.finished(run.digest)[:1]:
            before, results = first.setdefault(_name_training(run), (run, end.body.results))
            if results != end.body.results:
                yield _describe(evidence, before, run, results, end)


def _name_training(run: StartedRun) -> Any:
    """Return what two attempts share that are one training."""
    body, code = run.body, run.body.environment
    own = tuple(code.code_kinds.get(kind) for kind in TRAINING) if code.code_kinds else code.code
    plugins, data = (tuple(sorted(named.items())) for named in (body.pins.plugins, body.data))
    elsewhere = None if body.linked is None else body.linked.exports
    return body.registration, body.plan, body.seeds, body.device, own, plugins, data, elsewhere


def _describe(
    evidence: Evidence, before: StartedRun, run: StartedRun, results: str, end: Entry[RunFinishedBody]
) -> AuditFinding:
    """Describe that two attempts disagree; what else is not the same may be why."""
    one, other = before.body, run.body
    besides = [*list_environment_changes(one, other), *list_arithmetic_changes(one.arithmetic, other.arithmetic)]
    if one.canonical != other.canonical:
        besides.append("what was registered was amended in between")
    what = f"attempts {before.name} and {run.name} have the same registration, plan, device and code and other results"
    code = "attempts-differ" if besides else "attempts-disagree"
    told = f"{what}: {'; '.join(besides)}" if besides else what
    return AuditFinding(code, told, evidence.at(end.digest), results, end.body.results, run.hypothesis)
