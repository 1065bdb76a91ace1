"""Whether code that differs from the registered one was seen to change nothing: docs/decisions/0033.

A proof holds for the run that it was made on. It says nothing of numbers that no run has met, and so a deviation that
is proven harmless is still named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import ledger, verdict
from harness.errors import HarnessError
from harness.ledger import CodeDifferences, Environment, Event, Ledger, Pins, Registration
from harness.ledger.code import MEANING
from harness.pipeline.judging import reverdict
from harness.pipeline.project import registered_for, run_folder, stored


def proven(
    differing: CodeDifferences, registration: Registration, hypothesis: str, trail: Ledger, now: Environment
) -> CodeDifferences:
    """The differences, each with what an earlier run under the registered code shows of it, if there is one."""
    numbers, judgement = differing.numbers, differing.judgement
    if numbers is not None and (shown := _same_bits(_runs(registration, hypothesis, trail, "numbers"), trail, now)):
        numbers = f"{numbers}; {shown}"
    if judgement is not None and (shown := _same_decision(registration, hypothesis, trail)):
        judgement = f"{judgement}; {shown}"
    return differing.model_copy(update={"numbers": numbers, "judgement": judgement})


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
    shown = _same_bits(first, trail, now) if lines else None
    return tuple(f"{line}; {shown}" if shown and line.startswith(MEANING["numbers"]) else line for line in lines)


def _same_bits(started: Iterable[Event], trail: Ledger, now: Environment) -> str | None:
    """A run, of those, that was trained again with today's code and came to the same bits."""
    runs = {event.digest for event in started}
    wanted = [now.code_kinds[kind] for kind in ("numbers", "plugins")]
    for event in reversed(trail.events()):
        if event.type != "replicated" or event.body["run"] not in runs or event.body["agreement"] != "bits":
            continue
        kinds = event.body["environment"].get("code_kinds", {})
        if [kinds.get(kind) for kind in ("numbers", "plugins")] == wanted:
            run = ledger.run_name(event.body["run"])
            return f"run {run}, trained again with this code on {event.body['device']}, came to the same bits"
    return None


def _same_decision(registration: Registration, hypothesis: str, trail: Ledger) -> str | None:
    """What today's code says of the last results that the registered code judged; None where there are none."""
    judged = {event.body["run"]: event for event in trail.events() if event.type == "verdict"}
    for event in _runs(registration, hypothesis, trail, "judgement"):
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


def _runs(registration: Registration, hypothesis: str, trail: Ledger, kind: str) -> Iterator[Event]:
    """Attempts that ran what the registration fixed of this kind of code, the last first."""
    for event in reversed(trail.events()):
        if event.type == "run_started" and event.body["hypothesis"] == hypothesis:
            differing = ledger.code_differences(registration.pins, Pins.model_validate(event.body["pins"]))
            if (differing.numbers if kind == "numbers" else differing.judgement) is None:
                yield event
