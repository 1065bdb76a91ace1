"""Records with plausible numbers, for the tests of the verdict."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

from harness.claims import find_consequences
from harness.records import (
    AtomTest,
    Attempt,
    BandDecision,
    Claims,
    DataRecord,
    Decision,
    EstimandResult,
    GuardResult,
    Hypothesis,
    Interval,
    Measurements,
    Provenance,
    Registered,
    ReplicaResult,
    SeedValue,
    Series,
)

SETUP: dict[str, Any] = {
    "dataset": {"name": "digits", "augment": ["random_crop"]},
    "model": {"name": "residual_mlp", "width": 256, "blocks": 4},
    "optimizer": {"name": "adamw", "lr": 1e-3},
    "epochs": 100,
    "batch_size": 128,
    "save": ["weights", "feedback"],
}
CLAIMS = Claims.model_validate(
    {
        "claims": {
            "scale-collapse": {"statement": "Vanilla DFA lets the residual stream grow without bound."},
            "two-failure-modes": {"statement": "DFA fails in two separable ways.", "stands_on": ["scale-collapse"]},
            "one-unified-mode": {"statement": "Scale is the single failure mode.", "stands_on": ["scale-collapse"]},
            "direction-needs-a-fix": {"statement": "Feedback must be learnt.", "stands_on": ["two-failure-modes"]},
        }
    }
)
ARMS: dict[str, Any] = {
    "vanilla": {"label": "Vanilla DFA", "rule": {"name": "dfa"}},
    "penalized": {
        "label": "Penalized DFA",
        "rule": {"name": "dfa"},
        "penalty": {"name": "residual_branch", "strength": 1e-2},
    },
    "bp_penalty": {
        "label": "BP with the same penalty",
        "rule": {"name": "bp"},
        "penalty": {"name": "residual_branch", "strength": 1e-2},
    },
}
# Arm → final accuracy, final loss, hidden norm at the last layer, gradient norm at the last layer.
LEVELS = {
    "vanilla": (0.306, 2.31, 5e8, 4e-10),
    "penalized": (0.363, 1.79, 4e4, 2e-5),
    "bp_penalty": (0.609, 1.12, 6e1, 3e-4),
}


def hypothesis(arms: tuple[str, ...] = ("vanilla", "penalized", "bp_penalty"), **changes: Any) -> Hypothesis:
    content: dict[str, Any] = {
        "schema_version": 1,
        "id": "mode2-direction",
        "title": "DFA's credit signal is misaligned even where the BP reference is healthy",
        "question": "Does DFA's credit signal point along a healthy BP gradient?",
        "prediction": {"outcome": "confirmed", "why": "Random feedback carries no information about deep Jacobians."},
        "prior_data_seen": {"level": "summaries_seen", "what": "Earlier penalty runs: +5.5 pp over vanilla."},
        "setup": SETUP,
        "arms": {name: {**ARMS[name], "setup": SETUP} for name in arms},
        "seeds": {"count": 10, "justification": "sd .03 between seeds gives power .99 for |cos| < .05 at 0."},
        "estimands": {
            "direction": {"metric": "credit_cosine", "arm": "penalized", "layer": 2, "samples": "mean"},
            "reference": {
                "metric": "gradient_norm", "arm": "penalized", "layer": 2, "samples": "median", "seeds": "median",
            },
        },
        "guards": {
            "healthy_reference": {
                "estimand": "reference", "above": 1e-7,
                "otherwise": "The BP gradient is at the floor, so the cosine can't be read.",
            }
        },
        "decisions": {
            "direction": {
                "estimand": "direction",
                "criterion": {"name": "t", "alpha": 0.05},
                "bands": {
                    "confirmed": "(-0.05, 0.05)",
                    "partial": "(-0.20, -0.05] | [0.05, 0.20)",
                    "rejected": "(-inf, -0.20] | [0.20, inf)",
                },
            }
        },
        "implications": {
            "confirmed": {"says": "Direction is a second failure mode.", "supports": ["two-failure-modes"]},
            "partial": {"says": "Direction is mediocre with a healthy reference."},
            "rejected": {
                "says": "The signal is sound once scale is fixed.",
                "walks_back": ["two-failure-modes"], "restores": ["one-unified-mode"],
            },
            "inconclusive": {"says": "The seeds don't decide. No claim moves."},
            "invalid": {"says": "The reference is not healthy: nothing can be said about direction."},
        },
    }  # fmt: skip
    if "vanilla" in arms:
        content["exploratory"] = {
            "vanilla_direction": {"metric": "credit_cosine", "arm": "vanilla", "layer": 2, "samples": "mean"},
        }
    return Hypothesis.model_validate({**content, **changes})


def registered(hypothesis: Hypothesis, seeds: int = 10) -> Registered:
    draw = random.Random(11)
    numbers = tuple(draw.randrange(2**53) for _ in range(seeds))
    return Registered(hypothesis=hypothesis, claims=CLAIMS, registration="ab" * 32, seeds=numbers)


def measurements(
    registered: Registered, *, diverged: tuple[tuple[str, int], ...] = (), pilot: bool = False, every: int = 5
) -> Measurements:
    """Curves that rise to the arm's level; a diverged replica stops at epoch 40 and then has no finite value."""
    replicas = []
    for arm in registered.hypothesis.arms:
        for index, seed in enumerate(registered.seeds):
            lost = (arm, index) in diverged
            replicas.append(
                ReplicaResult(
                    arm=arm,
                    seed_index=index,
                    seed=seed,
                    status="diverged" if lost else "finished",
                    diverged_epoch=41 if lost else None,
                    weights_sha256=f"{seed:064x}",
                    metrics=_metrics(arm, seed, lost, every),
                )
            )
    return Measurements(
        hypothesis=registered.hypothesis.id,
        registration=registered.registration,
        pilot=pilot,
        seeds=registered.seeds,
        epochs=dict.fromkeys(registered.hypothesis.arms, 2 if pilot else 100),
        data={"digits": DataRecord(fingerprint="cd" * 32, origin="scikit-learn", canonical=True, train=1437, test=360)},
        replicas=tuple(replicas),
    )


def _metrics(arm: str, seed: int, lost: bool, every: int) -> dict[str, Series]:
    draw = random.Random(f"{arm}/{seed}")
    accuracy, loss, hidden, gradient = LEVELS[arm]
    epochs = tuple(sorted({1, *range(every, 101, every), 100}))
    shift = draw.gauss(0, 1)

    def series(layers: int, value: Any, summaries: tuple[str, ...]) -> Series:
        rows = [
            tuple(None if lost and epoch > 40 else value(epoch / 100, layer) for layer in range(layers))
            for epoch in epochs
        ]
        return Series(epochs=epochs, values=dict.fromkeys(summaries, tuple(rows)))

    def rise(t: float) -> float:
        return 1 - math.exp(-6 * t)

    samples = ("mean", "std", "median")
    found = {
        "test_accuracy": series(1, lambda t, _: accuracy * (0.4 + 0.6 * rise(t)) + 0.006 * shift, ("value",)),
        "train_loss": series(1, lambda t, _: loss + (2.4 - loss) * (1 - rise(t)) + 0.01 * shift, ("value",)),
        "gradient_norm": series(
            5, lambda t, k: 1e-3 * (gradient / 1e-3) ** (rise(t) * (0.4 + 0.15 * k)) * 1.2**shift, samples
        ),
        "hidden_norm": series(5, lambda t, k: 10 * (hidden / 10) ** (rise(t) * (0.4 + 0.15 * k)) * 1.1**shift, samples),
        "residual_growth": series(1, lambda t, _: 1 + hidden**0.2 * rise(t), samples),
    }
    if arm != "bp_penalty":
        found["credit_cosine"] = series(
            5,
            lambda t, k: (0.4 if k == 0 else 0.15 * rise(t) / k if arm == "penalized" else 0.0) + 0.012 * shift,
            samples,
        )
        found["credit_norm"] = series(5, lambda t, k: 0.8 + 0.01 * k + 0.004 * shift, samples)
    return found


DECIDED = (0.012, -0.008, 0.021, 0.004, -0.015, 0.0075, -0.0031, 0.0162, 0.0009, 0.0118)


def estimand(name: str, values: tuple[float | None, ...], title: str, unit: str = "", **changes: Any) -> EstimandResult:
    from scipy import stats

    finite = [value for value in values if value is not None]
    n = len(finite)
    mean = statistics.fmean(finite) if finite else None
    sd = statistics.stdev(finite) if n > 1 else None

    def interval(level: float) -> tuple[float, float] | None:
        if mean is None or not sd:
            return None
        half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * sd / math.sqrt(n)
        return mean - half, mean + half

    return EstimandResult(
        name=name, title=title, unit=unit,
        values=tuple(
            SeedValue(seed_index=i, value=v, note=None if v is not None else "diverged") for i, v in enumerate(values)
        ),
        n=n, mean=mean, median=statistics.median(finite) if finite else None, sd=sd,
        interval90=interval(0.9), interval95=interval(0.95), **changes,
    )  # fmt: skip


def band_decision(hypothesis: Hypothesis, name: str, result: EstimandResult, **changes: Any) -> BandDecision:
    """The atom tests by t, as the design describes them; good enough to be printed."""
    from scipy import stats

    spec = hypothesis.decisions[name]
    finite = [seed.value for seed in result.values if seed.value is not None]
    atoms = []
    parts = sorted(
        ((band, part) for band, parts in spec.bands.items() for part in parts),
        key=lambda item: item[1].lower if item[1].lower is not None else -math.inf,
    )
    for band, part in parts:
        p = _p(finite, part, stats) if result.sd else 1.0
        atoms.append(AtomTest(interval=part, outcome=band, p=p, rejected=p <= 0.05))
    alive = tuple(band for band in spec.bands if any(a.outcome == band and not a.rejected for a in atoms))
    outcome = alive[0] if len(alive) == 1 else "inconclusive"
    own = next((a.outcome for a in atoms if result.mean is not None and a.interval.contains(result.mean)), None)
    settled = own if outcome == "inconclusive" else outcome
    fields: dict[str, Any] = {
        "name": name, "estimand": result, "criterion": "t", "alpha": 0.05, "status": "tested",
        "interval": result.interval90, "interval_level": 0.9, "atoms": tuple(atoms),
        "bands": {band: str(parts) for band, parts in spec.bands.items()}, "outcome": outcome, "alive": alive,
        "p": max((a.p for a in atoms if a.outcome != settled), default=None),
        "boundary": None, "seeds_needed": None, "seeds_needed_pessimistic": None,
        "steps": (
            f"{result.title} has a value at {result.n} seeds.",
            f"Not excluded at α = 0.05: {', '.join(alive)}. So the decision is {outcome}.",
        ),
    }  # fmt: skip
    return BandDecision.model_validate({**fields, **changes})


def _p(x: list[float], part: Interval, stats: Any) -> float:
    less = 1.0 if part.lower is None else float(stats.ttest_1samp(x, part.lower, alternative="less").pvalue)
    greater = 1.0 if part.upper is None else float(stats.ttest_1samp(x, part.upper, alternative="greater").pvalue)
    return min(1.0, (1 if 1.0 in (less, greater) else 2) * min(less, greater))


def guard(values: tuple[float | None, ...], status: str = "verified") -> GuardResult:
    result = estimand("reference", values, "BP gradient norm of penalized, layer 2, median over samples and seeds")
    holding = sum(value is not None and value > 1e-7 for value in values)
    return GuardResult.model_validate(
        {
            "name": "healthy_reference", "estimand": result, "side": "above", "threshold": 1e-7, "alpha": 0.05,
            "test": "exact sign test", "holding": holding, "p": 0.5**result.n, "p_reverse": 1.0, "status": status,
            "otherwise": "The BP gradient is at the floor, so the cosine can't be read.",
        }
    )  # fmt: skip


def decision(hypothesis: Hypothesis, *decisions: BandDecision, **changes: Any) -> Decision:
    outcome = changes.get("outcome", decisions[0].outcome)
    fields: dict[str, Any] = {
        "outcome": outcome, "predicted": hypothesis.prediction.outcome,
        "summary": f"The decision gives {outcome}.", "guards": (), "decisions": decisions, "combination": None,
        "p": decisions[0].p, "diverged": {}, "divergence_rate": {},
        "clean_rate_limit": 1 - 0.05 ** (1 / len(decisions[0].estimand.values)),
        "exploratory": (), "warnings": (),
    }  # fmt: skip
    return Decision.model_validate({**fields, **changes})


def provenance(**changes: Any) -> Provenance:
    run = "0123456789ab"
    fields: dict[str, Any] = {
        "run": run, "registration": "ab" * 32, "registered_time": "2026-04-01T08:00:00Z",
        "started": "2026-04-02T08:00:00Z", "finished": "2026-04-02T08:21:09Z", "commit": "ef" * 20, "dirty": False,
        "dirty_digest": None, "harness": "0.1.0", "code": "9f" * 32,
        "packages": {"torch": "2.11.0", "numpy": "2.4.0"}, "python": "3.12.4",
        "platform": "Linux x86_64", "device": "NVIDIA H100", "command": "harness run hypotheses/mode2-direction.yaml",
        "durations": {"train": 1254.2, "judge": 1.31}, "resumed": 1, "hand_picked_seeds": False,
        "weights": {f"replica_{index}.safetensors": "aa" * 32 for index in range(30)}, "cohorts": (20, 10),
        "attempts": (
            Attempt(run="fedcba987654", status="aborted", started="2026-04-01T09:00:00Z", reason="disk full"),
            Attempt(run=run, status="finished", started="2026-04-02T08:00:00Z", outcome="confirmed"),
        ),
        "deviations": (),
    }  # fmt: skip
    return Provenance.model_validate({**fields, **changes})


TITLE = "cosine of credit and BP gradient of penalized, layer 2, mean over samples, mean over seeds"


def decided(values: tuple[float | None, ...] = DECIDED, **changes: Any) -> tuple[Any, ...]:
    """The five arguments of ``render`` for one decision about direction."""
    found = hypothesis(**changes)
    fixed = registered(found, len(values))
    judged = decision(
        found,
        band_decision(found, "direction", estimand("direction", values, TITLE)),
        guards=(guard(tuple(2e-5 * (1 + 0.1 * i) for i in range(len(values)))),),
        exploratory=(estimand("vanilla_direction", (0.002, -0.011, 0.006, 0.0), "cosine of vanilla, layer 2"),),
    )
    return fixed, measurements(fixed), judged, provenance(), moves(found)


def moves(hypothesis: Hypothesis) -> dict[str, Any]:
    return {outcome: find_consequences(CLAIMS, implied) for outcome, implied in hypothesis.implications.items()}


MARGIN: dict[str, Any] = {
    "estimands": {"margin": {"metric": "test_accuracy", "contrast": "bp_penalty - penalized", "unit": "pp"}},
    "guards": {},
    "exploratory": {},
    "prediction": {"outcome": "real", "why": "The penalty costs BP a few points only."},
    "decisions": {
        "margin": {
            "estimand": "margin",
            "criterion": {"name": "t"},
            "bands": {"artifact": "(-inf, 5)", "partial": "[5, 25]", "real": "(25, inf)"},
        }
    },
    "implications": {
        "artifact": {"says": "The penalty itself caps the use of depth.", "walks_back": ["scale-collapse"]},
        "partial": {"says": "Some capacity is lost to the penalty."},
        "real": {"says": "The cap is intrinsic to random feedback.", "supports": ["two-failure-modes"]},
        "inconclusive": {"says": "The seeds don't decide."},
        "invalid": {"says": "No statement can be made."},
    },
}


def margin(
    values: tuple[float | None, ...], *, lost: tuple[tuple[str, int], ...] = (), pilot: bool = False, **changes: Any
) -> tuple[Any, ...]:
    """The five arguments of ``render`` for the margin decision (5, 25); ``changes`` go to the band decision."""
    found = hypothesis(**MARGIN)
    fixed = registered(found, len(values))
    title = "test accuracy, BP with the same penalty − Penalized DFA, mean over seeds"
    part = band_decision(found, "margin", estimand("margin", values, title, "pp", correlation=0.412), **changes)
    diverged: dict[str, Any] = {}
    if lost:
        by_arm = {arm: tuple(index for name, index in lost if name == arm) for arm, _ in lost}
        diverged = {
            "diverged": by_arm,
            "divergence_rate": {arm: (len(seeds) / len(values), 0.025, 0.556) for arm, seeds in by_arm.items()},
            "clean_rate_limit": None,
        }
    return (
        fixed,
        measurements(fixed, diverged=lost, pilot=pilot),
        decision(found, part, **diverged),
        provenance(),
        moves(found),
    )


def alike(count: int, values: tuple[float, ...] = (31.2, 28.9, 33.5, 30.1, 29.4)) -> tuple[Any, ...]:
    """The five arguments of ``render`` for up to three decisions, all like that of ``margin``."""
    names = ("first", "second", "third")[:count]
    several = {"rule": "all", "holds": {name: ["real"] for name in names}, "outcome": "real", "otherwise": "partial"}
    implied = {name: says for name, says in MARGIN["implications"].items() if count == 1 or name != "artifact"}
    found = hypothesis(
        **MARGIN
        | {
            "implications": implied,
            "estimands": dict.fromkeys(names, MARGIN["estimands"]["margin"]),
            "decisions": {name: {**MARGIN["decisions"]["margin"], "estimand": name} for name in names},
            "combine": several if count > 1 else None,
        }
    )
    beside = {
        "posterior": {"artifact": 0.0, "partial": 0.002, "real": 0.998},
        "effect_size": {"value": 12.9, "interval95": (5.15, 23.4), "correction": 0.8},
    }
    parts = [
        band_decision(found, name, estimand(name, values, name, "pp", correlation=0.4), **beside) for name in names
    ]
    fixed = registered(found, len(values))
    return fixed, measurements(fixed), decision(found, *parts), provenance(), moves(found)
