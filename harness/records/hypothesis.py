"""The pre-registration as a record. ``harness.spec`` reads it from YAML and checks what types cannot express."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.plugins.fields import Unit
from harness.plugins.registry import Named
from harness.preconditions import Precondition
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
from harness.records.program import MetricSpec, Program, Results
from harness.records.seeds import Seeds, Stopping
from harness.records.setup import Arm, Setup
from harness.records.tuning import Tuning


class Prediction(Record):
    """The authors' prediction, made before there are data."""

    outcome: Name = Field(examples=["better"])
    """Outcome that the authors expect."""
    why: Text = Field(examples=["Earlier runs at other settings gained 2 to 3 points."])
    """Reason why they expect it."""


class PriorData(Record):
    """The authors' prior knowledge of data that bear on the question (OSF and AsPredicted, question 1)."""

    level: Literal["none", "exists_unseen", "summaries_seen", "analysed"]
    """Extent of that knowledge. none: no such data exist; exists_unseen: they exist and nobody has looked at them;
    summaries_seen: summaries were seen; analysed: the data were analysed."""
    what: Text | None = Field(default=None, examples=["Two pilot runs at these settings."])
    """Description of what exists or was seen; required unless the level is none."""

    @model_validator(mode="after")
    def _say_what(self) -> PriorData:
        if self.level != "none" and self.what is None:
            raise ValueError("say what was seen or exists, under 'what'")
        return self


class Hypothesis(Record):
    """One complete pre-registration: defaults filled in, arms expanded, the common setup merged into every arm."""

    schema_version: Literal[1]
    """Version of the file format."""
    id: Id = Field(examples=["bp-penalty-control"])
    """Name of the hypothesis in commands, folders and the ledger; unique in the project."""
    family: Id | None = Field(default=None, examples=["dfa-penalties"])
    """Name of a family of hypotheses that are read together. ``harness list --family`` adjusts their p-values for
    multiplicity (Holm). Leave it out if the hypothesis stands alone."""
    title: Text = Field(examples=["The penalty itself is not what caps penalised DFA"])
    """The hypothesis as a statement, used as a heading."""
    question: Text = Field(examples=["Does BP under the same penalty still clear the shallow baseline?"])
    """Question that the experiment answers."""
    prediction: Prediction
    """The authors' prediction, made before there are data."""
    rationale: Text | None = Field(default=None, examples=["Earlier work reports a gain without a control."])
    """Background of the question. It changes nothing and is printed in the verdict."""
    prior_data_seen: PriorData
    """The authors' prior knowledge of data that bear on the question (OSF and AsPredicted, question 1)."""
    program: Program | None = Field(default=None, exclude_if=lambda value: value is None)
    """Command that trains and measures, in harness's place, the arms that have no rule. They differ in their parameters
    alone; a setup is for arms that have a rule. By default, none: harness trains all."""
    metrics: dict[Name, MetricSpec] = Field(
        default_factory=dict, exclude_if=lambda value: not value, examples=[{"test_accuracy": {"bounds": [0, 1]}}]
    )
    """Metrics that the program measures, each under its name in the program's results; only with ``program``."""
    results: Results | None = Field(default=None, exclude_if=lambda value: value is None)
    """File into which the program writes what it measured; only with ``program``."""
    setup: Setup
    """Training setup that all arms share unless they override parts of it."""
    arms: dict[Name, Arm] = Field(min_length=1)
    """Ways of training that are compared, each under its name."""
    tuning: Tuning | None = Field(default=None, exclude_if=lambda value: value is None)
    """Search for the settings of arms, on a validation split and on seeds of its own. By default, none: every arm has
    the settings that the file gives."""
    seeds: Seeds
    """Independent repetitions, shared by all arms. Arms at the same seed start from the same weights and see the same
    batches."""
    estimands: dict[Name, Estimand] = Field(min_length=1)
    """Numbers about arms that decisions and guards are about, each under its name."""
    guards: dict[Name, Guard] = Field(default_factory=dict)
    """Conditions without which the decisions mean nothing. A violated guard makes the outcome invalid; one that can't
    be verified makes it inconclusive."""
    decisions: dict[Name, DecisionSpec] = Field(min_length=1)
    """Decisions, each of which asks into which band an estimand falls."""
    combine: Combine | None = None
    """Rule that combines several decisions into one outcome; required if there is more than one."""
    exclusions: Exclusions = Exclusions()
    """Rule for seeds that have no usable value."""
    stopping: Stopping = Stopping()
    """Stopping rule, which says when no more seeds are trained. By default, all seeds are trained and judged once."""
    implications: dict[Name, Implication]
    """Outcome → what it means. Every outcome needs one, inconclusive and invalid too."""
    replication: Replication = Replication()
    """Rule by which a rerun on another device agrees with a run. On the same device and with the same plan, only the
    same bits agree."""
    preconditions: tuple[Annotated[Precondition, Named("preconditions")], ...] = Field(
        default=(), exclude_if=lambda value: not value, examples=[[{"name": "equal_steps"}]]
    )
    """Conditions on the set-up without which it can't answer the question, looked at whenever the file is checked and
    so before it is registered. By default, none."""
    exploratory: dict[Name, Estimand] = Field(default_factory=dict)
    """Estimands that the verdict reports and that never decide."""

    @field_validator("decisions")
    @classmethod
    def _about_signed_summaries(
        cls, decisions: dict[str, DecisionSpec], info: ValidationInfo
    ) -> dict[str, DecisionSpec]:
        """Return the decisions with bands about the signed summary; the given ones keep theirs as written."""
        estimands: Mapping[str, Estimand] = info.data.get("estimands", {})  # missing where an estimand is wrong
        return {
            name: decision.about_signed_summary(estimands[decision.estimand])
            if decision.estimand in estimands
            else decision
            for name, decision in decisions.items()
        }

    @property
    def built_in(self) -> Hypothesis | None:
        """The hypothesis with those arms alone that harness trains; None if a program trains all of them."""
        if self.program is None:
            return self
        own = {name: arm for name, arm in self.arms.items() if not arm.is_program}
        return self.model_copy(update={"arms": own}) if own else None

    @property
    def programmed(self) -> dict[str, Arm]:
        """Arms that a program trains."""
        return {name: arm for name, arm in self.arms.items() if arm.is_program}

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds after which the seeds so far are judged. The last is all of them."""
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
    """The registered hypothesis, read with this version's defaults."""
    claims: Claims
    """The claims as registered."""
    registration: str
    """Digest of the event that first registered the hypothesis."""
    seeds: Annotated[tuple[int, ...], Unit("seed numbers")]
    """Seed numbers, derived from the registration or listed in the file."""
