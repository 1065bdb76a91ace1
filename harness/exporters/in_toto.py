"""A verdict as an in-toto statement."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from harness import ledger
from harness.exporters import Exporter, refuse_taken
from harness.exporters._judged import Judged, read_judged
from harness.ledger import Ledger
from harness.ledger.bodies import SeededBody
from harness.records.base import write_canonical
from harness.system.storage import write_atomic

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:harness:verdict:v1"


class InToto(Exporter):
    """An in-toto Statement v1: the verdict's files as subjects, what it says as the predicate.

    It is not signed: sign the file, or wrap it in an envelope, with whatever the receiver trusts.
    Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
    """

    about: ClassVar[str] = "the verdict as a statement (a file)"
    endings: ClassVar[tuple[str, ...] | None] = None

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the statement to a file."""
        judged = read_judged(name, trail)
        refuse_taken(out)
        write_atomic(out, write_canonical(write_statement(judged)).encode())
        return (out,)


exporter = InToto()


def write_statement(judged: Judged) -> dict[str, Any]:
    """Write the statement as plain JSON values."""
    run, body, provenance = judged.run, judged.run.body, judged.provenance
    subjects = [
        {"name": f"{judged.run.folder}/{file}", "digest": {"sha256": digest}}
        for file, digest in sorted(judged.files.items())
    ]
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "hypothesis": body.hypothesis,
            "title": judged.registered.hypothesis.title,
            "outcome": judged.verdict.body.outcome,
            "predicted": judged.registered.hypothesis.prediction.outcome,
            "registration": body.registration,
            "amendment": body.amendment,
            "run": run.digest,
            "verdict": judged.verdict.digest,
            "registeredFile": {"sha256": body.raw},
            "registeredMeaning": {"sha256": body.canonical},
            "data": {name: {"sha256": digest} for name, digest in body.data.items()},
            "code": {"sha256": body.environment.code},
            "seeds": body.seeds,
            "draw": _describe_draw(judged),
            "search": _describe_search(judged),
            "device": body.device,
            "arithmetic": body.arithmetic,
            "started": run.claimed_time,
            "judged": judged.verdict.claimed_time,
            "deviations": body.deviations,
            "attempts": [attempt.model_dump(mode="json") for attempt in provenance.attempts],
        },
    }


def _describe_draw(judged: Judged) -> dict[str, Any] | None:
    """Describe the draw of a run's seeds from a beacon's round; None if they follow from its registration alone."""
    drawn = judged.trail.index().body(judged.run.body.seeded or "")
    if not isinstance(drawn, SeededBody):
        return None
    registration = ledger.find_registration_of(judged.trail.index(), judged.run)
    return {
        "event": judged.run.body.seeded,
        "beacon": registration.beacon,
        "record": {"sha256": drawn.record},
        "value": drawn.value,
        "time": drawn.time,
        "form": {"sha256": drawn.form},
        "derivation": drawn.derivation,
    }


def _describe_search(judged: Judged) -> dict[str, Any] | None:
    """Describe the search for the settings of a run's arms, and what it chose; None if nothing was tuned."""
    tuned = judged.trail.index().tuned(judged.run.digest)
    if tuned is None:
        return None
    return {"event": tuned.digest, "results": {"sha256": tuned.body.search}, "chosen": tuned.body.chosen}
