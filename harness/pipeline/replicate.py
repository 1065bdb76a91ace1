"""A run trained again on this machine, and held against what it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from shutil import rmtree
from typing import Literal

from harness import inference, ledger, plan
from harness.errors import DeviationRefused
from harness.ledger import StartedRun
from harness.ledger.bodies import ReplicatedBody
from harness.pipeline.run_files import read_file, read_registered, refuse_altered
from harness.pipeline.run_steps import Equipment, collect_measurements, make_plan, open_equipment, train
from harness.pipeline.sequential import join_results
from harness.pipeline.session import Session
from harness.records import Measurements, Plan, Registered


@dataclass(frozen=True)
class Replication:
    """The outcome of a rerun."""

    hypothesis: str
    """The hypothesis's id."""
    run: str
    """The run's short name."""
    expected: Literal["bits", "statistics"]
    """The promise on this machine."""
    agreement: Literal["bits", "statistics", "none"]
    """The agreement that was found."""
    circumstances: tuple[str, ...]
    """Reasons that the same bits were not expected, one sentence each."""
    differences: tuple[str, ...]
    """Differences in what came out, one sentence each."""
    outcome: str
    """The outcome that the rerun's results give."""
    head: str
    """The ledger's head afterwards."""

    @property
    def holds(self) -> bool:
        """Tell whether what was promised was found."""
        return self.agreement == "bits" or (self.agreement == "statistics" and self.expected == "statistics")


def replicate_run(name: str, session: Session, *, record: bool = True) -> Replication:
    """Train a judged run again from its registered file and seeds, and compare within the registered tolerance.

    On the same device, plan, code and packages the promise is the same results.json to the bit; elsewhere it is what
    ``replication`` says in the hypothesis. ``record``: enter a ``replicated`` event, whatever came out.

    Raises:
        UsageError: no such verdict, or its data are not to be had.
        DeviationRefused: the data here are not those of the run.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        Tampered: the run's files are not those that the ledger names.
    """
    trail = session.trail
    run = ledger.find_judged(trail, name)
    recorded = ledger.list_recorded_files(trail, run.digest)["results.json"]
    refuse_altered(trail.root / run.folder, {"results.json": recorded})
    before = Measurements.model_validate_json(read_file(trail.root / run.folder / "results.json"))
    registered = read_registered(trail, run)
    equipment = open_equipment(registered.hypothesis, session)
    refuse_other_data(run, before, equipment)
    planned = make_plan(equipment.device, registered.hypothesis, registered.seeds, registered.registration)
    behind = ledger.find_modules_behind(registered.hypothesis)
    environment = ledger.describe_environment(trail.root.parent.resolve(), behind)  # of the project whose trail it is
    folder = trail.root / run.hypothesis / f"replicating-{run.name}"
    with ledger.lock_hypothesis(trail, run.hypothesis):
        again = _train_again(planned, registered, before, equipment, folder.name, session)
        results = again.to_json().encode()
        agreement, differences, outcome = _compare(registered, before, again, recorded)
        session.reporter.heed()
        body = ReplicatedBody(
            run=run.digest,
            expected="bits",
            agreement=agreement,
            differences=differences,
            outcome=outcome,
            results=hashlib.sha256(results).hexdigest() if agreement != "bits" else recorded,
            plan=planned.digest,
            environment=environment,
            device=equipment.device.name,
            arithmetic=dict(equipment.device.arithmetic),
        )
        circumstances = ledger.list_rerun_changes(run.body, body)
        expected: Literal["bits", "statistics"] = "statistics" if circumstances else "bits"
        if record:
            if agreement != "bits":
                trail.store_object(results)
            trail.record(body.model_copy(update={"circumstances": circumstances, "expected": expected}))
        rmtree(folder, ignore_errors=True)
    return Replication(
        hypothesis=run.hypothesis,
        run=run.name,
        expected=expected,
        agreement=agreement,
        circumstances=circumstances,
        differences=differences,
        outcome=outcome,
        head=trail.heads()[0],
    )


def refuse_other_data(run: StartedRun, before: Measurements, equipment: Equipment) -> None:
    """Refuse other data than a run's.

    Raises:
        DeviationRefused: a data set here has another fingerprint.
    """
    for data, used in before.data.items():
        here = equipment.images[data].fingerprint
        if here != used.fingerprint:
            raise DeviationRefused(
                f"the data of {data} here are not those of run {run.name}: {used.fingerprint[:12]} there, "
                f"{here[:12]} here",
                where=run.name,
                remedy="give the same data with --data; on other data it would be another experiment",
            )


def _train_again(
    planned: Plan, registered: Registered, before: Measurements, equipment: Equipment, work: str, session: Session
) -> Measurements:
    """Train look by look, as the run was trained, and no further than the look that ended it; ``work``: a folder of
    the hypothesis, by its name.
    """
    hypothesis = registered.hypothesis
    folder = session.trail.root / hypothesis.id / work
    stages = plan.split_by_look(planned, hypothesis.looks)
    taken = [part for seeds, part in zip(hypothesis.looks, stages, strict=True) if seeds <= len(before.seeds)]
    result = join_results([train(part, equipment, folder, session)[0] for part in taken])
    # The same arrays, as was seen before, whatever files they were in here.
    again = collect_measurements(registered, equipment.images, result, seeds=before.seeds)
    return again.model_copy(update={"data": before.data})


def _compare(
    registered: Registered, before: Measurements, again: Measurements, recorded: str
) -> tuple[Literal["bits", "statistics", "none"], tuple[str, ...], str]:
    """Return how far a rerun agrees, what differs, and its outcome; ``recorded``: the digest of the run's results."""
    hypothesis = registered.hypothesis
    decision = inference.decide(hypothesis, again)
    if hashlib.sha256(again.to_json().encode()).hexdigest() == recorded:
        return "bits", (), decision.outcome
    first = inference.decide(hypothesis, before)
    differences = inference.list_disagreements(first, decision, hypothesis.replication.level)
    return "none" if differences else "statistics", differences, decision.outcome
