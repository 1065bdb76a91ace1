"""Programs that trained in harness's place: what a run says it ran, whether git has it, and its output."""

from __future__ import annotations

from collections.abc import Iterator

from harness.domain.trained import name_replica
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.frozen import find_missing
from harness.ledger.git import find_nearest, find_repository
from harness.ledger.index import StartedRun
from harness.records.program import ProgramPins, ProgramRun


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find code that git does not have, pages that tell of another program than the events, and changed output."""
    pinned: dict[str, tuple[str, ProgramPins]] = {}
    for run in evidence.index.starts():
        if run.body.pins.program is not None:
            pinned.setdefault(str(sorted(run.body.pins.program.trees.items())), (run.digest, run.body.pins.program))
    for event, pins in pinned.values():
        yield from _check_code(evidence, event, pins)
    for run, verdict in evidence.index.judged():
        page = evidence.page(run, verdict.body.files.get("env.json"))
        if run.body.pins.program is None or page is None:
            continue
        if page.program is None or page.program.pins != run.body.pins.program:
            what = f"the page of run {run.name} tells of another program than the run's event"
            where = evidence.files.shown(f"{run.folder}/env.json")
            yield AuditFinding("program-otherwise", what, where, hypothesis=run.hypothesis)
        else:
            yield from _check_output(evidence, run, page.program)


def _check_code(evidence: Evidence, event: str, pins: ProgramPins) -> Iterator[AuditFinding]:
    where, hypothesis = evidence.at(event), evidence.index.subject(event)
    folder = find_nearest(evidence.files.root)
    if find_repository(folder).commit is None:
        what = "the code of its program is not looked for: the trail is in no git repository that answers"
        yield AuditFinding("program-unchecked", what, where, hypothesis=hypothesis)
        return
    for path in find_missing(pins, folder):
        what = f"git does not have the code of its program: {path}"
        yield AuditFinding("program-missing", what, where, pins.trees[path], "no such object", hypothesis)


def _check_output(evidence: Evidence, run: StartedRun, program: ProgramRun) -> Iterator[AuditFinding]:
    """Check the output of replicas that is here; it is in no git, so that its absence is no fault."""
    files = evidence.files
    for one in program.replicas:
        path = f"{run.folder}/logs/{name_replica(one.arm, one.seed_index)}.log"
        if path not in files.paths:
            continue
        try:
            got = files.digest(path)
        except OSError as error:
            got = f"unreadable ({error.strerror or error})"
        if got != one.log:
            what = "the output of a program is not the one that env.json names"
            yield AuditFinding("output-bytes", what, files.shown(path), one.log, got, run.hypothesis)
