"""A verdict as an in-toto statement, a run as an RO-Crate: for people and programs that don't know harness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ledger
from harness.errors import UsageError
from harness.ledger import Entry, Ledger, StartedRun
from harness.ledger.bodies import VerdictBody
from harness.pipeline.run_files import read_file, read_registered, refuse_altered
from harness.records import Attempt, Provenance, Registered
from harness.records.base import write_canonical
from harness.system.storage import write_atomic

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:harness:verdict:v1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
STATUS = {"finished": "Completed", "failed": "Failed", "aborted": "Failed", "open": "Active"}
"""Attempt's status → schema.org's."""


@dataclass(frozen=True)
class Judged:
    """A run with its verdict, its files checked against the ledger."""

    trail: Ledger
    run: StartedRun
    verdict: Entry[VerdictBody]
    registered: Registered
    provenance: Provenance
    files: dict[str, str]
    """File below the run's folder → digest."""


def export_statement(name: str, trail: Ledger, out: Path) -> None:
    """Write a verdict as an in-toto Statement v1: its files as subjects, what it says as the predicate.

    It is not signed: sign the file, or wrap it in an envelope, with whatever the receiver trusts.
    Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

    Raises:
        UsageError: nothing of that name was judged, or ``out`` is there already.
        Tampered: the run's files are not those that the ledger names.
    """
    judged = _read_judged(name, trail)
    _refuse_taken(out)
    write_atomic(out, write_canonical(write_statement(judged)).encode())


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
            "device": body.device,
            "arithmetic": body.arithmetic,
            "started": run.claimed_time,
            "judged": judged.verdict.claimed_time,
            "deviations": body.deviations,
            "attempts": [attempt.model_dump(mode="json") for attempt in provenance.attempts],
        },
    }


def export_crate(name: str, trail: Ledger, out: Path) -> None:
    """Write a run as an RO-Crate (extra ``crate``): its files, its registration, the whole ledger, and every attempt
    at its hypothesis as an action, failed ones included. ``harness reverdict RUN --verdicts OUT/verdicts`` works in it.

    Source: RO-Crate 1.1, doi:10.5281/zenodo.4031327, with the profile Process Run Crate 0.5.

    Raises:
        UsageError: rocrate is not installed, nothing of that name was judged, or ``out`` is there already.
        Tampered: the run's files are not those that the ledger names.
    """
    try:
        from rocrate.model import ContextEntity, Person, SoftwareApplication
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise UsageError(
            "rocrate is not installed", where="--as", remedy="pip install 'prereg-harness[crate]'"
        ) from None
    judged = _read_judged(name, trail)
    _refuse_taken(out)
    hypothesis = judged.registered.hypothesis
    crate = ROCrate(version="1.1")
    crate.name = hypothesis.title
    crate.description = f"Pre-registered test of {hypothesis.id}: {judged.verdict.body.outcome}. {hypothesis.question}"
    crate.datePublished = judged.verdict.claimed_time
    crate.root_dataset.append_to(
        "conformsTo", crate.add(ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate"}))
    )
    for path in _list_needed(judged):
        crate.add_file(
            path, f"verdicts/{path.relative_to(judged.trail.root).as_posix()}", properties=_describe_file(path)
        )
    results = [crate.get(f"verdicts/{judged.run.folder}/{file}") for file in sorted(judged.files)]
    registered = crate.get(f"verdicts/objects/sha256/{judged.run.body.raw}")
    program = crate.add(
        SoftwareApplication(crate, "#harness", {"name": "harness", "softwareVersion": judged.provenance.harness})
    )
    index = judged.trail.index()
    agents = sorted({event.actor for event in index.events})
    people = {actor: crate.add(Person(crate, f"#agent-{n}", {"name": actor})) for n, actor in enumerate(agents)}
    started: dict[str, StartedRun] = {start.name: start for start in index.starts()}
    for attempt in ledger.list_attempts(judged.trail, hypothesis.id):
        if attempt.status == "pilot":
            continue
        start = started[attempt.run]
        action = crate.add_action(
            program,
            f"#run-{attempt.run}",
            object=[registered],
            result=results if start.digest == judged.run.digest else [],
            properties=_describe_action(
                attempt, next((end.claimed_time for end in index.closings(start.digest)), None)
            ),
        )
        action["agent"] = people[start.event.actor]
    out.mkdir(parents=True)
    crate.write(out)


def _read_judged(name: str, trail: Ledger) -> Judged:
    run = ledger.find_judged(trail, name)
    verdict = trail.index().verdict(run.digest)
    assert verdict is not None  # it was found by it
    folder, files = trail.root / run.folder, dict(verdict.body.files)
    refuse_altered(folder, files)
    return Judged(
        trail=trail,
        run=run,
        verdict=verdict,
        registered=read_registered(trail, run),
        provenance=Provenance.model_validate_json(read_file(folder / "env.json")),
        files=files,
    )


def _list_needed(judged: Judged) -> list[Path]:
    """List all events, what is needed to judge the run again, and the run's own files."""
    trail = judged.trail
    registration = ledger.find_registration_of(trail.index(), judged.run)
    pinned = judged.run.body.pins.templates.values()
    objects = {judged.run.body.raw, registration.raw, registration.canonical, registration.claims, *pinned}
    for digest in objects:
        trail.read_object(digest)  # it is there, and what its name says
    return [
        *(trail.folder / f"{event.digest}.json" for event in trail.events()),
        *(trail.root / "objects" / "sha256" / digest for digest in sorted(objects)),
        *(trail.root / judged.run.folder / file for file in sorted(judged.files)),
    ]


def _describe_file(path: Path) -> dict[str, str]:
    kinds = {".json": "application/json", ".md": "text/markdown", ".svg": "image/svg+xml"}
    return {"name": path.name, "encodingFormat": kinds.get(path.suffix, "text/plain")}


def _describe_action(attempt: Attempt, ended: str | None) -> dict[str, str]:
    about = {
        "name": f"run {attempt.run}" + (f": {attempt.outcome}" if attempt.outcome else f", {attempt.status}"),
        "actionStatus": f"http://schema.org/{STATUS[attempt.status]}ActionStatus",
        "startTime": attempt.started,
    }
    if ended is not None:
        about["endTime"] = ended
    if attempt.reason is not None:
        about["error"] = attempt.reason
    return about


def _refuse_taken(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise UsageError("there is something already", where=str(out), remedy="name a path that is free")
