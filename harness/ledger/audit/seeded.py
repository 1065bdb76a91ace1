"""Origin of seeds, for step 5: the beacon's round verified from its record, and who could have chosen it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator

from pydantic import ValidationError

from harness.beacons import Beacon, Registered
from harness.domain.normal_form import encode_normal_form
from harness.errors import HarnessError, UsageError
from harness.ledger.audit.anchors import TrustedInputs
from harness.ledger.audit.covers import find_cover, vouches_for
from harness.ledger.audit.evidence import OBJECTS, Evidence
from harness.ledger.audit.findings import AuditFinding
from harness.ledger.bodies import RegisteredBody, SeededBody
from harness.ledger.index import Entry, Fixing
from harness.ledger.seeding import (
    CHOOSABLE,
    FROM_ROUND,
    describe_round,
    find_seeded,
    is_same_beacon,
    read_beacon,
    read_registered,
    read_time,
)
from harness.records import Hypothesis

LARGEST_RECORD = 2**20
"""Bytes of a round's record that are read; no built-in beacon keeps more than 64 KiB."""


def check(evidence: Evidence, kept: TrustedInputs) -> Iterator[AuditFinding]:
    """Check every draw of seeds, and say of every registration who could have chosen its seeds."""
    index = evidence.index
    for hypothesis in index.hypotheses:
        for fixing in index.fixing(hypothesis):
            yield from _check_form(evidence, fixing)
        for registered in index.of(hypothesis, RegisteredBody):
            if isinstance(registered.body.seeds, int) and registered.body.beacon is None:
                what = f"{CHOOSABLE}: they follow from its registration alone, which its author wrote"
                yield AuditFinding("choosable", what, evidence.at(registered.digest), hypothesis=hypothesis)
        for seeded in index.of(hypothesis, SeededBody):
            yield from _check_draw(evidence, seeded, kept)
    yield from _compare_draws(evidence)


def _check_form(evidence: Evidence, fixing: Entry[Fixing]) -> Iterator[AuditFinding]:
    """Check that the beacon that an event fixes is the one of its file: runs follow the event, and readers the file."""
    outline = evidence.outline(fixing.body.canonical)
    if outline is not None and not is_same_beacon(outline.beacon, fixing.body.beacon):
        what = "the beacon that this event fixes is not the one of its registered form"
        where, body = evidence.at(fixing.digest), fixing.body
        yield AuditFinding("beacon-otherwise", what, where, str(outline.beacon), str(body.beacon), body.hypothesis)


def _check_draw(evidence: Evidence, seeded: Entry[SeededBody], kept: TrustedInputs) -> Iterator[AuditFinding]:
    """Check one draw: of which registration it is, that it was the first, its normal form, its round."""
    index, body, where = evidence.index, seeded.body, evidence.at(seeded.digest)
    registered = index.entry(body.registration)
    if registered is None or not isinstance(registered.body, RegisteredBody):
        return  # step 3 names it
    if registered.body.hypothesis != body.hypothesis or registered.body.beacon is None:
        what = "seeds were drawn for a registration that fixes no beacon, or for another hypothesis's"
        yield AuditFinding("draw-of-another", what, where, body.hypothesis, registered.body.hypothesis, body.hypothesis)
        return
    if body.derivation != FROM_ROUND:
        what = f"seeds follow from this draw by a rule that this version does not know, {body.derivation}"
        yield AuditFinding("derivation-unknown", what, where, FROM_ROUND, body.derivation, body.hypothesis)
    first = find_seeded(index, body.registration)
    if first is not None and first.digest != seeded.digest:
        same = (first.body.form, first.body.value) == (body.form, body.value)
        what = (
            f"a second draw of seeds for one registration, {'the same' if same else 'another'} as {first.digest[:12]}"
        )
        yield AuditFinding("drawn-twice" if same else "drawn-otherwise", what, where, hypothesis=body.hypothesis)
    yield from _check_normal_form(evidence, seeded)
    yield from _find_known_round(evidence, seeded)
    try:
        beacon = read_beacon(registered.body.beacon)
    except UsageError as error:
        what = f"the round could not be verified: {error.message}"
        yield AuditFinding("round-unverified", what, where, hypothesis=body.hypothesis, command=error.remedy)
        return
    except HarnessError as error:
        yield AuditFinding("round-refused", error.message, where, hypothesis=body.hypothesis)
        return
    yield from _check_round(evidence, seeded, read_registered(registered.digest, registered.claimed_time), beacon)
    yield AuditFinding(
        "trusts", f"its seeds rest on {beacon.name}: {beacon.trusts()}", where, hypothesis=body.hypothesis
    )
    if (key := beacon.foreign_key) is not None and not vouches_for(kept, key):
        what = (
            f"the beacon's key is one that nobody vouches for here: whoever chose {beacon.name} may hold it, and draw"
        )
        yield AuditFinding("key-unknown", f"{what} until it pleases", where, hypothesis=body.hypothesis)
    cover = find_cover(evidence, body.amendment or body.registration, seeded, beacon, kept)
    what = "that its registration was shown to anybody before the round rests on the author's word: "
    if cover is None:
        what += f"no time stamp, and nobody else's signature, from before {body.time} covers it"
    else:
        what = f"{what}{cover.what}" if cover.worth == "unknown" else cover.what
    code = {"vouched": "shown-before", "unchecked": "cover-unchecked"}.get(cover.worth if cover else "", "authors-word")
    remedy = cover.remedy if cover is not None else None
    yield AuditFinding(code, what, where, hypothesis=body.hypothesis, command=remedy)


def _check_normal_form(evidence: Evidence, seeded: Entry[SeededBody]) -> Iterator[AuditFinding]:
    """Check that the seeds were drawn for what was registered, or amended, last before the draw."""
    index, body, where = evidence.index, seeded.body, evidence.at(seeded.digest)
    drawn_for = body.amendment or body.registration
    for fixing in index.fixing(body.hypothesis):
        own = getattr(fixing.body, "registration", None) == body.registration and fixing.digest != drawn_for
        if own and index.before(fixing.digest, seeded.digest) and not index.before(fixing.digest, drawn_for):
            what = f"seeds were drawn past the amendment {fixing.digest[:12]}"
            yield AuditFinding("draw-of-another", what, where, fixing.digest, drawn_for, body.hypothesis)
    fixed = index.fixed(drawn_for)
    form = None if fixed is None else evidence.form(fixed.body.canonical)
    if fixed is None or form is None:
        return  # steps 3 and 4 name it
    owner = drawn_for if body.amendment is None else getattr(fixed.body, "registration", None)
    if owner != body.registration:
        what = "seeds were drawn for an amendment of another registration"
        yield AuditFinding("draw-of-another", what, where, body.registration, str(owner), body.hypothesis)
        return
    try:
        encoded = encode_normal_form(Hypothesis.model_validate(form))
    except (ValidationError, HarnessError) as error:
        what = f"the normal form can't be made of the registered one by this version: {type(error).__name__}"
        yield AuditFinding("form-unmade", what, where, hypothesis=body.hypothesis)
        return
    if (digest := hashlib.sha256(encoded).hexdigest()) != body.form:
        what = "seeds were drawn for another normal form than that of the registration"
        yield AuditFinding("draw-of-another", what, where, digest, body.form, body.hypothesis)


def _find_known_round(evidence: Evidence, seeded: Entry[SeededBody]) -> Iterator[AuditFinding]:
    """Find what was written after its round was known and says otherwise: an event before it holds a round as late."""
    index, body = evidence.index, seeded.body
    told = (index.fixed(body.registration), index.fixed(body.amendment or ""))
    early = [one for one in told if one is not None and read_time(one.claimed_time) < read_time(body.time)]
    for other in index.entries(SeededBody):
        if read_time(other.body.time) < read_time(body.time):
            continue
        for one in early:
            if index.before(other.digest, one.digest):
                what = f"its round was known: {one.event.type} {one.digest[:12]} is later than a round as late"
                where = evidence.at(seeded.digest)
                yield AuditFinding("round-known", what, where, body.time, other.body.time, body.hypothesis)
                return


def _check_round(
    evidence: Evidence, seeded: Entry[SeededBody], registered: Registered, beacon: Beacon
) -> Iterator[AuditFinding]:
    """Verify the record that the trail keeps, and compare what it gives with what the event says."""
    body, path = seeded.body, f"{OBJECTS}{seeded.body.record}"
    where, shown = evidence.at(seeded.digest), evidence.files.shown(path)
    try:
        if path not in evidence.files.paths or evidence.files.digest(path) != body.record:
            raise FileNotFoundError("it is not here as it was kept")
        record = evidence.files.read(path, LARGEST_RECORD)
        drawn = beacon.verify(record, registered)
    except OSError as error:
        what = f"the round could not be verified from its record: {error.strerror or error}"
        yield AuditFinding("round-unverified", what, shown, hypothesis=body.hypothesis)
        return
    except UsageError as error:
        what = f"the round could not be verified: {error.message}"
        yield AuditFinding("round-unverified", what, shown, hypothesis=body.hypothesis, command=error.remedy)
        return
    except HarnessError as error:
        what = f"the record is not that of the round that was due: {error.message}"
        yield AuditFinding("round-refused", what, shown, hypothesis=body.hypothesis)
        return
    for name, owed in describe_round(drawn).items():
        if name != "derivation" and getattr(body, name) != owed:
            what = f"the draw tells another {name} of the round than its record"
            yield AuditFinding("round-otherwise", what, where, owed, getattr(body, name), body.hypothesis)


def _compare_draws(evidence: Evidence) -> Iterator[AuditFinding]:
    """Compare the draws of registrations that train and decide the same: one question is to have one draw."""
    alike: dict[str, list[Entry[SeededBody]]] = defaultdict(list)
    for seeded in evidence.index.entries(SeededBody):
        alike[seeded.body.form].append(seeded)
    for draws in alike.values():
        for number, seeded in enumerate(draws):
            for earlier in draws[:number]:
                if earlier.body.registration == seeded.body.registration:
                    continue  # named already
                same, other = earlier.body.value == seeded.body.value, earlier.body.hypothesis
                what = (
                    f"the same question as {other}, with the same round and so the same seeds: one result, told twice"
                    if same
                    else f"the same question as {other}, with seeds from another round: a second chance to succeed"
                )
                where, hypothesis = evidence.at(seeded.digest), seeded.body.hypothesis
                yield AuditFinding(
                    "same-draw" if same else "drawn-again", what, where, got=earlier.digest, hypothesis=hypothesis
                )
                break
