"""Renamed near-duplicates: the same question registered under another id would be a second roll of the dice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness.ledger.audit.evidence import OBJECTS, Evidence
from harness.ledger.audit.findings import AuditFinding

ALIKE = 0.95
"""Share of equal leaves from which on two hypotheses are listed."""
WORDS = frozenset(
    ("id", "title", "question", "prediction", "prior_data_seen", "implications", "schema_version", "notes", "label")
)
"""Keys, at any depth, that say nothing of what is trained and tested."""


def near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Registrations that train and test nearly the same, each with the first like it."""
    numbers: dict[str, int] = {}
    kinds: dict[frozenset[str], str] = {}  # leaves → the first registration that has exactly these
    masks: dict[str, int] = {}
    for digest in evidence.types["registered"]:
        leaves = _leaves(evidence, str(evidence.events[digest].body["canonical"]))
        if not leaves:
            continue
        mask = sum(1 << numbers.setdefault(leaf, len(numbers)) for leaf in leaves)
        twin = kinds.get(leaves) or next((other for other, known in masks.items() if _alike(mask, known)), None)
        if twin is None:
            masks[digest] = mask
        kinds.setdefault(leaves, digest)
        if twin is not None and evidence.whose(twin) != evidence.whose(digest):
            what = f"it trains and tests nearly the same as {evidence.whose(twin)}"
            where = evidence.at(digest)
            yield AuditFinding("near-duplicate", what, where, got=twin, hypothesis=evidence.whose(digest))


def _alike(one: int, other: int) -> bool:
    return (one & other).bit_count() >= ALIKE * max(one.bit_count(), other.bit_count())


def _leaves(evidence: Evidence, canonical: str) -> frozenset[str]:
    """Path and value of everything that is trained and tested; nothing if the form cannot be read."""
    path = f"{OBJECTS}{canonical}"
    try:
        if path not in evidence.files.sizes or evidence.files.digest(path) != canonical:
            return frozenset()
        return frozenset(_walk(json.loads(evidence.files.read(path)), ""))
    except (OSError, ValueError, RecursionError):
        return frozenset()


def _walk(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key not in WORDS:
                yield from _walk(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, f"{path}[{index}]")
    else:
        yield f"{path}={value!r}"
