"""Near-copies under other names: registering one question twice would give it a second chance to succeed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from harness.domain.near_copies import Copy, Described, compare, read_described, sketch
from harness.domain.normal_form import encode_normal_form
from harness.errors import HarnessError
from harness.ledger.audit.evidence import Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.records import Hypothesis

WORDS = ("id", "title", "question", "rationale", "prediction", "prior_data_seen", "implications", "schema_version")
"""Keys that say nothing of what is trained and tested."""


@dataclass(frozen=True)
class _Version:
    """A registration or an amendment, as it is compared."""

    event: str
    canonical: str
    subject: str | None
    text: bytes
    """Everything that it trains and tests."""
    sketches: frozenset[str]
    known: bool
    """True if an earlier audit compared it with all others that are known."""


def find_near_duplicates(evidence: Evidence) -> Iterator[AuditFinding]:
    """Report each hypothesis that trains and tests the same or nearly the same as an earlier one, with the first such.

    What was registered counts, and what an amendment made of it. Two that are both known, by their digests, to be like
    no earlier one are not compared again.
    """
    names = {entry.digest: f"unlike {entry.digest} {entry.body.canonical}" for entry in evidence.index.fixing()}
    if evidence.remembered.issuperset(names.values()):
        evidence.sound.update(names.values())
        return
    versions = list(_list_versions(evidence, names))
    owners: dict[str, set[str | None]] = defaultdict(set)  # sketch → the hypotheses that have it
    for version in versions:
        for one in version.sketches:
            owners[one].add(version.subject)
    described = cache(partial(_describe, evidence))
    first: dict[bytes, _Version] = {}  # what is tested → the first that fixes exactly this
    heads: dict[str, list[_Version]] = defaultdict(list)  # sketch → those like which no earlier one is
    told: set[tuple[str | None, str | None]] = set()
    for mine in versions:
        twin, copy = first.get(mine.text), "same"
        if twin is None:
            first[mine.text] = mine
            others = [head for one in sorted(mine.sketches) for head in heads[one] if _may_be_like(head, mine)]
            twin, copy = _find_like(mine, others, described)
            for one in mine.sketches if twin is None else ():
                if len(owners[one]) > 1:
                    heads[one].append(mine)
        if twin is None or twin.subject == mine.subject:
            evidence.sound.add(names[mine.event])
        elif (mine.subject, twin.subject) not in told:
            told.add((mine.subject, twin.subject))
            what = f"it trains and tests {'the same' if copy == 'same' else 'nearly the same'} as {twin.subject}"
            where = evidence.at(mine.event)
            yield AuditFinding("near-duplicate", what, where, got=twin.event, hypothesis=mine.subject)


def _list_versions(evidence: Evidence, names: Mapping[str, str]) -> Iterator[_Version]:
    """Yield all that was registered and can be read, in ledger order."""
    for entry in evidence.index.fixing():
        form, name = evidence.form(entry.body.canonical), names[entry.digest]
        if form is not None:
            subject, known = entry.body.hypothesis, name in evidence.remembered
            yield _Version(entry.digest, entry.body.canonical, subject, _write_tested(form), sketch(form), known)


def _may_be_like(head: _Version, mine: _Version) -> bool:
    return head.subject != mine.subject and not (head.known and mine.known)


def _find_like(
    mine: _Version, heads: list[_Version], described: Callable[[str], Described | None]
) -> tuple[_Version | None, Copy]:
    """Return the first of these that a version is a copy of, and how near; None if there is none."""
    near, own = None, described(mine.canonical) if heads else None
    for head in heads if own is not None else ():
        other = described(head.canonical)
        copy = compare(other, own) if other is not None and own is not None else None
        if copy == "same":
            return head, copy
        if copy is not None and near is None:
            near = head
    return near, "near"


def _describe(evidence: Evidence, canonical: str) -> Described | None:
    """Return what a registered form is compared by; None if today's records refuse it."""
    known = evidence.normal_forms
    try:
        if canonical not in known:
            form = encode_normal_form(Hypothesis.model_validate_json(evidence.object(canonical) or b""))
            known[canonical] = form.decode()
        return read_described(known[canonical].encode())
    except (ValidationError, HarnessError):
        return None


def _write_tested(form: dict[str, Any]) -> bytes:
    """Return everything that is trained and tested, as JSON."""
    return to_json({key: value for key, value in form.items() if key not in WORDS})
