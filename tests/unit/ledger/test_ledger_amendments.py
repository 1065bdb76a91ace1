from __future__ import annotations

import hashlib

import pytest

from harness.errors import DeviationRefused, UsageError
from harness.ledger import (
    Ancestry,
    CodeDifferences,
    Ledger,
    Version,
    amend,
    compare,
    describe_environment,
    find_in_force,
    find_latest,
    find_registration,
    find_registration_of,
    list_amendments,
    pin_code,
    read_start,
    read_timeline,
    register,
    write_canonical,
)
from harness.ledger.amendments import KNOWN_ALWAYS
from harness.ledger.registration import choose_seeds as derived

CLAIMS = b"claims: {}\n"
DIGEST = "d" * 64


class Life:
    """A hypothesis's life, step by step, in one ledger."""

    def __init__(self, ledger: Ledger, make, templates) -> None:
        self.ledger, self.make, self.templates = ledger, make, templates

    def register(self, *changes):
        hypothesis = self.make(*changes)
        return register(
            self.ledger, b"raw", CLAIMS, hypothesis, pin_code(hypothesis, self.templates), {"digits": "a" * 64}
        )

    def amend(self, raw: bytes, *changes, reason: str = "because"):
        hypothesis = self.make(*changes)
        before = find_latest(self.ledger, "small")
        now = pin_code(hypothesis, self.templates)
        found = compare(before, hypothesis, raw, now, self.ledger)
        differences = (*found.differences, *found.code.deviations, *found.code.in_words)
        kind = "meaning" if found.differences else "surroundings" if found.code.deviations else "comment"
        return amend(self.ledger, before, Version(raw, CLAIMS, hypothesis, now, before.data),
                     kind=kind, differences=differences, reason=reason)  # fmt: skip

    def start(self):
        registration = find_in_force(self.ledger, "small")
        return self.ledger.append("run_started", self.run_body(registration))

    def run_body(self, registration):
        hypothesis = self.make()
        return {
            "hypothesis": "small",
            "registration": registration.digest,
            "amendment": registration.amendment,
            "raw": registration.raw,
            "canonical": hashlib.sha256(write_canonical(hypothesis)).hexdigest(),
            "pins": pin_code(hypothesis, self.templates).model_dump(mode="json"),
            "plan": DIGEST,
            "seeds": list(registration.seeds),
            "environment": describe_environment(self.ledger.root).model_dump(mode="json"),
            "device": "cpu",
            "command": "harness run",
        }

    def classified(self):
        return list_amendments(self.ledger.index(), "small")


@pytest.fixture
def life(ledger, make, templates) -> Life:
    return Life(ledger, make, templates)


STRENGTH = (("arms", "penalized", "penalty", "strength"), 0.02)
CHANGED = "arms.penalized.penalty.strength: 0.01 → 0.02"


def test_an_amendment_before_every_run_is_in_force_and_no_deviation(life):
    first = life.register()
    event = life.amend(b"new", STRENGTH, reason="a typo")
    now = find_in_force(life.ledger, "small")
    assert (now.digest, now.amendment) == (first.digest, event.digest)
    assert now.raw == hashlib.sha256(b"new").hexdigest()
    assert now.canonical == hashlib.sha256(write_canonical(life.make(STRENGTH))).hexdigest()
    assert now.seeds == find_registration(life.ledger, "small").seeds  # the same roll
    assert life.ledger.read_object(now.raw) == b"new"
    assert event.body["amends"] == event.body["registration"] == first.digest
    assert event.body["attempts"] == {}
    life.start()
    (amendment,) = life.classified()
    assert not amendment.deviates and amendment.when == "before any run"
    assert amendment.lines == (f"{CHANGED}, amended before any run: a typo",)


def test_an_amendment_after_a_run_deviates_and_names_the_run_and_what_was_known(life):
    life.register()
    run = life.start()
    life.ledger.append("run_finished", {"run": run.digest, "results": DIGEST})
    life.ledger.append("verdict", {"run": run.digest, "outcome": "yes", "files": {}})
    event = life.amend(b"new", STRENGTH, reason="looks better")
    assert event.body["attempts"] == {run.digest: {"status": "finished", "outcome": "yes"}}
    life.start()
    (amendment,) = life.classified()
    assert amendment.deviates and amendment.after == (run.digest,)
    assert amendment.lines == (f"{CHANGED}, amended after run {run.digest[:12]} started: looks better",)


def test_a_run_keeps_the_registration_that_it_was_started_under(life):
    life.register()
    early = life.start()
    life.amend(b"new", STRENGTH)
    late = life.start()
    assert find_registration_of(life.ledger.index(), read_start(early)).amendment is None
    assert find_registration_of(life.ledger.index(), read_start(early)).raw == hashlib.sha256(b"raw").hexdigest()
    assert find_registration_of(life.ledger.index(), read_start(late)).raw == hashlib.sha256(b"new").hexdigest()


def test_a_comment_never_deviates(life):
    life.register()
    life.start()
    event = life.amend(b"# a comment\nraw")
    assert (event.body["kind"], event.body["differences"]) == ("comment", [])
    (amendment,) = life.classified()
    assert amendment.after and not amendment.deviates and amendment.lines == ()


@pytest.mark.parametrize(
    ("more", "deviates"), [((), False), (("the code of rules/dfa differs from the registered one",), True)]
)
def test_an_amendment_from_before_words_were_told_apart_deviates_by_more_than_words(life, more, deviates):
    life.register()
    life.start()
    template = "the template verdict.md.j2 differs from the registered one"
    now = Version(b"raw", CLAIMS, life.make(), pin_code(life.make(), life.templates), {})
    amend(life.ledger, find_latest(life.ledger, "small"), now,
          kind="surroundings", differences=(template, *more), reason="a nicer page")  # fmt: skip
    (amendment,) = life.classified()
    assert amendment.after and amendment.deviates == deviates


def test_changed_words_can_be_taken_in_and_never_deviate(life):
    life.register()
    life.start()
    (life.templates / "verdict.md.j2").write_text("# another\n")
    event = life.amend(b"raw", reason="a clearer page")
    assert event.body["kind"] == "comment"
    assert event.body["differences"] == ["only what is meant for words differs: the template verdict.md.j2"]
    (amendment,) = life.classified()
    assert amendment.after and not amendment.deviates
    hypothesis = life.make()
    after = compare(
        find_in_force(life.ledger, "small"), hypothesis, b"raw", pin_code(hypothesis, life.templates), life.ledger
    )
    assert (after.status, after.code) == ("identical", CodeDifferences())
    assert life.ledger.read_object(event.body["pins"]["templates"]["verdict.md.j2"]) == b"# another\n"


def test_amendments_build_on_one_another(life):
    life.register()
    first = life.amend(b"one", STRENGTH)
    second = life.amend(b"two", STRENGTH, (("seeds", "count"), 5))
    assert second.body["amends"] == first.digest
    assert second.body["differences"] == ["seeds.count: 3 → 5"]
    now = find_in_force(life.ledger, "small")
    assert now.amendment == second.digest and len(now.seeds) == 5
    assert now.seeds == derived(now.digest, life.make((("seeds", "count"), 5)))
    assert now.seeds[:3] == find_registration(life.ledger, "small").seeds


def test_seeds_cannot_be_rolled_again(life):
    life.register()
    with pytest.raises(DeviationRefused, match="until the outcome pleases"):
        life.amend(b"new", (("seeds",), {"list": [1, 2, 3]}))
    assert len(life.ledger.events()) == 1


@pytest.mark.parametrize("count", [2, 5])
def test_the_number_of_seeds_is_fixed_as_soon_as_it_was_run(life, count):
    """Who may choose when to stop can stop when the outcome pleases: also after an attempt that came to nothing."""
    life.register()
    life.ledger.append("pilot", {"hypothesis": "small", "settings": {}})
    life.amend(b"after a pilot", (("seeds", "count"), 4))
    run = life.start()
    with pytest.raises(DeviationRefused, match="run with 4 registered seeds"):
        life.amend(b"while it runs", (("seeds", "count"), count))
    life.ledger.append("run_aborted", {"run": run.digest, "reason": "stopped"})
    with pytest.raises(DeviationRefused, match=f"an amendment to {count} is refused"):
        life.amend(b"after it was stopped", (("seeds", "count"), count))
    assert [event.type for event in life.ledger.events()].count("amended") == 1
    life.amend(b"the number stays", STRENGTH, (("seeds", "count"), 4))
    assert len(find_in_force(life.ledger, "small").seeds) == 4


def test_listed_seeds_stay_as_they_are(life):
    life.register((("seeds",), {"list": [7, 8, 9]}))
    with pytest.raises(DeviationRefused, match="until the outcome pleases"):
        life.amend(b"new", (("seeds",), {"list": [7, 8, 10]}))
    with pytest.raises(DeviationRefused, match="until the outcome pleases"):
        life.amend(b"new", (("seeds", "count"), 3))
    life.amend(b"new", STRENGTH, (("seeds",), {"list": [7, 8, 9]}))
    assert find_in_force(life.ledger, "small").seeds == (7, 8, 9)


def test_nothing_to_amend(life):
    life.register()
    with pytest.raises(UsageError, match="nothing differs"):
        life.amend(b"raw")


def test_side_by_side_with_a_run_is_not_before_it(life, plant):
    """Another branch started a run; nothing but ancestry can tell, whatever the clocks say."""
    life.register()
    (head,) = life.ledger.heads()
    life.amend(b"new", STRENGTH)
    body = life.run_body(find_registration(life.ledger, "small"))
    other = plant(life.ledger, [head], time="2099-01-01T00:00:00Z", type="run_started", body=body)
    (amendment,) = life.classified()
    assert amendment.beside == (other,) and amendment.after == () and amendment.deviates
    assert amendment.when == f"not provably before run {other[:12]}"


def test_a_pilot_before_an_amendment_is_told(life):
    life.register()
    pilot = life.ledger.append("pilot", {"hypothesis": "small", "settings": {}})
    life.amend(b"new", STRENGTH)
    (amendment,) = life.classified()
    assert not amendment.deviates
    assert amendment.when == f"before any run, and not provably before pilot {pilot.digest[:12]}"


def test_two_amendments_side_by_side_are_refused_until_one_follows_both(life, plant):
    life.register()
    (head,) = life.ledger.heads()
    one = life.amend(b"one", STRENGTH)
    plant(life.ledger, [head], type="amended", body={**one.body, "reason": "another"})
    with pytest.raises(DeviationRefused, match="side by side"):
        find_in_force(life.ledger, "small")
    both = life.amend(b"both", (("arms", "penalized", "penalty", "strength"), 0.03))
    assert find_in_force(life.ledger, "small").amendment == both.digest


def test_other_hypotheses_are_left_alone(life, make, templates):
    life.register()
    other = make((("id",), "other"))
    register(life.ledger, b"other", CLAIMS, other, pin_code(other, templates))
    life.amend(b"new", STRENGTH)
    assert find_in_force(life.ledger, "other").amendment is None
    assert list_amendments(life.ledger.index(), "other") == ()


def test_ancestry_is_reachability(ledger, plant):
    root = plant(ledger, [])
    left, right = plant(ledger, [root], time="2026-01-03T00:00:00Z"), plant(ledger, [root], time="2026-01-04T00:00:00Z")
    join = plant(ledger, [left, right])
    ancestry = Ancestry(ledger.events())
    pairs = [(a, b) for a in (root, left, right, join) for b in (root, left, right, join) if ancestry.before(a, b)]
    assert set(pairs) == {(root, left), (root, right), (root, join), (left, join), (right, join)}
    with pytest.raises(KeyError):
        ancestry.before(root, DIGEST)


def test_the_timeline_tells_everything_in_order(life, plant):
    life.register()
    (head,) = life.ledger.heads()
    life.amend(b"new", STRENGTH, reason="a typo")
    run = life.start()
    life.ledger.append("run_aborted", {"run": run.digest, "reason": "wrong folder"})
    life.ledger.append("pilot", {"hypothesis": "another", "settings": {}})
    plant(life.ledger, [head], time="2099-01-01T00:00:00Z", body={"hypothesis": "small", "settings": {"epochs": 1}})
    moments = read_timeline(life.ledger, "small")
    assert [moment.type for moment in moments] == ["registered", "amended", "run_started", "run_aborted", "pilot"]
    assert moments[1].details == (CHANGED, KNOWN_ALWAYS)
    assert moments[1].text == f"amended, before any run, and not provably before pilot {moments[4].digest[:12]}: a typo"
    assert moments[3].text == f"run {run.digest[:12]} was closed: wrong folder"
    assert [moment.beside for moment in moments] == [False, False, False, False, True]
    with pytest.raises(UsageError, match="nothing about"):
        read_timeline(life.ledger, "unheard-of")
