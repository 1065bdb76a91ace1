"""Planning: which replicas train together, in what order, and what it will cost. No torch."""

from harness.plan.cost import Estimate, cohort_bytes, estimate
from harness.plan.expand import expand, stages

__all__ = ["Estimate", "cohort_bytes", "estimate", "expand", "stages"]
