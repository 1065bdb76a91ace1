"""Step 6 of an audit: everything that follows from registered texts and results, computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from harness import inference, ledger
from harness.ledger import Ledger
from harness.ledger.audit import AuditFinding, Evidence
from harness.ledger.bodies import AmendedBody, RegisteredBody, ReplicatedBody, RunStartedBody
from harness.pipeline.bounded import bounded
from harness.pipeline.claiming import moves, walk_back_body
from harness.pipeline.judging import read_run, reverdict
from harness.pipeline.meaning import said, same_meaning
from harness.records import Hypothesis, Measurements, Provenance


def recomputed(evidence: Evidence) -> Iterator[AuditFinding]:
    """What does not come out again: texts, verdicts, what reruns reported, notices of walk-backs."""
    yield from _texts(evidence)
    if evidence.mended:
        return  # step 1 told it; what judges again would refuse the same files once more
    _load()
    for run, start, verdict in evidence.judged():
        where = evidence.files.shown(evidence.folder(run))
        try:
            again = bounded(partial(reverdict, run, evidence.files.root), said)
        except Exception as error:  # a hostile trail may do anything but end an audit
            what = f"it could not be judged again: {said(error)}"
            yield AuditFinding("not-recomputed", what, where, hypothesis=start.hypothesis)
            continue
        if again.outcome != verdict.outcome:
            what = "the recomputed outcome is not the one that was entered"
            yield AuditFinding("outcome-differs", what, where, again.outcome, verdict.outcome, start.hypothesis)
        for name in again.differing:
            what = f"{name} does not come out again"
            yield AuditFinding("page-differs", what, f"{where}/{name}", hypothesis=start.hypothesis)
        for sort, names in (("rounded", again.rounded), ("redrawn", again.redrawn)):
            if names:
                what = (
                    f"{', '.join(names)}: {'the same but for last digits' if sort == 'rounded' else 'drawn otherwise'}"
                )
                yield AuditFinding(sort, what, where, hypothesis=start.hypothesis)
    yield from _reruns(evidence)
    yield from _walk_backs(evidence)


def _load() -> None:
    """Load what judging needs here, once, instead of in each run's own process."""
    import jinja2.sandbox  # noqa: F401

    for record in (Hypothesis, Measurements, Provenance):
        record.model_rebuild()


def _texts(evidence: Evidence) -> Iterator[AuditFinding]:
    """Every registered text against the canonical form beside it."""
    kept = {path.removeprefix("objects/sha256/") for path in evidence.files.paths}
    for digest in (*evidence.types["registered"], *evidence.types["amended"]):
        body = evidence.bodies[digest]
        assert isinstance(body, RegisteredBody | AmendedBody)
        if {body.raw, body.canonical, body.claims} <= kept and not same_meaning(evidence, body.raw, body):
            what = "the registered text does not mean what the registered canonical form says"
            where = evidence.at(digest)
            yield AuditFinding("text-differs", what, where, body.canonical, body.raw, body.hypothesis)


def _reruns(evidence: Evidence) -> Iterator[AuditFinding]:
    """What other machines reported of their reruns, against the results that they left."""
    for digest in evidence.types["replicated"]:
        body = evidence.bodies[digest]
        assert isinstance(body, ReplicatedBody)
        where, hypothesis = evidence.at(digest), evidence.whose(digest)
        start = evidence.start(body.run)
        if start is None or not evidence.verdicts[body.run]:
            what = "a rerun of a run that has no verdict"
            yield AuditFinding("replication-differs", what, where, hypothesis=hypothesis)
            continue
        try:
            expected, agreement, outcome = bounded(partial(_rerun_again, evidence, start, body), said)
        except Exception as error:
            what = f"a rerun could not be compared again: {said(error)}"
            yield AuditFinding("not-recomputed", what, where, hypothesis=hypothesis)
            continue
        owed = f"{expected} expected, agreement: {agreement}, outcome: {outcome}"
        got = f"{body.expected} expected, agreement: {body.agreement}, outcome: {body.outcome}"
        if owed != got:
            what = "what a rerun reported does not follow from its results"
            yield AuditFinding("replication-differs", what, where, owed, got, hypothesis)


def _rerun_again(evidence: Evidence, start: RunStartedBody, body: ReplicatedBody) -> tuple[str, str, str]:
    """What a rerun's event should say: what was expected, how far it agrees, its outcome."""
    run = read_run(body.run, evidence.files.root)
    hypothesis = run.registered.hypothesis
    before = inference.decide(hypothesis, run.measurements)
    changed = ledger.changes(start.model_dump(mode="json"), body.model_dump(mode="json"), ("device", "plan"))
    expected = "statistics" if changed else "bits"
    if body.results == evidence.files.digest(f"{evidence.folder(body.run)}/results.json"):
        return expected, "bits", before.outcome
    again = Measurements.model_validate_json(evidence.files.read(f"objects/sha256/{body.results}"))
    now = inference.decide(hypothesis, again)
    same = (again.registration, again.seeds) == (run.measurements.registration, run.measurements.seeds)
    agrees = same and not inference.list_disagreements(before, now, hypothesis.replication.level)
    return expected, "statistics" if agrees else "none", now.outcome


def _walk_backs(evidence: Evidence) -> Iterator[AuditFinding]:
    """Notices of walk-backs follow from the verdicts: every other notice is wrong."""
    notices = evidence.types["walk_back"]
    if not notices:
        return
    try:
        done = {move.verdict: move for move in moves(Ledger(evidence.files.root))}
    except Exception as error:
        what = f"the standing of claims could not be computed: {said(error)}"
        yield AuditFinding("not-recomputed", what, evidence.at(notices[0]))
        return
    for digest in notices:
        body = evidence.events[digest].body
        move = done.get(str(body["verdict"]))
        owed = walk_back_body(move, list(done.values())) if move is not None else {}
        got = {key: body.get(key) for key in owed}
        if move is None or json.loads(json.dumps(owed)) != got:
            what = "a notice of a walk-back does not follow from its verdict"
            yield AuditFinding("walk-back-differs", what, evidence.at(digest), hypothesis=evidence.whose(digest))
