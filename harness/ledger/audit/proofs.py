"""Sentences that call a deviation in code harmless, for step 3: what they name must have been entered before the run.

A run says of other code what earlier attempts and reruns show of it (docs/decisions/0033). Whoever writes its event
could say so of reruns that never were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RunFinishedBody
from harness.ledger.index import LedgerIndex, StartedRun, name_run
from harness.ledger.rerun_bodies import ReplicatedBody

RUN = "([0-9a-f]{12})"
RERUN = re.compile(
    rf"; run {RUN}, (?:by this code, trained again with that one|trained again with this code) "
    r"on (.*), came to the same bits$",
    re.DOTALL,
)
TWINS = re.compile(rf"; run {RUN}, by this code, has the same results\.json as run {RUN}, by that one$")
JUDGED = re.compile(rf"; judging the stored results of run {RUN} again with this code gave .* decision$", re.DOTALL)


def check(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Find what a run says of its deviations and nothing before it shows."""
    lines = [line for line in run.body.deviations if "; run " in line or "; judging " in line]
    past = evidence.index.past(run.hypothesis, run.digest) if lines else evidence.index
    for line in lines:
        if not _is_shown(past, line):
            what = f"run {run.name} says of its deviation what nothing before it shows"
            where = evidence.at(run.digest)
            yield AuditFinding("proof-unfounded", what, where, "no such proof", line, run.hypothesis)


def _is_shown(past: LedgerIndex, line: str) -> bool:
    """Tell whether the events before a run hold what a line names; lines that name nothing of this kind are true."""
    if (match := RERUN.search(line)) is not None:
        reruns = (entry.body for entry in past.entries(ReplicatedBody))
        return any(
            (name_run(rerun.run), rerun.device) == (match[1], match[2]) and rerun.agreement == "bits"
            for rerun in reruns
        )
    if (match := TWINS.search(line)) is not None:
        finished: dict[str, str] = {
            name_run(entry.body.run): entry.body.results for entry in past.entries(RunFinishedBody)
        }
        return match[1] in finished and finished[match[1]] == finished.get(match[2])
    if (match := JUDGED.search(line)) is not None:
        return any(run.name == match[1] and past.verdict(run.digest) is not None for run in past.starts())
    return True
