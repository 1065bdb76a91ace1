"""The steps of a run, one function each; ``run`` puts them in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from harness import ledger, plan, spec
from harness.domain.selection import describe_used
from harness.errors import CompilerFailed, DeviationRefused, HarnessError, Interrupted, UsageError
from harness.ledger import Ledger, Pins, Registration
from harness.ledger.seeding import explain_known
from harness.pipeline.data_sets import collect_data_sets
from harness.pipeline.device_facts import describe_host, make_device, make_host
from harness.pipeline.prior_data import refuse_undeclared
from harness.pipeline.program import Linked, Runnable, list_commands, prepare_program, refuse_parallel
from harness.pipeline.project import find_surroundings
from harness.pipeline.remote import Remote, ask_device, find_jobs_folder, find_remote
from harness.pipeline.session import Session
from harness.pipeline.spread import Spread
from harness.pipeline.stages import join_results, shift_progress
from harness.pipeline.starts import Sources, find_sources
from harness.records import (
    PROCESSOR_COHORT,
    DataRecord,
    Hypothesis,
    Measurements,
    Plan,
    Registered,
)
from harness.records.program import ProgramPins
from harness.system.processes import has_several_cores, start_server
from harness.wording import format_count

if TYPE_CHECKING:
    from harness.datasets import Images
    from harness.domain.trained import Result
    from harness.training import Device


LAYOUT = "only comments or layout differ from the registered file: the meaning is the same"


@dataclass(frozen=True)
class Equipment:
    """Whatever trains, and what it trains on."""

    device: Device
    """The device."""
    images: Mapping[str, Images]
    """Every data set of every arm that harness trains, by name."""
    sources: Sources
    """The stored weights that arms start from."""
    company: tuple[plan.Member, ...] = ()
    """The hypotheses that it trains together with, itself among them; empty if it trains alone."""
    remote: Remote | None = None
    """Place at which cohorts are trained, if not here."""
    program: Runnable | Linked | None = None
    """The program that trains, or runs of it that were made elsewhere; None if harness trains all arms."""

    @property
    def linked(self) -> Linked | None:
        """Return the runs that were made elsewhere; None if there are none."""
        return self.program if isinstance(self.program, Linked) else None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return data set → SHA-256 over its arrays, and the same of stored weights that arms start from."""
        inputs = {} if self.program is None else {f"input {k}": v for k, v in self.program.pins.inputs.items()}
        return {name: data.fingerprint for name, data in self.images.items()} | self.sources.fingerprints | inputs

    def take_choices(self, hypothesis: Hypothesis) -> Equipment:
        """Return the same for arms as a search chose them: a program's commands have other parameters then."""
        if not isinstance(self.program, Runnable):
            return self
        return replace(self, program=replace(self.program, commands=list_commands(hypothesis)))

    def remove_jobs(self, folder: Path) -> None:
        """Remove the files of the jobs that trained the run in ``folder``, once everything is in the trail."""
        if self.remote is not None:
            rmtree(find_jobs_folder(self.remote, folder), ignore_errors=True)

    def spread_out(self, folder: Path, session: Session) -> Spread | None:
        """Return what trains the cohorts of the run in ``folder`` elsewhere; None if they are trained here."""
        if self.remote is None:
            return None
        return self.remote.spread_out(self.device, self.fingerprints, self.sources.paths, folder, session)

    def run_program(self, planned: Plan, folder: Path, session: Session) -> Result:
        """Run the replicas of the program in the run's ``folder``, here or elsewhere, as ``run_program`` does."""
        assert self.program is not None, "asked of programs only"
        spread = None
        if self.remote is not None and isinstance(self.program, Runnable):
            spread = self.remote.spread_program(self.device, self.program, folder, session)
        return self.program.run(planned, folder, session, spread)


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
    """Say what should be known before anything is entered, and refuse a second registration.

    This tells which preconditions are not met and what keeps git from carrying the trail. A question is refused if its
    results were explored before and the file does not declare them, and so is one that is registered here although
    another trail of the project holds an earlier registration of it. ``ledger.lock_project`` is to be held from here
    until the registration is entered.

    Raises:
        UsageError: another trail of the project, or git, holds a registration that this one does not, nobody would
            look for one in this trail, or explored results are not declared.
    """
    trail = session.trail
    for finding in loaded.warnings:
        if finding.rule == "preconditions":
            session.reporter.say(str(finding))
    for hindrance in ledger.find_hindrances(trail.root):
        session.reporter.say(f"{hindrance.what}\n    → {hindrance.remedy}")
    name, found = loaded.hypothesis.id, ledger.find_registration(trail, loaded.hypothesis.id)
    around = find_surroundings(loaded.path, trail.root, session.settings)
    if found is None:
        refuse_undeclared(loaded, trail)
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
    if comparison.status != "changed":
        ledger.refuse_other_program(registration.pins.program, pins.program, loaded.hypothesis.id, loaded.path)
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
        "stopping rule is refused, because whoever may choose when to stop can stop when the outcome pleases",
        where=str(loaded.path),
        remedy=f"go back to {format_count(before, 'seed')}; while nothing was run, harness amend FILE --reason … "
        f"changes them; after that, to use {now}, make a fresh registration under a new id, which has fresh "
        "seeds, and declare looks in 'stopping' if their number should depend on the data",
    )


def list_amended(trail: Ledger, hypothesis: str, *, late: bool) -> tuple[str, ...]:
    """List what amendments changed that are not provably before every run (``late``), or that are."""
    found = ledger.list_amendments(trail.index(), hypothesis)
    return tuple(line for amendment in found if amendment.deviates == late for line in amendment.lines)


def open_equipment(
    hypothesis: Hypothesis, session: Session, pinned: ProgramPins | None = None, *, trains: bool = True
) -> Equipment:
    """Open the device, and load every data set of every arm once; read the weights that arms start from, if it trains.

    ``pinned``: what is pinned of the program that trains, if one does; it is made ready to run, and device and data are
    those of the arms that harness trains beside it.

    Raises:
        UsageError: there is no such device, data or weights are missing, or an option has no effect.
        Tampered: weights that an arm starts from are not those of their digest.
    """
    sources = find_sources(hypothesis, session.trail)
    program = None if pinned is None else prepare_program(hypothesis, pinned, session)
    remote = find_remote(hypothesis, session) if trains else None
    if remote is not None and program is not None:
        remote.make_program_task(program, session)  # which refuses inputs that can't be had there
    if hypothesis.built_in is None:
        host = describe_host() if remote is None else make_host(ask_device(remote, session))
        return Equipment(host, {}, sources, remote=remote, program=program)
    project, settings, reporter = session.project, session.settings, session.reporter
    if program is None:
        refuse_parallel(settings)
    sets = collect_data_sets(hypothesis, settings)
    several = 2 * len(hypothesis.arms) * hypothesis.seeds.number >= PROCESSOR_COHORT and settings.on is None
    if several and project.device in ("auto", "cpu") and has_several_cores():
        with suppress(OSError, EOFError):  # it is said where processes are to start
            start_server()  # before PyTorch is imported here, so that both imports run at a time
    from harness import training
    from harness.datasets import recognise

    if remote is None:
        device = training.open_device(project.device, settings.compile)
        if trains:
            training.begin_kernels(device)
    else:
        device = make_device(ask_device(remote, session))
    if "compile" in settings.typed and not device.is_cuda:
        message = f"has no effect on {device.name}: only a card's programs are compiled"
        raise UsageError(message, where="--compile", remedy="leave it out")
    images = {name: recognise(dataset, dataset.load(project.data, reporter.say)) for name, dataset in sets.items()}
    if trains:
        sources.verify()
    reporter.heed()
    return Equipment(device, images, sources, remote=remote, program=program)


def make_plan(
    device: Device,
    hypothesis: Hypothesis,
    seeds: tuple[int, ...],
    registration: str = "",
    sources: Sources | None = None,
    company: Sequence[plan.Member] = (),
) -> Plan:
    """Make the plan of a hypothesis on a device: what it holds and how it calculates decide what trains together."""
    if (own := hypothesis.built_in) is None:
        return plan.expand_replicas(hypothesis, seeds, registration)
    limits = describe_limits(device)
    if company:
        return plan.expand_together(hypothesis.id, company, limits)
    starts = None if sources is None else sources.starts
    planned = plan.expand(own, seeds, limits, registration=registration, starts=starts)
    others = plan.expand_replicas(hypothesis, seeds, registration).cohorts
    return planned.model_copy(update={"cohorts": (*planned.cohorts, *others)}) if others else planned


def describe_limits(device: Device) -> plan.Limits:
    """Describe what a device asks of cohorts."""
    from harness.training import takes_kernels

    return plan.Limits(
        memory_bytes=device.memory_bytes,
        on_kernels=takes_kernels(device),
        largest=device.largest_cohort,
        prefer_even_cohorts=device.prefer_even_cohorts,
    )


def plan_registered(registered: Registered, equipment: Equipment) -> Plan:
    """Make the plan of a registered hypothesis on what trains it."""
    fixed = registered.hypothesis, registered.seeds, registered.registration
    return make_plan(equipment.device, *fixed, equipment.sources, equipment.company)


def train(planned: Plan, equipment: Equipment, folder: Path, session: Session) -> tuple[Result, float]:
    """Train the plan, or the rest of it, in a run's folder; return the result and the seconds that this took.

    Raises:
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        HarnessError: training failed.
    """
    begun, reporter = time.monotonic(), session.reporter
    if equipment.program is None:
        with reporter.training():
            return train_built_in(planned, equipment, folder, session), time.monotonic() - begun
    parts = plan.split_by_trainer(planned)
    if not parts[0].cohorts:
        with reporter.training():
            return equipment.run_program(planned, folder, session), time.monotonic() - begun
    results: list[Result] = []
    with reporter.training():
        for part in parts:
            told = replace(reporter, progress=shift_progress(reporter.progress, parts, results))
            this = replace(session, reporter=told)
            if results:
                results.append(equipment.run_program(part, folder, this))
            else:
                results.append(train_built_in(part, equipment, folder, this))
    return join_results(results), time.monotonic() - begun


def train_built_in(planned: Plan, equipment: Equipment, folder: Path, session: Session) -> Result:
    """Train the cohorts of a plan that harness trains itself, or the rest of them, in a run's folder.

    Raises:
        Interrupted, StorageFailed, HarnessError: as ``train``.
    """
    from harness import training

    reporter = session.reporter
    try:
        run = training.Run(
            equipment.images,
            equipment.device,
            folder,
            checkpoint_seconds=session.settings.checkpoint_seconds,
            report=reporter.progress,
            stop=reporter.stop,
            weights=equipment.sources.paths,
            idle=reporter.idle,
            elsewhere=equipment.spread_out(folder, session),
        )
        return training.train(planned, run)
    except Exception as error:
        if not reporter.stop() or (isinstance(error, HarnessError) and not isinstance(error, CompilerFailed)):
            raise
        # The signal went to the whole group, and with it to a compiler or whoever else was at work for this run.
        said = f"stopped amid a step that then failed: {type(error).__name__}: {error}"
        raise Interrupted(said, remedy="give the same command again: it goes on") from error


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
                used=describe_used(hypothesis, name, data),
            )
            for name, data in images.items()
        },
        replicas=result.replicas,
    )
