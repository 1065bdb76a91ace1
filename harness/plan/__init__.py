"""Planning without torch: the replicas that train together, their order, and the cost."""

from harness.plan.cost import Estimate, estimate, estimate_cohort_bytes
from harness.plan.expand import expand, split_by_look

__all__ = ["Estimate", "estimate", "estimate_cohort_bytes", "expand", "split_by_look"]
