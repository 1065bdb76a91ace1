"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.outcome import decide
from harness.inference.power import Spread, greatest_chance, power, sd_limits
from harness.inference.sensitivity import Alternative, criteria_names, sensitivity

__all__ = [
    "Alternative",
    "Spread",
    "criteria_names",
    "decide",
    "greatest_chance",
    "power",
    "sd_limits",
    "sensitivity",
]
