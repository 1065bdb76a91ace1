"""Planning without torch: the replicas that train together, their order, and the cost."""

from harness.plan.cost import Estimate, estimate, estimate_cohort_bytes
from harness.plan.expand import Limits, expand, expand_replicas, split_by_look, split_by_trainer
from harness.plan.together import Member, expand_together, explain_alone, find_companies, is_shared

__all__ = [
    "Estimate",
    "Limits",
    "Member",
    "estimate",
    "estimate_cohort_bytes",
    "expand",
    "expand_replicas",
    "expand_together",
    "explain_alone",
    "find_companies",
    "is_shared",
    "split_by_look",
    "split_by_trainer",
]
