"""Renamed near-duplicates: the same question registered under another id would be a second roll of the dice."""

from __future__ import annotations

from collections.abc import Iterator

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding

ALIKE = 0.95
"""Share of equal leaves from which on two hypotheses are listed."""
WORDS = ("id", "title", "question", "prediction", "prior_data_seen", "implications", "schema_version")
"""Keys that say nothing of what is trained and tested."""


def near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Registrations that train and test nearly the same, each with the first like it."""
    numbers: dict[str, int] = {}
    first: dict[str, str] = {}  # text → the first registration that has exactly this
    masks: dict[str, int] = {}
    for digest in evidence.types["registered"]:
        text = _tested(evidence, str(evidence.events[digest].body["canonical"]))
        if text is None:
            continue
        twin = first.get(text)
        if twin is None:
            mask = sum(1 << numbers.setdefault(leaf, len(numbers)) for leaf in frozenset(text.split(", ")))
            twin = next((other for other, known in masks.items() if _alike(mask, known)), None)
            first[text] = digest
            masks[digest] = mask
        if twin is not None and evidence.whose(twin) != evidence.whose(digest):
            what = f"it trains and tests nearly the same as {evidence.whose(twin)}"
            where = evidence.at(digest)
            yield AuditFinding("near-duplicate", what, where, got=twin, hypothesis=evidence.whose(digest))


def _alike(one: int, other: int) -> bool:
    return (one & other).bit_count() >= ALIKE * max(one.bit_count(), other.bit_count())


def _tested(evidence: Evidence, canonical: str) -> str | None:
    """Everything that is trained and tested, as text; None if the form cannot be read.

    It is cut at its commas and compared: rough, because it need not be exact, and fast, because there may be thousands.
    """
    form = evidence.form(canonical)
    return None if form is None else str({key: value for key, value in form.items() if key not in WORDS})
