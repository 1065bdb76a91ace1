"""Claims and the trail: which verdicts move them, how they stand now, and how they would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness import claims, ledger, spec
from harness.errors import UsageError
from harness.ledger import Event, Ledger, StartedRun
from harness.ledger.bodies import VerdictBody, WalkBackBody
from harness.pipeline.outlines import Outlines
from harness.pipeline.siblings import read_siblings
from harness.records import Banner, Change, Claims, ClaimStanding, Implication, Move
from harness.spec import Loaded
from harness.wording import format_count, suggest


@dataclass(frozen=True)
class Asked:
    """A registered hypothesis that could move a claim."""

    hypothesis: str
    """The hypothesis's id."""
    state: ledger.State
    """State that it came to."""

    def __str__(self) -> str:
        """Return it in words: ``tiny (better, 2 attempts)``."""
        count = format_count(self.state.attempts, "attempt")
        became = self.state.outcome or self.state.became
        return f"{self.hypothesis} ({became}{f', {count}' if self.state.attempts else ''})"


@dataclass(frozen=True)
class Table:
    """All claims as they stand after some verdicts."""

    claims: Claims
    """The claims of the file, then those that a verdict moved and that are not in it any more."""
    standings: dict[str, ClaimStanding]
    """Claim → how it stands."""
    changes: tuple[Change, ...]
    """Changes by the verdicts, in ledger order."""
    moves: tuple[Move, ...]
    """Moves of claims, one per verdict, in ledger order."""
    notes: dict[str, str]
    """Claim → what was done to its wording since a verdict moved it."""
    asked: dict[str, tuple[Asked, ...]]
    """Claim → the registered hypotheses that could move it, by id, whatever became of them."""


@dataclass(frozen=True)
class Prospect:
    """The claims as some supposed outcomes would leave them."""

    now: Table
    """The claims as they stand."""
    then: Table
    """The claims as they would stand."""
    changes: tuple[Change, ...]
    """The changes from one to the other."""
    concerned: tuple[tuple[Move, Banner], ...]
    """Verdicts of today that would get a banner."""


def read_claims(file: Path, trail: Ledger, outlines: Outlines | None = None) -> Table:
    """Read the claims of a claims file, and how they stand by the verdicts of a trail; ``outlines`` are those of it.

    Raises:
        InvalidHypothesis, UsageError: the claims file cannot be read.
        Tampered: as ``Ledger.events``.
    """
    return tabulate_claims(spec.load_claims(file), trail, outlines)


def tabulate_claims(known: Claims, trail: Ledger, outlines: Outlines | None = None) -> Table:
    """Tell how the claims of a claims file stand by the verdicts of a trail.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    return _tabulate(known, list_moves(trail, outlines), _list_asked(known, trail))


def suppose_outcomes(file: Path, trail: Ledger, outcomes: Sequence[tuple[str, str]]) -> Prospect:
    """Tell how the claims would stand if hypotheses, from files beside the claims file, had these outcomes.

    Raises:
        UsageError: no such hypothesis, or it has no such outcome.
    """
    known = spec.load_claims(file)
    done = list_moves(trail)
    loaded = {one.hypothesis.id: one for one in spec.load_folder([file.parent]).loaded}
    supposed = list(done)
    for name, outcome in outcomes:
        implication = _find_implication(loaded, name, outcome, file.parent)
        earlier = frozenset(move.verdict for move in supposed)
        supposed.append(_suppose((name, outcome), implication, known, earlier))
    asked = _list_asked(known, trail)
    now, then = _tabulate(known, done, asked), _tabulate(known, tuple(supposed), asked)
    concerned = []
    for move in done:
        before = claims.find_banners(known, done, move.verdict)
        after = claims.find_banners(known, supposed, move.verdict)
        concerned += [(move, banner) for banner in after if banner not in before]
    return Prospect(now, then, then.changes[len(now.changes) :], tuple(concerned))


def foresee_outcomes(
    table: Table, implied: Mapping[str, Mapping[str, Implication]]
) -> dict[tuple[str, str], tuple[Change, ...]]:
    """Tell what each outcome of each hypothesis would change about the claims: (hypothesis, outcome) → changes.

    ``implied`` has, by hypothesis and outcome, what is registered.

    Each outcome is supposed alone, in knowledge of all verdicts. A claim that a hypothesis moves and that the table
    doesn't hold is left out.
    """
    known, done = table.claims, table.moves
    everything = claims.find_known_claims(known, done)
    earlier = frozenset(move.verdict for move in done)
    supposed = [
        _suppose((name, outcome), _keep_known(implication, everything), everything, earlier)
        for name, implications in implied.items()
        for outcome, implication in implications.items()
    ]
    changes = claims.suppose_each(known, done, supposed)
    return {(move.hypothesis, move.outcome): found for move, found in zip(supposed, changes, strict=True)}


def _suppose(result: tuple[str, str], implication: Implication, known: Claims, earlier: frozenset[str]) -> Move:
    """Return what a verdict would move that no run has given: a hypothesis and its outcome."""
    name, outcome = result
    return Move(
        verdict=f"if {name}={outcome}",
        run="not run",
        hypothesis=name,
        outcome=outcome,
        deviated=False,
        implication=implication,
        claims=known,
        earlier=earlier,
    )


def _keep_known(implication: Implication, known: Claims) -> Implication:
    """Return an implication without the claims that are not known any more."""
    moved = {field: getattr(implication, field) for field in ("supports", "walks_back", "restores")}
    if all(name in known.claims for names in moved.values() for name in names):
        return implication
    kept = {field: tuple(name for name in names if name in known.claims) for field, names in moved.items()}
    return implication.model_copy(update=kept)


def list_banners(done: Sequence[Move]) -> dict[str, tuple[tuple[Banner, tuple[Move, ...]], ...]]:
    """List what later verdicts did to the claims that each verdict moved: run → notices, each with its causes."""
    by_verdict = {move.verdict: move for move in done}
    found = {}
    for move in done:
        if move.implication.supports or move.implication.restores or move.implication.walks_back:
            banners = claims.find_banners(move.claims, done, move.verdict)
            found[move.run] = tuple((one, tuple(by_verdict[verdict] for verdict in one.because)) for one in banners)
    return found


def write_banners(trail: Ledger, run: StartedRun) -> tuple[str, ...]:
    """Write what stands above the verdict on a judged run when it is shown, as Markdown; its file stays as it is."""
    done = list_moves(trail)
    by_verdict = {move.verdict: move for move in done}
    (own,) = [move for move in done if move.run == run.name]
    found = claims.find_banners(own.claims, done, own.verdict)
    return tuple(write_banner(banner, [by_verdict[verdict] for verdict in banner.because]) for banner in found)


def write_banner(banner: Banner, because: Sequence[Move]) -> str:
    """Write a banner as a Markdown quotation. It holds ids only, nothing that a file's author could have formatted."""
    causes = " and ".join(f"`{move.run}` ({move.hypothesis}: {move.outcome})" for move in because)
    start = f"this verdict {banner.did} the claim `{banner.claim}`"
    if banner.did == "walks back":
        return f"> **{banner.now.upper()} AGAIN**: {start}, which was restored by run {causes}."
    if banner.now == "walked back":
        return f"> **WALKED BACK**: {start}, which is walked back by run {causes}."
    ground = ", ".join(f"`{name}`" for name in banner.ground)
    return f"> **IN QUESTION**: {start}, which stands on {ground}, walked back by run {causes}."


def list_moves(trail: Ledger, outlines: Outlines | None = None) -> tuple[Move, ...]:
    """List every verdict with what its registered implication does to claims, in ledger order.

    Of several verdicts on a run the first counts. ``outlines`` are those of the trail, if somebody has read some.

    Raises:
        Tampered: an event or a registered file is not what was written.
    """
    index, outlines = trail.index(), Outlines(trail) if outlines is None else outlines

    @cache
    def read_registered_claims(digest: str) -> Claims:
        return spec.parse_claims(trail.read_object(digest))

    found: dict[str, Move] = {}
    for verdict in index.entries(VerdictBody):
        run = index.start(verdict.body.run)
        if run is None or run.digest in found:
            continue
        registration = ledger.find_registration_of(index, run)
        implication = outlines.get(registration.canonical).implications[verdict.body.outcome]
        earlier = found.values() if implication.walks_back or implication.restores else ()
        found[run.digest] = Move(
            verdict=verdict.digest,
            run=run.name,
            hypothesis=run.hypothesis,
            outcome=verdict.body.outcome,
            deviated=bool(ledger.keep_meaningful(run.body.deviations)),
            implication=implication,
            claims=read_registered_claims(registration.claims),
            earlier=frozenset(move.verdict for move in earlier if index.before(move.verdict, verdict.digest)),
        )
    return tuple(found.values())


def append_walk_backs(trail: Ledger) -> tuple[Event, ...]:
    """Append the notices that verdicts owe: one for each that walks claims back and has none yet.

    They are owed by the verdict just entered, or by an earlier one if a process was killed between the two.
    """
    with trail.locked():
        done = list_moves(trail)
        noticed = {notice.body.verdict for notice in trail.index().entries(WalkBackBody)}
        owed = [move for move in done if move.implication.walks_back and move.verdict not in noticed]
        return tuple(trail.record(describe_walk_back(move, done)) for move in owed)


def describe_walk_back(move: Move, done: Sequence[Move]) -> WalkBackBody:
    """Describe what the notice of a verdict says: it follows from the verdict and those before it."""
    moved = claims.find_consequences(move.claims, move.implication)
    fallen = {*moved.walked_back, *moved.in_question}
    return WalkBackBody(
        verdict=move.verdict,
        hypothesis=move.hypothesis,
        outcome=move.outcome,
        claims=moved.walked_back,
        in_question=moved.in_question,
        concerns=tuple(
            other.verdict
            for other in done
            if other.verdict in move.earlier and fallen & {*other.implication.supports, *other.implication.restores}
        ),
    )


def _list_asked(known: Claims, trail: Ledger) -> dict[str, tuple[Asked, ...]]:
    """List who could move each claim of a claims file, by its name or its statement."""
    siblings = read_siblings(trail)

    @cache  # one hypothesis may move many claims
    def describe(name: str) -> Asked:
        return Asked(name, ledger.describe_state(ledger.list_attempts(trail, name)))

    return {
        name: tuple(describe(one) for one in sorted(siblings.list_on(name, claim)))
        for name, claim in known.claims.items()
    }


def _tabulate(known: Claims, done: tuple[Move, ...], asked: dict[str, tuple[Asked, ...]]) -> Table:
    everything = claims.find_known_claims(known, done)
    notes = {}
    for move in done:
        for name in (*move.implication.supports, *move.implication.walks_back, *move.implication.restores):
            if name not in known.claims:
                notes[name] = "not in the claims file any more"
            elif known.claims[name] != move.claims.claims[name]:
                notes[name] = f"worded differently when run {move.run} moved it"
    return Table(everything, claims.replay_verdicts(known, done), claims.find_changes(known, done), done, notes, asked)


def _find_implication(loaded: dict[str, Loaded], name: str, outcome: str, folder: Path) -> Implication:
    if name not in loaded:
        raise UsageError(
            f"there is no valid hypothesis {name!r}{suggest(name, loaded)}",
            where=str(folder),
            remedy=f"there are {', '.join(loaded) or 'none'}; harness check says what is wrong with other files",
        )
    hypothesis = loaded[name].hypothesis
    if outcome not in hypothesis.outcomes:
        raise UsageError(
            f"{name} has no outcome {outcome!r}", where="--if", remedy=f"it has {', '.join(hypothesis.outcomes)}"
        )
    return hypothesis.implications[outcome]
