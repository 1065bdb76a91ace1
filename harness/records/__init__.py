"""Frozen records that the stages hand on: Hypothesis → Plan → Measurements → Decision, and what the trail adds."""

from harness.records.bands import Band, Interval
from harness.records.base import Record
from harness.records.claims import Banner, Change, Claim, Claims, ClaimStanding, Consequences, Move
from harness.records.data import Labels, Subset, Validation
from harness.records.decision import (
    AtomTest,
    BandDecision,
    Decision,
    EffectSize,
    EstimandResult,
    Flaw,
    Ground,
    GuardResult,
    Look,
    SeedValue,
)
from harness.records.decision_specs import (
    RESERVED_OUTCOMES,
    Combine,
    DecisionSpec,
    Exclusions,
    Guard,
    Implication,
)
from harness.records.estimands import Estimand
from harness.records.hypothesis import Hypothesis, Prediction, PriorData, Registered
from harness.records.measurements import Measurements, ReplicaResult, Series
from harness.records.plan import PROCESSOR_COHORT, Cohort, Companion, Plan, Replica, Start
from harness.records.power import DecisionPower, GuardPower, PowerReport, PredictionPower
from harness.records.provenance import Anchor, Attempt, DataRecord, Draw, Provenance, Sibling, UsedData
from harness.records.reasons import Holding, LookedUp, Notice, Reason
from harness.records.seeds import Seeds, Stopping
from harness.records.setup import STANDARD_METRICS, Arm, EvaluationSpec, InitFrom, Setup
from harness.records.tuning import Candidate, Distribution, Search, TunedArm, Tuning

__all__ = [
    "PROCESSOR_COHORT",
    "RESERVED_OUTCOMES",
    "STANDARD_METRICS",
    "Anchor",
    "Arm",
    "AtomTest",
    "Attempt",
    "Band",
    "BandDecision",
    "Banner",
    "Candidate",
    "Change",
    "Claim",
    "ClaimStanding",
    "Claims",
    "Cohort",
    "Combine",
    "Companion",
    "Consequences",
    "DataRecord",
    "Decision",
    "DecisionPower",
    "DecisionSpec",
    "Distribution",
    "Draw",
    "EffectSize",
    "Estimand",
    "EstimandResult",
    "EvaluationSpec",
    "Exclusions",
    "Flaw",
    "Ground",
    "Guard",
    "GuardPower",
    "GuardResult",
    "Holding",
    "Hypothesis",
    "Implication",
    "InitFrom",
    "Interval",
    "Labels",
    "Look",
    "LookedUp",
    "Measurements",
    "Move",
    "Notice",
    "Plan",
    "PowerReport",
    "Prediction",
    "PredictionPower",
    "PriorData",
    "Provenance",
    "Reason",
    "Record",
    "Registered",
    "Replica",
    "ReplicaResult",
    "Search",
    "SeedValue",
    "Seeds",
    "Series",
    "Setup",
    "Sibling",
    "Start",
    "Stopping",
    "Subset",
    "TunedArm",
    "Tuning",
    "UsedData",
    "Validation",
]
