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

from harness.errors import HarnessError, Interrupted, StorageFailed, UsageError
from harness.ledger.bodies import BODIES, LookBody
from harness.ledger.code import MEANING, Kind
from harness.ledger.differing import COULD, own_differences
from harness.ledger.environment import CALCULATING, Environment
from harness.ledger.event import Event
from harness.ledger.events import Ledger
from harness.ledger.history import attempts, looks, run_name
from harness.records import Attempt, Measurements
from harness.system.locks import Busy, Lock, sole_writer
from harness.system.storage import write_atomic

PINNED = ("registration", "canonical", "pins", "data", "plan", "seeds", "device")
"""What a resumed attempt must share with its start, so that it comes to the same bits. Of the pins, templates may
differ, and code that only reports; what judges may not, because the looks of one run are made by one code."""
PINNED_ENVIRONMENT = ("code", "packages")


@dataclass(frozen=True)
class Attempted:
    """An attempt under way."""

    event: Event
    """Its run_started event."""
    folder: Path
    """Where its files go."""
    resumed: int
    """How often it was resumed."""

    @property
    def name(self) -> str:
        """The first digits of its event."""
        return run_name(self.event.digest)


@contextmanager
def one_at_a_time(trail: Ledger, hypothesis: str) -> Iterator[None]:
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
def nobody_writing(trail: Ledger, started: Event) -> Iterator[None]:
    """Keep everybody from an attempt's working files, once the processes of a run that was killed have ended.

    Raises:
        StorageFailed: somebody keeps writing there.
    """
    folder = _folder(trail, started) / "work"
    with sole_writer(folder) if folder.is_dir() else nullcontext():
        yield


def start_or_resume(
    trail: Ledger, hypothesis: str, body: Mapping[str, Any], *, resume: bool, say: Callable[[str], None]
) -> Attempted:
    """Go on with an attempt that was left open here, or start one.

    ``body`` is that of the run_started event. Attempts whose working files are elsewhere stay open, and that is said.

    Raises:
        UsageError: an open attempt would not come to the same bits now; without ``resume`` it is closed instead.
    """
    for entry in attempts(trail, hypothesis):
        if entry.outcome is not None:  # judged, by a process that was killed before it had tidied up
            rmtree(trail.root / hypothesis / entry.run / "work", ignore_errors=True)
    wanted = BODIES["run_started"].model_validate(body).model_dump(mode="json")
    for event in _unjudged(trail, hypothesis):
        folder = _folder(trail, event)
        if not (folder / "work").is_dir():
            say(f"attempt {folder.name} is open, but its working files are not here; it stays open")
            continue
        if not resume:
            with nobody_writing(trail, event):
                trail.append("run_aborted", {"run": event.digest, "reason": "superseded: started anew on request"})
            say(f"attempt {folder.name} closed: started anew on request")
            continue
        if changed := changes(event.body, wanted):
            raise UsageError(
                f"attempt {folder.name} is open and cannot go on to the same bits:\n    " + "\n    ".join(changed),
                where=str(folder),
                remedy="run it as it was started, or give --no-resume: that closes it for good and starts anew",
            )
        resumed = _note_start(folder)
        say(f"resuming attempt {folder.name}")
        return Attempted(event, folder, resumed)
    # Its folder before its event: whoever is killed in between leaves a folder with nothing in it, and never an attempt
    # that looks as if another machine had its working files.
    event = trail.append("run_started", body, first=lambda event: _note_start(_folder(trail, event)))
    return Attempted(event, _folder(trail, event), 0)


def _folder(trail: Ledger, event: Event) -> Path:
    return trail.root / str(event.body["hypothesis"]) / run_name(event.digest)


def changes(before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str] = PINNED) -> tuple[str, ...]:
    """What one run_started body must share with another to come to the same bits, and does not: one sentence each.

    Where both tell what kinds their code has, only code and packages that are meant to make what comes out count; with
    "pins" among the keys, built-in plug-ins count if they are used, otherwise all of them.
    """
    old, new = before["environment"], now["environment"]
    told = bool(old.get("code_kinds")) and bool(new.get("code_kinds"))
    pairs: list[tuple[str, Any, Any]] = [(key, before[key], now[key]) for key in keys if key != "pins" or not told]
    if told:
        resumed = "pins" in keys
        kinds: tuple[Kind, ...] = ("numbers", "judgement") if resumed else ("numbers", "plugins")
        pairs += [
            (f"code ({MEANING[kind]})", old["code_kinds"].get(kind), new["code_kinds"].get(kind)) for kind in kinds
        ]
        if resumed:
            pairs.append(("plug-ins", before["pins"]["plugins"], now["pins"]["plugins"]))
        one, other = ({name: env["packages"].get(name) for name in CALCULATING} for env in (old, new))
        pairs.append(("packages", one, other))
    else:
        pairs += [(key, old[key], new[key]) for key in PINNED_ENVIRONMENT]
    found = tuple(_change(key, one, other) for key, one, other in pairs if one != other)
    return (*found, *arithmetic_changes(before.get("arithmetic"), now.get("arithmetic")))


def arithmetic_changes(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> tuple[str, ...]:
    """Name what selected a device's arithmetic and is not the same: one sentence each; none where one is not known."""
    if before is None or now is None:
        return ()
    unset = "not set"
    return tuple(
        f"its {name} changed: {before.get(name, unset)} → {now.get(name, unset)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )


def _change(key: str, old: Any, new: Any) -> str:
    if key in ("packages", "plug-ins"):
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        if key == "packages":
            names = [f"{name} {old.get(name) or 'none'} → {new.get(name) or 'none'}" for name in names]
        return f"its {key} changed: {', '.join(names)}"
    shown = f": {old} → {new}" if isinstance(old, str) and len(old) < 64 else ""
    return f"its {key} changed{shown}"


def code_deviation(trail: Ledger, hypothesis: str, pinned: str | None, now: Environment) -> tuple[str, ...]:
    """What changed in harness's own code since the first attempt, for registrations that did not pin it."""
    if pinned is not None:
        return ()
    for event in trail.events():
        if event.type == "run_started" and event.body["hypothesis"] == hypothesis:
            first = Environment.model_validate(event.body["environment"])
            changed = own_differences(first.code, first.code_kinds, now.code, now.code_kinds)
            return tuple(
                f"{MEANING[kind]} differs from that of attempt {run_name(event.digest)} (harness's own code "
                f"{changed[kind][0]}): {could}"
                for kind, could in COULD.items()
                if kind in changed
            )
    return ()


def _unjudged(trail: Ledger, hypothesis: str) -> list[Event]:
    """Attempts that were started and neither closed for a reason nor judged."""
    waiting = {
        attempt.run
        for attempt in attempts(trail, hypothesis)
        if attempt.status == "open" or (attempt.status == "finished" and attempt.outcome is None)
    }
    return [e for e in trail.events() if e.type == "run_started" and run_name(e.digest) in waiting]


def _note_start(folder: Path) -> int:
    """Add a line for this start of the attempt; how many there were before."""
    starts = folder / "work" / "starts"
    before = starts.read_text(encoding="utf-8").splitlines() if starts.exists() else []
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    write_atomic(starts, "".join(f"{line}\n" for line in [*before, f"{now} {os.getpid()}"]).encode())
    return len(before)


@contextmanager
def closing_on_failure(trail: Ledger, attempt: Attempted) -> Iterator[None]:
    """Close the attempt as failed if it cannot succeed by going on; leave it open if it can."""
    try:
        yield
    except (Interrupted, StorageFailed):
        raise
    except Exception as error:
        reason = error.message if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        trail.append("run_failed", {"run": attempt.event.digest, "reason": reason.strip()[:2000] or "no reason given"})
        raise


def record_look(
    trail: Ledger, attempt: Attempted, *, seeds: int, outcome: str | None, p: float | None, results: Measurements
) -> None:
    """Enter a look, unless a start of this attempt that was killed did.

    ``outcome`` is None where the run goes on; ``results`` are those that were judged.

    Raises:
        HarnessError: the look was entered before and came out otherwise.
    """
    digest = hashlib.sha256(results.to_json().encode()).hexdigest()
    wanted = LookBody(run=attempt.event.digest, seeds=seeds, outcome=outcome, p=p, results=digest)
    for before in looks(trail, attempt.event.digest):
        if before.seeds == wanted.seeds:
            if before != wanted:
                raise HarnessError(
                    f"the look at {wanted.seeds} seeds came out otherwise than before this attempt was resumed",
                    where=str(attempt.folder),
                    remedy="the results are not the same bits; give --no-resume to close this attempt and start anew",
                )
            return
    trail.append("look", wanted)


def record_verdict(trail: Ledger, attempt: Attempted, outcome: str, files: Mapping[str, bytes]) -> None:
    """Close the attempt, unless a process that was killed here did, and enter its verdict with all files' digests."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    run = attempt.event.digest
    with trail.locked():
        refuse_judged(trail, attempt)
        status = {entry.run: entry.status for entry in attempts(trail, attempt.event.body["hypothesis"])}
        if status[attempt.name] == "open":
            trail.append("run_finished", {"run": run, "results": digests["results.json"]})
        trail.append("verdict", {"run": run, "outcome": outcome, "files": digests})


def refuse_judged(trail: Ledger, attempt: Attempted) -> None:
    """Refuse to judge an attempt a second time: another process went on with it, which no lock could tell.

    Raises:
        HarnessError: it has a verdict.
    """
    run = attempt.event.digest
    if any(event.type == "verdict" and event.body["run"] == run for event in trail.events()):
        raise HarnessError(
            "another process has judged this attempt meanwhile",
            where=str(attempt.folder),
            remedy="its verdict stands, see harness show; let one process run a hypothesis at a time",
        )


def attempts_with(trail: Ledger, attempt: Attempted, outcome: str) -> tuple[Attempt, ...]:
    """All attempts so far, this one with the outcome that is about to be entered."""
    return tuple(
        entry.model_copy(update={"status": "finished", "outcome": outcome}) if entry.run == attempt.name else entry
        for entry in attempts(trail, attempt.event.body["hypothesis"])
    )
