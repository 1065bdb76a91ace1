"""Which values an estimand can have: what bands must cover."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.records import Estimand

INF = math.inf


@pytest.mark.parametrize(
    ("estimand", "expected"),
    [
        ({"metric": "test_accuracy", "arm": "a"}, (0, 1)),
        ({"metric": "test_accuracy", "arm": "a", "unit": "pp"}, (0, 100)),
        ({"metric": "test_accuracy", "contrast": "a - b"}, (-1, 1)),
        ({"metric": "test_accuracy", "contrast": "a - b", "unit": "pp"}, (-100, 100)),
        ({"metric": "test_accuracy", "arm": "a", "transform": "log10"}, (-INF, 0)),
        ({"metric": "test_accuracy", "contrast": "a - b", "transform": "log10"}, (-INF, INF)),
        ({"metric": "train_loss", "contrast": "a - b"}, (-INF, INF)),
        ({"metric": "credit_cosine", "arm": "a", "layer": 1, "samples": "mean"}, (-1, 1)),
        ({"metric": "credit_cosine", "arm": "a", "layer": 1, "samples": "std"}, (0, 2)),
        ({"metric": "credit_cosine", "contrast": "a - b", "layer": 1, "samples": "mean"}, (-2, 2)),
        ({"metric": "gradient_norm", "arm": "a", "layer": 1, "samples": "median", "transform": "log10"}, (-INF, INF)),
    ],
)
def test_the_domain_follows_metric_summary_transform_contrast_and_unit(
    estimand: dict[str, Any], expected: tuple[float, float]
) -> None:
    assert Estimand.model_validate(estimand).domain == expected
