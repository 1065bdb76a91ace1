"""Whether code that differs from the registered one was seen to change nothing: docs/decisions/0033.

A proof holds for the run that it was made on. It says nothing of numbers that no run has met, and so a deviation that
is proven harmless is still named. There are three: a run of one code, trained again by the other to the same bits; two
runs, one by each code, with the same results.json; and stored results that are judged again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from harness import ledger, verdict
from harness.errors import HarnessError
from harness.ledger import CodeDifferences, Environment, Event, Ledger, Pins, Registration
from harness.ledger.code import MEANING
from harness.ledger.differing import COULD
from harness.ledger.event import Entered
from harness.pipeline.judging import reverdict
from harness.pipeline.project import registered_for, run_folder, stored

Shown = Literal["numbers", "judgement"]
"""Kinds of code that something can be shown of."""
VERB: Mapping[Shown, str] = {"numbers": "harness replicate", "judgement": "harness reverdict"}
MATTER: Mapping[Shown, str] = {"numbers": "the numbers", "judgement": "the decisions"}


def proven(
    differing: CodeDifferences, registration: Registration, hypothesis: str, trail: Ledger, now: Environment
) -> CodeDifferences:
    """The differences, each with what an earlier run under the registered code shows of it, if there is one."""
    numbers, judgement = differing.numbers, differing.judgement
    if numbers is not None:
        runs = tuple(_runs(registration.pins, hypothesis, trail, "numbers"))
        if shown := _same_bits(runs, trail, registration.pins.code_kinds, now):
            numbers = f"{numbers}; {shown}"
    if judgement is not None and (shown := _same_decision(registration, hypothesis, trail)):
        judgement = f"{judgement}; {shown}"
    return differing.model_copy(update={"numbers": numbers, "judgement": judgement})


def ways_to_try(registration: Registration, started: Event, trail: Ledger) -> tuple[str, ...]:
    """The commands that would show whether a run's deviations in code, of which nothing is known, change anything.

    There are none while no run by the registered code was judged.
    """
    found = [(kind, _judged(registration.pins, started, trail, kind)) for kind in _unknown(started)]
    return tuple(
        f"to see whether {MATTER[kind]} differ: {VERB[kind]} {ledger.run_name(run.digest)}"
        for kind, run in found
        if run is not None
    )


def tried(pins: Pins, started: Event, trail: Entered, results: str) -> tuple[str, ...]:
    """What a finished run shows of its deviations in code of which nothing was known, or what would show it.

    ``pins`` are the registered ones. ``results``: SHA-256 of its results.json. That file holds the registration, the
    seeds and the digests of all final weights, so that a run with the same one was the same training.

    An env.json holds these sentences, and an audit makes them again: reworded, they would make it call honest pages
    tampered.
    """
    found = []
    for kind in _unknown(started):
        shown = _by_results(_before(pins, started, trail, kind), started, trail, results)
        if kind == "numbers" and shown is not None:
            found.append(shown)
            continue
        run = _judged(pins, started, trail, kind)
        where = "" if run is not None else ", with the registered code"
        command = f"{VERB[kind]} {ledger.run_name((run or started).digest)}{where}"
        found.append(f"not known yet whether {MATTER[kind]} differ; it would show: {command}")
    return tuple(found)


def other_judging_code(name: str, verdicts: Path) -> bool:
    """Tell whether the code that judges here is another than that of a stored run, as far as the run tells.

    Raises:
        UsageError, Tampered: as ``read_run``.
    """
    trail = Ledger(verdicts)
    started = ledger.find_judged(trail, name)
    before = Pins.model_validate(started.body["pins"])
    now = ledger.pins(registered_for(trail, started).hypothesis, verdict.default_templates())
    return bool(before.code_kinds) and ledger.code_differences(before, now).judgement is not None


def proven_since_first(lines: tuple[str, ...], hypothesis: str, trail: Ledger, now: Environment) -> tuple[str, ...]:
    """What ``ledger.code_deviation`` says, with what a run by the first attempt's code shows of it, if there is one."""
    runs = [e for e in trail.events() if e.type == "run_started" and e.body["hypothesis"] == hypothesis]
    first = [event for event in runs if event.body["environment"]["code"] == runs[0].body["environment"]["code"]]
    shown = _same_bits(first, trail, runs[0].body["environment"].get("code_kinds", {}), now) if lines else None
    return tuple(f"{line}; {shown}" if shown and line.startswith(MEANING["numbers"]) else line for line in lines)


def _same_bits(started: Iterable[Event], trail: Ledger, before: Mapping[str, str], now: Environment) -> str | None:
    """What shows that today's code trains to the same bits as that of ``started``, runs whose kinds are ``before``."""
    runs = [event.digest for event in started]
    ours = [
        event.digest
        for event in reversed(trail.events())
        if event.type == "run_started" and event.digest not in runs and _trains_as(event, now.code_kinds)
    ]
    for event in reversed(trail.events()):
        if event.type != "replicated" or event.body["agreement"] != "bits":
            continue
        run, device = ledger.run_name(event.body["run"]), event.body["device"]
        if event.body["run"] in runs and _trains_as(event, now.code_kinds):
            return f"run {run}, trained again with this code on {device}, came to the same bits"
        if event.body["run"] in ours and _trains_as(event, before):
            return f"run {run}, by this code, trained again with that one on {device}, came to the same bits"
    results = _finished(trail)
    for digest in ours:
        for other in runs:
            if digest in results and results[digest] == results.get(other):
                names = ledger.run_name(digest), ledger.run_name(other)
                return f"run {names[0]}, by this code, has the same results.json as run {names[1]}, by that one"
    return None


def _by_results(before: Iterable[Event], started: Event, trail: Entered, results: str) -> str | None:
    """What the results of runs by the registered code say of a run's: the same, or others where the same were due."""
    known = _finished(trail)
    finished = [event for event in before if event.digest in known]
    for event in finished:
        if known[event.digest] == results:
            return f"the same numbers: results.json is, to the byte, that of {_told(event)}"
    for event in finished:
        same = all(event.body.get(key) == started.body.get(key) for key in ("plan", "device", "arithmetic"))
        if same and event.body.get("arithmetic") is not None:
            return f"other numbers: results.json is not that of {_told(event)}, from the same plan and seeds"
    return None


def _told(event: Event) -> str:
    return f"run {ledger.run_name(event.digest)}, which the registered code trained on {event.body['device']}"


def _trains_as(event: Event, kinds: Mapping[str, str]) -> bool:
    """Tell whether what trained in a run, or trained it again, is code of these kinds' digests."""
    noted = event.body["environment"].get("code_kinds", {})
    return all(kinds.get(kind) is not None and noted.get(kind) == kinds[kind] for kind in ("numbers", "plugins"))


def _finished(trail: Entered) -> dict[str, str]:
    """Run → digest of its results.json, for runs that were finished."""
    return {event.body["run"]: event.body["results"] for event in trail.events() if event.type == "run_finished"}


def _unknown(started: Event) -> tuple[Shown, ...]:
    """The kinds of a run's deviations in code of which it was not known, when it started, whether they matter."""
    lines = started.body["deviations"]
    kinds: tuple[Shown, ...] = ("numbers", "judgement")
    return tuple(k for k in kinds if any(one.startswith(MEANING[k]) and one.endswith(COULD[k]) for one in lines))


def _judged(pins: Pins, started: Event, trail: Entered, kind: Shown) -> Event | None:
    """The last judged run by the registered code."""
    judged = {event.body["run"] for event in trail.events() if event.type == "verdict"}
    return next((one for one in _before(pins, started, trail, kind) if one.digest in judged), None)


def _before(pins: Pins, started: Event, trail: Entered, kind: Shown) -> tuple[Event, ...]:
    """Other attempts by the registered code or, where a registration fixed none, by that of the first attempt."""
    found = [event for event in _runs(pins, started.body["hypothesis"], trail, kind) if event.digest != started.digest]
    if pins.code is None and found:
        first = found[-1].body["environment"]["code"]
        found = [event for event in found if event.body["environment"]["code"] == first]
    return tuple(found)


def _same_decision(registration: Registration, hypothesis: str, trail: Ledger) -> str | None:
    """What today's code says of the last results that the registered code judged; None where there are none."""
    judged = {event.body["run"]: event for event in trail.events() if event.type == "verdict"}
    for event in _runs(registration.pins, hypothesis, trail, "judgement"):
        if event.digest not in judged:
            continue
        run = ledger.run_name(event.digest)
        try:
            again = reverdict(run, trail.root)
            before = json.loads(stored(run_folder(trail, event) / "verdict.json"))["outcome"]
        except HarnessError:
            continue  # its files are not here, or not what they were: an audit says so
        gave = "the same" if again.outcome == before and not again.differing else "another"
        return f"judging the stored results of run {run} again with this code gave {gave} decision"
    return None


def _runs(pins: Pins, hypothesis: str, trail: Entered, kind: Shown) -> Iterator[Event]:
    """Attempts that ran what the registration fixed of this kind of code, the last first."""
    for event in reversed(trail.events()):
        if event.type == "run_started" and event.body["hypothesis"] == hypothesis:
            differing = ledger.code_differences(pins, Pins.model_validate(event.body["pins"]))
            if (differing.numbers if kind == "numbers" else differing.judgement) is None:
                yield event
