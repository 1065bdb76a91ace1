"""The normal form: the same for everything that trains and decides the same, another for everything else."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.domain.normal_form import encode_normal_form, normal_form
from harness.errors import HarnessError
from harness.metrics import Evaluation, Metric
from harness.records import Hypothesis
from harness.records.bands import Band
from harness.spec import load

ROOT = Path(__file__).parents[3]
Form = dict[str, Any]


def forms() -> dict[str, Form]:
    """The repository's hypotheses, and one with a table, looks and a guard on a contrast."""
    names = ("bp_penalty_control", "mode2_direction", "quickstart_digits")
    found = {name: load(ROOT / f"hypotheses/{name}.yaml").hypothesis.model_dump(mode="json") for name in names}
    several = copy.deepcopy(found["bp_penalty_control"])
    several["decisions"]["cost"] = {
        "estimand": "cost", "criterion": {"name": "t", "alpha": 0.01},
        "bands": {"much": "[3, inf)", "little": "(-inf, 3)"},
    }  # fmt: skip
    several["estimands"]["cost"] = {"metric": {"name": "test_accuracy"}, "contrast": ["bp", "bp_penalty"], "unit": "pp"}
    several["guards"] = {"trains": {"estimand": "cost", "above": -20, "otherwise": "It did not train."}}
    rows = [({"margin": "real", "cost": "much"}, "mixed"), ({"margin": "real"}, "real"), ({}, "none")]
    several["combine"] = {"rule": "table", "table": [{"when": when, "outcome": outcome} for when, outcome in rows]}
    several["stopping"] = {"kind": "looks", "at": [5, 10]}
    either = copy.deepcopy(several)
    holds = {"margin": ["real", "partial"], "cost": ["little"]}
    either["combine"] = {"rule": "any", "holds": holds, "outcome": "mixed", "otherwise": "none"}
    told = found | {"table": several, "any": either}
    return {name: Hypothesis.model_validate(form).model_dump(mode="json") for name, form in told.items()}


FORMS = forms()
EVERY = sorted(FORMS)


def of(form: Form) -> bytes:
    return encode_normal_form(Hypothesis.model_validate(form))


def renamed(form: Form, names: dict[str, str]) -> Form:
    """Arms under other names, wherever they are named."""
    form = copy.deepcopy(form)
    form["arms"] = {names[name]: arm for name, arm in form["arms"].items()}
    for estimand in (*form["estimands"].values(), *form["exploratory"].values()):
        if estimand.get("arm"):
            estimand["arm"] = names[estimand["arm"]]
        if estimand.get("contrast"):
            estimand["contrast"] = [names[name] for name in estimand["contrast"]]
    return form


def reordered(value: Any, draw: Callable[[list[Any]], list[Any]], path: tuple[str, ...] = ()) -> Any:
    if isinstance(value, dict):
        keys = draw(sorted(value))
        return {key: reordered(value[key], draw, (*path, key)) for key in keys}
    if isinstance(value, list) and path[-1] in ("augment", "freeze", "metrics"):
        return draw(value)
    return [reordered(one, draw, path) for one in value] if isinstance(value, list) else value


def turned(form: Form, name: str) -> Form:
    """A contrast the other way round: its bands mirrored, its guards on the other side."""
    form = copy.deepcopy(form)
    estimand = form["estimands"][name]
    estimand["contrast"].reverse()
    for decision in form["decisions"].values():
        if decision["estimand"] == name:
            decision["bands"] = {band: mirrored(text) for band, text in decision["bands"].items()}
    for guard in form["guards"].values():
        if guard["estimand"] == name:
            above, below = guard.get("above"), guard.get("below")
            guard["above"], guard["below"] = (None if end is None else -end for end in (below, above))
    return form


def mirrored(text: str) -> str:
    parts = []
    for part in Band.parse(text):
        low = "-inf" if part.upper is None else repr(-part.upper)
        high = "inf" if part.lower is None else repr(-part.lower)
        parts.append(f"{'[' if part.upper_closed else '('}{low}, {high}{']' if part.lower_closed else ')'}")
    return " | ".join(parts)


def in_fractions(form: Form) -> Form:
    form = copy.deepcopy(form)
    points = {name for name, estimand in form["estimands"].items() if estimand["unit"] == "pp"}
    for name in points:
        form["estimands"][name]["unit"] = "raw"
    for decision in form["decisions"].values():
        if decision["estimand"] in points:
            for name, text in decision["bands"].items():
                parts = []
                for part in Band.parse(text):
                    low, high = ("-inf" if part.lower is None else part.lower / 100), part.upper
                    parts.append(
                        f"{'[' if part.lower_closed else '('}{low}, {'inf' if high is None else high / 100}"
                        f"{']' if part.upper_closed else ')'}"
                    )
                decision["bands"][name] = " | ".join(parts)
    for guard in form["guards"].values():
        if guard["estimand"] in points:
            for side in ("above", "below"):
                guard[side] = None if guard.get(side) is None else guard[side] / 100
    return form


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_what_only_reads_otherwise_makes_no_difference(name: str, data: st.DataObject) -> None:
    form = copy.deepcopy(FORMS[name])
    text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=20)
    word = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
    for key in ("title", "question", "rationale"):
        form[key] = data.draw(text)
    form["id"], form["family"] = "another-name", "another-family"
    form["prediction"] = {"outcome": data.draw(word), "why": data.draw(text)}
    form["prior_data_seen"] = {"level": "analysed", "what": data.draw(text)}
    form["seeds"] |= {"justification": data.draw(text), "sd": data.draw(st.floats(0.1, 9))}
    form["implications"] = {}
    form["replication"] = {"level": data.draw(st.floats(0.5, 0.99))}
    for arm in form["arms"].values():
        arm["label"] = data.draw(text)
    for guard in form["guards"].values():
        guard["otherwise"] = data.draw(text)
    arms = sorted(form["arms"])
    names = data.draw(st.lists(word, min_size=len(arms), max_size=len(arms), unique=True))
    form = renamed(form, dict(zip(arms, names, strict=True)))
    # One seed for all orders: to draw each by itself takes longer than all that is tested.
    shuffled = random.Random(data.draw(st.integers(0, 2**64 - 1)))
    assert of(reordered(form, lambda keys: shuffled.sample(keys, len(keys)))) == of(FORMS[name])


@pytest.mark.parametrize("name", EVERY)
def test_bands_and_outcomes_are_what_they_contain(name: str) -> None:
    form = copy.deepcopy(FORMS[name])
    for decision in form["decisions"].values():
        decision["bands"] = {f"band_{band}": text for band, text in decision["bands"].items()}
    if form["combine"]:
        told = form["combine"]
        for row in told["table"] or ():
            row["when"] = {decision: f"band_{band}" for decision, band in row["when"].items()}
            row["outcome"] += "_x"
        if told["holds"]:
            told["holds"] = {key: [f"band_{band}" for band in reversed(bands)] for key, bands in told["holds"].items()}
            told["outcome"], told["otherwise"] = "yes", "no"
    assert of(form) == of(FORMS[name])


@pytest.mark.parametrize("name", EVERY)
def test_names_of_estimands_decisions_and_guards_make_no_difference(name: str) -> None:
    text = json.dumps(FORMS[name])
    form = json.loads(text)
    form["estimands"] = {f"e_{key}": one for key, one in reversed(form["estimands"].items())}
    form["decisions"] = {
        f"d_{key}": one | {"estimand": f"e_{one['estimand']}"} for key, one in form["decisions"].items()
    }
    form["guards"] = {f"g_{key}": one | {"estimand": f"e_{one['estimand']}"} for key, one in form["guards"].items()}
    if form["combine"]:
        for row in form["combine"]["table"] or ():
            row["when"] = {f"d_{key}": band for key, band in row["when"].items()}
        held = form["combine"]["holds"]
        form["combine"]["holds"] = held and {f"d_{key}": bands for key, bands in held.items()}
    assert of(form) == of(FORMS[name])


@pytest.mark.parametrize("name", EVERY)
def test_a_contrast_can_be_turned_round(name: str) -> None:
    contrasts = [key for key, one in FORMS[name]["estimands"].items() if one.get("contrast")]
    for estimand in contrasts:
        assert of(turned(FORMS[name], estimand)) == of(FORMS[name])
    assert contrasts or name == "mode2_direction"


@pytest.mark.parametrize("name", EVERY)
def test_percentage_points_are_fractions(name: str) -> None:
    assert of(in_fractions(FORMS[name])) == of(FORMS[name])


@pytest.mark.parametrize("name", EVERY)
def test_what_is_explored_makes_no_difference(name: str) -> None:
    form = copy.deepcopy(FORMS[name])
    for key in list(form["exploratory"])[:1]:
        del form["exploratory"][key]
    arm = copy.deepcopy(next(iter(form["arms"].values())))
    arm["setup"]["optimizer"]["lr"] = 0.5
    form["arms"] |= {"idle": arm}
    form["estimands"] |= {"unused": {"metric": {"name": "test_accuracy"}, "arm": "idle"}}
    form["exploratory"] |= {"idle": {"metric": {"name": "test_accuracy"}, "arm": "idle"}}
    for setup in (form["setup"], *(one["setup"] for one in form["arms"].values())):
        setup["save"] = ["weights"]
        setup["evaluation"]["metrics"] += ["train_loss"]
    form["setup"]["epochs"] += 7  # every arm has a setup of its own
    assert of(form) == of(FORMS[name])


def test_forms_of_the_same_numbers() -> None:
    """Defaults that are written out, and other ways of writing the same."""
    base = FORMS["bp_penalty_control"]
    for change in (
        lambda form: form["estimands"]["margin"].update(epoch=form["arms"]["shallow"]["setup"]["epochs"]),
        lambda form: form["decisions"]["margin"]["bands"].update(real="(25, 40) | [40, inf)"),
        lambda form: form["decisions"]["margin"]["bands"].update(real="(25, 100]", artifact="[-100, 5)"),
        lambda form: form["arms"]["shallow"].update(penalty={"name": "residual_branch", "strength": 0}),
        lambda form: form["arms"]["shallow"].update(freeze=["block_3", "block_1", "blocks"]),
        lambda form: form.update(stopping={"kind": "looks", "at": [10]}),
        lambda form: [arm["setup"]["evaluation"].update(probe_samples=77) for arm in form["arms"].values()],
        lambda form: [arm["setup"]["evaluation"].update(every_epochs=3) for arm in form["arms"].values()],
        lambda form: form["arms"]["shallow"]["setup"].update(labels={"name": "original"}),
        lambda form: form["arms"]["shallow"]["setup"].update(labels={"name": "noisy", "share": 0}),
        lambda form: form["arms"]["shallow"]["setup"].update(subset={"classes": list(range(9, -1, -1))}),
    ):
        form = copy.deepcopy(base)
        change(form)
        assert form != base and of(form) == of(base)


def hold_always(form: Form) -> None:
    """A second decision under "all" that holds in whichever band it falls."""
    form["decisions"]["idle"] = copy.deepcopy(form["decisions"]["margin"])
    form["combine"] = {"rule": "all", "outcome": "real", "otherwise": "none"}
    form["combine"]["holds"] = {"margin": ["real"], "idle": [*form["decisions"]["idle"]["bands"]]}


def guard(form: Form, **threshold: float) -> None:
    form["guards"]["idle"] = {"estimand": "margin", "otherwise": "It cannot be."} | threshold


def look_up(form: Form, *rows: tuple[dict[str, str], str]) -> None:
    form["combine"] = {"rule": "table", "table": [{"when": when, "outcome": outcome} for when, outcome in rows]}


def train(form: Form, arms: tuple[str, ...] = ("bp_penalty", "shallow"), **changes: Any) -> None:
    for arm in arms:
        setup = form["arms"][arm]["setup"]
        for key, value in changes.items():
            (setup["optimizer"] if key == "schedule" else setup)[key] = value


def measure(form: Form, epoch: int) -> None:
    form["estimands"]["margin"]["epoch"] = epoch


Change = Callable[[Form], Any]
IDLE: dict[str, tuple[Change, Change]] = {
    "batches larger than the data": (
        lambda form: train(form, batch_size=50_000),
        lambda form: train(form, batch_size=50_001),
    ),
    "tf32 on a processor": (lambda form: None, lambda form: train(form, precision="tf32")),
    "a penalty on blocks that are frozen": (
        lambda form: None,
        lambda form: form["arms"]["shallow"].update(penalty={"name": "residual_branch", "strength": 0.5}),
    ),
    "schedules of strengths that change nothing until then": (
        lambda form: (
            form["arms"]["bp_penalty"]["penalty"].update(schedule={"name": "warmup", "epochs": 1, "then": "constant"}),
            form["arms"]["shallow"].update(rule={"name": "drtp"}),
        ),
        lambda form: form["arms"]["shallow"].update(rule={"name": "drtp", "credit_schedule": "constant"}),
    ),
    "clipping of blocks that are frozen": (
        lambda form: None,
        lambda form: form["arms"]["shallow"]["rule"].update(clip=2.0),
    ),
    "epochs after the one that is measured": (
        lambda form: (train(form, epochs=10, schedule="constant"), measure(form, 10)),
        lambda form: (train(form, epochs=11, schedule="constant"), measure(form, 10)),
    ),
    "the schedule of a single epoch": (
        lambda form: (train(form, epochs=1, schedule="constant"), measure(form, 1)),
        lambda form: (train(form, epochs=1, schedule="cosine"), measure(form, 1)),
    ),
    "a guard that always holds": (lambda form: None, lambda form: guard(form, above=-101)),
    "a guard that always holds, below": (lambda form: None, lambda form: guard(form, below=101)),
    "what holds in every band": (
        hold_always,
        lambda form: (
            hold_always(form),
            form["decisions"]["idle"]["bands"].update(artifact="(-inf, 4)", partial="[4, 25]"),
        ),
    ),
    "a table of one decision": (
        lambda form: None,
        lambda form: look_up(form, ({"margin": "artifact"}, "a"), ({"margin": "partial"}, "b"), ({}, "c")),
    ),
}


@pytest.mark.parametrize("what", IDLE)
def test_what_changes_nothing_that_is_decided_makes_no_difference(what: str) -> None:
    """Each of these gave other seeds from one public value, as often as one liked, for the same training."""
    forms = []
    for change in IDLE[what]:
        form = copy.deepcopy(FORMS["bp_penalty_control"])
        change(form)
        forms.append(form)
    assert forms[0] != forms[1] and of(forms[0]) == of(forms[1])


def test_tables_are_what_they_look_up() -> None:
    """Rows in another order, split, or of a decision that no outcome depends on; ``any`` is ``all`` of the others."""
    table, either = FORMS["table"], FORMS["any"]
    parts = [({"margin": band, "cost": cost}, band) for band in ("artifact", "partial") for cost in ("much", "little")]
    rows = [(when, "none") for when, _ in parts]
    rows = [({"cost": "little", "margin": "real"}, "real"), *reversed(rows), ({}, "mixed")]
    split = copy.deepcopy(table)
    look_up(split, *rows)
    assert of(split) == of(table)
    every = copy.deepcopy(either)
    holds = {"margin": ["artifact"], "cost": ["much"]}
    every["combine"] = {"rule": "all", "holds": holds, "outcome": "none", "otherwise": "mixed"}
    assert of(every) == of(either)
    idle = [copy.deepcopy(table), copy.deepcopy(table)]
    for form, cut in zip(idle, (3, 4), strict=True):
        look_up(form, ({"margin": "real", "cost": "much"}, "real"), ({"margin": "real"}, "real"), ({}, "none"))
        form["decisions"]["cost"]["bands"] = {"much": f"[{cut}, inf)", "little": f"(-inf, {cut})"}
    assert idle[0] != idle[1] and of(idle[0]) == of(idle[1])
    alone = copy.deepcopy(table)
    look_up(alone, ({"margin": "real"}, "real"), ({}, "none"))
    assert of(alone) != of(idle[0])  # there, α is divided by two


@pytest.mark.parametrize(
    "spoil",
    [
        lambda form: form["arms"]["shallow"].update(freeze=["roof"]),
        lambda form: form["arms"].pop("shallow"),
        lambda form: form["estimands"].pop("margin"),
        lambda form: look_up(form, ({"nothing": "real"}, "real")),
        lambda form: form.update(
            combine={"rule": "all", "holds": {"nothing": ["x"], "margin": []}, "outcome": "a", "otherwise": "b"}
        ),
        lambda form: form["decisions"]["margin"]["criterion"].update(name="t", alpha=1e-400),
    ],
)
def test_what_no_check_would_pass_has_no_form_and_says_so(spoil: Change) -> None:
    form = copy.deepcopy(FORMS["bp_penalty_control"])
    spoil(form)
    with pytest.raises((HarnessError, ValidationError)):
        of(form)


def test_a_table_that_is_too_large_is_not_looked_up() -> None:
    form = copy.deepcopy(FORMS["table"])
    decision = form["decisions"]["cost"]
    for number in range(40):
        form["decisions"][f"more{number}"] = decision | {
            "bands": {"much": f"[{number}, inf)", "little": f"(-inf, {number})"}
        }
    look_up(form, ({f"more{number}": "much" for number in range(40)}, "real"), ({}, "none"))
    assert of(form) != of(FORMS["table"])


def test_forms_of_the_same_layers_and_epochs() -> None:
    """Several places written in other ways, and summaries of a single one."""
    base = copy.deepcopy(FORMS["mode2_direction"])

    def with_places(**places: Any) -> bytes:
        form = copy.deepcopy(base)
        for estimand in form["estimands"].values():
            estimand.update(places)
        return of(form)

    assert with_places(layer=[1]) == with_places(layer=1)
    assert with_places(layer=[3, 1, 2]) == with_places(layer=[1, 2, 3], layers="mean") != with_places(layer=2)
    assert with_places(layer=[3, 1, 2]) != with_places(layer=[1, 2, 3], layers="slope")
    assert with_places(layer=2, epoch=[100]) == with_places(layer=2, epoch=["last"]) == with_places(layer=2)
    assert with_places(layer=2, epochs="area") == with_places(layer=2, epochs="area", epoch={"first": 1, "last": 100})
    assert with_places(layer=2, epoch=[50, 100], epochs="area") == with_places(layer=2, epoch=[100, 50])
    assert with_places(layer=2, epochs="area") != with_places(layer=2, epochs="mean") != with_places(layer=2)
    assert with_places(layer=2, epoch={"best": "train_loss"}) != with_places(layer=2)


def test_cuts_between_the_same_epochs_are_the_same() -> None:
    """An onset is a whole number, so that moving a boundary between two of them changes nothing."""
    onset = {"unit": "raw", "onset": {"below": 0.5, "evaluations": 1}, "layer": None}

    def cut(at: float, seeds: str = "median", backwards: bool = False) -> bytes:
        form = copy.deepcopy(FORMS["bp_penalty_control"])
        form["estimands"]["margin"].update(onset, metric={"name": "train_loss"}, seeds=seeds)
        criterion = {"median": "median", "pseudomedian": "wilcoxon"}[seeds]
        form["decisions"]["margin"].update(criterion={"name": criterion, "alpha": 0.05})
        form["decisions"]["margin"]["bands"] = {"artifact": f"(-inf, {at})", "real": f"[{at}, inf)"}
        if backwards:
            form["estimands"]["margin"]["contrast"].reverse()
            form["decisions"]["margin"]["bands"] = {"artifact": f"({-at}, inf)", "real": f"(-inf, {-at}]"}
        return of(form)

    assert cut(5.5) == cut(5.1) == cut(5.99) == cut(5.2, backwards=True)
    assert len({cut(5), cut(5.5), cut(6), cut(6.5), cut(-5.5)}) == 5
    assert cut(5.1, "pseudomedian") == cut(5.4, "pseudomedian") != cut(5.6, "pseudomedian")


def test_a_clip_is_kept_whatever_trains_the_rule() -> None:
    """Also of a rule that only autograd trains; not where all that it clips is frozen."""

    def clipped(largest: float | None, *frozen: str) -> bytes:
        form = copy.deepcopy(FORMS["quickstart_digits"])
        form["arms"]["penalized"].update(rule={"name": "fa_block", "clip": largest}, freeze=list(frozen))
        return of(form)

    assert len({clipped(1.0), clipped(2.0), clipped(None)}) == 3
    assert clipped(1.0, "blocks") == clipped(2.0, "blocks") == clipped(None, "blocks")


def test_a_penalty_is_kept_where_it_trains_something() -> None:
    """Also of rules that only autograd trains, and of those that inherit from one that other steps know."""

    def penalised(rule: str, strength: float, *frozen: str) -> bytes:
        form = copy.deepcopy(FORMS["quickstart_digits"])
        penalty = {"name": "residual_branch", "strength": strength}
        form["arms"]["penalized"].update(rule={"name": rule}, penalty=penalty, freeze=list(frozen))
        return of(form)

    def counts(rule: str, *frozen: str) -> bool:
        return penalised(rule, 0.1, *frozen) != penalised(rule, 0.2, *frozen)

    for rule in ("dfa", "drtp", "fa_block", "dtp", "pepita", "bp", "fa", "weight_perturbation"):
        assert counts(rule), rule
    for rule in ("dfa", "drtp", "fa_block", "dtp", "pepita"):
        assert not counts(rule, "blocks"), rule
        assert penalised(rule, 0.1, "blocks") == penalised(rule, 0, "blocks")
    for rule in ("bp", "fa"):
        assert counts(rule, "blocks") and not counts(rule, "blocks", "embedding"), rule
    assert counts("weight_perturbation", "blocks", "embedding")


class OnTheProbe(Metric):
    """A metric of another package that reads the probe batch, and is built on no base class for that."""

    name: str = "on_the_probe"
    label = "a metric"
    layered = False
    per_sample = False
    reads_probe: ClassVar[bool] = True

    def measure(self, evaluation: Evaluation) -> Any:
        return evaluation.network.logits.mean((1, 2))


class OnTheSplit(OnTheProbe):
    reads_probe: ClassVar[bool] = False


@pytest.mark.parametrize("kind", [OnTheProbe, OnTheSplit])
def test_the_size_of_a_probe_batch_counts_for_metrics_that_declare_to_read_it(kind: type[Metric]) -> None:
    def sized(samples: int) -> bytes:
        form = copy.deepcopy(FORMS["bp_penalty_control"])
        for arm in form["arms"].values():
            arm["setup"]["evaluation"]["probe_samples"] = samples
        hypothesis = Hypothesis.model_validate(form)
        found = {name: one.model_copy(update={"metric": kind()}) for name, one in hypothesis.estimands.items()}
        return encode_normal_form(hypothesis.model_copy(update={"estimands": found}))

    assert (sized(64) != sized(77)) == kind.reads_probe


MEANING: dict[str, tuple[str, Callable[[Form], Any]]] = {
    "a rule": ("quickstart_digits", lambda form: form["arms"]["penalized"]["rule"].update(clip=2.0)),
    "an option of a rule": ("quickstart_digits", lambda form: form["arms"]["penalized"]["rule"].update(init="uniform")),
    "a penalty that trains what lies before frozen blocks": (
        "bp_penalty_control",
        lambda form: form["arms"]["bp_penalty"].update(freeze=["blocks"]),
    ),
    "no penalty": ("bp_penalty_control", lambda form: form["arms"]["bp_penalty"].update(penalty=None)),
    "a strength": ("bp_penalty_control", lambda form: form["arms"]["bp_penalty"]["penalty"].update(strength=0.02)),
    "a schedule of a strength": (
        "bp_penalty_control",
        lambda form: form["arms"]["bp_penalty"]["penalty"].update(schedule="cosine"),
    ),
    "a schedule of credit": (
        "bp_penalty_control",
        lambda form: form["arms"]["shallow"]["rule"].update(credit_schedule="cosine"),
    ),
    "a scale of credit": (
        "bp_penalty_control",
        lambda form: form["arms"]["shallow"]["rule"].update(credit_scale=2.0),
    ),
    "a frozen part": ("bp_penalty_control", lambda form: form["arms"]["shallow"].update(freeze=["block_0"])),
    "augmentation": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["dataset"].update(augment=[])),
    "a width": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["model"].update(width=128)),
    "a rate": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["optimizer"].update(lr=0.002)),
    "labels": (
        "bp_penalty_control",
        lambda form: form["arms"]["shallow"]["setup"].update(labels={"name": "shuffled"}),
    ),
    "classes": (
        "bp_penalty_control",
        lambda form: form["arms"]["shallow"]["setup"].update(subset={"classes": [0, 1]}),
    ),
    "a size": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"].update(subset={"size": 4000})),
    "a validation split": (
        "bp_penalty_control",
        lambda form: form["arms"]["shallow"]["setup"].update(validation={"share": 0.1}),
    ),
    "epochs": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"].update(epochs=31)),
    "a batch": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"].update(batch_size=64)),
    "precision": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"].update(precision="bf16")),
    "an epoch": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(epoch=5)),
    "a metric": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(metric={"name": "train_loss"})),
    "another arm": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(contrast=["bp", "shallow"])),
    "the other way": ("bp_penalty_control", lambda form: form["estimands"]["margin"]["contrast"].reverse()),
    "the median": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(seeds="median")),
    "no pairs": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(pairing="unpaired")),
    "a criterion": ("bp_penalty_control", lambda form: form["decisions"]["margin"]["criterion"].update(alpha=0.04)),
    "a cut": (
        "bp_penalty_control",
        lambda form: form["decisions"]["margin"]["bands"].update(artifact="(-inf, 4)", partial="[4, 25]"),
    ),
    "whose a cut is": (
        "bp_penalty_control",
        lambda form: form["decisions"]["margin"]["bands"].update(artifact="(-inf, 5]", partial="(5, 25]"),
    ),
    "seeds": ("bp_penalty_control", lambda form: form["seeds"].update(count=11)),
    "picked seeds": ("bp_penalty_control", lambda form: form["seeds"].update(count=None, list=list(range(10)))),
    "exclusions": ("bp_penalty_control", lambda form: form["exclusions"].update(diverged="exclude")),
    "looks": ("bp_penalty_control", lambda form: form.update(stopping={"kind": "looks", "at": [5, 10]})),
    "a layer": ("mode2_direction", lambda form: [one.update(layer=1) for one in form["estimands"].values()]),
    "layers": ("mode2_direction", lambda form: [one.update(layer=[1, 2]) for one in form["estimands"].values()]),
    "an area": ("bp_penalty_control", lambda form: form["estimands"]["margin"].update(epochs="area")),
    "an onset": (
        "bp_penalty_control",
        lambda form: form["estimands"]["margin"].update(onset={"above": 0.5}, unit="raw", seeds="median"),
    ),
    "the best epoch": (
        "bp_penalty_control",
        lambda form: form["estimands"]["margin"].update(epoch={"best": "train_loss"}),
    ),
    "probe samples": (
        "mode2_direction",
        lambda form: [arm["setup"]["evaluation"].update(probe_samples=77) for arm in form["arms"].values()],
    ),
    "a guard's level": ("table", lambda form: form["guards"]["trains"].update(alpha=0.01)),
    "a guard's side": ("table", lambda form: form["guards"]["trains"].update(above=None, below=-20)),
    "a guard's threshold": ("table", lambda form: form["guards"]["trains"].update(above=-19)),
    "no guard": ("table", lambda form: form["guards"].clear()),
    "rows": ("table", lambda form: form["combine"]["table"].reverse()),
    "an outcome": ("table", lambda form: form["combine"]["table"][0].update(outcome="real")),
    "a band of a row": ("table", lambda form: form["combine"]["table"][0]["when"].update(margin="partial")),
    "all for any": ("any", lambda form: form["combine"].update(rule="all")),
    "a band that holds": ("any", lambda form: form["combine"]["holds"].update(margin=["real"])),
    "no decision": ("any", lambda form: form["combine"]["holds"].pop("cost")),
}


@pytest.mark.parametrize("change", MEANING)
def test_another_meaning_is_another_form(change: str) -> None:
    name, apply = MEANING[change]
    form = copy.deepcopy(FORMS[name])
    apply(form)
    assert of(form) != of(FORMS[name])


def test_parts_of_a_data_set_are_what_they_hold() -> None:
    """Classes in any order, and a validation split as a share or as its number of images."""
    forms = []
    for parts in (
        {"subset": {"classes": [3, 1], "size": 90}, "validation": {"share": 0.1}},
        {"subset": {"size": 90, "classes": [1, 3]}, "validation": {"count": 1000}},
    ):
        form = copy.deepcopy(FORMS["bp_penalty_control"])
        for arm in form["arms"].values():
            arm["setup"].update(parts)
        forms.append(of(form))
    assert forms[0] == forms[1] != of(FORMS["bp_penalty_control"])


def test_a_probe_batch_is_what_is_measured_on_whether_the_setup_or_the_metric_says_so() -> None:
    base = FORMS["mode2_direction"]

    def change(metric: dict[str, object], samples: int, **arm: object) -> bytes:
        form = copy.deepcopy(base)
        for one in form["arms"].values():
            one["setup"]["evaluation"]["probe_samples"] = samples
            one |= arm
        for estimand in form["estimands"].values():
            estimand["metric"] |= metric if estimand["metric"]["name"] == "credit_cosine" else {}
        guarded = any(one["metric"]["name"] != "credit_cosine" for one in form["estimands"].values())
        form["guards"] = {} if guarded else form["guards"]
        return of(form)

    assert change({}, 512) == change({"probe_samples": 512}, 1024) != change({}, 1024)
    forms = {
        change(metric, 1024)
        for metric in ({}, {"feedback": "fresh"}, {"feedback": "fresh", "draw": 1}, {"probe_split": "train"})
    }
    assert len(forms) == 4


def test_what_an_arm_starts_from_is_part_of_what_is_asked() -> None:
    base = FORMS["bp_penalty_control"]

    def start(run: str, **more: object) -> bytes:
        form = copy.deepcopy(base)
        for arm in form["arms"].values():
            arm["init_from"] = {"run": run, "arm": "dfa", **more}
        return of(form)

    assert start("76d31344c971") == start("76d31344c97100") != of(base)
    others = {start("76d31344c971"), start("76d31344c972"), start("76d31344c971", epoch=3)}
    assert len(others | {start("76d31344c971", feedback="fresh")}) == 4


def test_the_forms_differ_from_one_another_and_hold_no_name() -> None:
    assert len({of(form) for form in FORMS.values()}) == len(FORMS)
    for form in FORMS.values():
        text = json.dumps(normal_form(Hypothesis.model_validate(form)))
        for name in (*form["arms"], *form["estimands"], *form["decisions"], form["id"]):
            assert f'"{name}"' not in text or name in ("bp", "t")


def test_it_is_the_same_in_another_process_and_loads_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from harness.spec import load; from harness.domain.normal_form import "
        "encode_normal_form; sys.stdout.buffer.write(encode_normal_form(load(Path(sys.argv[1])).hypothesis)); "
        "assert 'torch' not in sys.modules"
    )
    path = ROOT / "hypotheses/quickstart_digits.yaml"
    ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, cwd=ROOT)
    assert ran.stdout == of(FORMS["quickstart_digits"])
