"""The report of an audit: a status per promise and hypothesis, the attempts, the head to keep, the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import EXIT, AuditFinding
from harness.ledger.differing import keep_meaningful
from harness.ledger.linked import describe_deviating
from harness.ledger.prior_data_bodies import PilotBody
from harness.ledger.runs import name_status
from harness.ledger.seeding import CHOOSABLE
from harness.wording import format_count

Status = Literal["PASS", "FAIL", "NOT CHECKED"]
SAID = {
    "linked": "trained outside harness: times and code are those that its exports tell",
    "seeds-by-word": "trained outside harness: that runs used these seeds is what its exports tell",
    "choosable": CHOOSABLE,
    "hand-picked": "hand-picked seeds, which its author chose",
    "key-unknown": "drawn by a key that nobody vouches for here",
    "authors-word": "that it was registered before its round rests on the author's word",
    "figures-not-drawn": "but for its figures, which were not drawn again",
    "repeated": "by the word of whoever repeated it: nobody trained that again here",
}
"""Notes without which a promise that is kept would seem to say more than it does → what its line says of them."""
OUTSIDE = ("linked", "seeds-by-word")
"""Notes on runs that harness did not make, which stand beside any other."""
UNDETECTABLE = (
    "Nobody can tell from a trail: a run in a private clone whose events were never pushed, of the same seeds on "
    "another device or with other versions, too; a ledger that was cut off or rebuilt as a whole, unless its head was "
    "kept elsewhere (--known-head); and whether what a machine reported is what it computed, unless the run is trained "
    "again (--rerun). Attacks, what shows them and what remains: docs/threat-model.md of harness."
)


@dataclass(frozen=True)
class Line:
    """One promise, and whether it is kept."""

    step: int
    promise: str
    status: Status
    reason: str = ""
    """The reason that it was not checked, or the number of findings against it."""


@dataclass(frozen=True)
class Subject:
    """One hypothesis."""

    hypothesis: str
    attempts: dict[str, int]
    """finished, failed, aborted, open, pilot → how many."""
    outcomes: dict[str, str]
    """Run → the outcome that its first verdict names, and whether the run deviates."""
    lines: tuple[Line, ...]

    @property
    def counted(self) -> str:
        """``3 started: 2 finished, 1 aborted``."""
        started = sum(count for status, count in self.attempts.items() if status != "pilot")
        parts = [f"{count} {status}" for status, count in self.attempts.items() if status != "pilot" and count]
        text = f"{started} started{': ' if parts else ''}{', '.join(parts)}"
        pilots = self.attempts.get("pilot", 0)
        return f"{text}; {format_count(pilots, 'pilot')}" if pilots else text


@dataclass(frozen=True)
class AuditReport:
    """All that an audit found."""

    events: int
    heads: tuple[str, ...]
    trail: tuple[Line, ...]
    hypotheses: tuple[Subject, ...]
    findings: tuple[AuditFinding, ...]
    folder: str
    """The folder that was audited, links followed."""
    sound: frozenset[str] = frozenset()
    """Judged runs whose results step 5 found nothing against, each with the digest of the results."""
    normal_forms: Mapping[str, str] = field(default_factory=dict)
    """Digest of a registered form → its normal form, of those that were compared with others."""

    @property
    def exit_code(self) -> int:
        """0; 3 tampered before 4 differs before 5 incomplete, whatever was found besides."""
        return min((EXIT[finding.severity] for finding in self.findings if EXIT[finding.severity]), default=0)

    @property
    def head(self) -> str | None:
        """The head to keep elsewhere; None while branches are not joined, or without events."""
        return self.heads[0] if len(self.heads) == 1 else None


def describe_subject(evidence: Evidence, hypothesis: str, lines: tuple[Line, ...]) -> Subject:
    """Describe a hypothesis, with its attempts counted."""
    counts: dict[str, int] = dict.fromkeys(("finished", "failed", "aborted", "open"), 0)
    outcomes: dict[str, str] = {}
    index = evidence.index
    for run in index.starts(hypothesis):
        counts[name_status(next(iter(index.closings(run.digest)), None))] += 1
        if (verdict := index.verdict(run.digest)) is not None:
            deviated = f" ({describe_deviating(run.body)})" if keep_meaningful(run.body.deviations) else ""
            outcomes[run.name] = f"{verdict.body.outcome}{deviated}"
    return Subject(hypothesis, counts | {"pilot": len(index.of(hypothesis, PilotBody))}, outcomes, lines)


def judge(findings: list[AuditFinding], step: int, promise: str, lacking: str = "") -> Line:
    """Judge a promise: a finding against it fails it, and nothing is passed that could not be checked."""
    against = [finding for finding in findings if finding.step == step and finding.severity != "note"]
    failing = [finding for finding in against if finding.severity not in ("missing", "unchecked")]
    if failing:
        return Line(step, promise, "FAIL", format_count(len(failing), "finding"))
    if lacking:
        return Line(step, promise, "NOT CHECKED", lacking)
    if against:
        return Line(step, promise, "NOT CHECKED", against[0].what)
    there = {finding.code for finding in findings if finding.step == step}
    outside = [SAID[code] for code in OUTSIDE if code in there]
    said = (SAID[finding.code] for finding in findings if finding.code in SAID and finding.step == step)
    other = next((text for text in said if text not in outside), None)
    return Line(step, promise, "PASS", "; ".join([*outside, *([] if other is None else [other])]))


def group_by_hypothesis(findings: tuple[AuditFinding, ...]) -> Mapping[str | None, list[AuditFinding]]:
    """Group findings by whom they concern."""
    found: dict[str | None, list[AuditFinding]] = {}
    for finding in findings:
        found.setdefault(finding.hypothesis, []).append(finding)
    return found
