"""A judged run with its verdict's event: what a statement and a crate are made from."""

from __future__ import annotations

from dataclasses import dataclass

from harness import ledger
from harness.ledger import Entry, Ledger, StartedRun
from harness.ledger.bodies import VerdictBody
from harness.pipeline.run_files import read_file, read_registered, refuse_altered
from harness.records import Provenance, Registered


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


def read_judged(name: str, trail: Ledger) -> Judged:
    """Read the run of the last verdict on a hypothesis, or the judged run whose first digits are ``name``.

    Raises:
        UsageError: nothing of that name was judged.
        Tampered: the run's files are not those that the ledger names.
    """
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
