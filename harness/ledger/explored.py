"""Explorations: earlier results that were read against an unregistered file, and who must declare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import ValidationError

from harness.domain.near_copies import Described, compare, describe
from harness.errors import HarnessError, UsageError
from harness.ledger.events import Ledger
from harness.ledger.index import Entered, Entry, LedgerIndex, name_run
from harness.ledger.prior_data_bodies import ExploredBody
from harness.ledger.runs import SHORTEST_RUN
from harness.records import Hypothesis, Measurements, ReplicaResult
from harness.records.linked import Export
from harness.records.program import Parameter, write_parameter
from harness.wording import WATERMARK, format_count

DECLARED = "analysed"
"""Level of prior data that results have which were judged by harness."""
Exploration = Entry[ExploredBody]


@dataclass(frozen=True)
class ReadBefore:
    """An exploration by which it was known what linked runs come to."""

    entry: Exploration
    same_file: bool
    """True if it read a file that they were linked from, whatever it asked of it."""
    replicas: int
    """Number of replicas whose results it has."""


@dataclass(frozen=True)
class _Measured:
    """A replica's results by the names that its export has for them, whatever a hypothesis calls them."""

    seed: int
    parameters: Mapping[str, Parameter]
    values: Mapping[str, str]
    """Metric → its values, written."""


def list_explorations(ledger: Entered, hypothesis: str | None = None) -> tuple[Exploration, ...]:
    """Return the explorations of a hypothesis's file, or all, in ledger order.

    Raises:
        Tampered: as ``Ledger.events``.
    """
    index = ledger.index()
    return index.entries(ExploredBody) if hypothesis is None else index.of(hypothesis, ExploredBody)


def find_exploration(ledger: Ledger, name: str) -> Exploration | None:
    """Return the last exploration of a hypothesis, or the one whose event begins with ``name``; None if there is none.

    Raises:
        UsageError: several begin with it.
        Tampered: as ``Ledger.events``.
    """
    if own := list_explorations(ledger, name):
        return own[-1]
    found = [one for one in list_explorations(ledger) if len(name) >= SHORTEST_RUN and one.digest.startswith(name)]
    if len(found) > 1:
        remedy = f"give more digits: {', '.join(name_run(one.digest) for one in found)}"
        raise UsageError(f"several explorations begin with {name!r}", where=str(ledger.root), remedy=remedy)
    return found[0] if found else None


def describe_exploration(body: ExploredBody) -> str:
    """Say of an exploration what was read, and that it counts for nothing."""
    files = ", ".join(file.name for file in body.exports)
    runs = f"{format_count(body.counted, 'run')} that {'was' if body.counted == 1 else 'were'} made elsewhere"
    seeds = format_count(body.seeds, "seed")
    return f"{WATERMARK}: {runs}, {seeds}, told by {files}, would be {body.would_be} by the file's rules"


def find_undeclared(
    index: LedgerIndex, read: Callable[[str], bytes | None], hypothesis: Hypothesis, registration: str | None = None
) -> tuple[Exploration, ...]:
    """Return the explorations of the same question that a hypothesis doesn't declare as prior data, in ledger order.

    The same question is one of the same id, or one whose decisions ask the same or nearly the same
    (``harness.domain.near_copies``). It is declared by the level ``analysed`` and the exploration's name.

    ``read``: reads an object, None if it is not there as it was written; ``registration``: the event that registered
    the hypothesis, before which explorations are prior data to it; None if it is not registered: all are.
    """
    seen = hypothesis.prior_data_seen
    owed = [
        entry
        for entry in index.entries(ExploredBody)
        if (registration is None or index.before(entry.digest, registration))
        and not (seen.level == DECLARED and _is_named(entry, seen.what or ""))
    ]
    mine = cache(lambda: _describe(hypothesis))  # it takes a while, and most trails hold no exploration
    return tuple(entry for entry in owed if entry.body.hypothesis == hypothesis.id or _asks_same(mine(), entry, read))


def find_read_before(
    index: LedgerIndex,
    read: Callable[[str], bytes | None],
    hypothesis: Hypothesis,
    exports: Iterable[Export],
    replicas: Iterable[ReplicaResult],
    run: str | None = None,
) -> tuple[ReadBefore, ...]:
    """Return explorations by which whoever linked runs knew what they come to, by whatever file and id.

    They read a file that the runs were linked from, or they have the results of replicas. Those that the hypothesis
    names among what had been seen are left out.

    ``read``: as for ``find_undeclared``; ``exports``: the files that the runs were linked from; ``run``: the event that
    entered them; None if none did yet.
    """
    files = {file.sha256 for file in exports}
    own = cache(lambda: _list_measured(hypothesis, replicas))  # most trails hold no exploration
    found = []
    for entry in index.entries(ExploredBody):
        if _is_named(entry, hypothesis.prior_data_seen.what or "") or not (
            run is None or index.before(entry.digest, run)
        ):
            continue
        same = any(file.sha256 in files for file in entry.body.exports)
        if (count := _count_same(own(), _read_measured(entry, read))) or same:
            found.append(ReadBefore(entry, same, count))
    return tuple(found)


def describe_read_before(found: Iterable[ReadBefore]) -> tuple[str, ...]:
    """Say of linked runs that what they came to had been explored before, a sentence for each exploration."""
    told = []
    for one in found:
        entry = one.entry
        by = f"{name_explorations([entry])}, {entry.claimed_time[:10]}, of {entry.body.hypothesis}"
        replicas = f"{format_count(one.replicas, 'replica')} of it had been explored before they were linked"
        what = (
            "the same file had been explored before it was linked"
            if one.same_file
            else f"{replicas}, by seed and values"
        )
        told.append(f"{what} ({by}): the result was known")
    return tuple(told)


def _read_measured(entry: Exploration, read: Callable[[str], bytes | None]) -> list[_Measured]:
    """Return what an exploration's replicas came to; none if what it keeps can't be read, as step 3 says."""
    try:
        hypothesis = Hypothesis.model_validate_json(read(entry.body.canonical) or b"")
        return _list_measured(hypothesis, Measurements.model_validate_json(read(entry.body.results) or b"").replicas)
    except ValidationError:
        return []


def _list_measured(hypothesis: Hypothesis, replicas: Iterable[ReplicaResult]) -> list[_Measured]:
    names = {} if hypothesis.results is None else hypothesis.results.names
    called = {
        arm: {metric.key: names.get(metric.called, metric.called) for metric in told.setup.evaluation.measured}
        for arm, told in hypothesis.arms.items()
    }
    found = []
    for one in replicas:
        if one.arm in called:
            own = called[one.arm]
            values = {own.get(key, key): repr(sorted(series.values.items())) for key, series in one.metrics.items()}
            found.append(_Measured(one.seed, hypothesis.arms[one.arm].parameters or {}, values))
    return found


def _count_same(own: Sequence[_Measured], theirs: Sequence[_Measured]) -> int:
    """Count replicas that are the same run as another, or came to the same at the same seed and parameters.

    All metrics of both agree, and one of them tells runs apart: epochs that all runs have in common do not.
    """
    names = {name for one in own for name in one.values}
    telling = {name for name in names if _tells_apart(name, own, theirs)}
    by_seed: dict[int, list[_Measured]] = {}
    for one in theirs:
        by_seed.setdefault(one.seed, []).append(one)
    return sum(any(_is_same(one, other, telling) for other in by_seed.get(one.seed, ())) for one in own)


def _tells_apart(name: str, own: Sequence[_Measured], theirs: Sequence[_Measured]) -> bool:
    """Tell whether a metric varies, on either side as far as there are several values."""
    sides = [[one.values[name] for one in side if name in one.values] for side in (own, theirs)]
    varying = all(len(side) == 1 or len(set(side)) > 1 for side in sides)
    return varying and len({value for side in sides for value in side}) > 1


def _is_same(one: _Measured, other: _Measured, telling: set[str]) -> bool:
    """Tell whether two replicas of one seed are the same run, or came to the same."""
    shared = one.values.keys() & other.values.keys()
    return (
        any(re.search(r"\d", one.values[name]) for name in shared & telling)  # any number, beside those not finite
        and all(one.values[name] == other.values[name] for name in shared)
        and all(
            one.parameters[name] == other.parameters[name]
            or write_parameter(one.parameters[name]) == write_parameter(other.parameters[name])
            for name in one.parameters.keys() & other.parameters.keys()
        )
    )


def name_explorations(found: Iterable[Exploration]) -> str:
    """Name explorations, as prior data are declared by them."""
    return ", ".join(f"explored {name_run(entry.digest)}" for entry in found)


def explain_undeclared(found: Iterable[Exploration], hypothesis: Hypothesis) -> tuple[str, str]:
    """Say what is not declared, and what to do about it."""
    listed = [
        f"{entry.claimed_time[:10]}, {name_run(entry.digest)}, of "
        f"{'this file' if entry.body.hypothesis == hypothesis.id else entry.body.hypothesis}"
        for entry in found
    ]
    told = f"results of this question were explored before ({'; '.join(listed)})"
    remedy = f"set level: {DECLARED}, and name them under prior_data_seen.what: {name_explorations(found)}"
    return f"{told}, and prior_data_seen does not declare them", remedy


def _is_named(entry: Exploration, what: str) -> bool:
    """Tell whether a text names an exploration by its first digits, twelve or more of them."""
    return any(entry.digest.startswith(word) for word in re.findall(r"(?<![0-9a-z])[0-9a-f]{12,64}(?![0-9a-z])", what))


def _asks_same(mine: Described | None, entry: Exploration, read: Callable[[str], bytes | None]) -> bool:
    try:
        theirs = _describe(Hypothesis.model_validate_json(read(entry.body.canonical) or b""))
    except ValidationError:
        return False
    return mine is not None and theirs is not None and compare(theirs, mine) is not None


def _describe(hypothesis: Hypothesis) -> Described | None:
    try:
        return describe(hypothesis)
    except (ValidationError, HarnessError):
        return None
