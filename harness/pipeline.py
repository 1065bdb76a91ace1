"""The whole story on one page: from a YAML file to a verdict in the ledger.

    load → register, or compare with the registration → plan → start or resume an attempt → train
        → decide → render → record

The order is the point: the registration is in the ledger before an attempt starts, the attempt before its first seed
trains, the results on disk before they are judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from harness import claims, inference, ledger, plan, spec, verdict
from harness.errors import DeviationRefused, HarnessError, Interrupted, StorageFailed, UsageError
from harness.ledger import Event, Ledger
from harness.records import (
    Attempt,
    Claims,
    Consequences,
    DataRecord,
    Decision,
    Hypothesis,
    Measurements,
    Plan,
    Provenance,
    Registered,
    ReplicaResult,
)
from harness.storage import write_atomic

if TYPE_CHECKING:
    from harness.datasets import Images
    from harness.engine import Device, Progress

PILOT_TAG = b"harness/pilot/v1\0"


@dataclass(frozen=True)
class Settings:
    """Operational settings: nothing here may change what is concluded."""

    device: str = "auto"
    data: Path | None = None
    """Data folder; None: ``data/`` in the project."""
    verdicts: Path | None = None
    """Folder of the trail; None: ``verdicts/`` in the project."""
    resume: bool = True
    checkpoint_seconds: float = 60.0
    command: str = "harness run"


@dataclass(frozen=True)
class Reporter:
    """Where progress goes, and who may stop a run."""

    say: Callable[[str], None] = lambda _: None
    progress: Callable[[Progress], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Report:
    """What a run came to."""

    hypothesis: Hypothesis
    decision: Decision
    folder: Path
    run: str
    head: str
    """The ledger's head: who keeps it can later show that nothing before it was changed."""


@dataclass
class Attempted:
    """An attempt under way."""

    event: Event
    folder: Path
    resumed: int
    """How often it was resumed."""
    durations: dict[str, float] = field(default_factory=dict)


def project_root(path: Path) -> Path:
    """The project that a hypothesis file belongs to: the nearest folder above it that looks like one."""
    folder = path.resolve().parent
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ("verdicts", "pyproject.toml", ".git")):
            return candidate
    return folder.parent if folder.name == "hypotheses" else folder


def data_folder(path: Path, settings: Settings) -> Path:
    """Where data sets are looked for."""
    return settings.data if settings.data is not None else project_root(path) / "data"


def open_ledger(path: Path, settings: Settings) -> Ledger:
    """The trail that a hypothesis file belongs to."""
    return Ledger(settings.verdicts if settings.verdicts is not None else project_root(path) / "verdicts")


# Running ------------------------------------------------------------------------------------------------------------


def run(path: Path, settings: Settings, reporter: Reporter, *, require_registered: bool = False) -> Report:
    """Test one hypothesis: everything that ``harness run`` does.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        TrainingFailed: the attempt is closed as failed.
    """
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    refuse_unsupported(hypothesis)
    from harness import engine

    device = engine.open_device(settings.device)
    images = load_data(hypothesis, data_folder(path, settings), reporter)
    trail = open_ledger(path, settings)
    pins = ledger.pins(hypothesis, verdict.default_templates())
    fingerprints = {name: data.fingerprint for name, data in images.items()}
    with one_at_a_time(trail.root, hypothesis.id):
        registration = ledger.find_registration(trail, hypothesis.id)
        if registration is None:
            if require_registered:
                raise UsageError("this hypothesis is not registered", where=str(path), remedy="register it first")
            ledger.register(trail, loaded.raw, loaded.claims_raw, hypothesis, pins, fingerprints)
            registration = ledger.find_registration(trail, hypothesis.id)
            assert registration is not None
            reporter.say(f"registered {hypothesis.id}: {registration.digest[:12]} (before any training)")
        comparison = ledger.compare(registration, hypothesis, loaded.raw, pins, trail)
        if comparison.status == "changed":
            raise DeviationRefused(
                f"{hypothesis.id} was changed after its registration of {registration.claimed_time}:\n    "
                + "\n    ".join(comparison.differences),
                where=str(path),
                remedy="undo the change, or ask the changed question under a new id",
            )
        deviations = (*comparison.pins, *data_deviations(registration.data, fingerprints))
        registered = Registered(
            hypothesis=hypothesis, claims=loaded.claims, registration=registration.digest, seeds=registration.seeds
        )
        memory = device.memory_bytes
        planned = plan.expand(hypothesis, registration.seeds, registration=registration.digest, memory_bytes=memory)
        body = {
            "hypothesis": hypothesis.id,
            "registration": registration.digest,
            "raw": trail.store_object(loaded.raw),
            "canonical": hashlib.sha256(ledger.canonical(hypothesis)).hexdigest(),
            "pins": pins.model_dump(mode="json"),
            "data": fingerprints,
            "plan": hashlib.sha256(planned.model_dump_json().encode()).hexdigest(),
            "seeds": registration.seeds,
            "environment": ledger.environment(project_root(path)).model_dump(mode="json"),
            "device": device.name,
            "command": settings.command,
            "deviations": deviations,
        }
        attempt = start_or_resume(trail, hypothesis.id, body, settings.resume, reporter)
        with closing_on_failure(trail, attempt):
            replicas, weights, cohorts = train(planned, images, device, attempt, settings, reporter)
            measurements = Measurements(
                hypothesis=hypothesis.id,
                registration=registration.digest,
                seeds=registration.seeds,
                epochs={name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
                data=data_records(images),
                replicas=replicas,
            )
            write_atomic(attempt.folder / "results.json", measurements.to_json().encode())
        decision = inference.decide(hypothesis, measurements)
        provenance = Provenance(
            run=ledger.run_name(attempt.event.digest),
            registration=registration.digest,
            registered_time=registration.claimed_time,
            started=attempt.event.claimed_time,
            finished=now(),
            **environment_of(attempt.event),
            device=device.name,
            command=settings.command,
            durations={stage: round(seconds, 3) for stage, seconds in attempt.durations.items()},
            resumed=attempt.resumed,
            hand_picked_seeds=registration.hand_picked_seeds,
            weights=weights,
            cohorts=cohorts,
            attempts=attempts_with_this(trail, hypothesis.id, attempt, decision),
            deviations=tuple(attempt.event.body["deviations"]),
        )
        files = judge(registered, measurements, decision, provenance)
        for name, data in files.items():
            write_atomic(attempt.folder / name, data)
        record(trail, attempt, decision, files | {"results.json": measurements.to_json().encode()})
        rmtree(attempt.folder / "work", ignore_errors=True)
    return Report(hypothesis, decision, attempt.folder, ledger.run_name(attempt.event.digest), trail.heads()[0])


def pilot(path: Path, settings: Settings, reporter: Reporter, *, seeds: int, epochs: int) -> Report:
    """A scaled-down run that can never give an outcome: to see that a file works and what it will cost.

    Its seeds are not the registration's, and it leaves an event, because whoever looks at it has seen prior data.
    """
    loaded = spec.load(path)
    refuse_unsupported(loaded.hypothesis)
    from harness import engine

    device = engine.open_device(settings.device)
    hypothesis = scaled_down(loaded.hypothesis, epochs)
    images = load_data(hypothesis, data_folder(path, settings), reporter)
    trail = open_ledger(path, settings)
    numbers = tuple(
        int.from_bytes(hashlib.sha256(PILOT_TAG + hypothesis.id.encode() + b"\0%d" % index).digest()[:6], "big")
        for index in range(min(seeds, hypothesis.seeds.number))
    )
    scale = {"seeds": len(numbers), "epochs": epochs, "device": device.name}
    event = trail.append("pilot", {"hypothesis": hypothesis.id, "settings": scale})
    attempt = Attempted(event, trail.root / hypothesis.id / f"pilot-{ledger.run_name(event.digest)}", 0)
    planned = plan.expand(hypothesis, numbers, memory_bytes=device.memory_bytes)
    replicas, _, cohorts = train(planned, images, device, attempt, settings, reporter)
    measurements = Measurements(
        hypothesis=hypothesis.id,
        registration="",
        pilot=True,
        seeds=numbers,
        epochs={name: arm.setup.epochs for name, arm in hypothesis.arms.items()},
        data=data_records(images),
        replicas=replicas,
    )
    decision = inference.decide(hypothesis, measurements)
    environment = ledger.environment(project_root(path))
    provenance = Provenance(
        run=attempt.folder.name,
        registration="",
        registered_time="",
        started=event.claimed_time,
        finished=now(),
        **environment.model_dump(include=set(ENVIRONMENT)),
        device=device.name,
        command=settings.command,
        durations={stage: round(seconds, 3) for stage, seconds in attempt.durations.items()},
        resumed=0,
        hand_picked_seeds=False,
        weights={},
        cohorts=cohorts,
        attempts=ledger.attempts(trail, hypothesis.id),
        deviations=(),
    )
    registered = Registered(hypothesis=hypothesis, claims=loaded.claims, registration="", seeds=numbers)
    files = judge(registered, measurements, decision, provenance)
    for name, data in (files | {"results.json": measurements.to_json().encode()}).items():
        write_atomic(attempt.folder / name, data)
    rmtree(attempt.folder / "work", ignore_errors=True)
    return Report(hypothesis, decision, attempt.folder, attempt.folder.name, trail.heads()[0])


def refuse_unsupported(hypothesis: Hypothesis) -> None:
    """Refuse what a file may say and this version cannot run yet."""
    if hypothesis.stopping.kind != "fixed":
        raise UsageError(
            f"this version cannot run stopping rule {hypothesis.stopping.kind!r} yet",
            where=hypothesis.id,
            remedy="use stopping: {kind: fixed}",
        )


def scaled_down(hypothesis: Hypothesis, epochs: int) -> Hypothesis:
    """The same hypothesis with at most ``epochs`` epochs, keeping nothing, measured at the last epoch only."""

    def shorter(setup: dict[str, object]) -> dict[str, object]:
        return setup | {"epochs": min(epochs, int(str(setup["epochs"]))), "save": []}

    plain = hypothesis.model_dump(mode="json")
    plain["setup"] = shorter(plain["setup"])
    for arm in plain["arms"].values():
        arm["setup"] = shorter(arm["setup"])
    for group in ("estimands", "exploratory"):
        for estimand in plain[group].values():
            estimand["epoch"] = None
    return Hypothesis.model_validate(plain)


def load_data(hypothesis: Hypothesis, root: Path, reporter: Reporter) -> dict[str, Images]:
    """Every data set of every arm, once."""
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in hypothesis.arms.values()}
    return {name: dataset.load(root, reporter.say) for name, dataset in sets.items()}


def data_records(images: Mapping[str, Images]) -> dict[str, DataRecord]:
    """What the verdict says about the data."""
    return {
        name: DataRecord(
            fingerprint=data.fingerprint,
            origin=data.origin,
            canonical=data.canonical,
            train=len(data.train_labels),
            test=len(data.test_labels),
        )
        for name, data in images.items()
    }


def data_deviations(registered: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Data sets whose bytes are not those of the registration."""
    return tuple(
        f"the data of {name} differ from those at registration: {registered[name][:12]} → {fingerprint[:12]}"
        for name, fingerprint in now.items()
        if registered.get(name, fingerprint) != fingerprint
    )


# Attempts -----------------------------------------------------------------------------------------------------------

PINNED = ("registration", "canonical", "pins", "data", "plan", "seeds", "device")
ENVIRONMENT = ("commit", "dirty", "dirty_digest", "harness", "packages", "python", "platform")


@contextmanager
def one_at_a_time(verdicts: Path, hypothesis: str) -> Iterator[None]:
    """Two processes must not train one hypothesis in one folder at a time."""
    folder = verdicts / hypothesis
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise UsageError(
            "another process is running this hypothesis here", where=str(folder), remedy="wait for it, or stop it"
        ) from None
    except OSError as error:
        raise StorageFailed(f"the folder cannot be written: {error.strerror}", where=str(folder)) from error
    try:
        yield
    finally:
        lock.release()


def start_or_resume(
    trail: Ledger, hypothesis: str, body: Mapping[str, object], resume: bool, reporter: Reporter
) -> Attempted:
    """Go on with the attempt that was left open here, if it would give the same bits; else close it and start anew."""
    for event in unjudged(trail, hypothesis):
        folder = trail.root / hypothesis / ledger.run_name(event.digest)
        name = folder.name
        if not (folder / "work").is_dir():
            reporter.say(f"attempt {name} is open, but its working files are not here; it stays open")
            continue
        wanted: dict[str, Any] = json.loads(json.dumps(dict(body)))
        changed = [key for key in PINNED if event.body[key] != wanted[key]]
        before, today = event.body["environment"], wanted["environment"]
        changed += [key for key in ("code", "packages") if before[key] != today[key]]
        if resume and not changed:
            starts = folder / "work" / "starts"
            count = len(starts.read_text().splitlines()) if starts.exists() else 0
            note_start(folder)
            reporter.say(f"resuming attempt {name}")
            return Attempted(event, folder, count)
        reason = f"superseded: {', '.join(changed)} changed" if resume else "superseded: started anew on request"
        trail.append("run_aborted", {"run": event.digest, "reason": reason})
        reporter.say(f"attempt {name} closed, {reason}")
    event = trail.append("run_started", body)
    folder = trail.root / hypothesis / ledger.run_name(event.digest)
    note_start(folder)
    return Attempted(event, folder, 0)


def unjudged(trail: Ledger, hypothesis: str) -> list[Event]:
    """Attempts that were started and neither closed for a reason nor judged."""
    waiting = {
        attempt.run
        for attempt in ledger.attempts(trail, hypothesis)
        if attempt.status == "open" or (attempt.status == "finished" and attempt.outcome is None)
    }
    return [
        event for event in trail.events() if event.type == "run_started" and ledger.run_name(event.digest) in waiting
    ]


def note_start(folder: Path) -> None:
    """One line per start of the attempt: their number is how often it was resumed, plus one."""
    starts = folder / "work" / "starts"
    before = starts.read_bytes() if starts.exists() else b""
    write_atomic(starts, before + f"{now()} {os.getpid()}\n".encode())


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


def train(
    planned: Plan,
    images: Mapping[str, Images],
    device: Device,
    attempt: Attempted,
    settings: Settings,
    reporter: Reporter,
) -> tuple[tuple[ReplicaResult, ...], dict[str, str], tuple[int, ...]]:
    """Train the plan in the attempt's folder and note how long it took."""
    from harness import engine

    begun = time.monotonic()
    result = engine.train(
        planned,
        images,
        device,
        attempt.folder,
        checkpoint_seconds=settings.checkpoint_seconds,
        report=reporter.progress,
        stop=reporter.stop,
    )
    attempt.durations["training"] = time.monotonic() - begun
    return result.replicas, result.weights, result.cohorts


# Judging ------------------------------------------------------------------------------------------------------------


def judge(
    registered: Registered, measurements: Measurements, decision: Decision, provenance: Provenance
) -> dict[str, bytes]:
    """A run's files but for results.json: a pure function of what was registered, measured, and noted about the run."""
    files = verdict.render(
        registered, measurements, decision, provenance, consequences_of(registered.hypothesis, registered.claims)
    )
    return files | {"env.json": provenance.to_json().encode()}


def consequences_of(hypothesis: Hypothesis, known: Claims) -> dict[str, Consequences]:
    """Outcome → what it does to the claims."""
    return {
        outcome: claims.consequences(known, implication) for outcome, implication in hypothesis.implications.items()
    }


def record(trail: Ledger, attempt: Attempted, decision: Decision, files: Mapping[str, bytes]) -> None:
    """Close the attempt and enter its verdict."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    run = attempt.event.digest
    already = {entry.run: entry for entry in ledger.attempts(trail, attempt.event.body["hypothesis"])}
    if already[ledger.run_name(run)].status == "open":
        trail.append("run_finished", {"run": run, "results": digests["results.json"]})
    trail.append("verdict", {"run": run, "outcome": decision.outcome, "files": digests})


def attempts_with_this(trail: Ledger, hypothesis: str, attempt: Attempted, decision: Decision) -> tuple[Attempt, ...]:
    """All attempts so far, this one with the outcome that is being written."""
    name = ledger.run_name(attempt.event.digest)
    return tuple(
        entry.model_copy(update={"status": "finished", "outcome": decision.outcome}) if entry.run == name else entry
        for entry in ledger.attempts(trail, hypothesis)
    )


def environment_of(event: Event) -> dict[str, object]:
    """The environment that a run_started event noted, as fields of a provenance."""
    return {key: event.body["environment"][key] for key in ENVIRONMENT}


def now() -> str:
    """UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# Looking ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outlook:
    """What a run would do, without training."""

    hypothesis: Hypothesis
    registration: str | None
    planned: Plan
    estimate: plan.Estimate
    device: str
    data: dict[str, str]
    """Data set → where it would come from."""


def outlook(path: Path, settings: Settings) -> Outlook:
    """What ``harness plan`` shows. Loads torch only to ask for a card's memory."""
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    registration = ledger.find_registration(open_ledger(path, settings), hypothesis.id)
    from harness import engine

    device = engine.open_device(settings.device)
    seeds = registration.seeds if registration else tuple(range(hypothesis.seeds.number))
    planned = plan.expand(hypothesis, seeds, memory_bytes=device.memory_bytes)
    root = data_folder(path, settings)
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in hypothesis.arms.values()}
    return Outlook(
        hypothesis=hypothesis,
        registration=registration.digest if registration else None,
        planned=planned,
        estimate=plan.estimate(planned, device.torch.type),
        device=device.name,
        data={name: dataset.locate(root) for name, dataset in sets.items()},
    )


@dataclass(frozen=True)
class Standing:
    """Where a hypothesis stands in the trail."""

    hypothesis: Hypothesis
    path: Path
    registered: str | None
    """Claimed time of the registration."""
    attempts: tuple[Attempt, ...]

    @property
    def outcome(self) -> str | None:
        """Of the last judged attempt."""
        judged = [attempt.outcome for attempt in self.attempts if attempt.outcome is not None]
        return judged[-1] if judged else None


def standing(loaded: spec.Loaded, settings: Settings) -> Standing:
    """Registration and attempts of one hypothesis."""
    trail = open_ledger(loaded.path, settings)
    registration = ledger.find_registration(trail, loaded.hypothesis.id)
    return Standing(
        hypothesis=loaded.hypothesis,
        path=loaded.path,
        registered=registration.claimed_time if registration else None,
        attempts=ledger.attempts(trail, loaded.hypothesis.id),
    )


def find_verdict(name: str, verdicts: Path) -> Path:
    """The folder of a hypothesis's last verdict, or of the run whose digits are given.

    Raises:
        UsageError: nothing of that name was judged.
    """
    trail = Ledger(verdicts)
    events = trail.events()
    runs = {event.digest: event for event in events if event.type == "run_started"}
    judged = [runs[event.body["run"]] for event in events if event.type == "verdict" and event.body["run"] in runs]
    for event in reversed(judged):
        run = ledger.run_name(event.digest)
        if name == event.body["hypothesis"] or (len(name) >= 4 and event.digest.startswith(name)):
            return verdicts / str(event.body["hypothesis"]) / run
    known = sorted({str(event.body["hypothesis"]) for event in judged})
    raise UsageError(
        f"there is no verdict on {name!r}",
        where=str(verdicts),
        remedy=f"verdicts here are on: {', '.join(known)}" if known else "run a hypothesis first",
    )
