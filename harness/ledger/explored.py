"""Explorations: earlier results that were read against an unregistered file, and who must declare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from pydantic import ValidationError

from harness.domain.near_copies import Described, compare, describe
from harness.errors import HarnessError, UsageError
from harness.ledger.events import Ledger
from harness.ledger.index import Entered, Entry, LedgerIndex, name_run
from harness.ledger.prior_data_bodies import ExploredBody
from harness.ledger.runs import SHORTEST_RUN
from harness.records import Hypothesis, Measurements, ReplicaResult
from harness.wording import WATERMARK, format_count

DECLARED = "analysed"
"""Level of prior data that results have which were judged by harness."""
Exploration = Entry[ExploredBody]


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
    replicas: Iterable[ReplicaResult],
    run: str | None = None,
) -> tuple[tuple[Exploration, int], ...]:
    """Return explorations of results that replicas have, a seed with its values of a metric, and how many have them.

    Whoever linked such runs knew what they came to, by whatever file and id they had been explored.

    ``read``: as for ``find_undeclared``; ``run``: the event that entered the replicas; None if none did yet.
    """
    values = [_list_measured(one) for one in replicas]
    found = []
    for entry in index.entries(ExploredBody):
        if run is not None and not index.before(entry.digest, run):
            continue
        try:
            results = Measurements.model_validate_json(read(entry.body.results) or b"")
        except ValidationError:
            continue  # step 3 says that it could not be checked
        known = set().union(*map(_list_measured, results.replicas))
        if count := sum(not own.isdisjoint(known) for own in values):
            found.append((entry, count))
    return tuple(found)


def describe_read_before(found: Iterable[tuple[Exploration, int]]) -> tuple[str, ...]:
    """Say of linked runs that what they came to had been explored before, a sentence for each exploration."""
    return tuple(
        f"{format_count(count, 'replica')} of it had been explored before they were linked, by seed and values "
        f"({name_explorations([entry])}, {entry.claimed_time[:10]}, of {entry.body.hypothesis}): the result was known"
        for entry, count in found
    )


def _list_measured(replica: ReplicaResult) -> set[tuple[int, str]]:
    """Return a replica's seed with the values of each metric, whatever it is called."""
    told = (repr(sorted(series.values.items())) for series in replica.metrics.values())
    return {(replica.seed, one) for one in told if re.search(r"\d", one)}  # any number, beside what was not finite


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
