"""The pre-registration as a record. ``harness.spec`` reads it from YAML and checks what types cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.plugins.fields import Unit
from harness.records.base import Id, Name, Record, Text
from harness.records.claims import Claims
from harness.records.decision_specs import (
    RESERVED_OUTCOMES,
    Combine,
    DecisionSpec,
    Exclusions,
    Guard,
    Implication,
    Replication,
)
from harness.records.estimands import Estimand
from harness.records.seeds import Seeds, Stopping
from harness.records.setup import Arm, Setup


class Prediction(Record):
    """What is expected, before any data."""

    outcome: Name = Field(examples=["better"])
    """The outcome that the authors expect."""
    why: Text = Field(examples=["Earlier runs at other settings gained 2 to 3 points."])
    """Their reason."""


class PriorData(Record):
    """What the authors had seen of data that bear on the question (OSF and AsPredicted, question 1)."""

    level: Literal["none", "exists_unseen", "summaries_seen", "analysed"]
    """none: no such data exist; exists_unseen: they exist, nobody looked; summaries_seen; analysed."""
    what: Text | None = Field(default=None, examples=["Two pilot runs at these settings."])
    """What was seen; required unless the level is none."""

    @model_validator(mode="after")
    def _say_what(self) -> PriorData:
        if self.level != "none" and self.what is None:
            raise ValueError("say what was seen or exists, under 'what'")
        return self


class Hypothesis(Record):
    """One pre-registration, complete: defaults filled in, arms expanded, setup merged into every arm."""

    schema_version: Literal[1]
    """Version of this form."""
    id: Id = Field(examples=["bp-penalty-control"])
    """Names the hypothesis everywhere; unique in the folder."""
    family: Id | None = Field(default=None, examples=["dfa-penalties"])
    """Hypotheses that are read together: ``list --family`` corrects their outcomes for being several (Holm)."""
    title: Text = Field(examples=["The penalty itself is not what caps penalised DFA"])
    """The statement, as a heading."""
    question: Text = Field(examples=["Does BP under the same penalty still clear the shallow baseline?"])
    """What is asked."""
    prediction: Prediction
    """What is expected, before any data."""
    rationale: Text | None = Field(default=None, examples=["Earlier work reports a gain without a control."])
    """Background, if the question needs it."""
    prior_data_seen: PriorData
    """What the authors had seen beforehand."""
    setup: Setup
    """How arms are trained unless they say otherwise."""
    arms: dict[Name, Arm] = Field(min_length=1)
    """The ways of training that are compared."""
    seeds: Seeds
    """The independent repetitions."""
    estimands: dict[Name, Estimand] = Field(min_length=1)
    """The numbers that decisions and guards are about."""
    guards: dict[Name, Guard] = Field(default_factory=dict)
    """What must hold."""
    decisions: dict[Name, DecisionSpec] = Field(min_length=1)
    """What decides."""
    combine: Combine | None = None
    """How several decisions make one outcome; required if there are several."""
    exclusions: Exclusions = Exclusions()
    """What happens to seeds that cannot be used."""
    stopping: Stopping = Stopping()
    """When seeds stop being added."""
    implications: dict[Name, Implication]
    """Outcome → what it means; one for every outcome, inconclusive and invalid too."""
    replication: Replication = Replication()
    """When a rerun elsewhere agrees."""
    exploratory: dict[Name, Estimand] = Field(default_factory=dict)
    """Reported, never deciding."""

    @field_validator("decisions")
    @classmethod
    def _about_signed_summaries(
        cls, decisions: dict[str, DecisionSpec], info: ValidationInfo
    ) -> dict[str, DecisionSpec]:
        """From here on all bands are about the signed summary; the given decisions keep theirs as written."""
        estimands: Mapping[str, Estimand] = info.data.get("estimands", {})  # missing where an estimand is wrong
        return {
            name: decision.about_signed_summary(estimands[decision.estimand])
            if decision.estimand in estimands
            else decision
            for name, decision in decisions.items()
        }

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which the seeds so far are judged; the last is all of them."""
        return self.stopping.numbers(self.seeds.number)

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome that the hypothesis can have, the two reserved ones last."""
        if self.combine is not None:
            named = self.combine.outcomes
        else:
            named = tuple(dict.fromkeys(band for decision in self.decisions.values() for band in decision.bands))
        return (*named, *RESERVED_OUTCOMES)


class Registered(Record):
    """A hypothesis together with what its registration fixed."""

    hypothesis: Hypothesis
    """As it is now, in all that was registered."""
    claims: Claims
    """The claims as registered."""
    registration: str
    """Digest of the event that registered it first."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """The seed numbers, derived from the registration or listed in the file."""
