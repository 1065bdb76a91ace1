"""The whole story on one page: from a YAML file to a verdict in the ledger.

    load → register, or compare with the registration → plan → start or resume an attempt → train
        → decide → render → record

The order is the point: the registration is in the ledger before an attempt starts, the attempt before its first seed
trains, the results on disk before they are judged.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harness import claims, inference, ledger, plan, spec, verdict
from harness.errors import DeviationRefused, Interrupted, Tampered, UsageError
from harness.ledger import Event, Ledger, Pins, Registration
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
)
from harness.storage import write_atomic

if TYPE_CHECKING:
    from harness.datasets import Images
    from harness.engine import Device, Progress, Result

PILOT_TAG = b"harness/pilot/v1\0"
ROUNDING = 1e-9  # relative difference of statistics that two machines may have
ENVIRONMENT = ("commit", "dirty", "dirty_digest", "harness", "code", "packages", "python", "platform")
"""What a provenance takes over from the environment."""


@dataclass(frozen=True)
class Settings:
    """Operational settings. Device and compilation may change last bits; nothing here decides what is concluded."""

    device: str = "auto"
    compile: str = "auto"
    """auto, on or off: whether a card's programs are compiled."""
    data: Path | None = None
    """Data folder; None: ``data/`` in the project."""
    verdicts: Path | None = None
    """Folder of the trail; None: ``verdicts/`` in the project."""
    resume: bool = True
    require_registered: bool = False
    checkpoint_seconds: float = 60.0


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
    head: str
    """The ledger's head: who keeps it can later show that nothing before it was changed."""


# Running ------------------------------------------------------------------------------------------------------------


def run(path: Path, settings: Settings, reporter: Reporter) -> Report:
    """Test one hypothesis: everything that ``harness run`` does.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        TrainingFailed: the attempt is closed as failed.
    """
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    refuse_unsupported(hypothesis)
    device, images = open_device_and_data(hypothesis, path, settings, reporter)
    trail = open_ledger(path, settings)
    pins = ledger.pins(hypothesis, verdict.default_templates())
    fingerprints = {name: data.fingerprint for name, data in images.items()}
    with ledger.one_at_a_time(trail, hypothesis.id):
        registration = registered_or_register(loaded, trail, pins, fingerprints, settings, reporter)
        differing = refuse_changes(registration, loaded, trail, pins)
        known, moved = registered_claims(registration, loaded, trail)
        registered = Registered(
            hypothesis=hypothesis, claims=known, registration=registration.digest, seeds=registration.seeds
        )
        environment = ledger.environment(project_root(path))
        planned = plan.expand(
            hypothesis, registration.seeds, registration=registration.digest, memory_bytes=device.memory_bytes
        )
        body = {
            "hypothesis": hypothesis.id,
            "registration": registration.digest,
            "raw": trail.store_object(loaded.raw),
            "canonical": hashlib.sha256(ledger.canonical(hypothesis)).hexdigest(),
            "pins": pins.model_dump(mode="json"),
            "data": fingerprints,
            "plan": hashlib.sha256(planned.model_dump_json().encode()).hexdigest(),
            "seeds": registration.seeds,
            "environment": environment.model_dump(mode="json"),
            "device": device.name,
            "command": command(path),
            "deviations": (
                *differing,
                *moved,
                *ledger.code_deviation(trail, hypothesis.id, registration.pins.code, environment.code),
                *data_deviations(registration.data, fingerprints),
            ),
        }
        for template in pins.template_bytes.values():
            trail.store_object(template)
        attempt = ledger.start_or_resume(trail, hypothesis.id, body, resume=settings.resume, say=reporter.say)
        with ledger.closing_on_failure(trail, attempt):
            result, seconds = train(planned, images, device, attempt.folder, settings, reporter)
            measurements = measured(registered, images, result)
            write_atomic(attempt.folder / "results.json", measurements.to_json().encode())
        decision = inference.decide(hypothesis, measurements)
        provenance = Provenance(
            run=attempt.name,
            registration=registration.digest,
            registered_time=registration.claimed_time,
            started=attempt.event.claimed_time,
            resumed=attempt.resumed,
            attempts=ledger.attempts_with(trail, attempt, decision.outcome),
            deviations=tuple(attempt.event.body["deviations"]),
            hand_picked_seeds=registration.hand_picked_seeds,
            **circumstances(attempt.event.body["environment"], device, command(path), result, seconds, attempt.resumed),
        )
        files = judge(registered, measurements, decision, provenance)
        files["env.json"] = provenance.to_json().encode()
        save(attempt.folder, files)
        ledger.record_verdict(
            trail, attempt, decision.outcome, files | {"results.json": measurements.to_json().encode()}
        )
        rmtree(attempt.folder / "work", ignore_errors=True)
    return Report(hypothesis, decision, attempt.folder, trail.heads()[0])


def pilot(path: Path, settings: Settings, reporter: Reporter, *, seeds: int, epochs: int) -> Report:
    """A scaled-down run that can never give an outcome: to see that a file works and what it will cost.

    Its seeds are not the registration's, and it leaves an event, because whoever looks at it has seen prior data.
    """
    loaded = spec.load(path)
    refuse_unsupported(loaded.hypothesis)
    hypothesis = scaled_down(loaded.hypothesis, epochs)
    device, images = open_device_and_data(hypothesis, path, settings, reporter)
    trail = open_ledger(path, settings)
    numbers = tuple(
        int.from_bytes(hashlib.sha256(PILOT_TAG + hypothesis.id.encode() + b"\0%d" % index).digest()[:6], "big")
        for index in range(min(seeds, hypothesis.seeds.number))
    )
    scale = {"seeds": len(numbers), "epochs": epochs, "device": device.name}
    event = trail.append("pilot", {"hypothesis": hypothesis.id, "settings": scale})
    folder = trail.root / hypothesis.id / f"pilot-{ledger.run_name(event.digest)}"
    planned = plan.expand(hypothesis, numbers, memory_bytes=device.memory_bytes)
    try:
        result, seconds = train(planned, images, device, folder, settings, reporter)
    except Interrupted:
        rmtree(folder, ignore_errors=True)
        raise Interrupted("the pilot was stopped", remedy="start it again: a pilot is not resumed") from None
    registered = Registered(hypothesis=hypothesis, claims=loaded.claims, registration="", seeds=numbers)
    measurements = measured(registered, images, result, pilot=True)
    decision = inference.decide(hypothesis, measurements)
    environment = ledger.environment(project_root(path)).model_dump(mode="json")
    provenance = Provenance(
        run=folder.name,
        registration="",
        registered_time="",
        started=event.claimed_time,
        resumed=0,
        attempts=ledger.attempts(trail, hypothesis.id),
        deviations=(),
        hand_picked_seeds=False,
        **circumstances(environment, device, command(path, "--pilot"), result, seconds),
    )
    files = judge(registered, measurements, decision, provenance)
    files |= {"results.json": measurements.to_json().encode(), "env.json": provenance.to_json().encode()}
    save(folder, files)
    rmtree(folder / "work", ignore_errors=True)
    return Report(hypothesis, decision, folder, trail.heads()[0])


def refuse_unsupported(hypothesis: Hypothesis) -> None:
    """Refuse what a file may say and this version cannot run yet."""
    if hypothesis.stopping.kind != "fixed":
        raise UsageError(
            f"this version cannot run stopping rule {hypothesis.stopping.kind!r} yet",
            where=hypothesis.id,
            remedy="use stopping: {kind: fixed}",
        )


def registered_or_register(
    loaded: spec.Loaded,
    trail: Ledger,
    pins: Pins,
    fingerprints: Mapping[str, str],
    settings: Settings,
    reporter: Reporter,
) -> Registration:
    """The hypothesis's registration; made now, before any training, if there is none."""
    hypothesis = loaded.hypothesis
    found = ledger.find_registration(trail, hypothesis.id)
    if found is None:
        if settings.require_registered:
            raise UsageError(
                "this hypothesis is not registered",
                where=str(loaded.path),
                remedy="run it without --require-registered: that registers it first",
            )
        ledger.register(trail, loaded.raw, loaded.claims_raw, hypothesis, pins, fingerprints)
        found = ledger.find_registration(trail, hypothesis.id)
        assert found is not None
        reporter.say(f"registered {hypothesis.id} as {found.digest[:12]}, before any training")
    return found


def refuse_changes(registration: Registration, loaded: spec.Loaded, trail: Ledger, pins: Pins) -> tuple[str, ...]:
    """Refuse a file whose meaning is not the registered one; name what differs in the code."""
    comparison = ledger.compare(registration, loaded.hypothesis, loaded.raw, pins, trail)
    if comparison.status == "changed":
        raise DeviationRefused(
            f"{loaded.hypothesis.id} was changed after its registration of {registration.claimed_time}:\n    "
            + "\n    ".join(comparison.differences),
            where=str(loaded.path),
            remedy="undo the change, or ask the changed question under a new id",
        )
    return comparison.pins


def registered_claims(registration: Registration, loaded: spec.Loaded, trail: Ledger) -> tuple[Claims, tuple[str, ...]]:
    """The claims as registered, of which the verdict speaks, and what was changed in them since; new ones are fine."""
    raw = trail.read_object(registration.claims)
    known = spec.parse(loaded.raw, raw, str(loaded.path)).claims
    changed = [name for name, claim in known.claims.items() if loaded.claims.claims.get(name) != claim]
    told = "was changed after the registration; its registered form is used"
    return known, tuple(f"the claim {name} {told}" for name in changed)


def scaled_down(hypothesis: Hypothesis, epochs: int) -> Hypothesis:
    """The same hypothesis with at most ``epochs`` epochs, keeping no weights, judged at the last epoch only."""
    plain = hypothesis.model_dump(mode="json")
    for setup in (plain["setup"], *(arm["setup"] for arm in plain["arms"].values())):
        setup |= {"epochs": min(epochs, setup["epochs"]), "save": []}
    for estimand in (*plain["estimands"].values(), *plain["exploratory"].values()):
        estimand["epoch"] = None
    return Hypothesis.model_validate(plain)


def open_device_and_data(
    hypothesis: Hypothesis, path: Path, settings: Settings, reporter: Reporter
) -> tuple[Device, dict[str, Images]]:
    """The device, and every data set of every arm, once."""
    from harness import engine

    device = engine.open_device(settings.device, settings.compile)
    root = data_folder(path, settings)
    sets = {arm.setup.dataset.name: arm.setup.dataset for arm in hypothesis.arms.values()}
    return device, {name: dataset.load(root, reporter.say) for name, dataset in sets.items()}


def data_deviations(registered: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Data sets whose bytes are not those of the registration."""
    return tuple(
        f"the data of {name} differ from those at registration: {registered[name][:12]} → {fingerprint[:12]}"
        for name, fingerprint in now.items()
        if registered.get(name, fingerprint) != fingerprint
    )


def train(
    planned: Plan, images: Mapping[str, Images], device: Device, folder: Path, settings: Settings, reporter: Reporter
) -> tuple[Result, float]:
    """Train the plan, or the rest of it, in a run's folder; the result and the seconds that this took."""
    from harness import engine

    begun = time.monotonic()
    result = engine.train(
        planned,
        images,
        device,
        folder,
        checkpoint_seconds=settings.checkpoint_seconds,
        report=reporter.progress,
        stop=reporter.stop,
    )
    return result, time.monotonic() - begun


def measured(
    registered: Registered, images: Mapping[str, Images], result: Result, *, pilot: bool = False
) -> Measurements:
    """The content of results.json."""
    hypothesis = registered.hypothesis
    return Measurements(
        hypothesis=hypothesis.id,
        registration=registered.registration,
        pilot=pilot,
        seeds=registered.seeds,
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


def circumstances(
    environment: Mapping[str, Any], device: Device, command: str, result: Result, seconds: float, resumed: int = 0
) -> dict[str, Any]:
    """The fields of a provenance that a pilot has too; ``seconds`` are those of the last session."""
    return {
        **{key: environment[key] for key in ENVIRONMENT},
        "device": device.name,
        "command": command,
        "durations": {"training since the last resume" if resumed else "training": round(seconds, 3)},
        "weights": result.weights,
        "cohorts": result.cohorts,
        "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a run's files, each whole."""
    for name, data in files.items():
        write_atomic(folder / name, data)


# Judging ------------------------------------------------------------------------------------------------------------


def judge(
    registered: Registered,
    measurements: Measurements,
    decision: Decision,
    provenance: Provenance,
    templates: Path | None = None,
) -> dict[str, bytes]:
    """The verdict's files: a pure function of what was registered, measured, and noted about the run.

    ``templates`` is the folder of another version's templates, for a verdict that was written with them.
    """
    consequences: dict[str, Consequences] = {
        outcome: claims.consequences(registered.claims, implication)
        for outcome, implication in registered.hypothesis.implications.items()
    }
    return verdict.render(registered, measurements, decision, provenance, consequences, templates)


@dataclass(frozen=True)
class Recomputed:
    """A verdict computed again from what is stored."""

    folder: Path
    outcome: str
    differing: tuple[str, ...]
    """Files that came out otherwise than stored."""
    rounded: tuple[str, ...]
    """Files with the same content whose numbers differ in their last digits: another machine adds in another order."""
    redrawn: tuple[str, ...]
    """Figures with other bytes: another version of matplotlib draws the same numbers otherwise."""


def reverdict(run: str, verdicts: Path) -> Recomputed:
    """Judge a stored run again from its registration, results.json and env.json: no torch, no data, no training.

    The verdict is a pure function of these and of the run's template, so its text must come out to the same bytes, and
    its numbers too but for a last digit on another machine.

    Raises:
        UsageError: nothing of that name was judged, or a file is missing.
        Tampered: the registered files are not those that the ledger names.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, run)
    folder = run_folder(trail, started)
    refuse_altered(folder, ledger.recorded_files(trail, started.digest))
    measurements = Measurements.model_validate_json(stored(folder / "results.json"))
    provenance = Provenance.model_validate_json(stored(folder / "env.json"))
    registration = ledger.find_registration(trail, measurements.hypothesis)
    if registration is None:
        raise UsageError("its hypothesis is not registered in this trail", where=str(folder))
    raw, claims_raw = trail.read_object(started.body["raw"]), trail.read_object(registration.claims)
    loaded = spec.parse(raw, claims_raw, measurements.hypothesis)
    hypothesis = loaded.hypothesis
    registered = Registered(
        hypothesis=hypothesis,
        claims=loaded.claims,
        registration=registration.digest,
        seeds=registration.seeds,
    )
    decision = inference.decide(hypothesis, measurements)
    with TemporaryDirectory() as templates:
        for name, digest in started.body["pins"]["templates"].items():
            write_atomic(Path(templates) / name, trail.read_object(digest))
        files = judge(registered, measurements, decision, provenance, Path(templates))
    differing, rounded, redrawn = [], [], []
    for file, data in sorted(files.items()):
        before = stored(folder / file)
        if before != data:
            if file.endswith(".svg"):
                redrawn.append(file)
            elif file.endswith(".json") and close(json.loads(before), json.loads(data)):
                rounded.append(file)
            else:
                differing.append(file)
    return Recomputed(folder, decision.outcome, tuple(differing), tuple(rounded), tuple(redrawn))


def close(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same up to 1e-9 of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float | int) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)
    return type(one) is type(other) and bool(one == other)


# Looking ------------------------------------------------------------------------------------------------------------


def project_root(path: Path) -> Path:
    """The project that a hypothesis file belongs to: the nearest folder above it that looks like one."""
    folder = path.resolve().parent
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ("verdicts", "pyproject.toml", ".git")):
            return candidate
    return folder.parent if folder.name == "hypotheses" else folder


def command(path: Path, *options: str) -> str:
    """The command as another person could give it: the file's place in the project, and no folder of this machine."""
    try:
        file = path.resolve().relative_to(project_root(path)).as_posix()
    except ValueError:
        file = path.name
    return " ".join(["harness run", file, *options])


def data_folder(path: Path, settings: Settings) -> Path:
    """Where data sets are looked for."""
    return settings.data if settings.data is not None else project_root(path) / "data"


def open_ledger(path: Path, settings: Settings) -> Ledger:
    """The trail that a hypothesis file belongs to."""
    return Ledger(settings.verdicts if settings.verdicts is not None else project_root(path) / "verdicts")


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
    hypothesis = spec.load(path).hypothesis
    registration = ledger.find_registration(open_ledger(path, settings), hypothesis.id)
    from harness import engine

    device = engine.open_device(settings.device, settings.compile)
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


def run_folder(trail: Ledger, started: Event) -> Path:
    """Where the files of an attempt are."""
    return trail.root / str(started.body["hypothesis"]) / ledger.run_name(started.digest)


def read_verdict(name: str, verdicts: Path) -> tuple[Path, str]:
    """Path and text of the last verdict on a hypothesis, or of a run's.

    Raises:
        UsageError: nothing of that name was judged, or its file is missing.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, name)
    path = run_folder(trail, started) / "verdict.md"
    recorded = ledger.recorded_files(trail, started.digest)
    refuse_altered(path.parent, {"verdict.md": recorded["verdict.md"]})
    return path, stored(path).decode()


def refuse_altered(folder: Path, recorded: Mapping[str, str]) -> None:
    """Refuse a run's files that are not, to the byte, those that its verdict event names.

    Raises:
        Tampered: a file has another digest.
        UsageError: a file cannot be read.
    """
    for name, expected in recorded.items():
        got = hashlib.sha256(stored(folder / name)).hexdigest()
        if got != expected:
            raise Tampered(
                "this file is not the one that the ledger's verdict names",
                where=str(folder / name),
                expected=expected,
                got=got,
                remedy="get the file back from git; a verdict is never edited",
            )


def stored(path: Path) -> bytes:
    """A file of a run.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the ledger names this file, but it cannot be read: {error.strerror}",
            where=str(path),
            remedy="get the run's folder back from git or from whoever ran it",
        ) from error
