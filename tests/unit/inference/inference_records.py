"""Records with chosen values: a hypothesis on digits, and measurements that put given numbers at given seeds."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import numpy as np

from harness import inference
from harness.criteria import estimate_parameter
from harness.domain.partition import Atom, split_line
from harness.inference import Spread
from harness.inference.atoms import run_atom_tests
from harness.inference.bands import find_alive_bands, judge_bands
from harness.inference.samples import Sample
from harness.records import BandDecision, Decision, DecisionSpec, EstimandResult, Hypothesis, Measurements
from harness.verdict import VERSION, word_decision

SETUP = {
    "dataset": {"name": "digits"},
    "model": {"name": "residual_mlp", "width": 8, "blocks": 4},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 10,
    "batch_size": 128,
}
DIRECTION = {
    "confirmed": "(-0.05, 0.05)",
    "partial": "(-0.20, -0.05] | [0.05, 0.20)",
    "rejected": "(-inf, -0.20] | [0.20, inf)",
}
MARGIN = {"artifact": "(-inf, 5)", "partial": "[5, 25]", "real": "(25, inf)"}
COSINE = {"metric": "credit_cosine", "arm": "penalized", "layer": 2, "samples": "mean"}
REFERENCE = {"metric": "gradient_norm", "arm": "penalized", "layer": 2, "samples": "median", "seeds": "median"}
MARGIN_PP = {"metric": "test_accuracy", "contrast": "bp_penalty - shallow", "unit": "pp"}
ACCURACY = {"metric": "test_accuracy", "arm": "penalized"}
PER_SAMPLE = ("credit_cosine", "gradient_norm")


def make_hypothesis(estimands, decisions, *, count=5, **more) -> Hypothesis:
    """``decisions``: name → (estimand, bands) or (estimand, bands, alpha)."""
    specs = {
        name: {"estimand": e, "bands": bands, "criterion": {"name": "t", **({"alpha": alpha[0]} if alpha else {})}}
        for name, (e, bands, *alpha) in decisions.items()
    }
    arm = {"rule": {"name": "dfa"}, "setup": SETUP}
    arms = {
        "penalized": {"label": "Penalized DFA", **arm},
        "bp_penalty": {"label": "BP with penalty", **arm},
        "shallow": {"label": "DFA, blocks frozen", **arm},
    }
    return Hypothesis.model_validate(
        {
            "schema_version": 1,
            "id": "some-hypothesis",
            "title": "t",
            "question": "q",
            "prediction": {"outcome": next(iter(next(iter(decisions.values()))[1])), "why": "w"},
            "prior_data_seen": {"level": "none"},
            "setup": SETUP,
            "arms": arms,
            "seeds": {"count": count},
            "estimands": estimands,
            "decisions": specs,
            "implications": {},
            **more,
        }
    )


def make_measurements(values, *, n=None, diverged=None, epochs=(1, 10), same_weights=(), pilot=False) -> Measurements:
    """``values``: (arm, metric) → one number or None per seed, alike at all epochs and layers.

    ``diverged``: (arm, seed index) → epoch. ``same_weights``: arms whose seeds all end with the same weights.
    """
    n = n if n is not None else max(len(numbers) for numbers in values.values())
    diverged = diverged or {}
    replicas = []
    for arm in dict.fromkeys(arm for arm, _ in values):
        for seed in range(n):
            metrics = {}
            for (of, metric), numbers in values.items():
                if of == arm and seed < len(numbers):
                    keys = ("mean", "std", "median") if metric in PER_SAMPLE else ("value",)
                    layers = 5 if metric in PER_SAMPLE else 1
                    rows = tuple((numbers[seed],) * layers for _ in epochs)
                    metrics[metric] = {"epochs": epochs, "values": dict.fromkeys(keys, rows)}
            at = diverged.get((arm, seed))
            replicas.append(
                {
                    "arm": arm,
                    "seed_index": seed,
                    "seed": 1000 + seed,
                    "status": "finished" if at is None else "diverged",
                    "diverged_epoch": at,
                    "weights_sha256": arm if arm in same_weights else f"{arm}-{seed}",
                    "metrics": metrics,
                }
            )
    return Measurements.model_validate(
        {
            "hypothesis": "some-hypothesis",
            "registration": "r",
            "pilot": pilot,
            "seeds": tuple(range(1000, 1000 + n)),
            "epochs": dict.fromkeys(("penalized", "bp_penalty", "shallow"), 10),
            "data": {"digits": {"fingerprint": "f", "origin": "o", "canonical": True, "train": 1437, "test": 360}},
            "replicas": replicas,
        }
    )


def decide(hypothesis: Hypothesis, measurements: Measurements, form: int = VERSION) -> Decision:
    """A decision with its sentences."""
    return word_decision(hypothesis, inference.decide(hypothesis, measurements), form)


def direction(**more) -> Hypothesis:
    """|cosine| of one arm in three bands."""
    return make_hypothesis({"direction": COSINE}, {"direction": ("direction", DIRECTION)}, **more)


def cosines(values, **more) -> Measurements:
    return make_measurements({("penalized", "credit_cosine"): values}, **more)


def margin(**more) -> Hypothesis:
    """Accuracy of one arm over another's, in percentage points, in three bands."""
    return make_hypothesis({"margin": MARGIN_PP}, {"margin": ("margin", MARGIN)}, **more)


def margins(values, *, base=0.3, **more) -> Measurements:
    """Measurements with these contrasts in percentage points; None where the first arm has no value."""
    first = [None if v is None else base + v / 100 for v in values]
    return make_measurements(
        {("bp_penalty", "test_accuracy"): first, ("shallow", "test_accuracy"): [base] * len(values)}, **more
    )


def spec_of(bands, alpha=0.05, criterion=None) -> DecisionSpec:
    given = {"name": "t", "alpha": alpha} if criterion is None else criterion.model_dump()
    return _spec_of(json.dumps({"estimand": "e", "criterion": given, "bands": bands}))


@lru_cache(maxsize=8)  # one decision is made on thousands of samples
def _spec_of(form: str) -> DecisionSpec:
    return DecisionSpec.model_validate_json(form)


@lru_cache(maxsize=8)
def atoms_of(bands: tuple[tuple[str, str], ...], bounds=(-math.inf, math.inf)) -> tuple[Atom, ...]:
    """The atoms of bands, given as their names and texts."""
    return split_line(spec_of(dict(bands)).bands, bounds)


def spread(sd) -> Spread:
    return Spread(sd / 2, sd, 2 * sd, "assumed")


def sample_of(data) -> Sample:
    """One number per seed, [n], or two unpaired arms', [n, 2], as ``evaluate`` hands them on."""
    data = np.asarray(data, dtype=float)
    x = data[:, 0] - data[:, 1] if data.ndim == 2 else data
    n = len(x)
    sd = math.hypot(*np.atleast_1d(data.std(axis=0, ddof=1))) if n > 1 else None
    result = EstimandResult(
        name="e", title="e", unit="", values=(), n=n, mean=x.mean() if n else None, median=np.median(x) if n else None,
        sd=sd, interval90=None, interval95=None, pseudomedian=estimate_parameter("pseudomedian", x) if n else None,
        iqm=estimate_parameter("iqm", x) if n else None,
    )  # fmt: skip
    degenerate = sd is not None and sd <= 1e-12 * abs(x.mean())
    return Sample(result=result, x=x, data=data, missing=(), blocked=False, degenerate=degenerate)


def judged(data, bands, criterion, domain=(-math.inf, math.inf), alpha=None) -> BandDecision:
    """A whole decision on these numbers by the criterion's real code."""
    return judge_bands("d", spec_of(bands, criterion=criterion), sample_of(data), domain, alpha)


def decided(x, bands, alpha=0.05, bounds=(-math.inf, math.inf)) -> tuple[str, ...]:
    """Bands that the seeds' values ``x`` leave alive: the core of a decision, without records around it."""
    spec = spec_of(bands, alpha)
    tests = run_atom_tests(atoms_of(tuple(bands.items()), bounds), np.asarray(x, dtype=float), spec.criterion, alpha)
    return find_alive_bands(spec, tests)
