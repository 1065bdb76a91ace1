"""Inference from measurements to a decision, with NumPy and SciPy only."""

from harness.inference.estimands import name_unit
from harness.inference.families import holm
from harness.inference.foreseen import bound_prediction_chance, find_point_prediction
from harness.inference.guards import Truth
from harness.inference.looks import decide, needs_more_seeds
from harness.inference.power import Spread, power
from harness.inference.replication import list_disagreements, list_search_disagreements
from harness.inference.seeds import compute_sd_limits
from harness.inference.sensitivity import Alternative, judge_alternatives, list_criteria
from harness.inference.tuning import choose

__all__ = [
    "Alternative",
    "Spread",
    "Truth",
    "bound_prediction_chance",
    "choose",
    "compute_sd_limits",
    "decide",
    "find_point_prediction",
    "holm",
    "judge_alternatives",
    "list_criteria",
    "list_disagreements",
    "list_search_disagreements",
    "name_unit",
    "needs_more_seeds",
    "power",
]
