from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import rfc8785

import harness
from harness.errors import Tampered, UsageError
from harness.ledger import (
    CodeDifferences,
    choose_seeds,
    compare,
    find_registration,
    pin_code,
    register,
    write_canonical,
)
from harness.ledger.code import digest_package

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
    event = register(ledger, RAW, CLAIMS, hypothesis, pin_code(hypothesis, templates), data={"digits": "a" * 64})
    template = (templates / "verdict.md.j2").read_bytes()
    assert event.type == "registered"
    assert event.body["hypothesis"] == "small"
    assert event.body["title"] == "A small hypothesis"
    assert event.body["seeds"] == 3
    assert event.body["data"] == {"digits": "a" * 64}
    assert event.body["raw"] == hashlib.sha256(RAW).hexdigest()
    assert event.body["pins"] == {
        "harness": harness.__version__,
        "code": digest_package().digest,
        "code_kinds": digest_package().kinds,
        "plugins": {
            name: hashlib.sha256((Path(harness.__file__).parent / f"{name}.py").read_bytes()).hexdigest()
            for name in (
                "criteria/t",
                "datasets/digits",
                "losses/cross_entropy",
                "metrics/credit_cosine",
                "metrics/gradient_norm",
                "metrics/test_accuracy",
                "models/residual_mlp",
                "optimizers/adamw",
                "penalties/residual_branch",
                "rules/dfa",
                "schedules/cosine",
            )
        },
        "packages": {},  # no plug-in of another package is used
        "templates": {"verdict.md.j2": hashlib.sha256(template).hexdigest()},
    }
    assert ledger.read_object(event.body["raw"]) == RAW
    assert ledger.read_object(event.body["claims"]) == CLAIMS
    assert ledger.read_object(event.body["pins"]["templates"]["verdict.md.j2"]) == template
    assert ledger.read_object(event.body["canonical"]) == write_canonical(hypothesis)
    assert (
        json.loads(write_canonical(hypothesis))["setup"]["optimizer"]["weight_decay"] == 0.01
    )  # a default, spelled out


def test_the_canonical_form_is_the_meaning(make):
    hypothesis = make()
    again = type(hypothesis).model_validate(json.loads(write_canonical(hypothesis)))
    assert again == hypothesis
    assert write_canonical(again) == write_canonical(hypothesis)


def test_a_registration_is_found_and_made_once(ledger, make, templates):
    hypothesis = make()
    assert find_registration(ledger, "small") is None
    other = make((("id",), "other"))
    register(ledger, b"id: other\n", CLAIMS, other, pin_code(other, templates))
    event = register(ledger, RAW, CLAIMS, hypothesis, pin_code(hypothesis, templates))
    found = find_registration(ledger, "small")
    assert found is not None
    assert (found.digest, found.claimed_time, found.raw) == (event.digest, event.claimed_time, event.body["raw"])
    assert found.seeds == choose_seeds(event.digest, hypothesis) == by_hand(event.digest, 3)
    assert not found.hand_picked_seeds
    with pytest.raises(UsageError, match=event.digest[:12]):
        register(ledger, RAW, CLAIMS, hypothesis, pin_code(hypothesis, templates))
    assert len(ledger.events()) == 2


def test_seeds_are_what_the_design_says_for_ever(make):
    registration = hashlib.sha256(b"a registration").hexdigest()
    assert choose_seeds(registration, make()) == by_hand(registration, 3) == GOLDEN
    many = choose_seeds(registration, make((("seeds", "count"), 10_000)))
    assert many[:3] == GOLDEN  # more seeds go on where fewer ended
    assert many == by_hand(registration, 10_000)
    assert len(set(many)) == 10_000
    assert 2**47 < max(many) < 2**48
    assert choose_seeds(hashlib.sha256(b"another").hexdigest(), make())[0] != GOLDEN[0]


def test_listed_seeds_are_taken_as_they_are_and_marked(ledger, make, templates):
    hypothesis = make((("seeds",), {"list": [7, 3, 2**53 - 1]}))
    assert choose_seeds("0" * 64, hypothesis) == (7, 3, 2**53 - 1)
    register(ledger, RAW, CLAIMS, hypothesis, pin_code(hypothesis, templates))
    found = find_registration(ledger, "small")
    assert found is not None and found.hand_picked_seeds and found.seeds == (7, 3, 2**53 - 1)


@pytest.fixture
def registered(ledger, make, templates):
    hypothesis = make()
    register(ledger, RAW, CLAIMS, hypothesis, pin_code(hypothesis, templates))
    return find_registration(ledger, "small")


def test_the_same_bytes_are_identical(registered, ledger, make, templates):
    found = compare(registered, make(), RAW, pin_code(make(), templates), ledger)
    assert (found.status, found.differences, found.code) == ("identical", (), CodeDifferences())


def test_another_text_of_the_same_meaning_is_comment_only(registered, ledger, make, templates):
    found = compare(registered, make(), b"# edited\nid: small\n", pin_code(make(), templates), ledger)
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
    found = compare(registered, changed, b"other", pin_code(changed, templates), ledger)
    if line is None:  # the leaf's default, written out
        assert found.status == "comment_only"
    else:
        assert found.status == "changed"
        assert line in found.differences
        assert len(found.differences) == (2 if "bands" in path else 1)


def test_arms_that_come_and_go_are_named(registered, ledger, make, templates):
    arms = make().model_dump(mode="json")["arms"]
    changed = make((("arms",), {"plain": arms["vanilla"], "penalized": arms["penalized"]}))
    found = compare(registered, changed, b"other", pin_code(changed, templates), ledger)
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
    before = rfc8785.dumps(without(json.loads(write_canonical(make())), *OLD))
    registered = registered.model_copy(update={"canonical": ledger.store_object(before)})
    found = compare(registered, make(), RAW, pin_code(make(), templates), ledger)
    assert (found.status, found.differences) == ("identical", ())
    used = make((("estimands", "direction", "transform"), "log10"), (("arms", "vanilla", "label"), "Plain"))
    found = compare(registered, used, b"other", pin_code(used, templates), ledger)
    assert found.status == "changed"
    assert found.differences == (
        'arms.vanilla.label: "Vanilla" → "Plain"',
        'estimands.direction.transform: "none" → "log10"',
    )


def test_a_registered_form_that_todays_records_refuse_is_compared_as_it_is(registered, ledger, make, templates):
    form = json.loads(write_canonical(make())) | {"dropped": 1}
    registered = registered.model_copy(update={"canonical": ledger.store_object(rfc8785.dumps(form))})
    found = compare(registered, make(), RAW, pin_code(make(), templates), ledger)
    assert found.differences == ("dropped: 1 → absent",)


def test_changed_code_and_templates_are_named_by_what_they_can_change(registered, ledger, make, templates):
    (templates / "verdict.md.j2").write_text("# other\n")
    (templates / "part.j2").write_text("new\n")
    now = pin_code(make(), templates)
    plugins = {**now.plugins, "rules/dfa": "0" * 64, "rules/bp": "1" * 64, "criteria/t": "2" * 64}
    del plugins["metrics/test_accuracy"]
    kinds = {**now.code_kinds, "numbers": "a" * 64, "words": "b" * 64, "plugins": "d" * 64}
    changed = {"plugins": plugins, "harness": "9.9", "code": "c" * 64, "code_kinds": kinds}
    found = compare(registered, make(), RAW, now.model_copy(update=changed), ledger)
    own = {kind: f"{digest[:12]} → {kinds[kind][:12]}" for kind, digest in now.code_kinds.items()}
    assert found.status == "identical"
    assert found.code.numbers == (
        f"the code that trains and measures differs from the registered one (harness's own code {own['numbers']}; "
        "metrics/test_accuracy, which was registered and is not used; rules/bp, which was not registered; rules/dfa): "
        "the numbers could differ"
    )
    assert found.code.judgement == (
        "the code that judges differs from the registered one (criteria/t): the judgement could differ"
    )
    assert found.code.words == (
        "the template part.j2, which was not registered, the template verdict.md.j2, "
        f"the code that reports and keeps records ({own['words']}); harness {harness.__version__} → 9.9"
    )


@pytest.mark.parametrize("changed", [{"harness": "9.9"}, {"code": "c" * 64, "code_kinds": {"plugins": "d" * 64}}])
def test_neither_another_version_nor_a_plug_in_that_is_not_used_is_a_difference(
    registered, ledger, make, templates, changed
):
    now = pin_code(make(), templates)
    changed = {**changed, "code_kinds": {**now.code_kinds, **changed.get("code_kinds", {})}}
    found = compare(registered, make(), RAW, now.model_copy(update=changed), ledger)
    assert found.code == CodeDifferences()


def test_code_from_before_kinds_were_noted_may_change_anything(registered, ledger, make, templates):
    old = registered.pins.model_copy(update={"code": "c" * 64, "code_kinds": {}})
    now = pin_code(make(), templates)
    found = compare(registered.model_copy(update={"pins": old}), make(), RAW, now, ledger)
    assert found.code == CodeDifferences(
        numbers="the code that trains and measures differs from the registered one (harness's own code cccccccccccc → "
        f"{now.code[:12]}, and what changed in it is not known): the numbers could differ"
    )


def test_line_ends_of_plug_ins_and_templates_are_no_difference(registered, ledger, make, templates):
    template = templates / "verdict.md.j2"
    template.write_bytes(template.read_bytes().replace(b"\n", b"\r\n"))
    assert compare(registered, make(), RAW, pin_code(make(), templates), ledger).code == CodeDifferences()
    assert pin_code(make(), templates).template_bytes["verdict.md.j2"] == registered_template(registered, ledger)


def registered_template(registered, ledger):
    return ledger.read_object(registered.pins.templates["verdict.md.j2"])


def test_a_missing_registered_form_is_not_passed_over(registered, ledger, make, templates):
    (ledger.root / "objects" / "sha256" / registered.canonical).unlink()
    changed = make((("seeds", "count"), 4))
    with pytest.raises(Tampered, match="missing"):
        compare(registered, changed, b"other", pin_code(changed, templates), ledger)
