"""Part of step 4: runs that start from stored weights name those of the earlier run, by digest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.index import StartedRun
from harness.records import InitFrom, Provenance
from harness.records.weights import digest_source, name_source, name_weights


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check, for every run with an arm that starts from stored weights, that its event names them."""
    for run in evidence.index.starts():
        for arm, given in _list_starts(evidence, run):
            yield from _check_start(evidence, run, arm, given)


def _list_starts(evidence: Evidence, run: StartedRun) -> Iterator[tuple[str, Any]]:
    form = evidence.form(run.body.canonical)
    arms = form.get("arms") if form is not None else None
    for name, arm in arms.items() if isinstance(arms, dict) else ():
        if isinstance(arm, dict) and arm.get("init_from") is not None:
            yield name, arm["init_from"]


def _check_start(evidence: Evidence, run: StartedRun, arm: str, given: Any) -> Iterator[AuditFinding]:
    where, hypothesis = evidence.at(run.digest), run.hypothesis
    try:
        asked = InitFrom.model_validate(given)
    except ValidationError:
        what = f"what arm {arm} starts from can't be read"
        yield AuditFinding("initial-unchecked", what, where, hypothesis=hypothesis)
        return
    found = [one for one in evidence.index.starts() if one.digest.startswith(asked.run)]
    source = found[0] if len(found) == 1 else None
    verdict = None if source is None else evidence.index.verdict(source.digest)
    if source is None or verdict is None or not evidence.index.before(verdict.digest, run.digest):
        what = f"arm {arm} starts from weights of run {asked.run}, which has no verdict here before this run"
        yield AuditFinding("initial-unchecked", what, where, hypothesis=hypothesis)
        return
    page = evidence.page(source, verdict.body.files.get("env.json"))
    last = _find_last_epoch(evidence, source, asked.arm)
    if page is None or last is None:
        what = f"arm {arm} starts from weights of run {asked.run}, whose files are not here as they were kept"
        yield AuditFinding("initial-unchecked", what, where, hypothesis=hypothesis)
        return
    epoch = last if asked.epoch is None else asked.epoch
    named = run.body.data.get(name_source(asked.run, asked.arm, epoch))
    owed = _digest(page, asked.arm, None if epoch == last else epoch)
    if owed is None or named != owed:
        what = f"arm {arm} did not start from the weights of run {asked.run} that its env.json names"
        yield AuditFinding("initial-otherwise", what, where, owed or "none", named or "none", hypothesis)


def _find_last_epoch(evidence: Evidence, source: StartedRun, arm: str) -> int | None:
    form = evidence.form(source.body.canonical)
    try:
        return None if form is None else int(form["arms"][arm]["setup"]["epochs"])
    except (KeyError, TypeError, ValueError):
        return None


def _digest(page: Provenance, arm: str, epoch: int | None) -> str | None:
    """Return the digest of an arm's weights as the event should name it; None if the run kept none."""
    files: list[str] = []
    while (name := name_weights(arm, len(files), epoch)) in page.weights:
        files.append(page.weights[name])
    return digest_source(files) if files else None
