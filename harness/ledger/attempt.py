"""An attempt under way: started or resumed, closed for a reason, or entered with its verdict."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

from harness.errors import CompilerFailed, HarnessError, Interrupted, LaunchFailed, StorageFailed, UsageError
from harness.ledger.bodies import (
    LookBody,
    RunAbortedBody,
    RunFailedBody,
    RunFinishedBody,
    RunResumedBody,
    RunStartedBody,
    TunedBody,
    VerdictBody,
)
from harness.ledger.code import MEANING, Kind
from harness.ledger.differing import COULD, compare_own_code, list_packages
from harness.ledger.environment import CALCULATING, Environment
from harness.ledger.events import Ledger
from harness.ledger.index import StartedRun, read_start
from harness.ledger.progress import read_progress
from harness.ledger.rerun_bodies import ReplicatedBody
from harness.ledger.runs import list_attempts, list_looks
from harness.records import Attempt, Measurements
from harness.system.locks import Busy, Lock, sole_writer
from harness.system.reading import LARGEST_SETTINGS, read_regular
from harness.system.storage import build_storage_error, write_atomic

PINNED = ("registration", "canonical", "pins", "data", "plan", "seeds", "device")
"""Fields that a resumed attempt must share with its start, to come to the same bits. Of the pins, templates may differ,
and code that only reports; what judges may not, because the looks of one run are made by one code."""


NAMED = ("packages", "plug-ins", "packages behind plug-ins", "other people's packages")
"""Names of the parts that are compared piece by piece."""


@dataclass(frozen=True)
class OpenAttempt:
    """An attempt under way."""

    run: StartedRun
    """The attempt, by its run_started event."""
    folder: Path
    """The folder of its files."""
    resumed: int
    """The number of times that it was resumed."""

    @property
    def name(self) -> str:
        """Return its short name, the first digits of its event."""
        return self.run.name


@contextmanager
def lock_hypothesis(trail: Ledger, hypothesis: str) -> Iterator[None]:
    """Keep a second process from running the same hypothesis in the same trail.

    Raises:
        UsageError: another process does.
        StorageFailed: the folder cannot be written.
    """
    folder = trail.root / hypothesis
    with ExitStack() as stack:
        try:
            stack.enter_context(Lock(folder / ".lock", 0).held())
        except Busy as error:
            raise UsageError(
                "another process is running this hypothesis here", where=str(folder), remedy=error.remedy
            ) from None
        yield


@contextmanager
def lock_working_files(trail: Ledger, run: StartedRun) -> Iterator[None]:
    """Keep everybody from an attempt's working files, once the processes of a run that was killed have ended.

    Raises:
        StorageFailed: somebody keeps writing there.
    """
    folder = trail.root / run.folder / "work"
    with sole_writer(folder) if folder.is_dir() else nullcontext():
        yield


def start_or_resume(trail: Ledger, body: RunStartedBody, *, resume: bool, say: Callable[[str], None]) -> OpenAttempt:
    """Go on with an attempt that was left open here, or start one.

    ``body`` is that of the run_started event. Attempts whose working files are elsewhere stay open, and that is said.

    Raises:
        UsageError: an open attempt would not come to the same bits now; without ``resume`` it is closed instead.
    """
    hypothesis = body.hypothesis
    for entry in list_attempts(trail, hypothesis):
        if entry.outcome is not None:  # judged, by a process that was killed before it had tidied up
            rmtree(trail.root / hypothesis / entry.run / "work", ignore_errors=True)
    for run in _find_unjudged(trail, hypothesis):
        folder = trail.root / run.folder
        if not (folder / "work").is_dir():
            say(f"attempt {folder.name} is open, but its working files are not here; it stays open")
            continue
        if not resume:
            with lock_working_files(trail, run):
                reason, progress = "superseded: started anew on request", read_progress(trail, run)
                trail.record(RunAbortedBody(run=run.digest, reason=reason, progress=progress))
            say(f"attempt {folder.name} closed: started anew on request")
            continue
        if changed := list_resumption_changes(run.body, body):
            raise UsageError(
                f"attempt {folder.name} is open and cannot go on to the same bits:\n    " + "\n    ".join(changed),
                where=str(folder),
                remedy="run it as it was started, or give --no-resume: that closes it for good and starts anew",
            )
        trail.record(RunResumedBody(run=run.digest, progress=read_progress(trail, run)))
        # Attempts from before resuming was an event have only lines in a working file.
        resumed = max(_note_start(folder), len(trail.index().resumptions(run.digest)))
        say(f"resuming attempt {folder.name}")
        return OpenAttempt(run, folder, resumed)
    # Its folder before its event: whoever is killed in between leaves a folder with nothing in it, and never an attempt
    # that looks as if another machine had its working files.
    event = trail.record(body, first=lambda event: _note_start(trail.root / read_start(event).folder))
    return OpenAttempt(read_start(event), trail.root / read_start(event).folder, 0)


def list_resumption_changes(before: RunStartedBody, now: RunStartedBody) -> tuple[str, ...]:
    """Name what a resumed attempt must share with its start to come to the same bits, and does not: a sentence each.

    Where both tell what kinds their code has, only code and packages that are meant to make what comes out count, and
    of the built-in plug-ins those that are used.
    """
    kinds = _tells_kinds(before.environment, now.environment)
    pairs: list[tuple[str, Any, Any]] = [
        (key, getattr(before, key), getattr(now, key)) for key in PINNED if key != "pins"
    ]
    if kinds:
        pairs += _pair_code(before.environment, now.environment, ("numbers", "judgement"))
        pairs.append(("plug-ins", before.pins.plugins, now.pins.plugins))
        one, other = list_packages(before.pins, now.pins)
        pairs.append(("packages behind plug-ins", one, other))
    else:
        pairs.insert(PINNED.index("pins"), ("pins", before.pins.model_dump(), now.pins.model_dump()))
    pairs.append(("runs made elsewhere", before.linked, now.linked))
    return _name_changes([*pairs, *_pair_packages(before.environment, now.environment)], before, now)


def list_rerun_changes(before: RunStartedBody, now: ReplicatedBody) -> tuple[str, ...]:
    """Name what a rerun must share with its run to come to the same bits, and does not: one sentence each.

    Where both tell what kinds their code has, only code and packages that are meant to make what comes out count, with
    all built-in plug-ins.
    """
    pairs: list[tuple[str, Any, Any]] = [("device", before.device, now.device), ("plan", before.plan, now.plan)]
    if _tells_kinds(before.environment, now.environment):
        pairs += _pair_code(before.environment, now.environment, ("numbers", "plugins"))
    pairs.append(_pair_foreign(before.environment, now.environment))
    return _name_changes([*pairs, *_pair_packages(before.environment, now.environment)], before, now)


def list_shared_changes(one: RunStartedBody, other: RunStartedBody) -> tuple[str, ...]:
    """Name what attempts at two hypotheses must share to train a cohort of both to the same bits, and do not."""
    plugins, data = (one.pins.plugins, other.pins.plugins), (one.data, other.data)
    pairs: list[tuple[str, Any, Any]] = [("device", one.device, other.device)]
    for key, (ours, theirs) in {"plug-ins": plugins, "data": data}.items():
        both = ours.keys() & theirs.keys()
        pairs.append((key, {name: ours[name] for name in both}, {name: theirs[name] for name in both}))
    if _tells_kinds(one.environment, other.environment):
        pairs += _pair_code(one.environment, other.environment, ("numbers",))
    pairs.append(_pair_foreign(one.environment, other.environment))
    return _name_changes([*pairs, *_pair_packages(one.environment, other.environment)], one, other)


def list_environment_changes(before: RunStartedBody, now: RunStartedBody) -> tuple[str, ...]:
    """Name the packages that calculate, or are behind plug-ins, and the judging code that are not the same."""
    pairs = [*_pair_packages(before.environment, now.environment), _pair_foreign(before.environment, now.environment)]
    pairs.append(("packages behind plug-ins", *list_packages(before.pins, now.pins)))
    if _tells_kinds(before.environment, now.environment):
        pairs += _pair_code(before.environment, now.environment, ("judgement",))
    return tuple(_describe_change(key, one, other) for key, one, other in pairs if one != other)


def _pair_foreign(before: Environment, now: Environment) -> tuple[str, Any, Any]:
    """Return the other people's packages that both name, with their digests: of others, nobody knows if they matter."""
    both = before.foreign.keys() & now.foreign.keys()
    one, other = ({name: env.foreign[name].files for name in both} for env in (before, now))
    return "other people's packages", one, other


def _tells_kinds(before: Environment, now: Environment) -> bool:
    return bool(before.code_kinds) and bool(now.code_kinds)


def _pair_code(before: Environment, now: Environment, kinds: tuple[Kind, ...]) -> list[tuple[str, Any, Any]]:
    return [(f"code ({MEANING[kind]})", before.code_kinds.get(kind), now.code_kinds.get(kind)) for kind in kinds]


def _pair_packages(before: Environment, now: Environment) -> list[tuple[str, Any, Any]]:
    """Return the packages that calculate; where kinds of code are not told, the whole code and all packages."""
    if not _tells_kinds(before, now):
        return [("code", before.code, now.code), ("packages", before.packages, now.packages)]
    one, other = ({name: env.packages.get(name) for name in CALCULATING} for env in (before, now))
    return [("packages", one, other)]


def _name_changes(
    pairs: Sequence[tuple[str, Any, Any]], before: RunStartedBody, now: RunStartedBody | ReplicatedBody
) -> tuple[str, ...]:
    found = tuple(_describe_change(key, one, other) for key, one, other in pairs if one != other)
    return (*found, *list_arithmetic_changes(before.arithmetic, now.arithmetic))


def list_arithmetic_changes(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> tuple[str, ...]:
    """Name what selected a device's arithmetic and is not the same: one sentence each; none where one is not known."""
    if before is None or now is None:
        return ()
    unset = "not set"
    return tuple(
        f"its {name} changed: {before.get(name, unset)} → {now.get(name, unset)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )


def _describe_change(key: str, old: Any, new: Any) -> str:
    if key in NAMED:
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        if key == "packages":
            names = [f"{name} {old.get(name) or 'none'} → {new.get(name) or 'none'}" for name in names]
        return f"its {key} changed: {', '.join(names)}"
    shown = f": {old} → {new}" if isinstance(old, str) and len(old) < 64 else ""
    return f"its {key} changed{shown}"


def list_code_deviations(trail: Ledger, hypothesis: str, pinned: str | None, now: Environment) -> tuple[str, ...]:
    """Say what changed in harness's own code since the first attempt, where a registration did not pin it."""
    if pinned is not None:
        return ()
    for start in trail.index().starts(hypothesis)[:1]:
        first = start.body.environment
        changed = compare_own_code(first.code, first.code_kinds, now.code, now.code_kinds)
        return tuple(
            f"{MEANING[kind]} differs from that of attempt {start.name} (harness's own code "
            f"{changed[kind][0]}): {could}"
            for kind, could in COULD.items()
            if kind in changed
        )
    return ()


def _find_unjudged(trail: Ledger, hypothesis: str) -> list[StartedRun]:
    """Return the attempts that were started and neither closed for a reason nor judged."""
    waiting = {
        attempt.run
        for attempt in list_attempts(trail, hypothesis)
        if attempt.status == "open" or (attempt.status == "finished" and attempt.outcome is None)
    }
    return [start for start in trail.index().starts() if start.name in waiting]


def find_resumable(trail: Ledger, hypothesis: str) -> StartedRun | None:
    """Find the attempt that ``start_or_resume`` would go on with: one that is open, with its working files here."""
    waiting = _find_unjudged(trail, hypothesis)
    return next((run for run in waiting if (trail.root / run.folder / "work").is_dir()), None)


def _note_start(folder: Path) -> int:
    """Add a line for this start of the attempt; how many there were before."""
    starts = folder / "work" / "starts"
    try:
        before = read_regular(starts, LARGEST_SETTINGS).decode(errors="replace").splitlines()
    except FileNotFoundError:
        before = []
    except OSError as error:
        raise build_storage_error(starts, error) from error
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_atomic(starts, "".join(f"{line}\n" for line in [*before, f"{now} {os.getpid()}"]).encode())
    return len(before)


@contextmanager
def close_on_failure(trail: Ledger, attempt: OpenAttempt) -> Iterator[None]:
    """Close the attempt as failed if it cannot succeed by going on; leave it open if it can."""
    try:
        yield
    except (Interrupted, StorageFailed, LaunchFailed, CompilerFailed):
        raise
    except Exception as error:
        reason = error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        reason = reason.strip()[:2000] or "no reason given"
        progress = read_progress(trail, attempt.run)
        trail.record(RunFailedBody(run=attempt.run.digest, reason=reason, progress=progress))
        raise


def record_tuned(
    trail: Ledger, attempt: OpenAttempt, search: Measurements, chosen: Mapping[str, Mapping[str, Any]]
) -> None:
    """Enter the choice of a search, unless a start of this attempt that was killed did.

    Raises:
        HarnessError: the search was entered before and came out otherwise.
    """
    digest = hashlib.sha256(search.to_json().encode()).hexdigest()
    wanted = TunedBody(run=attempt.run.digest, search=digest, chosen={name: {**one} for name, one in chosen.items()})
    before = trail.index().tuned(attempt.run.digest)
    if before is None:
        trail.record(wanted)
    elif before.body != wanted:
        raise HarnessError(
            "the search came out otherwise than before this attempt was resumed",
            where=str(attempt.folder),
            remedy="the results are not the same bits; give --no-resume to close this attempt and start anew",
        )


def record_look(
    trail: Ledger, attempt: OpenAttempt, *, seeds: int, outcome: str | None, p: float | None, results: bytes
) -> None:
    """Enter a look, unless a start of this attempt that was killed did.

    ``outcome`` is None where the run goes on; ``results`` are the content of results.json that was judged.

    Raises:
        HarnessError: the look was entered before and came out otherwise.
    """
    digest = hashlib.sha256(results).hexdigest()
    wanted = LookBody(run=attempt.run.digest, seeds=seeds, outcome=outcome, p=p, results=digest)
    for before in list_looks(trail, attempt.run.digest):
        if before.seeds == wanted.seeds:
            if before != wanted:
                raise HarnessError(
                    f"the look at {wanted.seeds} seeds came out otherwise than before this attempt was resumed",
                    where=str(attempt.folder),
                    remedy="the results are not the same bits; give --no-resume to close this attempt and start anew",
                )
            return
    trail.record(wanted)


def record_verdict(
    trail: Ledger, attempt: OpenAttempt, outcome: str, files: Mapping[str, bytes], told: Sequence[Attempt]
) -> None:
    """Close the attempt, unless a process that was killed here did, and enter its verdict with all files' digests.

    ``told`` are the attempts that its page lists.

    Raises:
        HarnessError: another process judged it, or entered other attempts while the page was written.
    """
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    run = attempt.run.digest
    with trail.locked():
        refuse_judged(trail, attempt)
        if {entry.run for entry in list_attempts(trail, attempt.run.hypothesis)} != {entry.run for entry in told}:
            raise HarnessError(
                "another attempt was entered while the page of this one was written",
                where=str(attempt.folder),
                remedy="give the same command again: it judges what is there, and lists that attempt, too",
            )
        status = {entry.run: entry.status for entry in list_attempts(trail, attempt.run.hypothesis)}
        if status[attempt.name] == "open":
            trail.record(RunFinishedBody(run=run, results=digests["results.json"]))
        trail.record(VerdictBody(run=run, outcome=outcome, files=digests))


def refuse_judged(trail: Ledger, attempt: OpenAttempt) -> None:
    """Refuse to judge an attempt a second time: another process went on with it, which no lock could tell.

    Raises:
        HarnessError: it has a verdict.
    """
    if trail.index().verdict(attempt.run.digest) is not None:
        raise HarnessError(
            "another process has judged this attempt meanwhile",
            where=str(attempt.folder),
            remedy="its verdict stands, see harness show; let one process run a hypothesis at a time",
        )


def list_attempts_with(trail: Ledger, attempt: OpenAttempt, outcome: str) -> tuple[Attempt, ...]:
    """List all attempts so far, this one with the outcome that is about to be entered."""
    return tuple(
        entry.model_copy(update={"status": "finished", "outcome": outcome}) if entry.run == attempt.name else entry
        for entry in list_attempts(trail, attempt.run.hypothesis)
    )
