from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import rfc8785

import harness
from harness.errors import Tampered, UsageError
from harness.ledger import canonical, compare, find_registration, pins, register, seeds
from harness.ledger.pins import package_code

RAW = b"# comment\nid: small\n"
CLAIMS = b"claims: {}\n"
GOLDEN = (238951223458114, 182205038713681, 51576861787710)  # for SHA-256("a registration"), by sha256sum


def by_hand(registration: str, count: int) -> tuple[int, ...]:
    """The seeds as the design states them, written another way."""
    numbers = []
    for index in range(count):
        text = "harness/seed/v1".encode("ascii") + b"\x00" + bytes.fromhex(registration) + b"%c" % 0 * 4
        text += bytes([index >> 24 & 255, index >> 16 & 255, index >> 8 & 255, index & 255])
        numbers.append(int(hashlib.sha256(text).hexdigest()[:12], 16))
    return tuple(numbers)


def test_a_registration_holds_the_files_the_meaning_and_the_code(ledger, make, templates):
    hypothesis = make()
    event = register(ledger, RAW, CLAIMS, hypothesis, pins(hypothesis, templates), data={"digits": "a" * 64})
    template = (templates / "verdict.md.j2").read_bytes()
    assert event.type == "registered"
    assert event.body["hypothesis"] == "small"
    assert event.body["title"] == "A small hypothesis"
    assert event.body["seeds"] == 3
    assert event.body["data"] == {"digits": "a" * 64}
    assert event.body["raw"] == hashlib.sha256(RAW).hexdigest()
    assert event.body["pins"] == {
        "harness": harness.__version__,
        "code": package_code(),
        "plugins": {
            name: hashlib.sha256((Path(harness.__file__).parent / f"{name}.py").read_bytes()).hexdigest()
            for name in (
                "criteria/t",
                "datasets/digits",
                "metrics/credit_cosine",
                "metrics/gradient_norm",
                "metrics/test_accuracy",
                "models/residual_mlp",
                "penalties/residual_branch",
                "rules/dfa",
            )
        },
        "templates": {"verdict.md.j2": hashlib.sha256(template).hexdigest()},
    }
    assert ledger.read_object(event.body["raw"]) == RAW
    assert ledger.read_object(event.body["claims"]) == CLAIMS
    assert ledger.read_object(event.body["pins"]["templates"]["verdict.md.j2"]) == template
    assert ledger.read_object(event.body["canonical"]) == canonical(hypothesis)
    assert json.loads(canonical(hypothesis))["setup"]["optimizer"]["weight_decay"] == 0.01  # a default, spelled out


def test_the_canonical_form_is_the_meaning(make):
    hypothesis = make()
    again = type(hypothesis).model_validate(json.loads(canonical(hypothesis)))
    assert again == hypothesis
    assert canonical(again) == canonical(hypothesis)


def test_a_registration_is_found_and_made_once(ledger, make, templates):
    hypothesis = make()
    assert find_registration(ledger, "small") is None
    other = make((("id",), "other"))
    register(ledger, b"id: other\n", CLAIMS, other, pins(other, templates))
    event = register(ledger, RAW, CLAIMS, hypothesis, pins(hypothesis, templates))
    found = find_registration(ledger, "small")
    assert found is not None
    assert (found.digest, found.claimed_time, found.raw) == (event.digest, event.claimed_time, event.body["raw"])
    assert found.seeds == seeds(event.digest, hypothesis) == by_hand(event.digest, 3)
    assert not found.hand_picked_seeds
    with pytest.raises(UsageError, match=event.digest[:12]):
        register(ledger, RAW, CLAIMS, hypothesis, pins(hypothesis, templates))
    assert len(ledger.events()) == 2


def test_seeds_are_what_the_design_says_for_ever(make):
    registration = hashlib.sha256(b"a registration").hexdigest()
    assert seeds(registration, make()) == by_hand(registration, 3) == GOLDEN
    many = seeds(registration, make((("seeds", "count"), 10_000)))
    assert many[:3] == GOLDEN  # more seeds go on where fewer ended
    assert many == by_hand(registration, 10_000)
    assert len(set(many)) == 10_000
    assert 2**47 < max(many) < 2**48
    assert seeds(hashlib.sha256(b"another").hexdigest(), make())[0] != GOLDEN[0]


def test_listed_seeds_are_taken_as_they_are_and_marked(ledger, make, templates):
    hypothesis = make((("seeds",), {"list": [7, 3, 2**53 - 1]}))
    assert seeds("0" * 64, hypothesis) == (7, 3, 2**53 - 1)
    register(ledger, RAW, CLAIMS, hypothesis, pins(hypothesis, templates))
    found = find_registration(ledger, "small")
    assert found is not None and found.hand_picked_seeds and found.seeds == (7, 3, 2**53 - 1)


@pytest.fixture
def registered(ledger, make, templates):
    hypothesis = make()
    register(ledger, RAW, CLAIMS, hypothesis, pins(hypothesis, templates))
    return find_registration(ledger, "small")


def test_the_same_bytes_are_identical(registered, ledger, make, templates):
    found = compare(registered, make(), RAW, pins(make(), templates), ledger)
    assert (found.status, found.differences, found.pins) == ("identical", (), ())


def test_another_text_of_the_same_meaning_is_comment_only(registered, ledger, make, templates):
    found = compare(registered, make(), b"# edited\nid: small\n", pins(make(), templates), ledger)
    assert (found.status, found.differences) == ("comment_only", ())


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("arms", "penalized", "penalty", "strength"), 0.02, "arms.penalized.penalty.strength: 0.01 → 0.02"),
        (("seeds", "count"), 4, "seeds.count: 3 → 4"),
        (("arms", "vanilla", "label"), "Plain", 'arms.vanilla.label: "Vanilla" → "Plain"'),
        (("estimands", "direction", "contrast"), None, None),
        (("arms", "vanilla", "freeze"), ["head"], 'arms.vanilla.freeze: [] → ["head"]'),
        (("arms", "vanilla", "setup", "evaluation", "metrics", 1), "train_loss",
         'arms.vanilla.setup.evaluation.metrics[1]: "gradient_norm" → "train_loss"'),
        (("decisions", "direction", "bands"), {"yes": "(-0.06, 0.06)", "no": "(-inf, -0.06] | [0.06, inf)"},
         'decisions.direction.bands.yes: "(-0.05, 0.05)" → "(-0.06, 0.06)"'),
        (("decisions", "direction", "criterion", "alpha"), 0.01, "decisions.direction.criterion.alpha: 0.05 → 0.01"),
    ],
)  # fmt: skip
def test_a_changed_leaf_is_named_with_both_values(registered, ledger, make, templates, path, value, line):
    changed = make((path, value))
    found = compare(registered, changed, b"other", pins(changed, templates), ledger)
    if line is None:  # the leaf's default, written out
        assert found.status == "comment_only"
    else:
        assert found.status == "changed"
        assert line in found.differences
        assert len(found.differences) == (2 if "bands" in path else 1)


def test_arms_that_come_and_go_are_named(registered, ledger, make, templates):
    arms = make().model_dump(mode="json")["arms"]
    changed = make((("arms",), {"plain": arms["vanilla"], "penalized": arms["penalized"]}))
    found = compare(registered, changed, b"other", pins(changed, templates), ledger)
    gone, come = found.differences
    assert gone.startswith('arms.vanilla: {"freeze": []') and gone.endswith("→ absent")
    assert come.startswith("arms.plain: absent → {")


def without(form, *paths):
    """The canonical form as it was before these fields were added to it."""
    form = json.loads(json.dumps(form))
    for *path, last in paths:
        part = form
        for key in path:
            part = part[key]
        del part[last]
    return form


OLD = [
    ("stopping",),
    ("arms", "vanilla", "setup", "save"),
    ("decisions", "direction", "criterion", "alpha"),
    ("estimands", "direction", "transform"),
]


def test_a_field_that_the_form_gained_since_is_no_difference_at_its_default(registered, ledger, make, templates):
    before = rfc8785.dumps(without(json.loads(canonical(make())), *OLD))
    registered = registered.model_copy(update={"canonical": ledger.store_object(before)})
    found = compare(registered, make(), RAW, pins(make(), templates), ledger)
    assert (found.status, found.differences) == ("identical", ())
    used = make((("estimands", "direction", "transform"), "log10"), (("arms", "vanilla", "label"), "Plain"))
    found = compare(registered, used, b"other", pins(used, templates), ledger)
    assert found.status == "changed"
    assert found.differences == (
        'arms.vanilla.label: "Vanilla" → "Plain"',
        'estimands.direction.transform: "none" → "log10"',
    )


def test_a_registered_form_that_todays_records_refuse_is_compared_as_it_is(registered, ledger, make, templates):
    form = json.loads(canonical(make())) | {"dropped": 1}
    registered = registered.model_copy(update={"canonical": ledger.store_object(rfc8785.dumps(form))})
    found = compare(registered, make(), RAW, pins(make(), templates), ledger)
    assert found.differences == ("dropped: 1 → absent",)


def test_changed_code_and_templates_are_named(registered, ledger, make, templates):
    (templates / "verdict.md.j2").write_text("# other\n")
    (templates / "part.j2").write_text("new\n")
    now = pins(make(), templates)
    plugins = {**now.plugins, "rules/dfa": "0" * 64, "rules/bp": "1" * 64}
    del plugins["metrics/test_accuracy"]
    now = now.model_copy(update={"plugins": plugins, "harness": "9.9", "code": "c" * 64})
    found = compare(registered, make(), RAW, now, ledger)
    assert found.status == "identical"
    assert found.pins == (
        f"harness {harness.__version__} was registered, this is 9.9",
        f"harness's own code differs from the registered one: {package_code()[:12]} → cccccccccccc",
        "the code of metrics/test_accuracy was registered and is not used",
        "the code of rules/bp is used and was not registered",
        "the code of rules/dfa differs from the registered one",
        "the template part.j2 is used and was not registered",
        "the template verdict.md.j2 differs from the registered one",
    )


def test_a_missing_registered_form_is_not_passed_over(registered, ledger, make, templates):
    (ledger.root / "objects" / "sha256" / registered.canonical).unlink()
    changed = make((("seeds", "count"), 4))
    with pytest.raises(Tampered, match="missing"):
        compare(registered, changed, b"other", pins(changed, templates), ledger)
