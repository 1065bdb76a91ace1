"""Numbers of results.json as an array, without harness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def last_values(
    results: dict[str, Any], arms: Sequence[str], metric: str, summary: str = "value", layer: int = 0
) -> np.ndarray:
    """A metric's values at the last evaluated epoch, float64 [seed, arm]."""
    found = np.full((len(results["seeds"]), len(arms)), np.nan)
    for replica in results["replicas"]:
        if replica["arm"] in arms:
            value = replica["metrics"][metric]["values"][summary][-1][layer]
            found[replica["seed_index"], arms.index(replica["arm"])] = value
    return found
