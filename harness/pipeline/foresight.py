"""What can be said before any training: whether the seeds are enough for the prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from harness import inference, ledger, spec
from harness.errors import Finding, UsageError
from harness.inference import Spread, Truth
from harness.ledger import Ledger
from harness.pipeline.project import refuse_altered, run_folder, stored
from harness.records import EstimandResult, Hypothesis, PowerReport
from harness.verdict.text import chance
from harness.wording import counted, exact, named

SMALLER, LARGER = 2 / 3, 3 / 2  # of an assumed sd: how far off an assumption may well be
ENOUGH = 0.8


@dataclass(frozen=True)
class Assumed:
    """Where standard deviations between seeds come from, the first that knows one: given, an earlier run, the file."""

    given: Mapping[str, float] = field(default_factory=dict)
    """Decision → sd; under "" for all."""
    run: str | None = None
    """A judged run, a pilot ("pilot-" and its digits), or a hypothesis: its last verdict, else its last pilot."""


def power(path: Path, verdicts: Path, assumed: Assumed, effects: Sequence[float] = ()) -> PowerReport:
    """The operating characteristics of a hypothesis file.

    Raises:
        InvalidHypothesis: the file is not valid.
        UsageError: no standard deviation is known, or the run that should say it is not there.
        Tampered: the run's verdict is not the one that the ledger names.
    """
    hypothesis = spec.load(path).hypothesis
    if unknown := [name for name in assumed.given if name and name not in hypothesis.decisions]:
        known = ", ".join(hypothesis.decisions)
        raise UsageError(f"there is no decision {unknown[0]!r}", where="--sd", remedy=f"decisions: {known}")
    if "" in assumed.given and set(hypothesis.decisions) <= set(assumed.given):
        message = "a value for all decisions has no effect where each of them is given its own"
        raise UsageError(message, where="--sd", remedy="leave it out")
    spreads, truths = from_file(hypothesis), {}
    if assumed.run is not None:
        earlier = _Earlier.of(assumed.run, Ledger(verdicts))
        truths = earlier.truths(hypothesis)
        spreads |= earlier.spreads(hypothesis, needed=not truths)
        if ("" in assumed.given or set(hypothesis.decisions) <= set(assumed.given)) and not truths:
            raise UsageError(
                "--sd-from has no effect: --sd gives the standard deviation of every decision, and of guards this run "
                "knows none",
                where="harness power",
                remedy="leave one of the two out, or give --sd DECISION=VALUE for some decisions only",
            )
    for name in hypothesis.decisions:
        if (sd := assumed.given.get(name, assumed.given.get(""))) is not None:
            spreads[name] = _around(sd, "given by --sd")
    if not spreads:
        raise UsageError(
            "no standard deviation between seeds is known",
            where=str(path),
            remedy="give --sd VALUE, take it from an earlier run with --sd-from, or write seeds.sd into the file",
        )
    return inference.power(hypothesis, spreads, effects, truths)


def from_file(hypothesis: Hypothesis) -> dict[str, Spread]:
    """Spreads by the file's ``seeds.sd``: of the first decision, and of others about the same metric in its unit."""
    if hypothesis.seeds.sd is None:
        return {}
    about = {name: hypothesis.estimands[decision.estimand] for name, decision in hypothesis.decisions.items()}
    first = next(iter(about.values()))
    spread = _around(hypothesis.seeds.sd, "assumed in the file (seeds.sd)")
    return {
        name: spread
        for name, estimand in about.items()
        if (estimand.metric.name, estimand.unit, estimand.transform, estimand.samples, len(estimand.arms))
        == (first.metric.name, first.unit, first.transform, first.samples, len(first.arms))
    }


def _around(sd: float, source: str) -> Spread:
    return Spread(SMALLER * sd, sd, LARGER * sd, f"{source}; also two thirds of it and half as much again")


@dataclass(frozen=True)
class _Earlier:
    """What a stored run estimated."""

    name: str
    """"run …" or "pilot …"."""
    estimates: Mapping[str, EstimandResult]

    @classmethod
    def of(cls, name: str, trail: Ledger) -> _Earlier:
        """The run of a name.

        Raises:
            UsageError: no such run.
            Tampered: its verdict is not the one that the ledger names.
        """
        folder, kind = _find(name, trail)
        stored_json: dict[str, Any] = json.loads(stored(folder / "verdict.json"))["estimates"]
        found = {key: EstimandResult.model_validate_json(json.dumps(value)) for key, value in stored_json.items()}
        return cls(f"{kind} {folder.name}", found)

    def about(self, estimand: str, hypothesis: Hypothesis) -> EstimandResult | None:
        """The estimate of an estimand, by its name, if it is in the same unit and has a spread."""
        result = self.estimates.get(estimand)
        if result is None or not result.sd or result.n < 2:
            return None
        return result if result.unit == inference.unit(hypothesis.estimands[estimand]) else None

    def spreads(self, hypothesis: Hypothesis, *, needed: bool) -> dict[str, Spread]:
        """Spreads by the estimands' names, each with its 80% limits on either side.

        Raises:
            UsageError: there are none, although they are ``needed``.
        """
        found = {}
        for decision, spec_of in hypothesis.decisions.items():
            if (result := self.about(spec_of.estimand, hypothesis)) is not None and result.sd:
                low, high = inference.sd_limits(result.sd, result.n)
                source = (
                    f"estimated from {counted(result.n, 'seed')} of {self.name}; also its lower and upper 80% limits"
                )
                found[decision] = Spread(low, result.sd, high, source)
        if not found and needed:
            wanted = ", ".join(decision.estimand for decision in hypothesis.decisions.values())
            raise UsageError(
                f"{self.name} has no spread of {wanted} above 0 in this file's unit",
                where="--sd-from",
                remedy=f"it has: {', '.join(self.estimates)}; give the value with --sd",
            )
        return found

    def truths(self, hypothesis: Hypothesis) -> dict[str, Truth]:
        """What guards are about, as estimated."""
        found = {}
        for name, guard in hypothesis.guards.items():
            result = self.about(guard.estimand, hypothesis)
            value = None if result is None else result.estimate(hypothesis.estimands[guard.estimand].seeds)
            if result is not None and value is not None and result.sd:
                found[name] = Truth(value, result.sd, f"estimated from {counted(result.n, 'seed')} of {self.name}")
        return found


def _find(name: str, trail: Ledger) -> tuple[Path, str]:
    """A run's folder, and whether it is a verdict's or a pilot's."""
    pilots = [event for event in trail.events() if event.type == "pilot"]
    asked = name.removeprefix("pilot-")
    for event in reversed(pilots):
        folder = trail.root / str(event.body["hypothesis"]) / f"pilot-{ledger.run_name(event.digest)}"
        if name.startswith("pilot-") and len(asked) > 3 and event.digest.startswith(asked):
            return folder, "pilot"
    try:
        started = ledger.find_judged(trail, name)
    except UsageError:
        mine = [event for event in pilots if event.body["hypothesis"] == name]
        if not mine:
            raise
        return trail.root / name / f"pilot-{ledger.run_name(mine[-1].digest)}", "pilot"
    folder = run_folder(trail, started)
    recorded = ledger.recorded_files(trail, started.digest)
    refuse_altered(folder, {"verdict.json": recorded["verdict.json"]})
    return folder, "run"


def too_few_seeds(loaded: spec.Loaded) -> Finding | None:
    """A warning if the predicted outcome has a chance below 80% even at the true effects that favour it most.

    Judged by the file's own ``seeds.sd``; without it nothing is said, but of a prediction that is a single value.
    """
    hypothesis = loaded.hypothesis
    if (point := inference.find_point_prediction(hypothesis)) is not None:
        message = (
            f"no number of seeds confirms the prediction, {named(hypothesis.prediction.outcome)}: decision {point!r} "
            "would have to be shown to be a single value, which data can't tell from its neighbours"
        )
        return spec.make_warning(
            loaded, "power", ("decisions", point, "bands"), message, "give the predicted band a width"
        )
    found = inference.bound_prediction_chance(hypothesis, from_file(hypothesis))
    if found is None or found[1] >= ENOUGH:
        return None
    name, best = found
    seeds = hypothesis.seeds
    message = (
        f"{counted(seeds.number, 'seed')} would confirm the prediction, {named(hypothesis.prediction.outcome)}, with a "
        f"chance of {chance(best)} at best: with the sd of {exact(seeds.sd or 0)} that the file assumes, decision "
        f"{name!r} "
        "often stays open whatever the truth is"
    )
    key = "count" if seeds.count is not None else "list"
    remedy = f"see how many seeds it takes: harness power {quote(str(loaded.path))}"
    return spec.make_warning(loaded, "power", ("seeds", key), message, remedy)
