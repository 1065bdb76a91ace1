"""Earlier results that were explored, for steps 3 and 4: they are kept as read, and who came after declares them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody
from harness.ledger.explored import Exploration, describe_exploration, find_undeclared, name_explorations
from harness.ledger.prior_data_bodies import ExploredBody
from harness.records import Hypothesis, Measurements


def check_declared(evidence: Evidence) -> Iterator[AuditFinding]:
    """Find registrations and amendments that do not declare what had been explored before the registration."""
    if not evidence.index.entries(ExploredBody):
        return
    for entry in evidence.index.fixing():
        body, hypothesis = entry.body, _read_form(evidence, entry.body.canonical)
        first = entry.digest if isinstance(body, RegisteredBody) else body.registration
        if hypothesis is None:
            continue  # what no version wrote: step 6
        if owed := find_undeclared(evidence.index, evidence.object, hypothesis, first):
            what = "results of this question were explored before its registration, and it does not declare them"
            got = f"{hypothesis.prior_data_seen.level}, {hypothesis.prior_data_seen.what or 'nothing named'}"
            expected = f"analysed, {name_explorations(owed)}"
            yield AuditFinding("undeclared", what, evidence.at(entry.digest), expected, got, body.hypothesis)


def check(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check every exploration against what it keeps."""
    for entry in evidence.index.entries(ExploredBody):
        where, hypothesis = evidence.at(entry.digest), entry.body.hypothesis
        form, results = _read_form(evidence, entry.body.canonical), _read_results(evidence, entry.body.results)
        if form is None or results is None or evidence.object(entry.body.report) is None:
            what = "this exploration could not be checked: what it keeps is not here, or of another version"
            yield AuditFinding("explored-unchecked", what, where, hypothesis=hypothesis)
        elif differs := _find_difference(entry, form, results):
            yield AuditFinding("explored-otherwise", differs, where, hypothesis=hypothesis)
        else:
            told = f"{describe_exploration(entry.body)}, by {entry.event.actor}"
            yield AuditFinding("explored", told, where, hypothesis=hypothesis)


def _find_difference(entry: Exploration, form: Hypothesis, results: Measurements) -> str:
    """Say in what an exploration differs from what it keeps; nothing if it doesn't."""
    body = entry.body
    if {form.id, results.hypothesis} != {body.hypothesis}:
        return "what it keeps is of another hypothesis"
    if results.registration or results.pilot:
        return "its results pass for those of a registration or a pilot"
    if len(results.seeds) != body.seeds:
        return f"its results have {len(results.seeds)} seeds, and its event says {body.seeds}"
    if body.would_be not in form.outcomes:
        return f"the file has no outcome {body.would_be}"
    return ""


def _read_form(evidence: Evidence, canonical: str) -> Hypothesis | None:
    with suppress(ValidationError):
        return Hypothesis.model_validate_json(evidence.object(canonical) or b"")
    return None


def _read_results(evidence: Evidence, digest: str) -> Measurements | None:
    with suppress(ValidationError):
        return Measurements.model_validate_json(evidence.object(digest) or b"")
    return None
