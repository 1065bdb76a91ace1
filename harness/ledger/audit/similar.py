"""Near-duplicates under other names: registering one question twice would give it a second chance to succeed."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from pydantic_core import to_json

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody

ALIKE = 0.95
"""Share of equal leaves from which on two hypotheses are listed."""
WORDS = ("id", "title", "question", "prediction", "prior_data_seen", "implications", "schema_version")
"""Keys that say nothing of what is trained and tested."""


def find_near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Report each registration that trains and tests nearly the same as an earlier one, with the first such one.

    Sets that share most leaves share at least one of their rarest leaves ("prefix filtering": Chaudhuri, Ganti and
    Kaushik 2006, doi:10.1109/ICDE.2006.9), so only pairs that do are compared.
    """
    numbers: dict[bytes, int] = defaultdict(itertools.count().__next__)  # of leaves: most forms share most of them
    forms: list[tuple[str, frozenset[int]]] = []  # registration, leaves
    for entry in evidence.index.entries(RegisteredBody):
        text = _extract_tested(evidence, entry.body.canonical)
        if text is not None:
            forms.append((entry.digest, frozenset(map(numbers.__getitem__, text.split(b",")))))
    count: Counter[int] = Counter()
    for _, leaves in forms:
        count.update(leaves)
    first: dict[frozenset[int], str] = {}  # leaves → the first registration that has exactly these
    having: dict[int, list[frozenset[int]]] = defaultdict(list)  # leaf → the forms of which it is one of the rarest
    place: dict[frozenset[int], int] = {}  # the same → its place among them
    for digest, leaves in forms:
        twin = first.get(leaves)
        if twin is None:
            by_rarity = sorted(sorted(leaves), key=count.__getitem__)
            rarest = by_rarity[: int((1 - ALIKE) * len(leaves)) + 1]
            candidates = {other for leaf in rarest for other in having[leaf]}
            alike = [other for other in candidates if len(leaves & other) >= ALIKE * max(len(leaves), len(other))]
            twin = first[min(alike, key=place.__getitem__)] if alike else None
            for leaf in rarest:
                having[leaf].append(leaves)
            first[leaves], place[leaves] = digest, len(place)
        if twin is not None and evidence.index.subject(twin) != evidence.index.subject(digest):
            what = f"it trains and tests nearly the same as {evidence.index.subject(twin)}"
            where = evidence.at(digest)
            yield AuditFinding("near-duplicate", what, where, got=twin, hypothesis=evidence.index.subject(digest))


def _extract_tested(evidence: Evidence, canonical: str) -> bytes | None:
    """Return everything that is trained and tested, as JSON; None if the form cannot be read.

    The text is cut at its commas and the pieces are compared. That is inexact, which is enough here, and fast, because
    there may be thousands of registrations.
    """
    form = evidence.form(canonical)
    return None if form is None else to_json({key: value for key, value in form.items() if key not in WORDS})
