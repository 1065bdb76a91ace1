"""``harness audit``: the ledger's own steps, and those that need other stages to recompute or to train."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import ledger, spec
from harness.errors import HarnessError, Interrupted
from harness.ledger import Event, Ledger, mending
from harness.ledger.audit import AuditFinding, AuditReport, Evidence, Kept, Step, TrailFiles, audit, ledger_steps
from harness.ledger.bodies import AmendedBody, RegisteredBody
from harness.ledger.event import Entered
from harness.pipeline.meaning import meaning, said, same_meaning
from harness.pipeline.project import Reporter, Settings, around, project_root, registered_for, uncollected

RECOMPUTED = "its outcome, statistics and page follow again from its registered text and results"
RERUN = "a run trained again here agrees within the registered tolerance"


@dataclass(frozen=True)
class Asked:
    """What an audit is asked to look at."""

    kept: Kept = field(default_factory=Kept)
    recompute: bool = False
    rerun: str | None = None
    """A run to train again."""


def audit_trail(verdicts: Path, hypotheses: Path, asked: Asked, settings: Settings, reporter: Reporter) -> AuditReport:
    """Audit a trail and the hypothesis files beside it. Whatever lies there, this returns a report."""
    with uncollected(not asked.recompute and asked.rerun is None):
        files = hypotheses / "any.yaml"
        evidence = Evidence(TrailFiles(verdicts), project_root(files), around(files, verdicts, settings))
        return audit(evidence, steps(hypotheses, asked, settings, reporter))


def refuse_idle_rerun(name: str, verdicts: Path, settings: Settings) -> None:
    """Refuse a data folder that training a run again would not read.

    Raises:
        UsageError: it has no effect. Whatever else is wrong with the run, the audit tells.
    """
    from harness.pipeline.steps import data_sets

    try:
        trail = Ledger(verdicts)
        hypothesis = registered_for(trail, ledger.find_judged(trail, name)).hypothesis
    except Exception:  # a hostile trail may do anything but end an audit
        return
    data_sets(hypothesis, settings)


def restore(verdicts: Path) -> tuple[tuple[str, ...], str | None]:
    """Write back a trail's files of which only line ends or blanks were changed; their paths below it, and the command
    that commits what git then finds other than it has, if it does.

    Raises:
        StorageFailed: a file could not be written.
    """
    written = Evidence(TrailFiles(verdicts)).as_written()
    mending.restore(verdicts, written)
    return tuple(written), mending.to_commit(verdicts)


def steps(hypotheses: Path, asked: Asked, settings: Settings, reporter: Reporter) -> Sequence[Step]:
    """All eight steps, those that were not asked for among them, in the order of their numbers."""

    def recomputation(evidence: Evidence) -> Iterator[AuditFinding]:
        yield from _files(evidence, hypotheses)
        if asked.recompute:
            from harness.pipeline.recomputing import recomputed  # here, because most audits recompute nothing

            yield from recomputed(evidence)
            return
        for hypothesis in evidence.hypotheses:
            where = evidence.files.shown(hypothesis)
            yield AuditFinding("not-asked", "not asked for: --recompute", where, hypothesis=hypothesis)

    def rerun(evidence: Evidence) -> Iterator[AuditFinding]:
        yield from _replications(evidence)
        again = _subject(evidence, asked.rerun)
        for hypothesis in evidence.hypotheses:
            if hypothesis != again:
                where = evidence.files.shown(hypothesis)
                yield AuditFinding(
                    "not-rerun", "no run of it was trained again: --rerun RUN", where, hypothesis=hypothesis
                )
        if asked.rerun is not None:
            yield from _rerun(evidence, asked.rerun, again, settings, reporter)

    own = ledger_steps(same_meaning, _shown, asked.kept)
    more = (
        Step(6, RECOMPUTED, recomputation, "verdict"),
        Step(8, RERUN, rerun, "verdict"),
    )
    return sorted((*own, *more), key=lambda step: step.number)


def _shown(pins: ledger.Pins, started: Event, trail: Entered, results: str) -> tuple[str, ...]:
    from harness.pipeline.proving import tried  # here, because it judges, and most trails have no deviation to ask of

    return tried(pins, started, trail, results)


def _files(evidence: Evidence, folder: Path) -> Iterator[AuditFinding]:
    """The files in hypotheses/ against what is in force: a threshold that moved afterwards is seen without a run."""
    in_force: dict[str, RegisteredBody | AmendedBody] = {}
    texts: set[str] = set()
    for digest in (*evidence.types["registered"], *evidence.types["amended"]):
        body = evidence.bodies[digest]
        assert isinstance(body, RegisteredBody | AmendedBody)
        if isinstance(body, AmendedBody) or body.hypothesis not in in_force:
            in_force[body.hypothesis] = body
    texts.update(body.raw for body in in_force.values())
    try:
        there = spec.list_folder(folder)
    except HarnessError as error:
        if folder.exists():
            yield AuditFinding("file-not-compared", f"a folder that cannot be read: {error.message}", str(folder))
        return  # a trail may be audited without the files that it is about
    for left_out in there.findings:
        yield AuditFinding("file-not-compared", left_out.message, left_out.file)
    yield from _without_file(there, in_force, folder)
    for path in there.files:
        try:
            if path.name == "claims.yaml" or hashlib.sha256(spec.read_bytes(path)).hexdigest() in texts:
                continue
            hypothesis = spec.load(path).hypothesis
        except HarnessError as error:
            what = f"a hypothesis file that cannot be compared: {str(error).splitlines()[0]}"
            yield AuditFinding("file-not-compared", what, str(path))
            continue
        if (fixed := in_force.get(hypothesis.id)) is None:
            continue  # a draft
        meant = meaning(evidence, fixed.canonical)
        if meant is not None and (changed := ledger.differences(meant, hypothesis)):
            what = f"its file says otherwise than what is registered: {'; '.join(changed[:5])}"
            yield AuditFinding("file-changed", what, str(path), hypothesis=hypothesis.id)


def _without_file(
    there: spec.Listing, in_force: Mapping[str, RegisteredBody | AmendedBody], folder: Path
) -> Iterator[AuditFinding]:
    """Registered hypotheses of which the folder has no file: notes, since the trail holds what is registered."""
    ids, elsewhere = _ids(there.files), _ids(there.aside)
    for name, fixed in in_force.items():
        if name not in ids:
            kept = f"objects/sha256/{fixed.raw}"
            where = f"it lies in {elsewhere[name]}" if name in elsewhere else f"the trail keeps it in {kept}"
            what = f"{name} is registered, and its file is missing in {folder}: {where}"
            yield AuditFinding("file-missing", what, str(folder), hypothesis=name)


def _ids(files: Sequence[Path]) -> dict[str | None, Path]:
    """The ids that files give themselves; of one that can't be read, the id that its name stands for."""
    found: dict[str | None, Path] = {}
    for path in files:
        try:
            found[spec.read_id(spec.read_bytes(path))] = path
        except HarnessError:
            found[path.stem.replace("_", "-")] = path
    return found


def _replications(evidence: Evidence) -> Iterator[AuditFinding]:
    """What other machines reported."""
    for digest in evidence.types["replicated"]:
        body = evidence.events[digest].body
        what = f"run {ledger.run_name(str(body['run']))} was trained again on {body['device']}: "
        what += f"{body['expected']} expected, agreement: {body['agreement']}"
        yield AuditFinding("replicated", what, evidence.at(digest), hypothesis=evidence.whose(digest))


def _subject(evidence: Evidence, name: str | None) -> str | None:
    """The hypothesis that a run's first digits, or its own id, stand for; None if there is no such."""
    if name is None or name in evidence.hypotheses:
        return name
    runs = [run for run in evidence.types["run_started"] if run.startswith(name)]
    return evidence.whose(runs[0]) if len(runs) == 1 else None


def _rerun(
    evidence: Evidence, name: str, hypothesis: str | None, settings: Settings, reporter: Reporter
) -> Iterator[AuditFinding]:
    from harness.pipeline.replicating import replicate

    where = str(evidence.files.root)
    try:
        found = replicate(name, evidence.files.root, settings, reporter, record=False)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        what = f"it could not be trained again: {said(error)}"
        yield AuditFinding("rerun-failed", what, where, hypothesis=hypothesis)
        return
    if not found.holds:
        what = f"run {found.run}, trained again, does not agree: {'; '.join(found.differences[:3])}"
        yield AuditFinding("rerun-differs", what, where, found.expected, found.agreement, found.hypothesis)
