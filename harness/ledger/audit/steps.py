"""The numbered steps of an audit, and how they are gone through: every step, whatever the one before found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from harness.ledger.audit import anchors, artefacts, attempts, canonical, fresh, history, pages, seeds
from harness.ledger.audit.beside import run_beside
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.audit.report import AuditReport, Line, describe_subject, group_by_hypothesis, judge

Needs = Literal["trail", "registration", "run", "verdict"]
LARGE = 1000
"""Events from which on a second process is worth its start."""


@dataclass(frozen=True)
class Step:
    """One step: its promise, and what looks for findings against it."""

    number: int
    promise: str
    check: Callable[[Evidence], Iterable[AuditFinding]]
    needs: Needs
    """The subject of the promise: the whole trail, or a hypothesis as soon as it has one of these."""
    apart: bool = False
    """True if it reads many files and may do so in a process of its own."""


def list_ledger_steps(
    compare_meaning: attempts.CompareMeaning,
    describe_trials: pages.DescribeTrials,
    find_siblings: pages.FindSiblings,
    kept: anchors.TrustedInputs,
) -> tuple[Step, ...]:
    """List the steps that need nothing but the trail and git."""
    ordered = partial(
        attempts.check, compare_meaning=compare_meaning, describe_trials=describe_trials, find_siblings=find_siblings
    )
    return (
        Step(1, canonical.PROMISE, canonical.check, "trail", apart=True),
        Step(2, history.PROMISE, history.check, "trail"),
        Step(3, attempts.PROMISE, ordered, "registration"),
        Step(4, artefacts.PROMISE, artefacts.check, "registration", apart=True),
        Step(5, seeds.PROMISE, partial(seeds.check, kept=kept), "run"),
        Step(7, anchors.PROMISE, partial(anchors.check, kept=kept), "trail"),
        Step(9, fresh.PROMISE, fresh.check, "verdict"),
    )


def audit(evidence: Evidence, steps: Sequence[Step]) -> AuditReport:
    """Go through the steps, all of them, and say which promises are kept."""
    findings = _collect_findings(evidence, [step for step in steps if step.number == 1] if evidence.cut else steps)
    grouped = group_by_hypothesis(findings)
    own = grouped.get(None, [])
    trail = []
    for step in steps:
        if step.needs == "trail":  # also by what concerns one hypothesis: nowhere else does this promise have a line
            trail.append(judge(list(findings), step.number, step.promise, _explain_unchecked_trail(own, step)))
        elif any(finding.step == step.number and finding.severity != "note" for finding in own):
            trail.append(judge(own, step.number, f"of files that belong to no hypothesis: {step.promise}"))
    holes = next((line for line in trail if line.step == 1 and line.status != "PASS"), None)
    subjects = []
    for hypothesis in evidence.index.hypotheses:
        mine = grouped.get(hypothesis, [])
        lines = tuple(
            judge(mine, step.number, step.promise, _explain_unchecked(evidence, hypothesis, step, holes))
            for step in steps
            if step.needs != "trail"
        )
        subjects.append(describe_subject(evidence, hypothesis, lines))
    return AuditReport(
        events=len(evidence.index.events),
        heads=evidence.index.heads,
        trail=tuple(trail),
        hypotheses=tuple(subjects),
        findings=findings,
        folder=os.path.realpath(evidence.files.root),
        sound=frozenset(evidence.sound),
        normal_forms=evidence.normal_forms,
    )


def _collect_findings(evidence: Evidence, steps: Sequence[Step]) -> tuple[AuditFinding, ...]:
    """Collect what all steps find, in their order; of a large trail, some of them at the same time."""
    if len(evidence.index.events) < LARGE:
        return tuple(finding for step in steps for finding in _run_step(step, evidence))
    apart = [place for place, step in enumerate(steps) if step.apart]
    with run_beside(lambda: {place: _run_step(steps[place], evidence) for place in apart}) as there:
        found = {place: _run_step(step, evidence) for place, step in enumerate(steps) if place not in apart}
        found |= there()
    return tuple(finding for place in range(len(steps)) for finding in found[place])


def _run_step(step: Step, evidence: Evidence) -> list[AuditFinding]:
    """Return a step's findings. One that stops by a defect of its own must not hide what the others find."""
    found = []
    try:
        for finding in step.check(evidence):
            found.append(finding)  # noqa: PERF402 (what was found before a defect counts)
    except Exception as error:
        what = f"step {step.number} stopped: {type(error).__name__}: {error}"[:500]
        where = str(evidence.files.root)
        subjects = [None] if step.needs == "trail" else list(evidence.index.hypotheses)
        found += [AuditFinding(f"stopped-{step.number}", what, where, hypothesis=whose) for whose in subjects]
    return found


def _explain_unchecked_trail(own: list[AuditFinding], step: Step) -> str:
    """Say why a promise about the whole trail is not passed although step 1 could make out what was written."""
    reasons = {
        "line-ends": "files are not, to the byte, what was written (step 1)",
        "left-out": "files were left out here (step 1)",
    }
    codes = {finding.code for finding in own}
    return next((reason for code, reason in reasons.items() if code in codes and step.number != 1), "")


def _explain_unchecked(evidence: Evidence, hypothesis: str, step: Step, holes: Line | None) -> str:
    """Say why a promise cannot be said to be kept although nothing was found against it."""
    if holes is not None:
        return "the ledger is not, to the byte and as a whole, what was written (step 1)"
    runs = evidence.index.starts(hypothesis)
    if step.needs in ("run", "verdict") and not runs:
        return "it was not run yet"
    if step.needs == "verdict" and not any(evidence.index.verdict(run.digest) for run in runs):
        return "it has no verdict yet"
    return ""
