"""The pre-registration as a record. ``harness.spec`` reads it from YAML and checks what types cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.criteria import Criterion, Target
from harness.datasets import Dataset
from harness.fields import Unit
from harness.metrics import Metric
from harness.models import Model
from harness.penalties import Penalty
from harness.records.bands import Band, cuts_of
from harness.records.base import Id, Name, Record, Text
from harness.registry import Named
from harness.rules import Rule

RESERVED_OUTCOMES = ("inconclusive", "invalid")
STANDARD_METRICS = (
    "test_accuracy",
    "train_loss",
    "credit_cosine",
    "gradient_norm",
    "credit_norm",
    "hidden_norm",
    "residual_growth",
)


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


class Optimizer(Record):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), its schedule stepped once per epoch."""

    name: Literal["adamw"]
    """The only optimizer so far."""
    lr: Annotated[float, Unit("1")] = Field(gt=0, examples=[1.0e-3])
    """Learning rate at the first epoch."""
    weight_decay: Annotated[float, Unit("1")] = Field(default=0.01, ge=0)
    """Decoupled weight decay, as a factor on lr × weight."""
    beta1: Annotated[float, Unit("1")] = Field(default=0.9, ge=0, lt=1)
    """Decay of the first moment."""
    beta2: Annotated[float, Unit("1")] = Field(default=0.999, ge=0, lt=1)
    """Decay of the second moment."""
    eps: Annotated[float, Unit("1")] = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine: epoch t of T (from 0) trains at lr·(1 + cos(πt/T))/2; constant: at lr."""


class EvaluationSpec(Record):
    """When and on what is measured."""

    probe_samples: Annotated[int, Unit("samples")] = Field(default=1024, ge=2)
    """Test samples in the probe batch for per-sample metrics; the same for all replicas, drawn by a fixed key."""
    every_epochs: Annotated[int, Unit("epochs")] = Field(default=5, ge=1)
    """Measured after epoch 1, every this many epochs, and the last."""
    metrics: tuple[Name, ...] = STANDARD_METRICS
    """What is measured; metrics that are not defined for an arm's rule are left out there."""


class Setup(Record):
    """How an arm is trained; an arm may override any of it."""

    dataset: Annotated[Dataset, Named("datasets")]
    """Which images, and how they are augmented."""
    model: Annotated[Model, Named("models")]
    """What is trained."""
    optimizer: Optimizer
    """How gradients become updates."""
    epochs: Annotated[int, Unit("epochs")] = Field(ge=1, le=100_000, examples=[20])
    """Passes over the training split."""
    batch_size: Annotated[int, Unit("samples")] = Field(ge=1, examples=[64])
    """Samples per step; the last, smaller batch of an epoch is kept."""
    precision: Literal["float32", "tf32", "bf16", "float64"] = "float32"
    """Arithmetic of training: strict float32 unless the file says otherwise."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """When and on what is measured."""
    save: tuple[Literal["weights", "feedback"], ...] = ()
    """What is kept of every replica after training, so that measurements can be repeated."""

    @property
    def evaluated_epochs(self) -> tuple[int, ...]:
        """Epochs (from 1) after which is measured: the first, every so many, the last."""
        regular = range(self.evaluation.every_epochs, self.epochs, self.evaluation.every_epochs)
        return tuple(sorted({1, *regular, self.epochs}))


class Arm(Record):
    """One way of training."""

    label: Text = Field(examples=["Penalised DFA"])
    """Name on figures and in verdicts."""
    rule: Annotated[Rule, Named("rules")]
    """The learning rule."""
    penalty: Annotated[Penalty, Named("penalties")] | None = None
    """What the rule adds to what it minimises."""
    freeze: tuple[str, ...] = ()
    """Parts that stay at their initial values: embedding, blocks, block_0 …, head."""
    setup: Setup
    """The common setup with this arm's overrides (in the file: only what differs)."""


class Seeds(Record):
    """The independent repetitions, shared by all arms."""

    count: Annotated[int | None, Unit("seeds")] = Field(default=None, ge=1, le=10_000, examples=[10])
    """How many; their numbers are derived from the registration, so nobody can choose them."""
    list: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**53)], ...] | None, Unit("seed numbers")] = Field(
        default=None, min_length=1, examples=[[1, 2, 3, 4, 5]]
    )
    """Explicit numbers instead; the verdict marks them as hand-picked."""
    justification: Text | None = Field(
        default=None, examples=["With an sd of 1 point, 10 seeds tell 0 from 1 point with a power of .9."]
    )
    """Why this many."""
    sd: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, gt=0, examples=[1.0])
    """Standard deviation between seeds that the justification assumes, in the unit of the first decision."""

    @model_validator(mode="after")
    def _one_of(self) -> Seeds:
        if (self.count is None) == (self.list is None):
            raise ValueError("give either count (derived seeds) or list (hand-picked seeds)")
        if self.list is not None and len(set(self.list)) != len(self.list):
            raise ValueError("a seed is listed twice")
        return self

    @property
    def number(self) -> int:
        """How many seeds."""
        return self.count if self.count is not None else len(self.list or ())


def _contrasted(text: str) -> tuple[str, str]:
    arms = tuple(part.strip() for part in text.split(" - "))
    if len(arms) != 2:
        raise ValueError(f"{text!r} is no contrast; write two arms: first - second")
    return arms


SHORT_FORMS: Mapping[str, Callable[[str], Any]] = {"metric": lambda name: {"name": name}, "contrast": _contrasted}
"""Key of an estimand → what its text stands for: a metric by its name alone, a contrast as ``first - second``.

Raises:
    ValueError: no contrast of two arms.
"""


class Estimand(Record):
    """The number about arms that a decision is about: a metric of one arm, or the paired contrast of two."""

    metric: Annotated[Metric, Named("metrics")]
    """What is measured (in the file: its name)."""
    arm: Name | None = Field(default=None, examples=["penalized"])
    """The arm it is measured on, or"""
    contrast: tuple[Name, Name] | None = Field(default=None, examples=["penalized - shallow"])
    """two arms, first minus second, paired by seed (in the file: "first - second")."""
    layer: Annotated[int | None, Unit("layers")] = Field(default=None, ge=0, examples=[2])
    """Layer l, for metrics that have one value per layer."""
    epoch: Annotated[int | None, Unit("epochs")] = Field(default=None, ge=1, examples=[10])
    """Evaluated epoch; the last if not given."""
    samples: Literal["mean", "std", "median"] | None = Field(default=None, examples=["mean"])
    """Summary over probe samples, for metrics with one value per sample."""
    pairing: Literal["seed", "unpaired"] = Field(default="seed", exclude_if=lambda value: value == "seed")
    """How a contrast compares its arms: seed by seed, or as two samples of their own (criterion welch)."""
    seeds: Target = "mean"
    """Summary across seeds: the parameter that is tested. pseudomedian: the median of the mean of two seeds."""
    transform: Literal["none", "log10", "absolute_after"] = "none"
    """log10: of each seed's value before any contrast, for positive, skewed quantities; absolute_after: the bands are
    about |θ|, where θ is the signed summary across seeds (absolute values are never averaged)."""
    unit: Literal["raw", "pp"] = "raw"
    """pp: multiplied by 100, in percentage points."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        short = {key: text for key in SHORT_FORMS if isinstance(text := data.get(key), str)}
        return {**data, **{key: SHORT_FORMS[key](text) for key, text in short.items()}}

    @model_validator(mode="after")
    def _one_of(self) -> Estimand:
        if (self.arm is None) == (self.contrast is None):
            raise ValueError("give either arm or contrast")
        if self.pairing == "unpaired" and self.contrast is None:
            raise ValueError("only a contrast can be unpaired")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms it needs."""
        return (self.arm,) if self.arm is not None else (self.contrast or ())

    @property
    def domain(self) -> tuple[float, float]:
        """The closed interval of values that it can have at a seed, in its unit and transform.

        A standard deviation over samples is at most the width of the metric's bounds.
        """
        low, high = self.metric.bounds
        if self.samples == "std":
            low, high = 0.0, high - low
        if self.transform == "log10":
            low, high = (math.log10(end) if end > 0 else -math.inf for end in (low, high))
        if self.contrast is not None:
            low, high = low - high, high - low
        factor = 100.0 if self.unit == "pp" else 1.0
        return low * factor, high * factor

    @property
    def band_domain(self) -> tuple[float, float]:
        """The values that its bands speak about: its own, or their absolute values."""
        low, high = self.domain
        if self.transform != "absolute_after":
            return low, high
        return max(0.0, low, -high), max(-low, high)

    def signed(self, decision: DecisionSpec) -> DecisionSpec:
        """Return a decision about this estimand with its bands as statements about the signed summary.

        Bands about an absolute value become symmetric; symmetric ones stay as they are.
        """
        if self.transform != "absolute_after":
            return decision
        mirrored = {name: band.mirrored() for name, band in decision.bands.items()}
        return decision.model_copy(update={"bands": mirrored})


class Guard(Record):
    """What must hold for the decisions to mean anything. It is tested across seeds and never filters them."""

    estimand: Name = Field(examples=["margin"])
    """Which estimand."""
    above: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[1.0e-7])
    """It must lie above this, or"""
    below: Annotated[float | None, Unit("the estimand's unit")] = Field(default=None, examples=[2.5])
    """below this."""
    alpha: Annotated[float, Unit("probability")] = Field(default=0.05, gt=0, lt=0.5)
    """Level of the guard's own test."""
    otherwise: Text = Field(examples=["The network did not train, so the comparison means nothing."])
    """What the verdict says when the guard does not hold."""

    @model_validator(mode="after")
    def _one_of(self) -> Guard:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either above or below")
        return self


class DecisionSpec(Record):
    """An estimand, a criterion, and bands that tile the line."""

    estimand: Name = Field(examples=["margin"])
    """Which estimand decides."""
    criterion: Annotated[Criterion, Named("criteria")]
    """The statistical test and its α."""
    bands: dict[Name, Band] = Field(
        min_length=2, examples=[{"worse": "(-inf, -1)", "similar": "[-1, 1]", "better": "(1, inf)"}]
    )
    """Outcome → union of intervals; together they cover the line, no point twice."""

    @property
    def cuts(self) -> tuple[float, ...]:
        """Every boundary of the bands, rising, each once."""
        return cuts_of(self.bands)


class Combine(Record):
    """How several decisions make one outcome."""

    rule: Literal["all", "any", "table"]
    """all, any: whether every or some decision falls in its bands of ``holds``; table: combination → outcome."""
    holds: dict[Name, tuple[Name, ...]] | None = Field(
        default=None, examples=[{"harm": ["worse"], "depth": ["useful"]}]
    )
    """all, any: decision → its bands that count as holding."""
    outcome: Name | None = Field(default=None, examples=["credit_fails"])
    """all, any: the outcome if it holds."""
    otherwise: Name | None = Field(default=None, examples=["undecided"])
    """all, any: the outcome if it does not."""
    table: tuple[Cell, ...] | None = None
    """table: the first row that fits gives the outcome."""

    @model_validator(mode="after")
    def _complete(self) -> Combine:
        simple = (self.holds, self.outcome, self.otherwise)
        if self.rule == "table":
            if self.table is None or any(part is not None for part in simple):
                raise ValueError("rule table takes 'table' and nothing else")
        elif self.table is not None or any(part is None for part in simple):
            raise ValueError(f"rule {self.rule} takes holds, outcome and otherwise")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome it can give, in the file's order, each once."""
        names = [cell.outcome for cell in self.table] if self.table else [self.outcome or "", self.otherwise or ""]
        return tuple(dict.fromkeys(names))


class Cell(Record):
    """One row of a truth table: an outcome for a combination of bands; a decision not named may be anything."""

    when: dict[Name, Name] = Field(examples=[{"harm": "worse", "depth": "useful"}])
    """Decision → band."""
    outcome: Name = Field(examples=["credit_fails"])
    """What the combination means."""


class Exclusions(Record):
    """What happens to seeds that cannot be used."""

    diverged: Literal["invalid", "worst_case", "exclude"] = "invalid"
    """invalid: no outcome; worst_case: the metric's worst value; exclude: the seed is dropped, and counted."""


class Stopping(Record):
    """When seeds stop being added."""

    kind: Literal["fixed", "looks", "anytime"] = "fixed"
    """fixed: all seeds, then judge once; looks: judge at the numbers in ``at``, each time at α over their number;
    anytime: judge with an anytime-valid criterion, after every seed from the second or at the numbers in ``at``."""
    at: Annotated[tuple[int, ...] | None, Unit("seeds")] = Field(default=None, examples=[[5, 10]])
    """Numbers of seeds at which is judged, rising to the number registered. What lies between trains together."""

    def numbers(self, registered: int) -> tuple[int, ...]:
        """Numbers of seeds at which is judged, of ``registered`` in all; fixed: once, after all of them."""
        if self.kind == "fixed":
            return (registered,)
        return self.at or tuple(range(min(2, registered), registered + 1))

    @property
    def parts(self) -> int:
        """By how much each look divides the α of decisions: planned looks share it, an anytime-valid test does not."""
        return len(self.at) if self.kind == "looks" and self.at else 1


class Replication(Record):
    """When a rerun on another device agrees with a run; on the same device and plan only the same bits do."""

    level: Annotated[float, Unit("probability")] = Field(default=0.99, ge=0.5, lt=1)
    """The outcome must be the same, and the mean of every deciding or guarding estimand must lie where that of an
    independent repetition would with this probability."""


class Implication(Record):
    """What an outcome means for claims made earlier."""

    says: Text = Field(examples=["The penalty helps by more than a point."])
    """The interpretation, fixed before the data."""
    supports: tuple[Id, ...] = ()
    """Claims that it supports."""
    walks_back: tuple[Id, ...] = ()
    """Claims that it walks back."""
    restores: tuple[Id, ...] = ()
    """Claims walked back earlier that it restores."""


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
            name: estimands[decision.estimand].signed(decision) if decision.estimand in estimands else decision
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


class Claim(Record):
    """A statement that verdicts support or walk back."""

    statement: Text = Field(examples=["Vanilla DFA lets the residual stream grow without bound."])
    """What is claimed."""
    stands_on: tuple[Id, ...] = ()
    """Claims that it presupposes; it comes into question when one of them is walked back."""
    first_made: Text | None = Field(default=None, examples=["the README"])
    """Where it was made first."""


class Claims(Record):
    """The file hypotheses/claims.yaml."""

    claims: dict[Id, Claim] = Field(default_factory=dict)
    """Claim id → claim."""


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


Combine.model_rebuild()
