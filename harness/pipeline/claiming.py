"""Claims and the trail: which verdicts move them, how they stand now, and how they would."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness import claims, ledger, spec
from harness.errors import UsageError
from harness.ledger import Event, Ledger
from harness.records import Banner, Change, Claims, ClaimStanding, Implication, Move
from harness.spec import Loaded


@dataclass(frozen=True)
class Table:
    """How all claims stand after some verdicts."""

    claims: Claims
    """Of the file, then those that a verdict moved and that are not in it any more."""
    standings: dict[str, ClaimStanding]
    changes: tuple[Change, ...]
    moves: tuple[Move, ...]
    notes: dict[str, str]
    """Claim → what was done to its wording since a verdict moved it."""


@dataclass(frozen=True)
class Prospect:
    """What a hypothesis would do to the claims, looked at beforehand."""

    now: Table
    then: Table
    changes: tuple[Change, ...]
    """Against now."""
    concerned: tuple[tuple[Move, Banner], ...]
    """Verdicts of today that would get a banner."""


def claims_table(path: Path, verdicts: Path) -> Table:
    """How the claims of a claims file stand by the verdicts of a trail.

    Raises:
        InvalidHypothesis, UsageError: the claims file cannot be read.
        Tampered: as ``Ledger.events``.
    """
    return _table(spec.load_claims(path), moves(Ledger(verdicts)))


def prospect(path: Path, verdicts: Path, outcomes: Sequence[tuple[str, str]]) -> Prospect:
    """The claims as they would stand if hypotheses, from files beside the claims file, had these outcomes.

    Raises:
        UsageError: no such hypothesis, or it has no such outcome.
    """
    known = spec.load_claims(path)
    done = moves(Ledger(verdicts))
    loaded = {one.hypothesis.id: one for one in spec.load_folder([path.parent]).loaded}
    supposed = list(done)
    for name, outcome in outcomes:
        implication = _implication(loaded, name, outcome, path.parent)
        earlier = frozenset(move.verdict for move in supposed)
        supposed.append(
            Move(
                verdict=f"if {name}={outcome}",
                run="not run",
                hypothesis=name,
                outcome=outcome,
                deviated=False,
                implication=implication,
                claims=known,
                earlier=earlier,
            )
        )
    now, then = _table(known, done), _table(known, tuple(supposed))
    concerned = []
    for move in done:
        before = claims.find_banners(known, done, move.verdict)
        after = claims.find_banners(known, supposed, move.verdict)
        concerned += [(move, banner) for banner in after if banner not in before]
    return Prospect(now, then, then.changes[len(now.changes) :], tuple(concerned))


def banner_lines(trail: Ledger, started: Event) -> tuple[str, ...]:
    """What stands above the verdict on a judged run when it is shown, as Markdown; its file stays as it is."""
    run = ledger.run_name(started.digest)
    done = moves(trail)
    by_verdict = {move.verdict: move for move in done}
    (own,) = [move for move in done if move.run == run]
    found = claims.find_banners(own.claims, done, own.verdict)
    return tuple(told(banner, [by_verdict[verdict] for verdict in banner.because]) for banner in found)


def told(banner: Banner, because: Sequence[Move]) -> str:
    """A banner as a Markdown quotation. It holds ids only, nothing that a file's author could have formatted."""
    causes = " and ".join(f"`{move.run}` ({move.hypothesis}: {move.outcome})" for move in because)
    start = f"this verdict {banner.did} the claim `{banner.claim}`"
    if banner.did == "walks back":
        return f"> **{banner.now.upper()} AGAIN**: {start}, which was restored by run {causes}."
    if banner.now == "walked back":
        return f"> **WALKED BACK**: {start}, which is walked back by run {causes}."
    ground = ", ".join(f"`{name}`" for name in banner.ground)
    return f"> **IN QUESTION**: {start}, which stands on {ground}, walked back by run {causes}."


def moves(trail: Ledger) -> tuple[Move, ...]:
    """Every verdict with what its registered implication does to claims, in ledger order; of a run the first counts.

    Raises:
        Tampered: an event or a registered file is not what was written.
    """
    events = trail.events()
    by_digest = {event.digest: event for event in events}
    ancestry = ledger.Ancestry(events)

    @cache
    def implications(canonical: str) -> dict[str, Implication]:
        plain = json.loads(trail.read_object(canonical))["implications"]
        return {outcome: Implication.model_validate(implication) for outcome, implication in plain.items()}

    @cache
    def registered_claims(digest: str) -> Claims:
        return spec.parse_claims(trail.read_object(digest))

    found: dict[str, Move] = {}
    for event in events:
        if event.type != "verdict" or event.body["run"] in found:
            continue
        started = by_digest[event.body["run"]]
        registration = ledger.registration_in(by_digest, started)
        implication = implications(registration.canonical)[event.body["outcome"]]
        earlier = found.values() if implication.walks_back or implication.restores else ()
        found[started.digest] = Move(
            verdict=event.digest,
            run=ledger.run_name(started.digest),
            hypothesis=started.body["hypothesis"],
            outcome=event.body["outcome"],
            deviated=bool(ledger.meaningful(started.body.get("deviations", ()))),
            implication=implication,
            claims=registered_claims(registration.claims),
            earlier=frozenset(move.verdict for move in earlier if ancestry.before(move.verdict, event.digest)),
        )
    return tuple(found.values())


def append_walk_backs(trail: Ledger) -> tuple[Event, ...]:
    """Append the notices that verdicts owe: one for each that walks claims back and has none yet.

    They are owed by the verdict just entered, or by an earlier one if a process was killed between the two.
    """
    with trail.locked():
        done = moves(trail)
        noticed = {event.body["verdict"] for event in trail.events() if event.type == "walk_back"}
        owed = [move for move in done if move.implication.walks_back and move.verdict not in noticed]
        return tuple(trail.append("walk_back", walk_back_body(move, done)) for move in owed)


def walk_back_body(move: Move, done: Sequence[Move]) -> dict[str, object]:
    """What the notice of a verdict says: it follows from the verdict and those before it."""
    moved = claims.find_consequences(move.claims, move.implication)
    fallen = {*moved.walked_back, *moved.in_question}
    return {
        "verdict": move.verdict,
        "hypothesis": move.hypothesis,
        "outcome": move.outcome,
        "claims": moved.walked_back,
        "in_question": moved.in_question,
        "concerns": [
            other.verdict
            for other in done
            if other.verdict in move.earlier and fallen & {*other.implication.supports, *other.implication.restores}
        ],
    }


def _table(known: Claims, done: tuple[Move, ...]) -> Table:
    everything = claims.find_known_claims(known, done)
    notes = {}
    for move in done:
        for name in (*move.implication.supports, *move.implication.walks_back, *move.implication.restores):
            if name not in known.claims:
                notes[name] = "not in the claims file any more"
            elif known.claims[name] != move.claims.claims[name]:
                notes[name] = f"written otherwise when run {move.run} moved it"
    return Table(everything, claims.replay_verdicts(known, done), claims.find_changes(known, done), done, notes)


def _implication(loaded: dict[str, Loaded], name: str, outcome: str, folder: Path) -> Implication:
    if name not in loaded:
        near = difflib.get_close_matches(name, loaded, n=1)
        raise UsageError(
            f"there is no valid hypothesis {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            where=str(folder),
            remedy=f"there are {', '.join(loaded) or 'none'}; harness check says what is wrong with other files",
        )
    hypothesis = loaded[name].hypothesis
    if outcome not in hypothesis.outcomes:
        raise UsageError(
            f"{name} has no outcome {outcome!r}", where="--if", remedy=f"it has {', '.join(hypothesis.outcomes)}"
        )
    return hypothesis.implications[outcome]
