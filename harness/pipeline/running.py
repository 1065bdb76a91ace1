"""The whole story on one page: from a YAML file to a verdict in the ledger.

    load → register, or compare with the registration → plan → start or resume an attempt
        → train → decide, and again for every look that the file asks for → render → record

The order is the point: the registration is in the ledger before an attempt starts, the attempt before its first seed
trains, the results on disk before they are judged.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from shutil import rmtree

from harness import inference, ledger, spec, verdict
from harness.errors import Interrupted, UsageError
from harness.pipeline.claiming import append_walk_backs
from harness.pipeline.growing import train_and_judge
from harness.pipeline.judging import first_judged, templates_of
from harness.pipeline.project import (
    Report,
    Reporter,
    Settings,
    command,
    open_ledger,
    project_root,
    registered_for,
    save,
)
from harness.pipeline.proving import proven, proven_since_first, tried, ways_to_try
from harness.pipeline.steps import (
    LAYOUT,
    amended_lines,
    circumstances,
    data_deviations,
    deviates,
    look_around,
    measured,
    open_device_and_data,
    planned_on,
    refuse_changes,
    registered_claims,
    registered_or_register,
    train,
)
from harness.records import (
    Hypothesis,
    Provenance,
    Registered,
)

PILOT_TAG = b"harness/pilot/v1\0"


def run(path: Path, settings: Settings, reporter: Reporter) -> Report:
    """Test one hypothesis: everything that ``harness run`` does.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        Interrupted, StorageFailed: what was trained is kept, the same call goes on.
        TrainingFailed: the attempt is closed as failed.
    """
    loaded = spec.load(path)
    hypothesis = loaded.hypothesis
    device, images = open_device_and_data(hypothesis, path, settings, reporter)
    trail = open_ledger(path, settings)
    pins = ledger.pins(hypothesis, verdict.default_templates())
    fingerprints = {name: data.fingerprint for name, data in images.items()}
    look_around(loaded, trail, settings, reporter)
    with ledger.one_at_a_time(trail, hypothesis.id):
        registration = registered_or_register(loaded, trail, pins, fingerprints, settings, reporter)
        differing = refuse_changes(registration, loaded, trail, pins)
        if hashlib.sha256(loaded.raw).hexdigest() != registration.raw:
            reporter.say(LAYOUT)
        _, moved = registered_claims(registration, loaded, trail)
        environment = ledger.environment(project_root(path))
        differing = proven(differing, registration, hypothesis.id, trail, environment)
        since = ledger.code_deviation(trail, hypothesis.id, registration.pins.code, environment)
        planned = planned_on(device, hypothesis, registration.seeds, registration.digest)
        body = {
            "hypothesis": hypothesis.id,
            "registration": registration.digest,
            "amendment": registration.amendment,
            "raw": trail.store_object(loaded.raw),
            "canonical": hashlib.sha256(ledger.canonical(hypothesis)).hexdigest(),
            "pins": pins.model_dump(mode="json"),
            "data": fingerprints,
            "plan": planned.digest,
            "seeds": registration.seeds,
            "environment": environment.model_dump(mode="json"),
            "device": device.name,
            "arithmetic": dict(device.arithmetic),
            "command": command(path),
            "deviations": (
                *amended_lines(trail, hypothesis.id, late=True),
                *differing.deviations,
                *moved,
                *proven_since_first(since, hypothesis.id, trail, environment),
                *data_deviations(registration.data, fingerprints),
            ),
            "words": differing.words,
        }
        for template in pins.template_bytes.values():
            trail.store_object(template)
        reporter.heed()
        attempt = ledger.start_or_resume(trail, hypothesis.id, body, resume=settings.resume, say=reporter.say)
        for line in attempt.event.body["deviations"]:
            reporter.say(deviates(line))
        for line in ways_to_try(registration, attempt.event, trail):
            reporter.say(f"  → {line}")
        registered = registered_for(trail, attempt.event)
        trained = train_and_judge(planned, registered, images, device, trail, attempt, settings, reporter)
        measurements, decision = trained.measurements, verdict.worded(hypothesis, trained.decision)
        results = measurements.to_json().encode()
        provenance = Provenance(
            run=attempt.name,
            registration=registration.digest,
            registered_time=registration.claimed_time,
            started=attempt.event.claimed_time,
            resumed=attempt.resumed,
            attempts=ledger.attempts_with(trail, attempt, decision.outcome),
            deviations=tuple(attempt.event.body["deviations"]),
            words=attempt.event.body.get("words"),
            tried=tried(registration.pins, attempt.event, trail, hashlib.sha256(results).hexdigest()),
            amendments=amended_lines(trail, hypothesis.id, late=False),
            hand_picked_seeds=registration.hand_picked_seeds,
            **circumstances(
                attempt.event.body["environment"],
                device,
                images,
                attempt.event.body["command"],
                trained.result,
                trained.seconds,
                attempt.resumed,
            ),
        )
        # An attempt that was started with another template keeps it: the page is written again with that one too.
        templates = templates_of(trail, attempt.event)
        files = first_judged(registered, measurements, decision, provenance, reporter.say, templates)
        reporter.heed()
        ledger.refuse_judged(trail, attempt)  # before its files are written over
        save(attempt.folder, files)
        ledger.record_verdict(trail, attempt, decision.outcome, files | {"results.json": results})
        rmtree(attempt.folder / "work", ignore_errors=True)
        append_walk_backs(trail)
    return Report(hypothesis, decision, attempt.folder, trail.heads()[0])


def pilot(path: Path, settings: Settings, reporter: Reporter, *, seeds: int, epochs: int) -> Report:
    """A scaled-down run that can never give an outcome: to see that a file works and what it will cost.

    Its seeds are not the registration's, and it leaves an event, because whoever looks at it has seen prior data.
    """
    loaded = spec.load(path)
    most = {
        "seeds": (seeds, loaded.hypothesis.seeds.number),
        "epochs": (epochs, max(arm.setup.epochs for arm in loaded.hypothesis.arms.values())),
    }
    for what, (asked, whole) in most.items():
        if asked > whole and f"pilot_{what}" in settings.typed:
            message = f"{asked} are more than the {whole} {what} that the file asks for, and a pilot takes no more"
            raise UsageError(message, where=f"--pilot-{what}", remedy=f"give {whole} or fewer")
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
    planned = planned_on(device, hypothesis, numbers)
    try:
        result, seconds = train(planned, images, device, folder, settings, reporter)
    except Interrupted:
        rmtree(folder, ignore_errors=True)
        raise Interrupted("the pilot was stopped", remedy="start it again: a pilot is not resumed") from None
    except (KeyboardInterrupt, SystemExit):
        rmtree(folder, ignore_errors=True)
        raise
    registered = Registered(hypothesis=hypothesis, claims=loaded.claims, registration="", seeds=numbers)
    measurements = measured(registered, images, result, pilot=True)
    decision = verdict.worded(hypothesis, inference.decide(hypothesis, measurements))
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
        **circumstances(environment, device, images, command(path, "--pilot"), result, seconds),
    )
    files = first_judged(registered, measurements, decision, provenance, reporter.say)
    files["results.json"] = measurements.to_json().encode()
    save(folder, files)
    rmtree(folder / "work", ignore_errors=True)
    return Report(hypothesis, decision, folder, trail.heads()[0])


def scaled_down(hypothesis: Hypothesis, epochs: int) -> Hypothesis:
    """The same hypothesis with at most ``epochs`` epochs, keeping no weights, judged once, at the last epoch."""
    plain = hypothesis.model_dump(mode="json") | {"stopping": {"kind": "fixed"}}
    for setup in (plain["setup"], *(arm["setup"] for arm in plain["arms"].values())):
        setup |= {"epochs": min(epochs, setup["epochs"]), "save": []}
    for estimand in (*plain["estimands"].values(), *plain["exploratory"].values()):
        estimand["epoch"] = None
    return Hypothesis.model_validate(plain)
