"""Planning without torch: the replicas that train together, their order, and the cost."""

from harness.plan.cost import Estimate, cohort_bytes, estimate
from harness.plan.expand import expand, stages

__all__ = ["Estimate", "cohort_bytes", "estimate", "expand", "stages"]
