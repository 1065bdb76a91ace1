"""Power, before any training: whether the seeds are enough for the prediction."""

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
from harness.ledger.prior_data_bodies import PilotBody
from harness.pipeline.run_files import read_file, refuse_altered
from harness.records import Estimand, EstimandResult, Hypothesis, PowerReport
from harness.verdict.text import format_chance
from harness.wording import format_count, format_exact, quote_outcome, suggest

SMALLER, LARGER = 2 / 3, 3 / 2  # of an assumed sd: how far off an assumption may well be
ENOUGH = 0.8


@dataclass(frozen=True)
class Assumed:
    """Sources of standard deviations between seeds; the first that knows one counts: given, a run, the file."""

    given: Mapping[str, float] = field(default_factory=dict)
    """Decision → sd; under "" for all."""
    run: str | None = None
    """A judged run, a pilot ("pilot-" and its digits), or a hypothesis: its last verdict, else its last pilot."""


def compute_power(file: Path, trail: Ledger, assumed: Assumed, effects: Sequence[float] = ()) -> PowerReport:
    """Compute the operating characteristics of a hypothesis file.

    Raises:
        InvalidHypothesis: the file is not valid.
        UsageError: no standard deviation is known, or the run that should say it is not there.
        Tampered: the run's verdict is not the one that the ledger names.
    """
    hypothesis = spec.load(file).hypothesis
    if unknown := [name for name in assumed.given if name and name not in hypothesis.decisions]:
        known = ", ".join(hypothesis.decisions)
        message = f"there is no decision {unknown[0]!r}{suggest(unknown[0], hypothesis.decisions)}"
        raise UsageError(message, where="--sd", remedy=f"decisions: {known}")
    if "" in assumed.given and set(hypothesis.decisions) <= set(assumed.given):
        message = "a value for all decisions has no effect where each of them is given its own"
        raise UsageError(message, where="--sd", remedy="leave it out")
    _refuse_onsets(file, hypothesis, assumed)
    ratios = all(hypothesis.estimands[one.estimand].ratio is not None for one in hypothesis.decisions.values())
    if ratios and (wrong := [effect for effect in effects if effect <= 0]):
        message = f"no ratio is {format_exact(wrong[0])}: the effects of this file are ratios"
        raise UsageError(message, where="--effect", remedy="give a number above 0, such as 1.5")
    spreads, truths = read_spreads(hypothesis), {}
    if assumed.run is not None:
        earlier = _Earlier.read(assumed.run, trail)
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
        onset = hypothesis.estimands[hypothesis.decisions[name].estimand].onset
        if onset is None and (sd := assumed.given.get(name, assumed.given.get(""))) is not None:
            spreads[name] = _surround(sd, "given by --sd")
    if not spreads:
        raise UsageError(
            "no standard deviation between seeds is known",
            where=str(file),
            remedy="give --sd VALUE, take it from an earlier run with --sd-from, or write seeds.sd into the file",
        )
    return inference.power(hypothesis, spreads, effects, truths)


def _refuse_onsets(file: Path, hypothesis: Hypothesis, assumed: Assumed) -> None:
    """Refuse to compute the power of decisions about onsets, whose seeds are not normal and may be never.

    Of several decisions, those about values are computed, unless a standard deviation is given for an onset.
    """
    about = {
        name
        for name, decision in hypothesis.decisions.items()
        if hypothesis.estimands[decision.estimand].onset is not None
    }
    given = sorted(about & assumed.given.keys())
    if given or about == hypothesis.decisions.keys():
        raise UsageError(
            f"decision {given[0] if given else next(iter(hypothesis.decisions))!r} is about an onset, which has no "
            "standard deviation: it may be never",
            where="--sd" if given else str(file),
            remedy="count seeds instead: by a sign test each counts that certainly lies beyond the boundary, 5 of 5, "
            "7 of 8 or 9 of 10 of them exclude a side at .05; a pilot shows how many do",
        )


def read_spreads(hypothesis: Hypothesis) -> dict[str, Spread]:
    """Read spreads from ``seeds.sd``: of the first decision, and of others about the same metric in its unit.

    Their arms have the same weights: a difference of differences varies more than a difference.
    """
    about = {name: hypothesis.estimands[decision.estimand] for name, decision in hypothesis.decisions.items()}
    about = {name: estimand for name, estimand in about.items() if estimand.onset is None}
    if hypothesis.seeds.sd is None or not about:
        return {}
    first = next(iter(about.values()))
    spread = _surround(hypothesis.seeds.sd, "assumed in the file (seeds.sd)")
    return {name: spread for name, estimand in about.items() if _list_scales(estimand) == _list_scales(first)}


def _list_scales(estimand: Estimand) -> tuple[object, ...]:
    """Return what must agree for two estimands to spread alike between seeds."""
    taken = (estimand.samples, estimand.layers, estimand.epochs)
    sizes = tuple(sorted(abs(weight) for weight in estimand.weights.values()))
    metrics = tuple(metric.key for metric in estimand.metrics.values())
    return metrics, estimand.unit, estimand.transform, *taken, estimand.ratio is not None, sizes


def _surround(sd: float, source: str) -> Spread:
    return Spread(SMALLER * sd, sd, LARGER * sd, f"{source}; also two thirds of it and half as much again")


@dataclass(frozen=True)
class _Earlier:
    """The estimates of a stored run."""

    name: str
    """"run …" or "pilot-…"."""
    estimates: Mapping[str, EstimandResult]

    @classmethod
    def read(cls, name: str, trail: Ledger) -> _Earlier:
        """Read the run of a name.

        Raises:
            UsageError: no such run.
            Tampered: its verdict is not the one that the ledger names.
        """
        folder, kind = _find(name, trail)
        plain: dict[str, Any] = json.loads(read_file(folder / "verdict.json"))["estimates"]
        found = {key: EstimandResult.model_validate_json(json.dumps(value)) for key, value in plain.items()}
        return cls(folder.name if kind == "pilot" else f"{kind} {folder.name}", found)

    def about(self, estimand: str, hypothesis: Hypothesis) -> EstimandResult | None:
        """Return the estimate of an estimand, by its name, if it is in the same unit and has a spread."""
        result = self.estimates.get(estimand)
        if result is None or not result.sd or result.n < 2:
            return None
        return result if result.unit == inference.name_unit(hypothesis.estimands[estimand]) else None

    def spreads(self, hypothesis: Hypothesis, *, needed: bool) -> dict[str, Spread]:
        """Return spreads by the estimands' names, each with its 80% limits on either side.

        Raises:
            UsageError: there are none, although they are ``needed``.
        """
        found = {}
        for decision, spec_of in hypothesis.decisions.items():
            if (result := self.about(spec_of.estimand, hypothesis)) is not None and result.sd:
                low, high = inference.compute_sd_limits(result.sd, result.n)
                source = (
                    f"estimated from {format_count(result.n, 'seed')} of {self.name}; also its lower and "
                    "upper 80% limits"
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
        """Return what guards are about, as estimated."""
        found = {}
        for name, guard in hypothesis.guards.items():
            result = self.about(guard.estimand, hypothesis)
            value = None if result is None else result.estimate(hypothesis.estimands[guard.estimand].seeds)
            if result is not None and value is not None and result.sd:
                found[name] = Truth(value, result.sd, f"estimated from {format_count(result.n, 'seed')} of {self.name}")
        return found


def _find(name: str, trail: Ledger) -> tuple[Path, str]:
    """Find a run's folder, and tell whether it is a verdict's or a pilot's."""
    if name.startswith(ledger.PILOT) and (pilot := ledger.find_pilot(trail, name)) is not None:
        return trail.root / ledger.locate_pilot(pilot), "pilot"
    try:
        started = ledger.find_judged(trail, name)
    except UsageError:
        mine = trail.index().of(name, PilotBody)
        if not mine:
            raise
        return trail.root / ledger.locate_pilot(mine[-1]), "pilot"
    folder = trail.root / started.folder
    recorded = ledger.list_recorded_files(trail, started.digest)
    refuse_altered(folder, {"verdict.json": recorded["verdict.json"]})
    return folder, "run"


def warn_of_too_few_seeds(loaded: spec.Loaded) -> Finding | None:
    """Warn if the predicted outcome has a chance below 80% even at the true effects that favour it most.

    Judged by the file's own ``seeds.sd``; without it nothing is said, but of a prediction that is a single value.
    """
    hypothesis = loaded.hypothesis
    if (point := inference.find_point_prediction(hypothesis)) is not None:
        message = (
            f"no number of seeds confirms the prediction, {quote_outcome(hypothesis.prediction.outcome)}: "
            f"decision {point!r} would have to be shown to be a single value, which data can't tell from its neighbours"
        )
        return spec.make_warning(
            loaded, "power", ("decisions", point, "bands"), message, "give the predicted band a width"
        )
    found = inference.bound_prediction_chance(hypothesis, read_spreads(hypothesis))
    if found is None or found[1] >= ENOUGH:
        return None
    name, best = found
    seeds = hypothesis.seeds
    message = (
        f"{format_count(seeds.number, 'seed')} would confirm the prediction, "
        f"{quote_outcome(hypothesis.prediction.outcome)}, with a chance of {format_chance(best)} at best: with "
        f"the sd of {format_exact(seeds.sd or 0)} that the file assumes, decision {name!r} "
        "often stays open whatever the truth is"
    )
    key = "count" if seeds.count is not None else "list"
    remedy = f"see how many seeds it takes: harness power {quote(str(loaded.path))}"
    return spec.make_warning(loaded, "power", ("seeds", key), message, remedy)
