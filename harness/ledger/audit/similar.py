"""Renamed near-duplicates: the same question registered under another id would be a second roll of the dice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pydantic_core import to_json

from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding

ALIKE = 0.95
"""Share of equal leaves from which on two hypotheses are listed."""
WORDS = ("id", "title", "question", "prediction", "prior_data_seen", "implications", "schema_version")
"""Keys that say nothing of what is trained and tested."""


def near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Registrations that train and test nearly the same, each with the first like it."""
    numbers: dict[bytes, int] = {}  # leaf → its number: most forms share most leaves
    first: dict[frozenset[int], str] = {}  # leaves → the first registration that has exactly these
    order: list[frozenset[int]] = []
    having: dict[int, list[int]] = defaultdict(list)  # leaf → places in ``order``
    for digest in evidence.types["registered"]:
        text = _tested(evidence, str(evidence.events[digest].body["canonical"]))
        if text is None:
            continue
        leaves = frozenset([numbers.setdefault(leaf, len(numbers)) for leaf in set(text.split(b","))])
        twin = first.get(leaves)
        if twin is None:
            # Whatever is alike has one of any so many of these leaves; few have the rarest, so that not each of
            # thousands is held against each.
            rarest = sorted(leaves, key=lambda leaf: len(having[leaf]))[: int((1 - ALIKE) * len(leaves)) + 1]
            candidates = sorted({place for leaf in rarest for place in having[leaf]})
            twin = next((first[order[place]] for place in candidates if _alike(leaves, order[place])), None)
            for leaf in leaves:
                having[leaf].append(len(order))
            order.append(leaves)
            first[leaves] = digest
        if twin is not None and evidence.whose(twin) != evidence.whose(digest):
            what = f"it trains and tests nearly the same as {evidence.whose(twin)}"
            where = evidence.at(digest)
            yield AuditFinding("near-duplicate", what, where, got=twin, hypothesis=evidence.whose(digest))


def _alike(one: frozenset[int], other: frozenset[int]) -> bool:
    return len(one & other) >= ALIKE * max(len(one), len(other))


def _tested(evidence: Evidence, canonical: str) -> bytes | None:
    """Everything that is trained and tested, as JSON; None if the form cannot be read.

    It is cut at its commas and compared: rough, because it need not be exact, and fast, because there may be thousands.
    """
    form = evidence.form(canonical)
    return None if form is None else to_json({key: value for key, value in form.items() if key not in WORDS})
