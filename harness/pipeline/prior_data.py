"""Results that were explored before a registration, which declares them, or before they were linked, which says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from harness import ledger, spec
from harness.errors import Finding, HarnessError, UsageError
from harness.ledger import Ledger
from harness.ledger.index import name_run
from harness.ledger.prior_data_bodies import PilotBody
from harness.records import Hypothesis, ReplicaResult
from harness.records.linked import Link
from harness.wording import format_count

RULE = "prior-data"


def find_undeclared(loaded: spec.Loaded, trail: Ledger, registration: str | None = None) -> Iterator[Finding]:
    """Yield a finding if a valid file doesn't declare what was explored of its question before.

    ``registration``: the event that registered it, after which nothing is prior data to it; None if it is to be.
    """
    if not ledger.list_explorations(trail):
        return
    if owed := ledger.find_undeclared(trail.index(), partial(_read, trail), loaded.hypothesis, registration):
        told = ledger.explain_undeclared(owed, loaded.hypothesis)
        yield spec.make_error(loaded, RULE, ("prior_data_seen",), *told)


def list_known(hypothesis: Hypothesis, link: Link, replicas: Iterable[ReplicaResult], trail: Ledger) -> tuple[str, ...]:
    """Say of replicas that are to be linked which of them were explored before, a sentence for each exploration."""
    found = ledger.find_read_before(trail.index(), partial(_read, trail), hypothesis, link.exports, replicas)
    return ledger.describe_read_before(found)


def list_results(hypothesis: str, trail: Ledger) -> tuple[str, ...]:
    """Name what a trail holds of a hypothesis's results: verdicts, pilots, explorations, and values of open attempts.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = trail.index()
    starts = index.starts(hypothesis)
    counted = {
        "verdict": sum(index.verdict(run.digest) is not None for run in starts),
        "pilot": len(index.of(hypothesis, PilotBody)),
    }
    found = [format_count(number, what) for what, number in counted.items() if number]
    found += [f"values of the attempt {run.name} before its end" for run in starts if index.peeks(run.digest)]
    explored = ledger.list_explorations(trail, hypothesis)
    return (*found, *(f"the exploration {name_run(one.digest)}" for one in explored))


def _read(trail: Ledger, digest: str) -> bytes | None:
    """Read an object; None if it is not there as it was written."""
    try:
        return trail.read_object(digest)
    except (HarnessError, OSError):
        return None


def check_declared(loaded: spec.Loaded, trail: Ledger) -> Iterator[Finding]:
    """Yield the same of a file as it stands: an error if it can't be registered so, a warning if it was."""
    found = ledger.find_registration(trail, loaded.hypothesis.id)
    for finding in find_undeclared(loaded, trail, None if found is None else found.digest):
        yield finding if found is None else replace(finding, severity="warning")


def refuse_undeclared(loaded: spec.Loaded, trail: Ledger, registration: str | None = None) -> None:
    """Refuse a file that doesn't declare what was explored of its question before, as check says it.

    Raises:
        UsageError: It doesn't.
    """
    for finding in find_undeclared(loaded, trail, registration):
        raise UsageError(finding.message, where=f"{finding.file}:{finding.line}", remedy=finding.remedy)
