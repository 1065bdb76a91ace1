"""A run with all attempts at its hypothesis as an RO-Crate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness import ledger
from harness.exporters import Exporter, refuse_taken
from harness.exporters._judged import Judged, read_judged
from harness.ledger import Ledger, StartedRun
from harness.ledger.bodies import SeededBody
from harness.pipeline.tuning import SEARCH
from harness.records import Attempt
from harness.system.storage import written_whole

if TYPE_CHECKING:
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
STATUS = {"finished": "Completed", "failed": "Failed", "aborted": "Failed", "open": "Active"}
"""Attempt's status → schema.org's."""


class RoCrate(Exporter):
    """An RO-Crate: the run's files, its registration, the whole ledger, and all attempts, failed ones included.

    ``harness reverdict RUN --verdicts OUT/verdicts`` works in it.
    Source: RO-Crate 1.1, doi:10.5281/zenodo.4031327, with the profile Process Run Crate 0.5.
    """

    about: ClassVar[str] = "the run with all attempts and the ledger (a folder)"
    extra: ClassVar[str | None] = "crate"

    def write(self, name: str, trail: Ledger, out: Path) -> tuple[Path, ...]:
        """Write the crate to a folder."""
        try:
            from rocrate.rocrate import ROCrate
        except ImportError:
            raise self.refuse_missing("rocrate") from None
        judged = read_judged(name, trail)
        refuse_taken(out)
        crate = ROCrate(version="1.1")
        _fill(crate, judged)
        out.mkdir(parents=True)
        with written_whole(lambda: [out]):
            crate.write(out)
        return (out,)


exporter = RoCrate()


def _fill(crate: ROCrate, judged: Judged) -> None:
    """Put everything that there is about a run into a crate."""
    from rocrate.model import ContextEntity, Person, SoftwareApplication

    hypothesis = judged.registered.hypothesis
    crate.name = hypothesis.title
    crate.description = f"Pre-registered test of {hypothesis.id}: {judged.verdict.body.outcome}. {hypothesis.question}"
    crate.datePublished = judged.verdict.claimed_time
    crate.root_dataset.append_to(
        "conformsTo",
        crate.add(ContextEntity(crate, PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate"})),
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
        own = start.digest == judged.run.digest
        action = crate.add_action(
            program,
            f"#run-{attempt.run}",
            object=[registered, *(crate.add(one) for one in _list_chosen(crate, judged) if own)],
            result=results if own else [],
            properties=_describe_action(
                attempt, next((end.claimed_time for end in index.closings(start.digest)), None)
            ),
        )
        action["agent"] = people[start.event.actor]


def _list_chosen(crate: ROCrate, judged: Judged) -> Iterator[ContextEntity]:
    """Yield the settings that a run's search chose, as values of the parameters that stand in search.json's arms."""
    from rocrate.model import ContextEntity

    tuned = judged.trail.index().tuned(judged.run.digest)
    for arm, values in tuned.body.chosen.items() if tuned is not None else ():
        for path, value in values.items():
            about = {"@type": "PropertyValue", "name": f"{path} of arm {arm}, as the search chose", "value": value}
            yield ContextEntity(crate, f"#chosen-{arm}-{path}", about)


def _list_needed(judged: Judged) -> list[Path]:
    """List all events, what is needed to judge the run again, and the run's own files."""
    trail = judged.trail
    registration = ledger.find_registration_of(trail.index(), judged.run)
    pinned = judged.run.body.pins.templates.values()
    objects = {judged.run.body.raw, registration.raw, registration.canonical, registration.claims, *pinned}
    for draw in trail.index().of(judged.run.hypothesis, SeededBody):
        objects |= {draw.body.record, draw.body.form}
    for digest in objects:
        trail.read_object(digest)  # it is there, and what its name says
    return [
        *(trail.folder / f"{event.digest}.json" for event in trail.events()),
        *(trail.root / "objects" / "sha256" / digest for digest in sorted(objects)),
        *(trail.root / judged.run.folder / file for file in sorted(judged.files)),
    ]


def _describe_file(path: Path) -> dict[str, str]:
    if path.name == SEARCH:
        told = "What every candidate of the search for the settings of arms came to, in the form of results.json."
        return {"name": path.name, "description": told, "encodingFormat": "application/json"}
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
