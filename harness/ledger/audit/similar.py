"""Renamed near-duplicates: the same question registered under another id would be a second roll of the dice."""

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
    """Registrations that train and test nearly the same, each with the first like it.

    Sets of which most leaves are the same have one of their rarest in common ("prefix filtering": Chaudhuri, Ganti and
    Kaushik 2006, doi:10.1109/ICDE.2006.9), so that not each of thousands is held against each.
    """
    numbers: dict[bytes, int] = defaultdict(itertools.count().__next__)  # of leaves: most forms share most of them
    forms: list[tuple[str, frozenset[int]]] = []  # registration, leaves
    for entry in evidence.index.entries(RegisteredBody):
        text = _tested(evidence, entry.body.canonical)
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


def _tested(evidence: Evidence, canonical: str) -> bytes | None:
    """Everything that is trained and tested, as JSON; None if the form cannot be read.

    It is cut at its commas and compared: rough, because it need not be exact, and fast, because there may be thousands.
    """
    form = evidence.form(canonical)
    return None if form is None else to_json({key: value for key, value in form.items() if key not in WORDS})
