"""Runs that were made elsewhere: every one of them is counted, excluded by a rule of the file, or rejected.

The account is a function of the files, the registration, and what git said of their code: an audit comes to the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from harness.adapters import BadRecord, RunsAdapter, ToldRun
from harness.domain.trained import name_replica
from harness.plugins.registry import find_members
from harness.programs.adapted import MISFIT, MOST, BadResults
from harness.programs.parse import fail_replica, read_replica
from harness.records import Arm, Hypothesis, Replica, ReplicaResult
from harness.records.linked import Link, LinkedRun, LinkedRuns
from harness.records.program import Parameter, Results, write_parameter
from harness.wording import format_count, make_plain_line

VALID = ("finished", "diverged")
ENDED = (*VALID, "failed", "killed", "preempted")
OWN = ("seed", "arm", "commit")
"""Parameters of an export that name a run's seed, arm and code."""
ASKED = "in the file"
NONE_LINKED, NONE_TOLD = "no run of it was linked", "the files tell no run of it"
"""Said of replicas without a run, registered ones and others."""
LISTED = 5
LONGEST = 200


@dataclass(frozen=True)
class Accounted:
    """The account of all runs, and what the replicas came to by it."""

    told: LinkedRuns
    replicas: tuple[ReplicaResult, ...]
    """Every replica that was registered, or that a seed of the runs asks for; one without a run that counts failed."""
    raw: Mapping[str, bytes]
    """Replica → its results, as the export tells them."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """Return what keeps replicas from having a value, one clause each."""
        return tuple(_write_gap(one, self.told.since) for one in self.replicas if one.failure)


@dataclass(frozen=True)
class _Placed:
    """A run with its place among the registered replicas, or reasons why it has none."""

    told: ToldRun
    export: str
    arm: str | None
    seed_index: int | None
    reasons: tuple[str, ...]


def list_forms() -> dict[str, RunsAdapter]:
    """Return the adapters that read exports of several runs, by name."""
    members = cast("Mapping[str, type[RunsAdapter]]", find_members("adapters"))
    return {name: kind.model_validate({"name": name}) for name, kind in members.items() if kind.tells_runs}


def read_export(raw: bytes, form: str) -> tuple[ToldRun, ...]:
    """Return the runs of an export.

    Raises:
        BadResults: It is not what the adapter reads, or holds no run.
    """
    adapter = list_forms()[form]
    found: list[ToldRun] = []
    try:
        for run in adapter.read_runs(raw):
            texts = [run.name, run.started, run.ended, run.arm or "", run.commit or ""]
            if any(len(text) > LONGEST or not text.isprintable() for text in texts):
                raise BadResults(
                    f"run {len(found) + 1} has a name, time, status, arm or commit that is too long or not printable"
                )
            found.append(run)
            if len(found) > MOST:
                raise BadResults(f"it tells of more than {MOST:,} runs")
    except BadRecord as error:
        raise BadResults(str(error)) from error
    except MISFIT as error:
        raise BadResults(f"it is not {adapter.tool}: cut off, or another file") from error
    if not found:
        raise BadResults("it tells of no run")
    return tuple(found)


def adapt_results(results: Results) -> Results:
    """Return how results that were told by an export are read: as JSON, by the names that the file gives metrics."""
    return results.model_copy(update={"form": "json", "steps_per_epoch": 1})


def account(
    hypothesis: Hypothesis, seeds: Sequence[int], since: str | None, link: Link, exports: Sequence[Sequence[ToldRun]]
) -> Accounted:
    """Account for every run of the exports, which are those of ``link`` in its order.

    ``since``: time before which no run could know what was registered; None if nothing was, and any time will do.
    """
    positions = {seed: index for index, seed in enumerate(seeds)}
    placed: list[_Placed] = []
    known: dict[str, str] = {}
    for file, runs in zip(link.exports, exports, strict=True):
        for run in runs:
            whole = json.dumps(run, sort_keys=True, default=str)
            one = _place(run, file.name, hypothesis, positions, (since, link))
            if whole in known:
                again = f"it is told twice, in {known[whole]} before"
                one = _Placed(run, file.name, one.arm, one.seed_index, (again,))
            known.setdefault(whole, file.name)
            placed.append(one)
    fates, chosen = _decide(placed, hypothesis)
    replicas, raw, failed = _fill(hypothesis, seeds, placed, fates, chosen, NONE_TOLD if since is None else NONE_LINKED)
    apart = {file.name: list_forms()[file.form].apart for file in link.exports}
    counted = [placed[number] for number in sorted(chosen.values())]
    told = LinkedRuns(
        exports=link.exports,
        since=since or "",
        runs=tuple(
            LinkedRun(
                run=one.told.name,
                export=one.export,
                arm=one.arm,
                seed_index=one.seed_index,
                started=one.told.started,
                fate=fates[number][0],
                why=fates[number][1] or failed.get(number, ""),
            )
            for number, one in enumerate(placed)
        ),
        missing=tuple(_write_gap(one, since or "") for one in replicas if (one.arm, one.seed_index) not in chosen),
        varying=tuple(_list_varying([one for one in counted if apart[one.export]], hypothesis)),
        untold=sum(one.told.commit is None for one in counted),
    )
    return Accounted(told, replicas, raw)


def list_commits(exports: Sequence[Sequence[ToldRun]]) -> tuple[str, ...]:
    """Return the commits that runs name, each once."""
    return tuple(sorted({run.commit for runs in exports for run in runs if run.commit is not None}))


def list_seeds(hypothesis: Hypothesis, exports: Sequence[Sequence[ToldRun]]) -> tuple[int, ...]:
    """Return the seeds of runs that are of an arm, ascending: where nothing was registered, these are the seeds."""
    fitting = (run for runs in exports for run in runs if run.ended in ENDED)
    fitting = (run for run in fitting if _find_arm(run, hypothesis, ASKED)[1] is None)
    return tuple(sorted({run.seed for run in fitting if run.seed is not None}))


def _place(
    run: ToldRun,
    export: str,
    hypothesis: Hypothesis,
    positions: Mapping[int, int],
    known: tuple[str | None, Link],
) -> _Placed:
    """Find a run's arm and seed, and every reason why it can't count; ``known``: since when it could be, and the link.

    ``positions``: seed → its position among the registered ones.
    """
    (since, link), reasons = known, []
    arm, other = _find_arm(run, hypothesis, ASKED if since is None else "registered")
    if other:
        reasons.append(other)
    index = None if run.seed is None else positions.get(run.seed)
    if run.seed is None:
        reasons.append("it tells no seed that is a whole number")
    elif index is None:
        reasons.append(f"its seed {run.seed} is {'not one of those that count' if since is None else 'not registered'}")
    if since is not None and (late := _explain_start(run.started, since, link.until)) is not None:
        reasons.append(late)
    if run.commit is not None and (differs := link.commits.get(run.commit, "its code was not compared")):
        reasons.append(differs)
    if run.ended not in ENDED:
        reasons.append(f"its status is {run.ended}")
    return _Placed(run, export, arm, index, tuple(reasons))


def _explain_start(started: str, since: str, until: str | None) -> str | None:
    """Say why a run can't count by the time at which it says it began; None if it can."""
    began = _read_start(started)
    if began is None:
        shown = f"{started} is no such time" if started else "it tells none"
        return f"it must tell when it began, with a time zone, and {shown}"
    if until is not None and began > datetime.fromisoformat(until):
        return f"it says that it begins in the future: {started}, linked {until}"
    return f"it began before the registration: {started}, {since}" if began < datetime.fromisoformat(since) else None


def _read_start(started: str) -> datetime | None:
    """Return the time that a run tells; None if it tells none with a time zone."""
    try:
        began = datetime.fromisoformat(started)
    except ValueError:
        return None
    return None if began.tzinfo is None else began


def _find_arm(run: ToldRun, hypothesis: Hypothesis, fixed: str) -> tuple[str | None, str | None]:
    """Return the arm whose parameters a run has, and a reason if it is of none; ``fixed``: word for the arms' own."""
    differing = {name: _list_other(run, arm, fixed) for name, arm in hypothesis.arms.items()}
    if run.arm is not None:
        if run.arm not in differing:
            return None, f"there is no arm {run.arm}"
        other = differing[run.arm]
        return run.arm, f"it has other parameters than arm {run.arm}: {', '.join(other)}" if other else None
    fitting = [name for name, other in differing.items() if not other]
    if len(fitting) == 1:
        return fitting[0], None
    if fitting:
        return None, f"its parameters are those of {' and '.join(fitting)}, and it doesn't say which arm it is of"
    nearest = min(differing, key=lambda name: len(differing[name]))
    return None, f"it has the parameters of no arm; of {nearest} differ {', '.join(differing[nearest])}"


def _list_other(run: ToldRun, arm: Arm, fixed: str) -> list[str]:
    """Return the parameters of an arm that a run doesn't have, one clause each."""
    return [
        f"{name} ({fixed} {write_parameter(value)}, told {_show(run.parameters.get(name, 'nothing'))})"
        for name, value in (arm.parameters or {}).items()
        if name not in run.parameters or not _is_same(value, run.parameters[name])
    ]


def _is_same(registered: Parameter, told: Any) -> bool:
    """Tell whether a value is the registered one; trackers keep numbers and truth values as texts."""
    if isinstance(registered, bool) or isinstance(told, bool):
        return str(told).lower() == str(registered).lower()
    if isinstance(registered, int | float):
        try:
            return float(told) == float(registered)
        except (TypeError, ValueError, OverflowError):
            return False
    return str(told) == registered


def _show(told: object) -> str:
    """Write what an export tells on one short line."""
    return make_plain_line(str(told))[:60]


Fate = tuple[Literal["counted", "excluded", "rejected"], str]


def _decide(placed: Sequence[_Placed], hypothesis: Hypothesis) -> tuple[dict[int, Fate], dict[tuple[str, int], int]]:
    """Return each run's fate, and replica → the number of the run that counts for it.

    Of several runs of one seed none is chosen, because choosing is selection by outcome; but runs that were preempted
    or killed make way for the next where the file said beforehand that such a seed is run again.
    """
    assert hypothesis.program is not None, "a checked file has one"
    again = hypothesis.program.again
    fates: dict[int, Fate] = {n: ("rejected", "; ".join(one.reasons)) for n, one in enumerate(placed) if one.reasons}
    grouped: dict[tuple[str, int], list[int]] = {}
    for number, one in enumerate(placed):
        if not one.reasons:
            assert one.arm is not None, "it has no reason against it"
            assert one.seed_index is not None, "it has no reason against it"
            grouped.setdefault((one.arm, one.seed_index), []).append(number)
    chosen: dict[tuple[str, int], int] = {}
    for key, numbers in grouped.items():
        began = {number: _read_start(placed[number].told.started) for number in numbers}
        if again is not None and None not in began.values():  # else nobody knows which came first
            numbers.sort(key=lambda n: (began[n], n))
            for number in numbers[: min(again.times, len(numbers) - 1)]:
                if (ended := placed[number].told.ended) not in again.when:
                    break
                fates[number] = "excluded", f"it was {ended}, and the file has such a seed run again"
        left = [number for number in numbers if number not in fates]
        if len(left) == 1:
            chosen[key] = left[0]
            fates[left[0]] = "counted", ""
        for number in left if len(left) > 1 else ():
            fates[number] = "rejected", f"its seed has {len(left)} runs, and none is chosen"
    return fates, chosen


def _fill(
    hypothesis: Hypothesis,
    seeds: Sequence[int],
    placed: Sequence[_Placed],
    fates: Mapping[int, Fate],
    chosen: Mapping[tuple[str, int], int],
    none: str,
) -> tuple[tuple[ReplicaResult, ...], dict[str, bytes], dict[int, str]]:
    """Return every replica, its results as told, and run → how it failed; ``none``: that a replica has no run."""
    assert hypothesis.results is not None, "a checked file has both"
    results = adapt_results(hypothesis.results)
    replicas, raw, failed = [], {}, {}
    rejected: dict[tuple[str | None, int | None], list[str]] = {}
    for which, (fate, why) in fates.items():
        if fate == "rejected":
            rejected.setdefault((placed[which].arm, placed[which].seed_index), []).append(why)
    for name, arm in hypothesis.arms.items():
        for index, seed in enumerate(seeds):
            replica = Replica(arm=name, seed_index=index, seed=seed)
            number = chosen.get((name, index))
            if number is None:
                replicas.append(fail_replica(replica, _explain_gap(rejected.get((name, index), []), none)))
                continue
            told = placed[number].told
            if told.ended not in VALID:
                replicas.append(fail_replica(replica, f"its export says that it {_tell_end(told.ended)}"))
            else:
                content = _write_results(told, arm, results)
                raw[name_replica(name, index)] = content
                replicas.append(read_replica(replica, arm, content, results))
            if (failure := replicas[-1].failure) is not None:
                failed[number] = failure
    return tuple(replicas), raw, failed


def _tell_end(ended: str) -> str:
    return ended if ended == "failed" else f"was {ended}"


def _write_gap(one: ReplicaResult, since: str) -> str:
    """Write why a replica has no value: by its number among registered seeds, or by its seed where none was."""
    return f"{one.arm}, seed {one.seed_index if since else one.seed}: {one.failure}"


def _explain_gap(rejected: Sequence[str], none: str) -> str:
    """Say why a seed has no run that counts, by the reasons against those that it has."""
    if not rejected:
        return none
    return rejected[0] if len(set(rejected)) == 1 else f"none of its {len(rejected)} runs counts: {rejected[0]}"


def _write_results(run: ToldRun, arm: Arm, results: Results) -> bytes:
    """Write what a run tells of declared metrics, as a results file of harness's own form."""
    names = {results.names.get(metric.called, metric.called) for metric in arm.setup.evaluation.measured}
    told: dict[str, Any] = {"metrics": {name: run.metrics[name] for name in sorted(names & run.metrics.keys())}}
    own = {"status": run.ended, "diverged_epoch": run.diverged_epoch, "weights_sha256": run.weights_sha256}
    told |= {key: value for key, value in own.items() if value is not None}
    return (json.dumps(told, sort_keys=True, indent=1) + "\n").encode()  # ASCII: texts of others may be no UTF-8


def _list_varying(counted: Sequence[_Placed], hypothesis: Hypothesis) -> Iterator[str]:
    """Yield what runs that count have in different values and the hypothesis doesn't name."""
    named = {name for arm in hypothesis.arms.values() for name in arm.parameters or {}} | {*OWN}
    for name in sorted({name for one in counted for name in one.told.parameters} - named):
        values: dict[str, list[str]] = {}
        for one in counted:
            value = _show(one.told.parameters.get(name, "not told"))
            values.setdefault(value, []).append(f"{one.arm} {one.seed_index}")
        if len(values) > 1:
            shown = [f"{value} ({format_count(len(where), 'run')})" for value, where in list(values.items())[:LISTED]]
            more = f" and {len(values) - LISTED} more values" if len(values) > LISTED else ""
            yield f"{_show(name)}: {', '.join(shown)}{more}"
