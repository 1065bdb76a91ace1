"""Step 4: the files that events name are there and unchanged; what no event names is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.ledger.audit import explored, initial, programs, remeasured
from harness.ledger.audit.evidence import ANCHORS, DIGEST, EVENTS, OBJECTS, Evidence
from harness.ledger.audit.files import is_temporary, is_unlisted
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AmendedBody, RegisteredBody, RunStartedBody, SeededBody, VerdictBody
from harness.ledger.carried import BESIDE
from harness.ledger.index import RUN_DIGITS, StartedRun
from harness.ledger.measured_body import MeasuredBody
from harness.ledger.prior_data_bodies import ExploredBody
from harness.ledger.rerun_bodies import RepeatedBody, ReplicatedBody
from harness.wording import format_count

PROMISE = "every registered file and every file of a verdict is the one that the ledger names"
ALWAYS = ("env.json", "results.json", "verdict.json", "verdict.md")
"""Files that every verdict names."""
WORK = re.compile(rf"[^/]+/[0-9a-f]{{{RUN_DIGITS}}}/work/")
"""Working files of an attempt; those of a rerun lie in a folder of another name."""


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find files that are missing, changed, or named by no event."""
    yield from _find_missing_objects(evidence)
    known: set[str] = set()
    for run, verdict in evidence.index.judged():
        yield from _check_artefacts(evidence, run, verdict.body)
        known.update(f"{run.folder}/{name}" for name in verdict.body.files)
        yield from _check_weights(evidence, run, verdict.body)
    yield from initial.check(evidence)
    yield from remeasured.check(evidence)
    yield from explored.check(evidence)
    yield from programs.check(evidence)
    yield from _find_strays(evidence, known)


def list_named_objects(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield (event, digest) for every object that an event says is kept."""
    for event in evidence.index.events:
        body = event.content
        if isinstance(body, RegisteredBody | AmendedBody | RunStartedBody):
            if isinstance(body, RunStartedBody) and body.linked is not None:
                yield from ((event.digest, file.sha256) for file in body.linked.exports)
            kept = (body.raw,) if isinstance(body, RunStartedBody) else (body.raw, body.canonical, body.claims)
            for digest in (*kept, *body.pins.templates.values()):
                yield event.digest, digest
        elif isinstance(body, RepeatedBody | MeasuredBody):
            yield event.digest, body.results
        elif isinstance(body, ExploredBody):
            own = (body.raw, body.canonical, body.claims, body.results, body.report)
            yield from ((event.digest, digest) for digest in (*own, *(file.sha256 for file in body.exports)))
        elif isinstance(body, SeededBody):
            yield from ((event.digest, digest) for digest in (body.form, body.record))
    for rerun in evidence.index.entries(ReplicatedBody):
        verdicts = evidence.index.verdicts(rerun.body.run)
        for name, digest in (("results.json", rerun.body.results), ("search.json", rerun.body.search)):
            if digest is not None and digest not in {verdict.body.files.get(name) for verdict in verdicts}:
                yield rerun.digest, digest


def _find_missing_objects(evidence: Evidence) -> Iterator[AuditFinding]:
    told: set[str] = set()
    for event, digest in list_named_objects(evidence):
        path = f"{OBJECTS}{digest}"
        if path not in evidence.files.paths and digest not in told and not evidence.left_out(path):
            told.add(digest)
            what = f"an object that a {evidence.index.type_of(event)} event names is missing"
            where = evidence.files.shown(path)
            yield AuditFinding("object-missing", what, where, digest, "no such file", evidence.index.subject(event))


def _check_artefacts(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    folder, files, hypothesis = run.folder, evidence.files, run.hypothesis
    for name in ALWAYS:
        if name not in verdict.files:
            what = f"the verdict on run {run.name} does not name its {name}"
            yield AuditFinding("artefact-unnamed", what, files.shown(f"{folder}/{name}"), hypothesis=hypothesis)
    for name, digest in verdict.files.items():
        path = f"{folder}/{name}"
        where = files.shown(path)
        if path not in files.paths and evidence.left_out(path):
            continue  # step 1 names them all
        if path not in files.paths:
            what = "a file that a verdict names is missing"
            yield AuditFinding("artefact-missing", what, where, digest, "no such file", hypothesis)
            continue
        try:
            got = files.digest(path)
        except OSError as error:
            what = f"a file that a verdict names cannot be read: {error.strerror or error}"
            yield AuditFinding("artefact-missing", what, where, digest, "unreadable", hypothesis)
            continue
        if got != digest:
            what = "a file is not the one that the verdict names"
            yield AuditFinding("artefact-bytes", what, where, digest, got, hypothesis)


def _check_weights(evidence: Evidence, run: StartedRun, verdict: VerdictBody) -> Iterator[AuditFinding]:
    """Check the weights that env.json names. They are not in git, so their absence is no fault."""
    folder, files, hypothesis = run.folder, evidence.files, run.hypothesis
    page = evidence.page(run, verdict.files.get("env.json"))
    named = page.weights if page is not None else {}
    absent = [name for name in named if f"{folder}/weights/{name}" not in files.paths]
    if absent:
        what = f"{len(absent)} of {len(named)} weight files of run {run.name} are not here: not checked"
        yield AuditFinding("weights-absent", what, files.shown(f"{folder}/weights"), hypothesis=hypothesis)
    for name, digest in named.items():
        if name in absent:
            continue
        where = files.shown(f"{folder}/weights/{name}")
        try:
            got = files.digest(f"{folder}/weights/{name}")
        except OSError as error:
            got = f"unreadable ({error.strerror or error})"
        if got != digest:
            what = "weights are not those that env.json names"
            yield AuditFinding("weights-bytes", what, where, digest, got, hypothesis)


def _find_strays(evidence: Evidence, known: set[str]) -> Iterator[AuditFinding]:
    """List what lies in the trail and is named by no event."""
    folders = {run.folder: run for run in evidence.index.starts()}
    pilots = {prefix.rstrip("/") for prefix in evidence.pilots}
    objects = {digest for _, digest in list_named_objects(evidence)}
    orphans: dict[str, int] = {}
    cut_off: set[str] = set()
    for path in sorted(evidence.files.paths):
        name = path.removeprefix(OBJECTS)
        where = evidence.files.shown(path)
        folder = "/".join(path.split("/")[:2])
        if path in BESIDE:
            continue  # they tell git how to keep the trail
        if is_temporary(path):
            yield AuditFinding("leftover", "a temporary file of a write that was cut off", where)
        elif is_unlisted(path):
            if WORK.match(path) and folder not in folders:
                cut_off.add(folder)
        elif path in known or path.startswith((EVENTS, ANCHORS)):
            continue
        elif path.startswith(OBJECTS):
            if name not in objects:
                what = "an object that no event names" if DIGEST.fullmatch(name) else "a file that is not an object"
                yield AuditFinding("stray", what, where)
        elif folder in folders:
            run = folders[folder]
            judged = evidence.index.verdict(run.digest) is not None
            what = f"run {run.name} {'has a verdict that does not name it' if judged else 'has no verdict'}"
            yield AuditFinding("stray", what, where, hypothesis=run.hypothesis)
        elif folder in pilots:
            yield AuditFinding("stray", "a pilot's file; pilots prove nothing", where)
        elif path.count("/") > 1 and path.split("/")[1].removeprefix("pilot-").isalnum():
            orphans[folder] = orphans.get(folder, 0) + 1
        else:
            yield AuditFinding("stray", "a file that no event names", where)
    for folder in sorted(cut_off):
        what = "working files of an attempt that the ledger does not know: killed before it was entered"
        yield AuditFinding("leftover", what, evidence.files.shown(folder))
    for folder, count in sorted(orphans.items()):
        what = f"{format_count(count, 'file')} of a run that the ledger does not know"
        hypothesis = folder.split("/")[0]
        whose = hypothesis if hypothesis in evidence.index.hypotheses else None
        yield AuditFinding("orphan-run", what, evidence.files.shown(folder), hypothesis=whose)
