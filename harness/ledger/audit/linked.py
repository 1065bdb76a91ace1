"""Runs that were made elsewhere, for steps 3 and 5: they say so, and git says the same of the code that they name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.explored import find_read_before, name_explorations
from harness.ledger.frozen import compare_commit
from harness.ledger.git import find_nearest, find_repository
from harness.ledger.index import StartedRun
from harness.ledger.linked import describe_link
from harness.ledger.prior_data_bodies import ExploredBody
from harness.records import Hypothesis, Measurements, ReplicaResult
from harness.records.program import Program
from harness.wording import format_count


def check(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Find runs that don't say that they were made elsewhere, and pages and commits that tell otherwise."""
    link, where = run.body.linked, evidence.at(run.digest)
    for verdict in evidence.index.verdicts(run.digest):
        page = evidence.page(run, verdict.body.files.get("env.json"))
        told = None if page is None or page.linked is None else page.linked.exports
        owed = None if link is None else link.exports
        if page is not None and told != owed:
            what = "the verdict's page tells of other runs made elsewhere than the run's event"
            expected, got = (", ".join(file.name for file in files or ()) or "none" for files in (owed, told))
            yield AuditFinding("link-otherwise", what, evidence.at(verdict.digest), expected, got, run.hypothesis)
    if link is None:
        return
    count = format_count(len(link.exports), "file tells", "files tell")
    what = f"run {run.name} was trained outside harness: {count} of its numbers, times and code"
    yield AuditFinding("linked", what, where, hypothesis=run.hypothesis)
    if describe_link(link) not in run.body.deviations:
        what = f"run {run.name} was trained outside harness, and its deviations do not say so"
        yield AuditFinding("link-untold", what, where, describe_link(link), "not named", run.hypothesis)
    yield from _check_explored(evidence, run, where)
    yield from _check_commits(evidence, run, where)


def check_seeds(evidence: Evidence, run: StartedRun) -> Iterator[AuditFinding]:
    """Note that nobody saw the seeds of a run that was made elsewhere."""
    if run.body.linked is not None:
        what = f"only its exports say that run {run.name} used its seeds"
        yield AuditFinding("seeds-by-word", what, evidence.at(run.digest), hypothesis=run.hypothesis)


def _check_explored(evidence: Evidence, run: StartedRun, where: str) -> Iterator[AuditFinding]:
    """Note that results had been explored before they were linked, and whether the run says so.

    A run that doesn't accuses nobody: older versions of harness could not tell.
    """
    link = run.body.linked
    if link is None or not evidence.index.entries(ExploredBody):
        return
    try:
        hypothesis = Hypothesis.model_validate_json(evidence.object(run.body.canonical) or b"")
    except ValidationError:
        return  # what no version wrote: step 6
    told = " ".join(run.body.deviations)
    replicas = _read_replicas(evidence, run)
    for one in find_read_before(evidence.index, evidence.object, hypothesis, link.exports, replicas, run.digest):
        name = name_explorations([one.entry])
        what = f"of run {run.name}, {format_count(one.replicas, 'replica')} had been explored before they were linked"
        if one.same_file:
            what = f"the same file had been explored before run {run.name} was linked from it"
        what = f"{what}: {name}; the run's page {'says so' if name in told else 'does not say so'}"
        yield AuditFinding("link-known", what, where, hypothesis=run.hypothesis)


def _read_replicas(evidence: Evidence, run: StartedRun) -> tuple[ReplicaResult, ...]:
    """Return what a run's replicas came to; none without a verdict, or if results can't be read, as other steps say."""
    for verdict in evidence.index.verdicts(run.digest)[:1]:
        results = verdict.body.files.get("results.json", "")
        with suppress(ValidationError):
            raw = evidence.read_kept(f"{run.folder}/results.json", results)
            return Measurements.model_validate_json(raw or b"").replicas
    return ()


def _check_commits(evidence: Evidence, run: StartedRun, where: str) -> Iterator[AuditFinding]:
    """Hold what the event says of commits against git, as far as it has them here."""
    link, pins = run.body.linked, run.body.pins.program
    form = evidence.form(run.body.canonical)
    if link is None or pins is None or form is None or not link.commits:
        return
    try:
        code = Program.model_validate(form.get("program")).code.git
    except ValidationError:
        return  # what no version wrote can't be judged again: step 6
    trail = evidence.files.root
    project = find_nearest(evidence.project or trail.parent)
    there = find_repository(project).commit is not None
    for commit, told in link.commits.items():
        differs = compare_commit(commit, code, pins, project, trail) if there else None
        if differs is None:
            what = f"the code that linked runs name was not compared: git here has no commit {commit[:12]}"
            yield AuditFinding("link-unchecked", what, where, hypothesis=run.hypothesis)
        elif differs and not told:
            what = f"linked runs count as of the registered code, and git says otherwise: {differs}"
            yield AuditFinding("link-otherwise", what, where, "the registered code", commit, run.hypothesis)
