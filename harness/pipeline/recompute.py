"""Step 6 of an audit: everything that follows from registered texts and results, computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from harness import inference
from harness.domain.templates import describe_unknown
from harness.domain.tuning import apply_choices
from harness.ledger import Ledger
from harness.ledger.audit import AuditFinding, Evidence, Meaning
from harness.ledger.bodies import AmendedBody, RegisteredBody, WalkBackBody
from harness.ledger.code import digest_package
from harness.ledger.index import Entry, Fixing, StartedRun
from harness.ledger.prior_data_bodies import ExploredBody
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.pipeline.bounded import run_bounded
from harness.pipeline.claims import describe_walk_back, list_moves
from harness.pipeline.explore import read_again
from harness.pipeline.meaning import compare_meaning, describe_error
from harness.pipeline.repeat import compare_repetition
from harness.pipeline.replicate import list_circumstances
from harness.pipeline.reverdict import judge_again
from harness.pipeline.run_files import read_run
from harness.records import Hypothesis, Measurements, Provenance


def recompute(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield a finding for each text, verdict, report of a rerun and notice of a walk-back that differs now."""
    meanings = dict(_compare_texts(evidence))
    yield from _check_texts(evidence, meanings)
    if evidence.mended:
        return  # step 1 told it; what judges again would refuse the same files once more
    _load()
    for run, entered in evidence.index.judged():
        where = evidence.files.shown(run.folder)
        try:
            again = run_bounded(partial(judge_again, run.digest, Ledger(evidence.files.root)), describe_error)
        except Exception as error:  # a hostile trail may do anything but end an audit
            what = f"it could not be judged again: {describe_error(error)}"
            yield _report_failure(what, where, run.hypothesis, meanings.get(_find_fixing(run)))
            continue
        if again.outcome != entered.body.outcome:
            what = "the recomputed outcome is not the one that was entered"
            yield AuditFinding("outcome-differs", what, where, again.outcome, entered.body.outcome, run.hypothesis)
        if again.unknown is not None and describe_unknown(run.body.pins.templates) is None:
            what = f"the page of run {run.name} is not of its time: {again.unknown}"
            yield AuditFinding("template-unknown", what, where, got=entered.body.outcome, hypothesis=run.hypothesis)
        if any(name.endswith(".svg") for name in entered.body.files):
            what = f"the figures of run {run.name} were compared with their digests, and not drawn again"
            command = f"harness reverdict {run.name} --figures"
            yield AuditFinding("figures-not-drawn", what, where, hypothesis=run.hypothesis, command=command)
        for name in again.differing:
            what = f"{name} does not come out again"
            yield AuditFinding("page-differs", what, f"{where}/{name}", hypothesis=run.hypothesis)
        for code, names in (("rounded", again.rounded), ("redrawn", again.redrawn)):
            if names:
                what = (
                    f"{', '.join(names)}: {'the same but for last digits' if code == 'rounded' else 'drawn otherwise'}"
                )
                yield AuditFinding(code, what, where, hypothesis=run.hypothesis)
    yield from _check_reruns(evidence, meanings)
    yield from _check_repetitions(evidence, meanings)
    yield from _check_explorations(evidence, meanings)
    yield from _check_walk_backs(evidence)


def _load() -> None:
    """Load what judging needs here, once, instead of in each run's own process."""
    import jinja2.sandbox  # noqa: F401

    for record in (Hypothesis, Measurements, Provenance):
        record.model_rebuild()


def _find_fixing(run: StartedRun | None) -> str:
    """Return the digest of the event that fixed what a run was of; an empty text without a run."""
    return "" if run is None else run.body.amendment or run.body.registration


def _report_failure(what: str, where: str, hypothesis: str | None, meaning: Meaning | None) -> AuditFinding:
    """Report what could not be recomputed; ``meaning``: of the registered text that it takes, which may be unread."""
    if meaning is None or meaning.unread is None:
        return AuditFinding("not-recomputed", what, where, hypothesis=hypothesis)
    return AuditFinding("text-unread", what, where, hypothesis=hypothesis, command=meaning.remedy)


def _compare_texts(evidence: Evidence) -> Iterator[tuple[str, Meaning]]:
    """Compare every registered text with the canonical form beside it, where both are kept: event → result."""
    kept = {path.removeprefix("objects/sha256/") for path in evidence.files.paths}
    fixing: tuple[Entry[Fixing | ExploredBody], ...] = (
        *evidence.index.entries(RegisteredBody),
        *evidence.index.entries(AmendedBody),
        *evidence.index.entries(ExploredBody),
    )
    for digest, body in ((entry.digest, entry.body) for entry in fixing):
        if {body.raw, body.canonical, body.claims} <= kept:
            yield digest, compare_meaning(evidence, body.raw, body)


def _check_texts(evidence: Evidence, meanings: Mapping[str, Meaning]) -> Iterator[AuditFinding]:
    """Report every registered text that means something else than the canonical form beside it, or can't be read."""
    for digest, meaning in meanings.items():
        body, where = evidence.index.body(digest), evidence.at(digest)
        assert isinstance(body, Fixing | ExploredBody), "these were compared"
        if meaning.unread is not None:
            what = f"the registered text can't be read: {meaning.unread}"
            yield AuditFinding("text-unread", what, where, hypothesis=body.hypothesis, command=meaning.remedy)
        elif not meaning.same:
            what = "the registered text does not mean what the registered canonical form says"
            yield AuditFinding("text-differs", what, where, body.canonical, body.raw, body.hypothesis)


def _check_reruns(evidence: Evidence, meanings: Mapping[str, Meaning]) -> Iterator[AuditFinding]:
    """Check what other machines reported of their reruns against the results that they left."""
    for rerun in evidence.index.entries(ReplicatedBody):
        body = rerun.body
        where, hypothesis = evidence.at(rerun.digest), evidence.index.subject(rerun.digest)
        start = evidence.index.start(body.run)
        if start is None or evidence.index.verdict(body.run) is None:
            what = "a rerun of a run that has no verdict"
            yield AuditFinding("replication-differs", what, where, hypothesis=hypothesis)
            continue
        try:
            expected, agreement, outcome = run_bounded(partial(_describe_rerun, evidence, start, body), describe_error)
        except Exception as error:
            what = f"a rerun could not be compared again: {describe_error(error)}"
            yield _report_failure(what, where, hypothesis, meanings.get(_find_fixing(start)))
            continue
        owed = f"{expected} expected, agreement: {agreement}, outcome: {outcome}"
        got = f"{body.expected} expected, agreement: {body.agreement}, outcome: {body.outcome}"
        if owed != got:
            what = "what a rerun reported does not follow from its results"
            yield AuditFinding("replication-differs", what, where, owed, got, hypothesis)


def _check_repetitions(evidence: Evidence, meanings: Mapping[str, Meaning]) -> Iterator[AuditFinding]:
    """Check what repetitions with other seeds report against the results that they left."""
    for entry in evidence.index.entries(RepeatedBody):
        where, hypothesis = evidence.at(entry.digest), evidence.index.subject(entry.digest)
        try:
            owed = run_bounded(partial(_describe_repetition, evidence, entry.body), describe_error)
        except Exception as error:
            what = f"a repetition could not be judged again: {describe_error(error)}"
            start = evidence.index.start(entry.body.run)
            yield _report_failure(what, where, hypothesis, meanings.get(_find_fixing(start)))
            continue
        got = {name: getattr(entry.body, name) for name in owed}
        if owed != got:
            what = "what a repetition reported does not follow from its results"
            yield AuditFinding("repetition-differs", what, where, str(owed), str(got), hypothesis)


def _check_explorations(evidence: Evidence, meanings: Mapping[str, Meaning]) -> Iterator[AuditFinding]:
    """Check what explorations say against their files, and their reports where the same code writes them."""
    code = digest_package().digest
    for entry in evidence.index.entries(ExploredBody):
        body, where = entry.body, evidence.at(entry.digest)
        try:
            owed = run_bounded(partial(_describe_exploration, evidence, entry), describe_error)
        except Exception as error:
            what = f"an exploration could not be judged again: {describe_error(error)}"
            yield _report_failure(what, where, body.hypothesis, meanings.get(entry.digest))
            continue
        report = owed.pop("report")
        got = {name: getattr(body, name) for name in owed}
        if owed != got or (report != body.report and code == body.code):
            what = "what an exploration reports does not follow from its files"
            yield AuditFinding("explored-differs", what, where, str(owed), str(got), body.hypothesis)
        elif report != body.report:
            what = "the report on an exploration is written otherwise by this version"
            yield AuditFinding("explored-rewritten", what, where, hypothesis=body.hypothesis)


def _describe_exploration(evidence: Evidence, entry: Entry[ExploredBody]) -> dict[str, Any]:
    """Return what an exploration's event should say of its files."""
    again = read_again(entry, Ledger(evidence.files.root))
    return {
        "incomplete": bool(again.accounted.gaps),
        "seeds": again.seeds,
        "counted": again.accounted.told.count("counted"),
        "would_be": again.decision.outcome,
        "results": hashlib.sha256(again.results).hexdigest(),
        "report": hashlib.sha256(again.report).hexdigest(),
    }


def _describe_repetition(evidence: Evidence, body: RepeatedBody) -> dict[str, Any]:
    """Return what a repetition's event should say of its results."""
    run = read_run(Ledger(evidence.files.root), body.run)
    again = Measurements.model_validate_json(evidence.files.read(f"objects/sha256/{body.results}"))
    return compare_repetition(run.registered.hypothesis, run.measurements, again)


def _describe_rerun(evidence: Evidence, start: StartedRun, body: ReplicatedBody) -> tuple[str, str, str]:
    """Return what a rerun's event should say: what was expected, how far it agrees, its outcome."""
    run = read_run(Ledger(evidence.files.root), body.run)
    hypothesis, found = run.registered.hypothesis, run.search
    before = inference.decide(hypothesis, run.measurements)
    searched = body.search is None or body.search == evidence.files.digest(f"{start.folder}/search.json")
    if not searched:
        other = Measurements.model_validate_json(evidence.files.read(f"objects/sha256/{body.search}"))
        found = inference.choose(hypothesis, other)
        hypothesis = apply_choices(hypothesis, found.choices)
    expected = "statistics" if list_circumstances(hypothesis, start.body, body) else "bits"
    if body.results == evidence.files.digest(f"{start.folder}/results.json"):
        again = run.measurements
    else:
        again = Measurements.model_validate_json(evidence.files.read(f"objects/sha256/{body.results}"))
    if searched and again is run.measurements:
        return expected, "bits", before.outcome
    now = inference.decide(hypothesis, again)
    same = (again.registration, again.seeds) == (run.measurements.registration, run.measurements.seeds)
    level = hypothesis.replication.level
    differences = inference.list_disagreements(before, now, level)
    differences += inference.list_search_disagreements(run.search, found, level)
    agrees = same and not differences
    return expected, "statistics" if agrees else "none", now.outcome


def _check_walk_backs(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the notices of walk-backs: they follow from the verdicts, and every other notice is wrong."""
    notices = evidence.index.entries(WalkBackBody)
    if not notices:
        return
    try:
        done = {move.verdict: move for move in list_moves(Ledger(evidence.files.root))}
    except Exception as error:
        what = f"the standing of claims could not be computed: {describe_error(error)}"
        yield AuditFinding("not-recomputed", what, evidence.at(notices[0].digest))
        return
    for notice in notices:
        move = done.get(notice.body.verdict)
        if move is None or describe_walk_back(move, list(done.values())) != notice.body:
            what, where = "a notice of a walk-back does not follow from its verdict", evidence.at(notice.digest)
            yield AuditFinding("walk-back-differs", what, where, hypothesis=notice.body.hypothesis)
