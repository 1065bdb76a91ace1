"""Programs in a session: what is pinned of one, whether it may run here, and what runs it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness import ledger, programs, verdict
from harness.domain.trained import Elsewhere, Result, name_replica
from harness.domain.tuning import describe_values
from harness.errors import UsageError
from harness.ledger import Pins
from harness.pipeline.device_facts import describe_kinds, list_cards
from harness.pipeline.project import Settings
from harness.pipeline.session import Session
from harness.records import Hypothesis, Plan
from harness.records.base import write_canonical
from harness.records.linked import Link
from harness.records.measurements import ReplicaResult
from harness.records.program import ProgramPins, ProgramRun, write_parameter
from harness.records.tuning import Distribution, Value
from harness.system.storage import find_cache_folder, write_atomic

RAW = "raw.json"
"""File of a run that holds the results files of a program as they were written, by replica."""
RERUNS = ("replicating-", "repeating-")
"""Beginnings of the names of folders in which a run is trained again, which are removed afterwards."""
ALLOWED = "programs"
"""Folder below the user's cache with a file for each program that was allowed to run on this machine."""


@dataclass(frozen=True)
class Runnable:
    """A program that may run: what is pinned of it, its commands, and its files."""

    pins: ProgramPins
    commands: Mapping[str, tuple[str, ...]]
    """Arm → command, with the arm's parameters."""
    work: programs.Work

    def describe(self, result: Result) -> ProgramRun:
        """Describe how it was run."""
        return ProgramRun(commands=dict(self.commands), pins=self.pins, replicas=result.runs)

    def run(self, planned: Plan, folder: Path, session: Session, elsewhere: Elsewhere | None = None) -> Result:
        """Run it, as ``run_program`` does."""
        return run_program(planned, self, folder, session, elsewhere)


@dataclass(frozen=True)
class Linked:
    """Runs that were made elsewhere, in place of a program that would run here."""

    pins: ProgramPins
    """The registered program."""
    link: Link
    """The files that tell of them."""
    accounted: programs.Accounted
    """The account of all of them."""

    def describe(self, _: Result) -> ProgramRun:
        """Describe what ran here: nothing."""
        return ProgramRun(commands={}, pins=self.pins, replicas=())

    def run(self, _: Plan, __: Path, ___: Session, ____: Elsewhere | None = None) -> Result:
        """Return the registered replicas as they were told."""
        replicas = self.accounted.replicas
        return Result(replicas, {}, tuple(1 for _ in replicas), raw=dict(self.accounted.raw))


def pin(hypothesis: Hypothesis, session: Session) -> Pins:
    """Pin everything that a run of a hypothesis uses, as it is now.

    Raises:
        UsageError: The code of its program is not committed, or a file of it is missing or another one.
    """
    program = hypothesis.program
    root, trail = session.project.root, session.project.verdicts
    pinned = None if program is None else ledger.pin_program(program, root, trail)
    return ledger.pin_code(hypothesis, verdict.default_templates(), pinned)


def list_commands(hypothesis: Hypothesis) -> dict[str, tuple[str, ...]]:
    """Return arm → command with the arm's parameters, and all other placeholders as they are."""
    program = hypothesis.program
    assert program is not None, "asked of programs only"
    return {name: programs.show_command(program, arm) for name, arm in hypothesis.programmed.items()}


def write_commands(hypothesis: Hypothesis) -> dict[str, str]:
    """Return arm → command as a shell would be given it, and what a search may put in; none without a program."""
    if hypothesis.program is None:
        return {}
    spaces, found = hypothesis.tuning.space if hypothesis.tuning is not None else {}, {}
    for name, command in list_open_commands(hypothesis).items():
        tried = [f"{path.partition('.')[2]} {_write_space(one)}" for path, one in spaces.get(name, {}).items()]
        found[name] = shlex.join(command) + (f" with {'; '.join(tried)}" if tried else "")
    return found


def _write_space(values: tuple[Value, ...] | Distribution) -> str:
    """Say what a command may be given, exactly: whoever allows it must know."""
    if isinstance(values, Distribution):
        return describe_values(values)
    return f"one of {', '.join(shlex.quote(write_parameter(value)) for value in values)}"


def list_open_commands(hypothesis: Hypothesis) -> dict[str, tuple[str, ...]]:
    """Return arm → command before a search: the parameters that it would choose are placeholders, too."""
    program, space = hypothesis.program, hypothesis.tuning.space if hypothesis.tuning is not None else {}
    assert program is not None, "asked of programs only"
    found = {}
    for name, arm in hypothesis.programmed.items():
        fixed = {
            one: value
            for one, value in (arm.parameters or {}).items()
            if f"parameters.{one}" not in space.get(name, {})
        }
        found[name] = programs.show_command(program, arm.model_copy(update={"parameters": fixed}))
    return found


def prepare_program(hypothesis: Hypothesis, pins: ProgramPins, session: Session) -> Runnable:
    """Return a program ready to run, after whoever is at this machine has allowed it.

    Raises:
        UsageError: It was not allowed, an option has no effect, or its command, lock file or inputs are not here.
        Tampered: git does not have its code.
    """
    program, results = hypothesis.program, hypothesis.results
    assert program is not None, "a checked file has both"
    assert results is not None, "a checked file has both"
    refuse_idle(hypothesis, session)
    root, settings = session.project.root, session.settings
    if os.name == "nt":
        raise UsageError("programs run on Linux and macOS", where="program", remedy="use one of these, or WSL")
    for name in program.inputs:
        ledger.digest_input(name, program, root)
    frozen = ledger.read_frozen(pins, root)
    commands, variables = list_open_commands(hypothesis), settings.variables or dict(os.environ)
    if settings.on is None and not programs.has_command(program, frozen, variables.get("PATH")):
        message = f"there is no command {program.command[0]!r} here"
        raise UsageError(message, where="program.command", remedy="install it, or correct the command")
    _ask(hypothesis, pins, commands, session)
    tell_of_kinds(session)
    work = programs.Work(
        program=program,
        results=results,
        frozen=frozen,
        inputs={name: root / told.path for name, told in program.inputs.items()},
        root=root,
        environment=variables,
        parallel=count_parallel(settings),
        gpus=settings.gpus or 0,
        cards=list_cards_for(settings),
    )
    return Runnable(pins, commands, work)


def run_program(
    planned: Plan, runnable: Runnable, folder: Path, session: Session, elsewhere: Elsewhere | None = None
) -> Result:
    """Run the replicas of a plan, or the rest of them, in a run's folder; say what should be known of them.

    ``elsewhere`` runs them in the place of this machine.

    Raises:
        Interrupted, StorageFailed, TrainingFailed: as ``programs.run_replicas``.
        LaunchFailed: as ``elsewhere``.
    """
    reporter = session.reporter
    result = programs.run_replicas(
        planned, runnable.work, folder, report=reporter.progress, stop=reporter.stop, elsewhere=elsewhere
    )
    unpinned = sorted({name for run in result.runs for name in run.unpinned})
    if unpinned:
        reporter.say(f"opened, but not pinned: {', '.join(unpinned)}")
    for run, replica in zip(result.runs, result.replicas, strict=True):
        if run.changed:
            reporter.say(f"{run.arm}, seed {run.seed_index}: it changed its own code: {', '.join(run.changed)}")
        if replica.failure is not None:
            log = _find_output(folder, replica)
            more = f"; its output is in {log}" if log is not None else ""
            reporter.say(f"{replica.arm}, seed {replica.seed_index} failed: {replica.failure}{more}")
    return result


def _find_output(folder: Path, replica: ReplicaResult) -> Path | None:
    """Return the file of a replica's output, seen from here; None without output, and of a rerun, whose files go."""
    log = folder / "logs" / f"{name_replica(replica.arm, replica.seed_index)}.log"
    with suppress(OSError):
        if not folder.name.startswith(RERUNS) and log.stat().st_size:
            return log.relative_to(Path.cwd()) if log.is_relative_to(Path.cwd()) else log
    return None


def write_raw(result: Result) -> bytes:
    """Return the content of raw.json: replica → its results file; those that are not UTF-8, in hexadecimal."""
    told: dict[str, str | dict[str, str]] = {}
    for name, raw in programs.list_files(result).items():
        try:
            told[name] = raw.decode()
        except UnicodeDecodeError:
            told[name] = {"hexadecimal": raw.hex()}
    return write_canonical(told).encode()


def read_raw(content: bytes) -> dict[str, bytes]:
    """Return replica → its results file, from the content of raw.json.

    Raises:
        ValueError: It is not such a content.
    """
    told = json.loads(content)
    return {
        name: raw.encode() if isinstance(raw, str) else bytes.fromhex(raw["hexadecimal"]) for name, raw in told.items()
    }


def list_cards_for(settings: Settings) -> tuple[str, ...]:
    """Return the cards that replicas are given; none if nothing says how many each needs.

    Raises:
        UsageError: There are fewer than one replica needs, or a scheduler gives them out.
    """
    if settings.gpus is None:
        return ()
    if settings.on is not None:
        message = f"cards of jobs are given out by {settings.on}"
        raise UsageError(message, where="--gpus", remedy="leave it out, and ask for them where the place is described")
    cards = programs.find_cards(settings.variables or os.environ)
    if len(cards) < settings.gpus:
        message = f"each replica is to have {settings.gpus}, and there are {len(cards)} cards here"
        raise UsageError(message, where="--gpus", remedy="give fewer, or name the cards in CUDA_VISIBLE_DEVICES")
    return cards


def tell_of_kinds(session: Session) -> None:
    """Say it where replicas are given cards of this machine, and it has several kinds: they give other bits."""
    if session.settings.gpus is not None and session.settings.on is None:
        told = describe_kinds("this machine has", list_cards(), "name those of one kind in CUDA_VISIBLE_DEVICES")
        if told is not None:
            session.reporter.say(told)


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_parallel(settings: Settings) -> int:
    """Return the number of replicas that run at a time: here, or in each job, whose cores a scheduler shares out.

    Raises:
        UsageError: as ``list_cards_for``.
    """
    several = settings.parallel or (count_cores() if settings.on is None else 1)
    cards = list_cards_for(settings)
    return several if settings.gpus is None else min(several, len(cards) // settings.gpus)


def refuse_idle(hypothesis: Hypothesis, session: Session) -> None:
    """Refuse options that change nothing where a program trains all arms."""
    settings = session.settings
    given = {"--device": settings.device is not None, "--data": "data" in settings.typed}
    given |= {"--compile": "compile" in settings.typed}
    for option, there in given.items():
        if there and hypothesis.built_in is None:
            message = "has no effect: a program trains, with devices and data of its own"
            raise UsageError(message, where=option, remedy="leave it out")


def refuse_parallel(settings: Settings) -> None:
    """Refuse a number of replicas at a time, and of cards for each, where harness trains.

    Raises:
        UsageError: One was given.
    """
    for option, given in {"--parallel": settings.parallel, "--gpus": settings.gpus}.items():
        if given is not None:
            message = "has no effect: harness trains the replicas of this file as one program"
            raise UsageError(message, where=option, remedy="leave it out")


def _ask(hypothesis: Hypothesis, pins: ProgramPins, commands: Mapping[str, tuple[str, ...]], session: Session) -> None:
    """Have a person allow the commands, the first time that they are to run on this machine.

    Raises:
        UsageError: Nobody did.
    """
    assert hypothesis.program is not None
    told = {"program": hypothesis.program.model_dump(mode="json"), "commands": commands, "trees": pins.trees}
    if hypothesis.tuning is not None:
        spaces = hypothesis.tuning.model_dump(mode="json")["space"]
        told |= {"spaces": {name: spaces[name] for name in hypothesis.programmed if name in spaces}}
    mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    folder = find_cache_folder()
    known = None if folder is None else folder / ALLOWED / mark
    if known is not None and known.exists():
        return
    lines = [f"{name}: {command}" for name, command in write_commands(hypothesis).items()]
    if not session.settings.yes and not session.reporter.allow(hypothesis.id, tuple(lines)):
        raise UsageError(
            f"the commands of {hypothesis.id} have not run on this machine yet, and nobody allowed them:\n    "
            + "\n    ".join(lines),
            where="program.command",
            remedy="read them and the code, then give the same command with --yes (in Python: yes=True)",
        )
    if known is not None:
        with suppress(Exception):  # it is asked again
            write_atomic(known, b"")
