"""Pilots: scaled-down runs that show whether a file works, and never give an outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree

from harness import inference, ledger, spec, verdict
from harness.errors import Interrupted, UsageError
from harness.ledger.prior_data_bodies import PilotBody
from harness.pipeline.circumstances import describe_circumstances
from harness.pipeline.judge import render_first_verdict
from harness.pipeline.program import pin
from harness.pipeline.project import Settings
from harness.pipeline.run_files import save_files
from harness.pipeline.run_steps import (
    collect_measurements,
    make_plan,
    open_equipment,
    train,
)
from harness.pipeline.session import Report, Session
from harness.records import Hypothesis, Provenance, Registered

PILOT_TAG = b"harness/pilot/v1\0"


def run_pilot(file: Path, session: Session, *, seeds: int, epochs: int) -> Report:
    """Run a hypothesis with few seeds and epochs, to see that its file works and what it will cost.

    Its seeds are not the registration's, and it leaves an event, because whoever looks at it has seen prior data.

    Raises:
        InvalidHypothesis, UsageError: nothing was started.
        Interrupted: it was stopped, and nothing of it is kept but its event.
    """
    loaded = spec.load(file)
    _refuse_more(loaded.hypothesis, {"seeds": seeds, "epochs": epochs}, session.settings)
    hypothesis, trail = scale_down(loaded.hypothesis, epochs), session.trail
    pinned = pin(hypothesis, session).program if hypothesis.program is not None else None
    equipment = open_equipment(hypothesis, session, pinned)
    numbers = derive_pilot_seeds(hypothesis.id, min(seeds, hypothesis.seeds.number))
    scale = {"seeds": len(numbers), "epochs": epochs, "device": equipment.device.name}
    event = trail.record(PilotBody(hypothesis=hypothesis.id, settings=scale))
    folder = trail.root / hypothesis.id / ledger.name_pilot(event.digest)
    planned = make_plan(equipment.device, hypothesis, numbers, sources=equipment.sources)
    try:
        trained = train(planned, equipment, folder, session)
    except Interrupted:
        rmtree(folder, ignore_errors=True)
        raise Interrupted("the pilot was stopped", remedy="start it again: a pilot is not resumed") from None
    except (KeyboardInterrupt, SystemExit):
        rmtree(folder, ignore_errors=True)
        raise
    registered = Registered(hypothesis=hypothesis, claims=loaded.claims, registration="", seeds=numbers)
    measurements = collect_measurements(registered, equipment.images, trained[0], pilot=True)
    decision = verdict.word_decision(hypothesis, inference.decide(hypothesis, measurements))
    environment = ledger.describe_environment(session.project.root)
    command = session.project.write_command(file, "--pilot")
    provenance = Provenance(
        run=folder.name,
        registration="",
        registered_time="",
        started=event.claimed_time,
        resumed=0,
        attempts=ledger.list_attempts(trail, hypothesis.id),
        deviations=(),
        hand_picked_seeds=False,
        **describe_circumstances(environment, equipment, command, trained, folder),
    )
    files = render_first_verdict(registered, measurements, decision, provenance, session.reporter.say)
    files["results.json"] = measurements.to_json().encode()
    save_files(folder, files)
    rmtree(folder / "work", ignore_errors=True)
    equipment.remove_jobs(folder)
    return Report(hypothesis, decision, folder, trail.heads()[0])


def _refuse_more(hypothesis: Hypothesis, asked: Mapping[str, int], settings: Settings) -> None:
    """Refuse more seeds or epochs than the file has, if somebody asked for them with this command."""
    most = {
        "seeds": hypothesis.seeds.number,
        "epochs": max(arm.setup.epochs for arm in hypothesis.arms.values()),
    }
    for what, whole in most.items():
        if asked[what] > whole and f"pilot_{what}" in settings.typed:
            message = f"{asked[what]} are more than the {whole} {what} that the file asks for"
            message += ", and a pilot takes no more"
            raise UsageError(message, where=f"--pilot-{what}", remedy=f"give {whole} or fewer")


def derive_pilot_seeds(hypothesis_id: str, count: int) -> tuple[int, ...]:
    """Derive the seed numbers of a hypothesis's pilots, which are never those of a registration."""
    start = PILOT_TAG + hypothesis_id.encode()
    return tuple(int.from_bytes(hashlib.sha256(start + b"\0%d" % index).digest()[:6], "big") for index in range(count))


def scale_down(hypothesis: Hypothesis, epochs: int) -> Hypothesis:
    """Return the same hypothesis with at most ``epochs`` epochs, keeping no weights, judged once.

    It is read at the last epoch, at the best one, or over all evaluated epochs, as the file asks for.
    """
    plain = hypothesis.model_dump(mode="json") | {"stopping": {"kind": "fixed"}}
    for setup in (plain["setup"], *(arm["setup"] for arm in plain["arms"].values())):
        setup |= {"epochs": min(epochs, setup["epochs"]), "save": [], "save_epochs": []}
    for estimand in (*plain["estimands"].values(), *plain["exploratory"].values()):
        if not (isinstance(estimand["epoch"], dict) and "best" in estimand["epoch"]):
            estimand["epoch"] = None
    return Hypothesis.model_validate(plain)
