"""What harness itself makes of simulated readings: they are put into measurements, and an estimand is evaluated."""

from __future__ import annotations

import numpy as np

from harness.inference.estimands import evaluate
from harness.inference.samples import Sample
from harness.records import Estimand, Hypothesis, Measurements
from tests.calibration.pairings import ARMS, EPOCHS
from tests.calibration.scenarios import HALVES
from tests.unit.inference.inference_records import SETUP


def evaluate_readings(
    estimand: Estimand, series: np.ndarray, loss: np.ndarray, names: tuple[str, ...] = ARMS
) -> Sample:
    """Evaluate an estimand on one data set.

    ``series``: its metric, float64 [seed, arm, epoch, layer]; ``loss``: the training loss, [seed, arm, epoch], both of
    the estimand's arms in its order. ``names`` are all arms of the hypothesis.
    """
    metric, seeds, epochs = estimand.metric.name, len(series), EPOCHS.tolist()
    setup = SETUP | {
        "model": {"name": "residual_mlp", "width": 8, "blocks": 3},
        "epochs": epochs[-1],
        "evaluation": {"every_epochs": 2, "probe_samples": 64, "metrics": [metric, "train_loss"]},
    }
    hypothesis = Hypothesis.model_validate(
        {
            "schema_version": 1, "id": "some-form", "title": "t", "question": "q", "setup": setup,
            "arms": {name: {"label": name.upper(), "rule": {"name": "dfa"}, "setup": setup} for name in names},
            "prediction": {"outcome": "low", "why": "w"}, "prior_data_seen": {"level": "none"},
            "seeds": {"count": seeds}, "estimands": {"e": estimand}, "implications": {},
            "decisions": {"e": {"estimand": "e", "criterion": {"name": "t"}, "bands": HALVES}},
        }
    )  # fmt: skip
    replicas = [
        {
            "arm": arm, "seed_index": seed, "seed": seed, "status": "finished", "diverged_epoch": None,
            "weights_sha256": f"{arm}{seed}",
            "metrics": {
                metric: {"epochs": epochs, "values": {"mean": series[seed, column].tolist()}},
                "train_loss": {"epochs": epochs, "values": {"value": loss[seed, column][:, None].tolist()}},
            },
        }
        for column, arm in enumerate(estimand.arms)
        for seed in range(seeds)
    ]  # fmt: skip
    measured = Measurements.model_validate(
        {
            "hypothesis": "some-form", "registration": "r", "pilot": False, "seeds": list(range(seeds)),
            "epochs": dict.fromkeys(names, epochs[-1]), "replicas": replicas,
            "data": {"digits": {"fingerprint": "f", "origin": "o", "canonical": True, "train": 1437, "test": 360}},
        }
    )  # fmt: skip
    return evaluate("e", estimand, hypothesis, measured)
