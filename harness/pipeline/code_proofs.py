"""Proofs that code which differs from the registered one changes nothing: docs/decisions/0033.

A proof holds for the run that it was made on. It says nothing of numbers that no run has met, and so a deviation that
is proven harmless is still named. There are three: a run of one code, trained again by the other to the same bits; two
runs, one by each code, with the same results.json; and stored results that are judged again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from harness import ledger, verdict
from harness.errors import HarnessError
from harness.ledger import CodeDifferences, Environment, Ledger, Pins, Registration, StartedRun
from harness.ledger.bodies import RunFinishedBody, RunStartedBody
from harness.ledger.code import MEANING
from harness.ledger.differing import COULD, list_packages
from harness.ledger.index import Entered
from harness.ledger.rerun_bodies import ReplicatedBody
from harness.pipeline.reverdict import judge_again
from harness.pipeline.run_files import read_file, read_registered

Shown = Literal["numbers", "judgement"]
"""Kinds of code that something can be shown of."""
VERB: Mapping[Shown, str] = {"numbers": "harness replicate", "judgement": "harness reverdict"}
MATTER: Mapping[Shown, str] = {"numbers": "the numbers", "judgement": "the decisions"}


def add_proofs(
    differing: CodeDifferences, registration: Registration, hypothesis: str, trail: Ledger, now: Environment
) -> CodeDifferences:
    """Return the differences, each with what an earlier run under the registered code shows of it, if there is one."""
    numbers, judgement = differing.numbers, differing.judgement
    if numbers is not None:
        runs = tuple(_find_runs(registration.pins, hypothesis, trail, "numbers"))
        pins = registration.pins
        if shown := _find_same_bits(runs, trail, _Code(pins.code_kinds, pins.packages or {}), now):
            numbers = f"{numbers}; {shown}"
    if judgement is not None and (shown := _try_judging(registration, hypothesis, trail)):
        judgement = f"{judgement}; {shown}"
    return differing.model_copy(update={"numbers": numbers, "judgement": judgement})


def suggest_trials(registration: Registration, started: StartedRun, trail: Ledger) -> tuple[str, ...]:
    """Return the commands that would show whether deviations in code, of which nothing is known, change anything.

    There are none while no run by the registered code was judged.
    """
    found = [(kind, _find_judged(registration.pins, started, trail, kind)) for kind in _list_unknown(started)]
    return tuple(
        f"to see whether {MATTER[kind]} differ: {VERB[kind]} {ledger.name_run(run.digest)}"
        for kind, run in found
        if run is not None
    )


def describe_trials(pins: Pins, started: StartedRun, trail: Entered, results: str) -> tuple[str, ...]:
    """Say what a finished run shows of its deviations in code of which nothing was known, or what would show it.

    ``pins`` are the registered ones. ``results``: SHA-256 of its results.json. That file holds the registration, the
    seeds and the digests of all final weights, so that a run with the same one was the same training.

    An env.json holds these sentences, and an audit makes them again: reworded, they would make it call honest pages
    tampered.
    """
    found = []
    for kind in _list_unknown(started):
        shown = _compare_results(_list_before(pins, started, trail, kind), started, trail, results)
        if kind == "numbers" and shown is not None:
            found.append(shown)
            continue
        run = _find_judged(pins, started, trail, kind)
        where = "" if run is not None else ", with the registered code"
        command = f"{VERB[kind]} {ledger.name_run((run or started).digest)}{where}"
        found.append(f"not known yet whether {MATTER[kind]} differ; it would show: {command}")
    return tuple(found)


def has_other_judging_code(name: str, trail: Ledger) -> bool:
    """Tell whether the code that judges here is another than that of a stored run, as far as the run tells.

    Raises:
        UsageError, Tampered: as ``read_run``.
    """
    started = ledger.find_judged(trail, name)
    before = started.body.pins
    now = ledger.pin_code(read_registered(trail, started).hypothesis, verdict.default_templates())
    if not before.code_kinds:
        return False
    one, other = list_packages(before, now)  # any of them may hold a criterion
    return one != other or ledger.compare_code(before, now).judgement is not None


def add_proofs_since_first(lines: tuple[str, ...], hypothesis: str, trail: Ledger, now: Environment) -> tuple[str, ...]:
    """Return what ``ledger.list_code_deviations`` says, with what a run by the first attempt's code shows of it."""
    runs = trail.index().starts(hypothesis)
    first = [run for run in runs if run.body.environment.code == runs[0].body.environment.code]
    shown = _find_same_bits(first, trail, _read_code(runs[0].body.environment), now) if lines else None
    return tuple(f"{line}; {shown}" if shown and line.startswith(MEANING["numbers"]) else line for line in lines)


class _Code(NamedTuple):
    """The code that trains, by digest."""

    kinds: Mapping[str, str]
    """Kind of harness's own code → digest."""
    packages: Mapping[str, str]
    """Other people's package → digest."""


def _read_code(environment: Environment) -> _Code:
    return _Code(environment.code_kinds, {name: package.files for name, package in environment.foreign.items()})


def _find_same_bits(started: Iterable[StartedRun], trail: Ledger, before: _Code, now: Environment) -> str | None:
    """Say what shows that today's code trains to the same bits as that of ``started``, which is ``before``."""
    index, ours_now = trail.index(), _read_code(now)
    runs = [run.digest for run in started]
    ours = [run.digest for run in reversed(index.starts()) if run.digest not in runs and _trains_as(run.body, ours_now)]
    for rerun in (entry.body for entry in reversed(index.entries(ReplicatedBody))):
        if rerun.agreement != "bits":
            continue
        run, device = ledger.name_run(rerun.run), rerun.device
        if rerun.run in runs and _trains_as(rerun, ours_now):
            return f"run {run}, trained again with this code on {device}, came to the same bits"
        if rerun.run in ours and _trains_as(rerun, before):
            return f"run {run}, by this code, trained again with that one on {device}, came to the same bits"
    results = _read_finished(trail)
    for digest in ours:
        for other in runs:
            if digest in results and results[digest] == results.get(other):
                names = ledger.name_run(digest), ledger.name_run(other)
                return f"run {names[0]}, by this code, has the same results.json as run {names[1]}, by that one"
    return None


def _compare_results(before: Iterable[StartedRun], started: StartedRun, trail: Entered, results: str) -> str | None:
    """Say whether a run has the results of runs by the registered code, or others where the same were due."""
    known = _read_finished(trail)
    finished = [event for event in before if event.digest in known]
    for event in finished:
        if known[event.digest] == results:
            return f"the same numbers: results.json is, to the byte, that of {_name_run(event)}"
    for event in finished:
        one, other = event.body, started.body
        same = (one.plan, one.device, one.arithmetic) == (other.plan, other.device, other.arithmetic)
        if same and one.arithmetic is not None:
            return f"other numbers: results.json is not that of {_name_run(event)}, from the same plan and seeds"
    return None


def _name_run(run: StartedRun) -> str:
    return f"run {run.name}, which the registered code trained on {run.body.device}"


def _trains_as(trained: RunStartedBody | ReplicatedBody, code: _Code) -> bool:
    """Tell whether what trained in a run, or trained it again, is this code, as far as both name it."""
    noted = _read_code(trained.environment)
    if any(noted.packages.get(name, digest) != digest for name, digest in code.packages.items()):
        return False
    kinds = ("numbers", "plugins")
    return all(code.kinds.get(kind) is not None and noted.kinds.get(kind) == code.kinds[kind] for kind in kinds)


def _read_finished(trail: Entered) -> dict[str, str]:
    """Return run → digest of its results.json, for runs that were finished."""
    return {end.body.run: end.body.results for end in trail.index().entries(RunFinishedBody)}


def _list_unknown(started: StartedRun) -> tuple[Shown, ...]:
    """Return the kinds of deviations in code of which it was not known, when a run started, whether they matter."""
    lines = started.body.deviations
    kinds: tuple[Shown, ...] = ("numbers", "judgement")
    return tuple(k for k in kinds if any(one.startswith(MEANING[k]) and one.endswith(COULD[k]) for one in lines))


def _find_judged(pins: Pins, started: StartedRun, trail: Entered, kind: Shown) -> StartedRun | None:
    """Return the last judged run by the registered code."""
    index = trail.index()
    return next((run for run in _list_before(pins, started, trail, kind) if index.verdict(run.digest)), None)


def _list_before(pins: Pins, started: StartedRun, trail: Entered, kind: Shown) -> tuple[StartedRun, ...]:
    """List other attempts by the registered code or, where a registration fixed none, by the first attempt's."""
    found = [run for run in _find_runs(pins, started.hypothesis, trail, kind) if run.digest != started.digest]
    if pins.code is None and found:
        first = found[-1].body.environment.code
        found = [run for run in found if run.body.environment.code == first]
    return tuple(found)


def _try_judging(registration: Registration, hypothesis: str, trail: Ledger) -> str | None:
    """Say what today's code says of the last results that the registered code judged; None where there are none."""
    for run in _find_runs(registration.pins, hypothesis, trail, "judgement"):
        if trail.index().verdict(run.digest) is None:
            continue
        try:
            again = judge_again(run.name, trail)
            before = json.loads(read_file(trail.root / run.folder / "verdict.json"))["outcome"]
        except HarnessError:
            continue  # its files are not here, or not what they were: an audit says so
        gave = "the same" if again.outcome == before and not again.differing else "another"
        return f"judging the stored results of run {run.name} again with this code gave {gave} decision"
    return None


def _find_runs(pins: Pins, hypothesis: str, trail: Entered, kind: Shown) -> Iterator[StartedRun]:
    """Yield the attempts that ran what the registration fixed of this kind of code, the last first."""
    for run in reversed(trail.index().starts(hypothesis)):
        differing = ledger.compare_code(pins, run.body.pins)
        if (differing.numbers if kind == "numbers" else differing.judgement) is None:
            yield run
