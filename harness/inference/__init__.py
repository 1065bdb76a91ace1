"""Inference: measurements to a decision. NumPy and SciPy only."""

from harness.inference.estimands import unit
from harness.inference.families import holm
from harness.inference.foreseen import greatest_chance, only_points
from harness.inference.guards import Truth
from harness.inference.looks import decide, goes_on
from harness.inference.power import Spread, power
from harness.inference.replication import disagreements
from harness.inference.seeds import sd_limits
from harness.inference.sensitivity import Alternative, criteria_names, sensitivity

__all__ = [
    "Alternative",
    "Spread",
    "Truth",
    "criteria_names",
    "decide",
    "disagreements",
    "goes_on",
    "greatest_chance",
    "holm",
    "only_points",
    "power",
    "sd_limits",
    "sensitivity",
    "unit",
]
