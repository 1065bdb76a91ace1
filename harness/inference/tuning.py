"""The choice of a search: a pure function of the file and of what the candidates came to."""

from __future__ import annotations

import math

from harness.domain.tuning import find_selector, list_candidates, name_candidate
from harness.errors import HarnessError
from harness.metrics import parse_metric
from harness.records import Candidate, Hypothesis, Measurements, ReplicaResult, Search, TunedArm
from harness.records.tuning import Value


def choose(hypothesis: Hypothesis, measured: Measurements) -> Search:
    """Choose a candidate for every tuned arm from what all candidates came to on the tuning seeds.

    The best mean over the tuning seeds wins, of the metric that the file names, at the last epoch. A candidate loses to
    all with fewer diverged seeds; of a program, failed ones count among these. Of equally good ones, the one with the
    smaller values wins, path by path in alphabetical order, so that the order in which a file lists them changes
    nothing. Drawn candidates follow from the tuning seeds.

    Raises:
        HarnessError: a candidate was not measured, or the metric chooses nothing.
    """
    tuning = hypothesis.tuning
    assert tuning is not None, "only a tuned hypothesis has a search"
    selector = find_selector(hypothesis)
    try:
        better = parse_metric(selector).better
    except (KeyError, ValueError):
        better = None
    if better is None:
        raise HarnessError(f"no candidate is best by {tuning.select!r}", where="tuning.select")
    arms = {}
    for name in tuning.space:
        candidates = tuple(
            _measure(tuning.seeds, name_candidate(name, position), values, (measured, selector))
            for position, values in enumerate(list_candidates(tuning, name, measured.seeds))
        )
        arms[name] = _rank(candidates, higher=better == "higher")
    return Search(metric=selector, better=better, seeds=measured.seeds, arms=arms)


def _measure(seeds: int, name: str, values: dict[str, Value], read: tuple[Measurements, str]) -> Candidate:
    """Read a candidate's values at ``seeds`` seeds from measurements, by the key of a metric."""
    measured, selector = read
    try:
        replicas = [measured.find_replica(name, index) for index in range(seeds)]
        found = tuple(_read_last(replica, selector) for replica in replicas)
    except KeyError as error:
        raise HarnessError(f"the search did not measure {name}: {error}", where="search.json") from error
    usable = [value for value in found if value is not None]
    return Candidate(values=values, measured=found, mean=math.fsum(usable) / len(usable) if usable else None)


def _read_last(replica: ReplicaResult, metric: str) -> float | None:
    """Return the metric at the last epoch; None of a replica that diverged, or failed."""
    if replica.status in ("diverged", "failed"):
        return None
    return replica.metrics[metric].values["value"][-1][0]


def _rank(candidates: tuple[Candidate, ...], *, higher: bool) -> TunedArm:
    def order(position: int) -> tuple[object, ...]:
        one = candidates[position]
        mean = 0.0 if one.mean is None else -one.mean if higher else one.mean
        return one.diverged, mean, [_order(one.values[path]) for path in sorted(one.values)]

    ranked = sorted(range(len(candidates)), key=order)
    return TunedArm(
        candidates=candidates,
        chosen=ranked[0],
        runner_up=ranked[1] if len(ranked) > 1 else None,
        edges=tuple(path for path in candidates[0].values if _is_edge(candidates, ranked[0], path)),
    )


def _order(value: Value) -> tuple[str, Value]:
    return ("number", value) if _is_number(value) else ("text", str(value))


def _is_edge(candidates: tuple[Candidate, ...], chosen: int, path: str) -> bool:
    """Tell whether the chosen number of a path is the smallest or the largest of several."""
    values = {candidate.values[path] for candidate in candidates}
    numbers = [value for value in values if _is_number(value)]
    return 1 < len(numbers) == len(values) and candidates[chosen].values[path] in (min(numbers), max(numbers))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
