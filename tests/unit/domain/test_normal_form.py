"""The normal form: the same for everything that trains and decides the same, another for everything else."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.domain.normal_form import encode_normal_form, normal_form
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
    assert of(reordered(form, lambda keys: data.draw(st.permutations(keys)))) == of(FORMS[name])


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
    ):
        form = copy.deepcopy(base)
        change(form)
        assert form != base and of(form) == of(base)


MEANING: dict[str, tuple[str, Callable[[Form], Any]]] = {
    "a rule": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["rule"].update(clip=2.0)),
    "no penalty": ("bp_penalty_control", lambda form: form["arms"]["bp_penalty"].update(penalty=None)),
    "a strength": ("bp_penalty_control", lambda form: form["arms"]["bp_penalty"]["penalty"].update(strength=0.02)),
    "a frozen part": ("bp_penalty_control", lambda form: form["arms"]["shallow"].update(freeze=["block_0"])),
    "augmentation": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["dataset"].update(augment=[])),
    "a width": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["model"].update(width=128)),
    "a rate": ("bp_penalty_control", lambda form: form["arms"]["shallow"]["setup"]["optimizer"].update(lr=0.002)),
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
    "a band of a row": ("table", lambda form: form["combine"]["table"][0]["when"].update(cost="little")),
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
