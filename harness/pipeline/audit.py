"""``harness audit``: the ledger's own steps, and those that need other stages to recompute or to train."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import ledger, spec
from harness.domain.templates import describe_unknown
from harness.errors import HarnessError, Interrupted
from harness.ledger import Pins, StartedRun, mending
from harness.ledger.audit import (
    AuditFinding,
    AuditReport,
    Evidence,
    Step,
    TrailFiles,
    TrustedInputs,
    audit,
    list_ledger_steps,
)
from harness.ledger.bodies import AmendedBody, RegisteredBody
from harness.ledger.index import Entered, Fixing
from harness.ledger.rerun_bodies import ReplicatedBody
from harness.pipeline.garbage import pause_collection
from harness.pipeline.meaning import compare_meaning, describe_error, read_meaning
from harness.pipeline.paper_manifest import PROMISE, find_papers
from harness.pipeline.project import Settings, find_around
from harness.pipeline.roots import find_root
from harness.pipeline.run_files import read_registered
from harness.pipeline.session import Session
from harness.pipeline.siblings import Siblings

RECOMPUTED = "its outcome, statistics and page follow again from its registered text and results"
RERUN = "a run trained again here agrees within the registered tolerance"


@dataclass(frozen=True)
class Rerun:
    """A request to train a run again."""

    run: str
    """A run's first digits, or its hypothesis's id."""
    session: Session
    """The device, the data and the reporter that it is trained with."""


@dataclass(frozen=True)
class AuditRequest:
    """A request to an audit: evidence kept elsewhere, and steps that it takes only if asked."""

    kept: TrustedInputs = field(default_factory=TrustedInputs)
    """Evidence and keys that the reader brings along and trusts."""
    recompute: bool = False
    """True if every run is to be judged again."""
    rerun: Rerun | None = None
    """A run to train again."""
    papers: tuple[Path, ...] = ()
    """Folders of papers that lie where none are looked for."""
    remembered: frozenset[str] = frozenset()
    """Judged runs and registrations that an earlier audit found sound (``AuditReport.sound``), by this very code.
    Nobody's evidence: for whoever looks at one trail again and again, and keeps them himself."""
    normal_forms: Mapping[str, str] = field(default_factory=dict)
    """Normal forms that an earlier audit compared (``AuditReport.normal_forms``), by this very code; as ``remembered``.
    """
    digests: Mapping[str, str] = field(default_factory=dict)
    """Path below the trail → digest of the file's bytes, of files that whoever asks has just read: those are not read
    again whose digest is the one that they should have."""


def audit_trail(
    verdicts: Path, hypotheses: Path, asked: AuditRequest | None = None, settings: Settings | None = None
) -> AuditReport:
    """Audit a trail, in the folder ``verdicts``, and the hypothesis files in the folder beside it.

    ``settings`` say where other trails of the project may lie. Whatever lies there, this returns a report.
    """
    settings = Settings() if settings is None else settings
    asked = AuditRequest() if asked is None else asked
    with pause_collection(not asked.recompute and asked.rerun is None):
        evidence = Evidence(
            TrailFiles(verdicts, asked.digests), find_root(hypotheses), find_around(hypotheses, verdicts, settings)
        )
        evidence.remembered, evidence.normal_forms = asked.remembered, dict(asked.normal_forms)
        papers = find_papers(find_root(hypotheses), verdicts)
        known = {os.path.realpath(paper) for paper in papers}
        papers += [paper for paper in asked.papers if os.path.realpath(paper) not in known]
        return audit(evidence, [*list_steps(hypotheses, asked), *list_paper_steps(papers, settings.verdicts)])


def refuse_idle_rerun(asked: Rerun) -> None:
    """Refuse a run that nobody knows, and a data folder that training it again would not read.

    Raises:
        UsageError: no run or hypothesis has that name, or the folder has no effect. Whatever else is wrong with the
            run, the audit tells.
    """
    from harness.pipeline.data_sets import collect_data_sets

    try:
        trail = asked.session.trail
        index = trail.index()
        known = asked.run in index.hypotheses or any(ledger.is_called(start, asked.run) for start in index.starts())
        hypothesis = read_registered(trail, ledger.find_judged(trail, asked.run)).hypothesis if known else None
    except Exception:  # a hostile trail may do anything but end an audit
        return
    if hypothesis is None:
        ledger.find_judged(trail, asked.run)  # which says what is known here
    else:
        collect_data_sets(hypothesis, asked.session.settings)


def restore_files(verdicts: Path) -> tuple[tuple[str, ...], str | None]:
    """Write back a trail's files of which only line ends or blanks were changed.

    Return their paths below it, and the command that commits what git then finds other than it has, if it does.

    Raises:
        StorageFailed: a file could not be written.
    """
    written = Evidence(TrailFiles(verdicts)).as_written()
    mending.restore(verdicts, written)
    return tuple(written), mending.write_commit(verdicts)


def list_steps(hypotheses: Path, asked: AuditRequest) -> Sequence[Step]:
    """List all steps, those that were not asked for among them, in the order of their numbers.

    The tenth is there only if the project has papers of this trail.
    """

    def recomputation(evidence: Evidence) -> Iterator[AuditFinding]:
        yield from _compare_files(evidence, hypotheses)
        yield from _find_unknown_templates(evidence)
        if asked.recompute:
            from harness.pipeline.recompute import recompute  # here, because most audits recompute nothing

            yield from recompute(evidence)
            return
        for hypothesis in evidence.index.hypotheses:
            where = evidence.files.shown(hypothesis)
            yield AuditFinding("not-asked", "not asked for: --recompute", where, hypothesis=hypothesis)

    def rerun(evidence: Evidence) -> Iterator[AuditFinding]:
        yield from _list_reruns(evidence)
        again = None if asked.rerun is None else _find_subject(evidence, asked.rerun.run)
        for hypothesis in evidence.index.hypotheses:
            if hypothesis != again:
                where = evidence.files.shown(hypothesis)
                yield AuditFinding(
                    "not-rerun", "no run of it was trained again: --rerun RUN", where, hypothesis=hypothesis
                )
        if asked.rerun is not None:
            yield from _rerun(evidence, asked.rerun, again)

    own = list_ledger_steps(compare_meaning, _describe_trials, _find_siblings, asked.kept)
    more = (
        Step(6, RECOMPUTED, recomputation, "verdict"),
        Step(8, RERUN, rerun, "verdict"),
    )
    return sorted((*own, *more), key=lambda step: step.number)


def list_paper_steps(papers: Sequence[Path], named: Path | None = None) -> Iterator[Step]:
    """List the step that holds papers against the trail; none if there are none.

    ``named``: the folder of the trail, if it had to be named.
    """

    def numbers(evidence: Evidence) -> Iterator[AuditFinding]:
        from harness.pipeline.paper_audit import check  # here, because most projects have no paper

        yield from check(evidence, papers, named)

    if papers:
        yield Step(10, PROMISE, numbers, "trail")


def _describe_trials(pins: Pins, run: StartedRun, trail: Entered, results: str) -> tuple[str, ...]:
    from harness.pipeline.code_proofs import describe_trials  # here, because it judges, and most trails don't need it

    return describe_trials(pins, run, trail, results)


def _find_siblings(evidence: Evidence) -> Siblings:
    return Siblings(evidence.index, evidence.object)


def _find_unknown_templates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Name the pages of templates that no release knows: whatever follows from such a one, its author wrote."""
    for run, entered in evidence.index.judged():
        if (unknown := describe_unknown(run.body.pins.templates)) is not None:
            what = f"the page of run {run.name} says what its author lets it say: {unknown}"
            where = evidence.files.shown(f"{run.folder}/verdict.md")
            yield AuditFinding("template-unknown", what, where, got=entered.body.outcome, hypothesis=run.hypothesis)


def _compare_files(evidence: Evidence, folder: Path) -> Iterator[AuditFinding]:
    """Compare the files in hypotheses/ with what is in force: a threshold that moved is seen without a run."""
    in_force: dict[str, Fixing] = {}
    for registered in evidence.index.entries(RegisteredBody):
        in_force.setdefault(registered.body.hypothesis, registered.body)
    for amended in evidence.index.entries(AmendedBody):
        in_force[amended.body.hypothesis] = amended.body
    texts = {body.raw for body in in_force.values()}
    try:
        there = spec.list_folder(folder)
    except HarnessError as error:
        if folder.exists():
            yield AuditFinding("file-not-compared", f"a folder that cannot be read: {error.message}", str(folder))
        return  # a trail may be audited without the files that it is about
    for left_out in there.findings:
        yield AuditFinding("file-not-compared", left_out.message, left_out.file)
    yield from _name_without_file(there, in_force, folder)
    for path in there.files:
        try:
            if path.name == spec.CLAIMS or hashlib.sha256(spec.read_bytes(path)).hexdigest() in texts:
                continue
            hypothesis = spec.load(path).hypothesis
        except HarnessError as error:
            what = f"a hypothesis file that cannot be compared: {str(error).splitlines()[0]}"
            yield AuditFinding("file-not-compared", what, str(path))
            continue
        if (fixed := in_force.get(hypothesis.id)) is None:
            continue  # a draft
        meant = read_meaning(evidence, fixed.canonical)
        if meant is not None and (changed := ledger.list_differences(meant, hypothesis)):
            what = f"its file says otherwise than what is registered: {'; '.join(changed[:5])}"
            yield AuditFinding("file-changed", what, str(path), hypothesis=hypothesis.id)


def _name_without_file(there: spec.Listing, in_force: Mapping[str, Fixing], folder: Path) -> Iterator[AuditFinding]:
    """Name registered hypotheses of which the folder has no file: notes, since the trail holds what is registered."""
    ids, elsewhere = _read_ids(there.files), _read_ids(there.aside)
    for name, fixed in in_force.items():
        if name not in ids:
            kept = f"objects/sha256/{fixed.raw}"
            where = f"it lies in {elsewhere[name]}" if name in elsewhere else f"the trail keeps it in {kept}"
            what = f"{name} is registered, and its file is missing in {folder}: {where}"
            yield AuditFinding("file-missing", what, str(folder), hypothesis=name)


def _read_ids(files: Sequence[Path]) -> dict[str | None, Path]:
    """Read the ids that files give themselves; of one that can't be read, the id that its name stands for."""
    found: dict[str | None, Path] = {}
    for path in files:
        try:
            found[spec.read_id(spec.read_bytes(path))] = path
        except HarnessError:
            found[path.stem.replace("_", "-")] = path
    return found


def _list_reruns(evidence: Evidence) -> Iterator[AuditFinding]:
    """List what other machines reported."""
    for rerun in evidence.index.entries(ReplicatedBody):
        body, whose = rerun.body, evidence.index.subject(rerun.digest)
        what = f"run {ledger.name_run(body.run)} was trained again on {body.device}: "
        what += f"{body.expected} expected, agreement: {body.agreement}"
        yield AuditFinding("replicated", what, evidence.at(rerun.digest), hypothesis=whose)


def _find_subject(evidence: Evidence, name: str) -> str | None:
    """Find the hypothesis that a run's first digits, or its own id, stand for; None if there is no such."""
    if name in evidence.index.hypotheses:
        return name
    runs = [run for run in evidence.index.starts() if run.digest.startswith(name)]
    return runs[0].hypothesis if len(runs) == 1 else None


def _rerun(evidence: Evidence, asked: Rerun, hypothesis: str | None) -> Iterator[AuditFinding]:
    """Train a run again, and yield a finding if it does not agree."""
    from harness.pipeline.replicate import replicate_run

    where = str(evidence.files.root)
    audited = replace(asked.session, project=replace(asked.session.project, verdicts=evidence.files.root))
    try:
        found = replicate_run(asked.run, audited, record=False)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        what = f"it could not be trained again: {describe_error(error)}"
        yield AuditFinding("rerun-failed", what, where, hypothesis=hypothesis)
        return
    if not found.holds:
        what = f"run {found.run}, trained again, does not agree: {'; '.join(found.differences[:3])}"
        yield AuditFinding("rerun-differs", what, where, found.expected, found.agreement, found.hypothesis)
