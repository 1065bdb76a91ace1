"""Amendments, for step 3: what each changed is what it tells, and the runs under a late one say that they deviate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.ledger.amendments import Amendment, list_amendments
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import AmendedBody, RunStartedBody
from harness.ledger.code import MEANING, combine_digests
from harness.ledger.differing import list_packages
from harness.ledger.frozen import list_program_differences
from harness.ledger.index import Fixing, StartedRun
from harness.ledger.pins import Pins
from harness.ledger.registration import compare_forms, compare_meanings
from harness.ledger.seeding import explain_known, is_same_beacon, read_time
from harness.wording import format_count


class Change(NamedTuple):
    """A plug-in, package, template, data set or kind of code that differs from what was fixed before."""

    name: str
    """The name by which a deviation must name it."""
    before: str
    now: str
    words: bool = False
    """True if it affects wording only, so that naming it in the amendment is enough."""


def check(evidence: Evidence, hypothesis: str) -> Iterator[AuditFinding]:
    """Tell whether each amendment was provably before every attempt, and whether it tells of those that it had seen."""
    index = evidence.index
    attempts = index.attempts_and_pilots(hypothesis)
    for entry in index.of(hypothesis, AmendedBody):
        digest, body = entry.digest, entry.body
        earlier = {run for run in attempts if evidence.index.before(run, digest)}
        if unsaid := earlier - set(body.attempts):
            what = "this amendment does not tell of every attempt before it"
            yield AuditFinding("amendment-attempts", what, evidence.at(digest), min(unsaid), "not named", hypothesis)
        known = index.fixed(body.amends)
        if known is None or known.body.hypothesis != hypothesis:
            what = "this amendment amends neither the registration nor an amendment of its hypothesis"
            yield AuditFinding("reference", what, evidence.at(digest), hypothesis, body.amends, hypothesis)
            continue
        if (untold := _find_untold_change(evidence, known.body, body)) is not None:
            what = "this amendment changes something that it does not tell"
            yield AuditFinding("amendment-untold", what, evidence.at(digest), untold, "not named", hypothesis)
        runs = [run for run in index.starts(hypothesis) if run.digest in earlier]
        since = explain_known(index, body.registration, (digest, read_time(entry.claimed_time)))
        if (other := _find_other_seeds(known.body, body, runs, since)) is not None:
            yield AuditFinding("amendment-seeds", other, evidence.at(digest), hypothesis=hypothesis)
    for amendment in list_amendments(index, hypothesis):
        changed = "; ".join(amendment.body.differences) or "the text alone"
        remark = f" ({amendment.remark})" if amendment.remark else ""
        what = f"amended {amendment.when}: {changed}: {amendment.body.reason}{remark}"
        yield AuditFinding("amended", what, evidence.at(amendment.digest), hypothesis=hypothesis)
        yield from _check_late_amendment(evidence, amendment, hypothesis)


def _check_late_amendment(evidence: Evidence, amendment: Amendment, hypothesis: str) -> Iterator[AuditFinding]:
    """Check that runs under an amendment that came too late say so."""
    for run in evidence.index.starts(hypothesis) if amendment.deviates else ():
        if not evidence.index.before(amendment.digest, run.digest):
            continue
        said = "\n".join(run.body.deviations)
        unsaid = [line for line in amendment.body.differences if line not in said]
        if not unsaid:
            continue
        then = list_amendments(evidence.index.past(hypothesis, run.digest), hypothesis)  # as far as the run could know
        too_late_then = any(known.digest == amendment.digest and known.deviates for known in then)
        code = "deviation-unnamed" if too_late_then else "deviated"
        what = f"run {run.name} deviates by an amendment {amendment.when}, and does not say so"
        yield AuditFinding(code, what, evidence.at(run.digest), unsaid[0], "not named", hypothesis)


def _find_untold_change(evidence: Evidence, known: Fixing, body: AmendedBody) -> str | None:
    """Return the first change that an amendment makes without naming it; runs under it would hide that they deviate."""
    before, now = evidence.form(known.canonical), evidence.form(body.canonical)
    meaning: tuple[str, ...] = ()
    if before is not None and now is not None:  # step 4 says if one is missing
        meaning = compare_forms(before, now)
        if meaning and (body.kind != "meaning" or not set(meaning) <= set(body.differences)):
            meaning = compare_meanings(before, now)  # takes a hundred times as long
    said = "\n".join(body.differences)
    for line in meaning:
        if line not in body.differences or body.kind != "meaning":
            return line
    for change in list_changes(known, body):
        if change.name not in said or (body.kind == "comment" and not change.words):
            return change.name
    return None


def _find_other_seeds(known: Fixing, body: AmendedBody, runs: Sequence[StartedRun], since: str | None) -> str | None:
    """Return the fault if an amendment chooses seeds or a beacon, or changes their number when they could be known.

    Either lets the author try again until the outcome pleases. ``since`` says since when seeds from a beacon could be.
    """
    if not is_same_beacon(known.beacon, body.beacon):
        return "this amendment chooses another beacon than was registered"
    if known.seeds == body.seeds:
        return None
    if not (isinstance(known.seeds, int) and isinstance(body.seeds, int)):
        return "this amendment chooses other seeds than were registered"
    if runs:
        change = f"{format_count(known.seeds, 'seed')} to {body.seeds}"
        return f"this amendment changes {change}, after run {runs[0].name} started"
    if since is not None:
        return f"this amendment changes {format_count(known.seeds, 'seed')} to {body.seeds}, {since}"
    return None


def list_changes(fixed: Fixing, body: AmendedBody | RunStartedBody) -> Iterator[Change]:
    """Yield the plug-ins, packages, templates, code and data that differ from those fixed before."""
    before, now = fixed.pins, body.pins
    for name in sorted({*before.plugins, *now.plugins}):
        if before.plugins.get(name) != now.plugins.get(name):
            yield Change(name, before.plugins.get(name, "none"), now.plugins.get(name, "none"))
    one, other = list_packages(before, now)
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            yield Change(name, one.get(name, "none"), other.get(name, "none"))
    for name in sorted({*before.templates, *now.templates}):
        if before.templates.get(name) != now.templates.get(name):
            yield Change(name, before.templates.get(name, "none"), now.templates.get(name, "none"), words=True)
    if before.code is not None and before.code != now.code:
        yield from _list_code_changes(before, now)
    if (before.program is None) != (now.program is None):
        yield Change("the program", "pinned" if before.program else "none", "pinned" if now.program else "none")
    for line in list_program_differences(before.program, now.program):
        yield Change(line, "registered", "other")
    for name, fingerprint in body.data.items():
        if fixed.data.get(name, fingerprint) != fingerprint:
            yield Change(name, fixed.data[name], fingerprint)


def _list_code_changes(before: Pins, now: Pins) -> Iterator[Change]:
    """Yield changes by kind of code if both sides name the kinds and these add up to the whole's digest."""
    if any(not pins.code_kinds or combine_digests(pins.code_kinds) != pins.code for pins in (before, now)):
        yield Change("code", before.code or "none", now.code or "none")
        return
    for kind, meaning in MEANING.items():
        old, new = before.code_kinds.get(kind, "none"), now.code_kinds.get(kind, "none")
        if kind != "plugins" and old != new:  # those that are used are pinned one by one
            yield Change(meaning, old, new, words=kind == "words")
