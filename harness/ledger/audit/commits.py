"""The code that a run says it was made by, against the commit that it names, for step 3."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.committed import CommittedCode, read_committed
from harness.ledger.git import find_nearest
from harness.ledger.index import StartedRun

MOST_LOOKED_UP = 500
"""Commits whose code is digested: each takes some hundredths of a second, and a forger may name any number of them."""


def check(evidence: Evidence, hypothesis: str) -> Iterator[AuditFinding]:
    """Find runs whose code is not that of the commit which they name, and say of which this can't be seen, and why."""
    not_compared: dict[str, list[str]] = {}
    for run in evidence.index.starts(hypothesis):
        noted = run.body.environment
        held = None if noted.commit is None else _read(evidence, noted.commit)
        if held is not None and not held.problem and held.is_that_of(noted.code, noted.code_kinds):
            continue
        if (reason := _excuse(run, held)) is not None:
            not_compared.setdefault(reason, []).append(run.name)
            continue
        assert held is not None
        what = f"run {run.name} was made by other code than commit {str(noted.commit)[:12]} holds, which it names"
        expected = held.code if noted.code_kinds else held.code_before
        yield AuditFinding("code-not-of-commit", what, evidence.at(run.digest), expected, noted.code, hypothesis)
    for reason, runs in not_compared.items():
        whose = f"run {runs[0]}" if len(runs) == 1 else f"runs {', '.join(runs)}"
        what = f"the code of {whose} is not compared with a commit: {reason}"
        yield AuditFinding("code-not-compared", what, str(evidence.files.root), hypothesis=hypothesis)


def _read(evidence: Evidence, commit: str) -> CommittedCode:
    if commit not in evidence.committed:
        if len(evidence.committed) >= MOST_LOOKED_UP:
            return CommittedCode(problem=f"the trail names more than {MOST_LOOKED_UP} commits")
        evidence.committed[commit] = read_committed(find_nearest(evidence.files.root), commit)
    return evidence.committed[commit]


def _excuse(run: StartedRun, held: CommittedCode | None) -> str | None:
    """Say why a run's code needn't be that of its commit, or can't be held against it; None if it should be."""
    noted = run.body.environment
    if held is None:
        return "it names none"
    if held.problem:
        return held.problem
    commit = str(noted.commit)[:12]
    if noted.dirty is not False:
        return f"by its own account, files differed from commit {commit}"
    if noted.of_commit is False:
        return f"by its own account, it was made by other code than commit {commit} holds"
    if not (held.code if noted.code_kinds else held.code_before):
        return f"commit {commit} digests its code in a way that is not known here"
    return None
