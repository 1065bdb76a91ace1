"""The steps of a run, one function each; ``run`` puts them in order."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from harness import ledger, plan, spec
from harness.errors import DeviationRefused, HarnessError, Interrupted, UsageError
from harness.ledger import Environment, Ledger, Pins, Registration
from harness.ledger.seeding import explain_known
from harness.pipeline.project import Settings, find_surroundings
from harness.pipeline.session import Session
from harness.plugins.distributions import Package, describe_packages, list_modules
from harness.records import (
    PROCESSOR_COHORT,
    DataRecord,
    Hypothesis,
    Measurements,
    Plan,
    Registered,
)
from harness.system.processes import start_server
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.datasets import Dataset, Images
    from harness.training import Device, Result


LAYOUT = "only comments or layout differ from the registered file: the meaning is the same"


@dataclass(frozen=True)
class Equipment:
    """Whatever trains, and what it trains on."""

    device: Device
    """The device."""
    images: Mapping[str, Images]
    """Every data set of every arm, by name."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return data set → SHA-256 over its arrays."""
        return {name: data.fingerprint for name, data in self.images.items()}


class Circumstances(TypedDict):
    """The fields of a provenance that a pilot has too."""

    commit: str | None
    no_commit: str | None
    of_commit: bool | None
    dirty: bool | None
    dirty_digest: str | None
    harness: str
    code: str
    packages: dict[str, str]
    loaded: dict[str, Package]
    python: str
    platform: str
    device: str
    arithmetic: dict[str, str]
    data_notes: dict[str, tuple[str, ...]]
    command: str
    durations: dict[str, float]
    weights: dict[str, str]
    cohorts: tuple[int, ...]
    finished: str


def find_or_register(
    loaded: spec.Loaded, pins: Pins, fingerprints: Mapping[str, str], session: Session
) -> Registration:
    """Find the hypothesis's registration; make it now, before any training, if there is none.

    Raises:
        UsageError: there is none, and the settings require one.
    """
    hypothesis, trail, reporter = loaded.hypothesis, session.trail, session.reporter
    found = ledger.find_in_force(trail, hypothesis.id)
    if found is None:
        if session.settings.require_registered:
            raise UsageError(
                "this hypothesis is not registered",
                where=str(loaded.path),
                remedy="register it first: harness register FILE",
            )
        reporter.heed()
        ledger.register(trail, loaded.raw, loaded.claims_raw, hypothesis, pins, fingerprints)
        found = ledger.find_in_force(trail, hypothesis.id)
        assert found is not None
        reporter.say(f"registered {hypothesis.id} as {found.digest[:12]}, before any training")
    return found


def look_around(loaded: spec.Loaded, session: Session) -> None:
    """Before anything is entered, say what keeps git from carrying the trail, and refuse a second registration.

    One that is registered here is refused if another trail of the project holds an earlier registration of it.
    ``ledger.lock_project`` is to be held from here until the registration is entered.

    Raises:
        UsageError: another trail of the project, or git, holds a registration that this one does not, or nobody would
            look for one in this trail.
    """
    trail = session.trail
    for hindrance in ledger.find_hindrances(trail.root):
        session.reporter.say(f"{hindrance.what}\n    → {hindrance.remedy}")
    name, found = loaded.hypothesis.id, ledger.find_registration(trail, loaded.hypothesis.id)
    around = find_surroundings(loaded.path, trail.root, session.settings)
    if found is None:
        sentences = ledger.refuse_second(around, name)
    else:
        sentences = ledger.refuse_later(around, name, found.digest, found.claimed_time)
    for sentence in sentences:
        session.reporter.say(sentence)


def describe_deviation(line: str) -> str:
    """Write what is said of a deviation before anything trains."""
    return f"this run deviates: {line}"


def refuse_changes(
    registration: Registration, loaded: spec.Loaded, trail: Ledger, pins: Pins
) -> ledger.CodeDifferences:
    """Refuse a file whose meaning is not the registered one; name what differs in the code."""
    for digest in (registration.raw, registration.canonical, registration.claims):
        trail.read_object(digest)  # before anything is stored in a trail that isn't what was written
    refuse_other_seeds(registration, loaded)
    comparison = ledger.compare(registration, loaded.hypothesis, loaded.raw, pins, trail)
    if comparison.status == "changed":
        runs = [attempt for attempt in ledger.list_attempts(trail, loaded.hypothesis.id) if attempt.status != "pilot"]
        known = explain_known(trail.index(), registration.digest, (None, datetime.now(UTC)))
        when = f"after run {runs[0].run} started" if runs else known or "before any run"
        raise DeviationRefused(
            f"{loaded.hypothesis.id} was changed after its registration of {registration.claimed_time}:\n    "
            + "\n    ".join(f"{difference}, {when}" for difference in comparison.differences),
            where=str(loaded.path),
            remedy="undo the change; or enter it with harness amend FILE --reason …"
            + (", and every verdict from then on says that it deviates" if runs or known else "")
            + "; or ask the changed question under a new id",
        )
    return comparison.code


def refuse_other_seeds(registration: Registration, loaded: spec.Loaded) -> None:
    """Refuse more or fewer seeds than were registered: whoever may add seeds at will stops when the outcome pleases.

    Raises:
        DeviationRefused: the file asks for another number.
    """
    before, now = registration.number, loaded.hypothesis.seeds.number
    if before == now:
        return
    change = "adding" if now > before else "dropping"
    raise DeviationRefused(
        f"{loaded.hypothesis.id} was registered with {format_count(before, 'seed')} on "
        f"{registration.claimed_time}, and the file now asks for {now}: {change} seeds outside the declared "
        "stopping rule is refused, because who may choose when to stop can stop when the outcome pleases",
        where=str(loaded.path),
        remedy=f"go back to {format_count(before, 'seed')}; while nothing was run, harness amend FILE --reason … "
        f"changes them; after that, to use {now}, make a fresh registration under a new id, which has fresh "
        "seeds, and declare looks in 'stopping' if their number should depend on the data",
    )


def list_amended(trail: Ledger, hypothesis: str, *, late: bool) -> tuple[str, ...]:
    """List what amendments changed that are not provably before every run (``late``), or that are."""
    found = ledger.list_amendments(trail.index(), hypothesis)
    return tuple(line for amendment in found if amendment.deviates == late for line in amendment.lines)


def list_changed_claims(registration: Registration, loaded: spec.Loaded, trail: Ledger) -> tuple[str, ...]:
    """List the registered claims that were changed since, one sentence each; new ones are fine.

    Raises:
        Tampered: the registered claims are missing from the ledger's objects, or were changed there.
    """
    known = spec.parse_claims(trail.read_object(registration.claims))
    changed = [name for name, claim in known.claims.items() if loaded.claims.claims.get(name) != claim]
    told = "was changed after the registration; its registered form is used"
    return tuple(f"the claim {name} {told}" for name in changed)


def open_equipment(hypothesis: Hypothesis, session: Session) -> Equipment:
    """Open the device, and load every data set of every arm once.

    Raises:
        UsageError: there is no such device, data are missing, or an option has no effect.
    """
    project, settings, reporter = session.project, session.settings, session.reporter
    sets = collect_data_sets(hypothesis, settings)
    several = 2 * len(hypothesis.arms) * hypothesis.seeds.number >= PROCESSOR_COHORT
    if several and project.device in ("auto", "cpu") and (os.cpu_count() or 1) > 1:
        with suppress(OSError, EOFError):  # it is said where processes are to start
            start_server()  # before PyTorch is imported here, so that both imports run at a time
    from harness import training
    from harness.datasets import recognise

    device = training.open_device(project.device, settings.compile)
    if "compile" in settings.typed and not device.is_cuda:
        message = f"has no effect on {device.name}: only a card's programs are compiled"
        raise UsageError(message, where="--compile", remedy="leave it out")
    images = {name: recognise(dataset, dataset.load(project.data, reporter.say)) for name, dataset in sets.items()}
    reporter.heed()
    return Equipment(device, images)


def collect_data_sets(hypothesis: Hypothesis, settings: Settings) -> dict[str, Dataset]:
    """Collect the data sets of all arms, by name.

    Raises:
        UsageError: a data folder was given, and none of them reads one.
    """
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in hypothesis.arms.values()}
    if "data" in settings.typed and all(dataset.bundled for dataset in sets.values()):
        message = f"has no effect: no folder is read for {', '.join(sorted(sets))}, which comes with a package"
        raise UsageError(message, where="--data", remedy="leave it out")
    return sets


def locate_with_doubt(dataset: Dataset, root: Path) -> str:
    """Say where a data set would be loaded from, and why a verdict would not call it the official files, if so.

    A file that can't be read is named by whoever loads it.
    """
    place = dataset.locate(root)
    try:
        doubt = dataset.doubt(root)
    except UsageError as error:
        doubt = error.message
    return place if doubt is None else f"{place}; {doubt}"


def make_plan(device: Device, hypothesis: Hypothesis, seeds: tuple[int, ...], registration: str = "") -> Plan:
    """Make the plan of a hypothesis on a device: what it holds and how it calculates decide what trains together."""
    from harness.training import takes_kernels

    return plan.expand(
        hypothesis,
        seeds,
        registration=registration,
        memory_bytes=device.memory_bytes,
        on_kernels=takes_kernels(device),
        largest=device.largest_cohort,
        prefer_even_cohorts=device.prefer_even_cohorts,
    )


def list_data_deviations(registered: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """List the data sets whose bytes are not those of the registration, one sentence each."""
    return tuple(
        f"the data of {name} differ from those at registration: {registered[name][:12]} → {fingerprint[:12]}"
        for name, fingerprint in now.items()
        if registered.get(name, fingerprint) != fingerprint
    )


def train(planned: Plan, equipment: Equipment, folder: Path, session: Session) -> tuple[Result, float]:
    """Train the plan, or the rest of it, in a run's folder; return the result and the seconds that this took.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training failed.
    """
    from harness import training

    begun, reporter = time.monotonic(), session.reporter
    with reporter.training():
        try:
            result = training.train(
                planned,
                equipment.images,
                equipment.device,
                folder,
                checkpoint_seconds=session.settings.checkpoint_seconds,
                report=reporter.progress,
                stop=reporter.stop,
            )
        except HarnessError:
            raise
        except Exception as error:
            if not reporter.stop():
                raise
            # The signal went to the whole group, and with it to a compiler or whoever else was at work for this run.
            said = f"stopped amid a step that then failed: {type(error).__name__}: {error}"
            raise Interrupted(said, remedy="give the same command again: it goes on") from error
    return result, time.monotonic() - begun


def collect_measurements(
    registered: Registered,
    images: Mapping[str, Images],
    result: Result,
    *,
    seeds: tuple[int, ...] | None = None,
    pilot: bool = False,
) -> Measurements:
    """Collect the content of results.json; ``seeds`` are those that were trained, if not all registered ones."""
    hypothesis = registered.hypothesis
    return Measurements(
        hypothesis=hypothesis.id,
        registration=registered.registration,
        pilot=pilot,
        seeds=registered.seeds if seeds is None else seeds,
        epochs={name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
        data={
            name: DataRecord(
                fingerprint=data.fingerprint,
                origin=data.origin,
                canonical=data.canonical,
                train=len(data.train_labels),
                test=len(data.test_labels),
            )
            for name, data in images.items()
        },
        replicas=result.replicas,
    )


def describe_circumstances(
    environment: Environment, equipment: Equipment, command: str, trained: tuple[Result, float], resumed: int = 0
) -> Circumstances:
    """Describe what a run ran on and how long it took; ``trained``: the result, and the last session's seconds."""
    result, seconds = trained
    device = equipment.device
    return Circumstances(
        commit=environment.commit,
        no_commit=environment.no_commit,
        of_commit=environment.of_commit,
        dirty=environment.dirty,
        dirty_digest=environment.dirty_digest,
        harness=environment.harness,
        code=environment.code,
        packages=environment.packages,
        # What was loaded at the start runs as it was then.
        loaded=describe_packages({*list_modules(), *result.modules}) | environment.foreign,
        python=environment.python,
        platform=environment.platform,
        device=device.name,
        arithmetic=dict(device.arithmetic),
        data_notes={name: data.notes for name, data in equipment.images.items() if data.notes},
        command=command,
        durations={"training since the last resume" if resumed else "training": round(seconds, 3)},
        weights=result.weights,
        cohorts=result.cohorts,
        finished=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
