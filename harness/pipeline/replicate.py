"""A run trained again, and held against what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Literal

from harness import inference, ledger, plan
from harness.domain.tuning import apply_choices
from harness.errors import DeviationRefused
from harness.ledger import Environment, StartedRun
from harness.ledger.bodies import RunStartedBody
from harness.ledger.rerun_bodies import ReplicatedBody
from harness.pipeline.run_files import read_file, read_registered, refuse_altered
from harness.pipeline.run_steps import Equipment, collect_measurements, open_equipment, plan_registered, train
from harness.pipeline.session import Session
from harness.pipeline.stages import join_results
from harness.pipeline.together import read_company
from harness.pipeline.tuning import SEARCH, make_whole_plan, train_search
from harness.plugins.distributions import describe_packages
from harness.records import Decision, Hypothesis, Measurements, Plan, Registered, Search
from harness.records.base import write_canonical

Measured = tuple[Measurements, Measurements | None]
"""The content of results.json and, of a tuned run, of search.json."""
FILES = ("results.json", SEARCH)


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
        LaunchFailed: as ``run_hypothesis``.
        Tampered: the run's files are not those that the ledger names.
    """
    trail = session.trail
    run = ledger.find_judged(trail, name)
    recorded = ledger.list_recorded_files(trail, run.digest)
    first, registered = _read_first(trail.root / run.folder, recorded), read_registered(trail, run)
    equipment = open_equipment(registered.hypothesis, session, run.body.pins.program)
    equipment = replace(equipment, company=read_company(trail, run.body.together))
    refuse_other_data(run, first[0], equipment)
    fixed = registered.hypothesis, registered.seeds, registered.registration
    planned = make_whole_plan(equipment.device, *fixed, sources=equipment.sources, company=equipment.company)
    behind = ledger.find_modules_behind(registered.hypothesis)
    environment = ledger.describe_environment(trail.root.parent.resolve(), behind)  # of the project whose trail it is
    kind = f"replicating-{run.name}"
    folder = trail.root / run.hypothesis / name_working_folder(kind, planned, equipment, environment, behind)
    with ledger.lock_hypothesis(trail, run.hypothesis):
        again = _train_again(registered, first, equipment, folder.name, session)
        files = {name: trained.to_json().encode() for name, trained in zip(FILES, again, strict=True) if trained}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        same = all(recorded[file] == digest for file, digest in digests.items())
        agreement, differences, outcome = compare_rerun(registered, first, again, same=same)
        session.reporter.heed()
        body = ReplicatedBody(
            run=run.digest,
            expected="bits",
            agreement=agreement,
            differences=differences,
            outcome=outcome,
            results=digests["results.json"],
            search=digests.get(SEARCH),
            plan=planned.digest,
            environment=environment,
            device=equipment.device.name,
            arithmetic=dict(equipment.device.arithmetic),
        )
        circumstances = list_circumstances(registered.hypothesis, run.body, body)
        expected: Literal["bits", "statistics"] = "statistics" if circumstances else "bits"
        if record:
            for data in (files[file] for file, digest in digests.items() if digest != recorded[file]):
                trail.store_object(data)
            trail.record(body.model_copy(update={"circumstances": circumstances, "expected": expected}))
        remove_working_folder(folder, kind, equipment)
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


def name_working_folder(
    kind: str, planned: Plan, equipment: Equipment, environment: Environment, behind: Collection[str]
) -> str:
    """Name the folder in which a run is trained again, by all that its bits depend on.

    Cohorts that another device, or other code, has sealed are never taken for this one's: an interrupted rerun goes on
    only where it began.

    ``behind``: other people's modules that the run uses, whatever else this process has loaded.
    """
    told = {
        "plan": planned.digest,
        "device": equipment.device.name,
        "arithmetic": dict(equipment.device.arithmetic),
        "code": environment.code,
        "python": environment.python,
        "packages": environment.packages,
        "foreign": {name: package.model_dump() for name, package in describe_packages(behind).items()},
    }
    return f"{kind}-{hashlib.sha256(write_canonical(told).encode()).hexdigest()[:8]}"


def remove_working_folder(folder: Path, kind: str, equipment: Equipment) -> None:
    """Remove what a rerun worked with, and what an earlier version of harness left of one."""
    for done in (folder, folder.with_name(kind)):
        rmtree(done, ignore_errors=True)
        equipment.remove_jobs(done)


def list_circumstances(hypothesis: Hypothesis, before: RunStartedBody, now: ReplicatedBody) -> tuple[str, ...]:
    """List why a rerun need not give the same bits, one sentence each: what differs, or a program promises none."""
    changes = ledger.list_rerun_changes(before, now)
    if before.linked is not None:
        changes = ("the run was made outside harness", *changes)
    if hypothesis.program is not None and not hypothesis.program.deterministic:
        return (*changes, "its program does not promise the same results to the byte")
    return changes


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


def _read_first(folder: Path, recorded: Mapping[str, str]) -> Measured:
    """Read what a run measured, of files that are as the ledger names them."""
    named = {name: recorded[name] for name in FILES if name in recorded}
    refuse_altered(folder, named)
    found = [Measurements.model_validate_json(read_file(folder / name)) if name in named else None for name in FILES]
    assert found[0] is not None, "a judged run has results"
    return found[0], found[1]


def _train_again(
    registered: Registered, first: Measured, equipment: Equipment, work: str, session: Session
) -> Measured:
    """Train look by look, as the run was trained, and no further than the look that ended it.

    ``work``: a folder of the hypothesis, by its name.
    """
    folder = session.trail.root / registered.hypothesis.id / work
    (before, _), searched = first, None
    if (tuned := train_search(registered, equipment, folder, session)) is not None:
        registered, searched = tuned.registered, tuned.measurements
    hypothesis = registered.hypothesis
    stages = plan.split_by_look(plan_registered(registered, equipment), hypothesis.looks)
    taken = [part for seeds, part in zip(hypothesis.looks, stages, strict=True) if seeds <= len(before.seeds)]
    result = join_results([train(part, equipment, folder, session)[0] for part in taken])
    # The same arrays, as was seen before, whatever files they were in here.
    again = collect_measurements(registered, equipment.images, result, seeds=before.seeds)
    again = _take_over_raw(before, again.model_copy(update={"data": before.data}))
    if searched is None or first[1] is None:
        return again, searched
    return again, _take_over_raw(first[1], searched.model_copy(update={"data": first[1].data}))


def _take_over_raw(before: Measurements, again: Measurements) -> Measurements:
    """Return a rerun's measurements with the run's own digests of results files, where what was read is the same.

    A program may write the time into its file, say, which is no measurement.
    """
    known = {(one.arm, one.seed_index): one.raw for one in before.replicas}
    replicas = []
    for one in again.replicas:
        taken = one.model_copy(update={"raw": known.get((one.arm, one.seed_index))})
        replicas.append(taken if taken in before.replicas else one)
    return again.model_copy(update={"replicas": tuple(replicas)})


def compare_rerun(
    registered: Registered, first: Measured, again: Measured, *, same: bool
) -> tuple[Literal["bits", "statistics", "none"], tuple[str, ...], str]:
    """Return how far a rerun agrees, what differs, and its outcome; ``same``: all files have the run's digests."""
    level = registered.hypothesis.replication.level
    (before, searched), (now, searched_again) = ((_judge(registered.hypothesis, one)) for one in (first, again))
    if same:
        return "bits", (), now.outcome
    differences = inference.list_disagreements(before, now, level)
    differences = (*inference.list_search_disagreements(searched, searched_again, level), *differences)
    return "none" if differences else "statistics", differences, now.outcome


def _judge(hypothesis: Hypothesis, measured: Measured) -> tuple[Decision, Search | None]:
    """Return the decision on a hypothesis, of tuned arms as they were chosen, and the search."""
    results, searched = measured
    if searched is None:
        return inference.decide(hypothesis, results), None
    search = inference.choose(hypothesis, searched)
    return inference.decide(apply_choices(hypothesis, search.choices), results), search
