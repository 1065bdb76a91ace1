"""Near-copies under other names: registering one question twice would give it a second chance to succeed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from harness.domain.near_copies import Copy, Described, compare, describe, sketch
from harness.errors import HarnessError
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.records import Hypothesis

WORDS = ("id", "title", "question", "rationale", "prediction", "prior_data_seen", "implications", "schema_version")
"""Keys that say nothing of what is trained and tested."""


def find_near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Report each hypothesis that trains and tests the same or nearly the same as an earlier one, with the first such.

    What was registered counts, and what an amendment made of it.
    """
    index = evidence.index
    versions: list[tuple[str, str, bytes, frozenset[str]]] = []  # event, canonical, what is tested, sketches
    owners: dict[str, set[str]] = defaultdict(set)  # sketch → the hypotheses that have it
    for entry in index.fixing():
        form = evidence.form(entry.body.canonical)
        if form is not None:
            short = sketch(form)
            versions.append((entry.digest, entry.body.canonical, _write_tested(form), short))
            for one in short:
                owners[one].add(entry.body.hypothesis)
    first: dict[bytes, str] = {}  # what is tested → the first event that fixes exactly this
    heads: dict[str, list[tuple[str, Described]]] = defaultdict(list)  # sketch → events like which no earlier one is
    told: set[tuple[str | None, str | None]] = set()
    for digest, canonical, text, short in versions:
        twin, copy = first.get(text), "same"
        if twin is None:
            first[text] = digest
            described = _describe(evidence, canonical) if any(len(owners[one]) > 1 for one in short) else None
            if described is not None:
                others = [head for one in sorted(short) for head in heads[one]]
                mine = index.subject(digest)
                twin, copy = _find_like(described, [head for head in others if index.subject(head[0]) != mine])
                for one in short if twin is None else ():
                    heads[one].append((digest, described))
        mine, other = index.subject(digest), index.subject(twin) if twin is not None else None
        if twin is None or mine == other or (mine, other) in told:
            continue
        told.add((mine, other))
        what = f"it trains and tests {'the same' if copy == 'same' else 'nearly the same'} as {other}"
        yield AuditFinding("near-duplicate", what, evidence.at(digest), got=twin, hypothesis=mine)


def _find_like(mine: Described, heads: list[tuple[str, Described]]) -> tuple[str | None, Copy]:
    """Return the first event whose hypothesis is a copy of another, and how near; None if there is none."""
    near = None
    for event, described in heads:
        copy = compare(described, mine)
        if copy == "same":
            return event, copy
        if copy is not None and near is None:
            near = event
    return near, "near"


def _describe(evidence: Evidence, canonical: str) -> Described | None:
    """Return what a registered form is compared by; None if today's records refuse it."""
    try:
        return describe(Hypothesis.model_validate(evidence.form(canonical)))
    except (ValidationError, HarnessError):
        return None


def _write_tested(form: dict[str, Any]) -> bytes:
    """Return everything that is trained and tested, as JSON."""
    return to_json({key: value for key, value in form.items() if key not in WORDS})
