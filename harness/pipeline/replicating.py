"""A run trained again on this machine, and held against what it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Literal

from harness import inference, ledger, plan
from harness.errors import DeviationRefused
from harness.ledger import Ledger
from harness.pipeline.growing import joined
from harness.pipeline.project import Reporter, Settings, refuse_altered, registered_for, run_folder, stored
from harness.pipeline.steps import measured, open_device_and_data, planned_on, train
from harness.records import Measurements


@dataclass(frozen=True)
class Replication:
    """What a rerun came to."""

    hypothesis: str
    run: str
    expected: Literal["bits", "statistics"]
    agreement: Literal["bits", "statistics", "none"]
    circumstances: tuple[str, ...]
    """Why not the same bits were expected, one sentence each."""
    differences: tuple[str, ...]
    outcome: str
    head: str
    """The ledger's head afterwards."""

    @property
    def holds(self) -> bool:
        """Whether what was promised was found."""
        return self.agreement == "bits" or (self.agreement == "statistics" and self.expected == "statistics")


def replicate(name: str, verdicts: Path, settings: Settings, reporter: Reporter, *, record: bool = True) -> Replication:
    """Train a judged run again from its registered file and seeds, and compare within the registered tolerance.

    On the same device, plan, code and packages the promise is the same results.json to the bit; elsewhere it is what
    ``replication`` says in the hypothesis. ``record``: enter a ``replicated`` event, whatever came out.

    Raises:
        UsageError: no such verdict, or its data are not to be had.
        DeviationRefused: the data here are not those of the run.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        Tampered: the run's files are not those that the ledger names.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, name)
    hypothesis_id, run = str(started.body["hypothesis"]), ledger.run_name(started.digest)
    files = ledger.recorded_files(trail, started.digest)
    refuse_altered(run_folder(trail, started), {"results.json": files["results.json"]})
    before = Measurements.model_validate_json(stored(run_folder(trail, started) / "results.json"))
    registered = registered_for(trail, started)
    hypothesis = registered.hypothesis
    place = verdicts.parent.resolve() / verdicts.name  # a trail that is a link belongs where the link stands
    root = place.parent  # the project, and with it data/
    device, images = open_device_and_data(hypothesis, place, settings, reporter)
    for data, used in before.data.items():
        if images[data].fingerprint != used.fingerprint:
            raise DeviationRefused(
                f"the data of {data} here are not those of run {run}: {used.fingerprint[:12]} there, "
                f"{images[data].fingerprint[:12]} here",
                where=run,
                remedy="give the same data with --data; on other data it would be another experiment",
            )
    planned = planned_on(device, hypothesis, registered.seeds, registered.registration)
    now = {
        "plan": planned.digest,
        "device": device.name,
        "arithmetic": dict(device.arithmetic),
        "environment": ledger.environment(root).model_dump(mode="json"),
    }
    circumstances = ledger.changes(started.body, now, ("device", "plan"))
    folder = trail.root / hypothesis_id / f"replicating-{run}"
    with ledger.one_at_a_time(trail, hypothesis_id):
        # Look by look, as the run was trained, and no further than the look that ended it.
        stages = plan.stages(planned, hypothesis.looks)
        taken = [part for seeds, part in zip(hypothesis.looks, stages, strict=True) if seeds <= len(before.seeds)]
        result = joined([train(part, images, device, folder, settings, reporter)[0] for part in taken])
        # The same arrays, as was seen above, whatever files they were in here.
        again = measured(registered, images, result, seeds=before.seeds).model_copy(update={"data": before.data})
        results = again.to_json().encode()
        decision = inference.decide(hypothesis, again)
        differences: tuple[str, ...] = ()
        agreement: Literal["bits", "statistics", "none"] = "bits"
        if hashlib.sha256(results).hexdigest() != files["results.json"]:
            differences = inference.list_disagreements(
                inference.decide(hypothesis, before), decision, hypothesis.replication.level
            )
            agreement = "none" if differences else "statistics"
        reporter.heed()
        if record:
            digest = files["results.json"] if agreement == "bits" else trail.store_object(results)
            body = {
                "run": started.digest,
                "expected": "statistics" if circumstances else "bits",
                "agreement": agreement,
                "circumstances": circumstances,
                "differences": differences,
                "outcome": decision.outcome,
                "results": digest,
                **now,
            }
            trail.append("replicated", body)
        rmtree(folder, ignore_errors=True)
    return Replication(
        hypothesis=hypothesis_id,
        run=run,
        expected="statistics" if circumstances else "bits",
        agreement=agreement,
        circumstances=circumstances,
        differences=differences,
        outcome=decision.outcome,
        head=trail.heads()[0],
    )
