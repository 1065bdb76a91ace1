"""The frozen records that stages hand on: Hypothesis → Plan → Measurements → Decision, and what the trail adds."""

from harness.records.bands import Band, Interval
from harness.records.base import Record
from harness.records.claims import Consequences
from harness.records.decision import (
    AtomTest,
    BandDecision,
    Decision,
    EffectSize,
    EstimandResult,
    GuardResult,
    Look,
    SeedValue,
)
from harness.records.hypothesis import (
    Arm,
    Claim,
    Claims,
    Combine,
    DecisionSpec,
    Estimand,
    EvaluationSpec,
    Exclusions,
    Guard,
    Hypothesis,
    Implication,
    Optimizer,
    Prediction,
    PriorData,
    Registered,
    Seeds,
    Setup,
    Stopping,
)
from harness.records.measurements import Measurements, ReplicaResult, Series
from harness.records.plan import Cohort, Plan, Replica
from harness.records.power import DecisionPower, PowerReport, PredictionPower
from harness.records.provenance import Attempt, DataRecord, Provenance

__all__ = [
    "Arm",
    "AtomTest",
    "Attempt",
    "Band",
    "BandDecision",
    "Claim",
    "Claims",
    "Cohort",
    "Combine",
    "Consequences",
    "DataRecord",
    "Decision",
    "DecisionPower",
    "DecisionSpec",
    "EffectSize",
    "Estimand",
    "EstimandResult",
    "EvaluationSpec",
    "Exclusions",
    "Guard",
    "GuardResult",
    "Hypothesis",
    "Implication",
    "Interval",
    "Look",
    "Measurements",
    "Optimizer",
    "Plan",
    "PowerReport",
    "Prediction",
    "PredictionPower",
    "PriorData",
    "Provenance",
    "Record",
    "Registered",
    "Replica",
    "ReplicaResult",
    "SeedValue",
    "Seeds",
    "Series",
    "Setup",
    "Stopping",
]
