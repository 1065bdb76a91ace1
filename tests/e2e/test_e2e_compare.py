"""Two verdicts side by side: the numbers are theirs, and what counts as a contradiction."""

from __future__ import annotations

import html
import itertools
import json
import shutil
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from scipy import stats

from harness import api
from harness.ledger import Ledger
from harness.pipeline.compare import Comparison, compare_judged
from harness.pipeline.correspondence import Turn, find_turn
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.records import Estimand, Interval
from tests.e2e.projects import Project


@pytest.fixture(scope="module")
def two(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with verdicts on two hypotheses that differ in how long is trained."""
    root = tmp_path_factory.mktemp("two") / "project"
    shutil.copytree(finished.root, root)
    project = Project(root)
    shutil.copy(root / "hypotheses/tiny.yaml", root / "hypotheses/short.yaml")
    for old, new in (
        ("id: tiny", "id: short"),
        ("epochs: 8", "epochs: 3"),
        ("title: BP beats", "title: Early, BP beats"),
        ("supports: [depth-helps]", "walks_back: [depth-helps]"),
        ("says: Depth hurts., walks_back", "says: Depth hurts., supports"),
    ):
        project.edit(old, new, "short.yaml")
    ran = project.harness("run", "hypotheses/short.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    return project


def stored(project: Project, hypothesis: str) -> dict[str, Any]:
    (path,) = project.root.glob(f"verdicts/{hypothesis}/*/verdict.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_two_verdicts_stand_side_by_side_with_their_own_numbers(two: Project) -> None:
    ran = two.harness("compare", "tiny", "short", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    (pair,) = found["decisions"]
    verdicts = {side: stored(two, name) for side, name in (("first", "tiny"), ("second", "short"))}
    for side, verdict in verdicts.items():
        (decision,) = verdict["decision"]["decisions"]
        assert found[side]["run"] == verdict["run"] and found[side]["outcome"] == verdict["outcome"]
        assert pair[side]["estimate"] == decision["estimand"]["mean"] and pair[side]["p"] == decision["p"]
        assert pair[side]["interval"] == decision["interval"] and pair[side]["n"] == decision["estimand"]["n"]
        left = [atom["interval"] for atom in decision["atoms"] if not atom["rejected"]]
        assert len(pair[side]["possible"]) == (len(left) if decision["status"] == "tested" else 0)
    fields = {one["field"]: (one["first"], one["second"]) for one in found["settings"]}
    assert fields == {"setup.epochs": (8, 3)}
    assert "registration" in {one["field"] for one in found["circumstances"]} and not found["same_seeds"]
    # Other settings: whatever came out, both may be right.
    assert pair["relation"] in ("opposed", "agree", "compatible", "not tested") and not found["contradict"]
    values = [[one["value"] for one in v["decision"]["decisions"][0]["estimand"]["values"]] for v in verdicts.values()]
    kept = [[value for value in part if value is not None] for part in values]
    if min(map(len, kept)) > 1 and all(len(set(part)) > 1 for part in kept):
        expected = stats.ttest_ind(kept[1], kept[0], equal_var=False)
        low, high = expected.confidence_interval(0.95)
        assert pair["difference"] == pytest.approx(sum(kept[1]) / len(kept[1]) - sum(kept[0]) / len(kept[0]), abs=1e-9)
        assert pair["difference95"] == pytest.approx([low, high], rel=1e-6, abs=1e-9)
    said = two.harness("compare", "tiny", "short", COLUMNS="250")
    assert found["conclusion"] in said.stdout and "setup.epochs" in said.stdout
    for side in ("first", "second"):  # looks and families have levels of their own
        assert pair[side]["interval"] is None or f"({100 * pair[side]['level']:g}%: " in said.stdout
    both = [verdict["outcome"] for verdict in verdicts.values()]
    if set(both) <= {"better", "worse"}:  # the second file moves the claim the other way round
        moved = {"claim": "depth-helps"}
        told = [dict(one) for one in found["claims"] if one.items() >= moved.items()]
        assert len(told) == (both[0] == both[1])


def test_the_api_shows_the_same(two: Project) -> None:
    seen = api.compare("tiny", "short", project=two.root)
    assert html.escape(seen.conclusion) in seen._repr_html_() and bool(seen) is seen.contradict
    assert seen.settings == [("setup.epochs", "8", "3")]


def test_a_run_is_not_compared_with_itself(two: Project) -> None:
    run = stored(two, "tiny")["run"]
    ran = two.harness("compare", "tiny", run)
    assert ran.returncode == 2 and f"both names are of run {run}" in ran.stderr
    assert two.harness("compare", "tiny", "nothing").returncode == 2
    misspelt = two.harness("compare", "tiny", "shrot")
    assert misspelt.returncode == 2 and "no verdict on 'shrot', did you mean 'short'?" in misspelt.stderr


@pytest.fixture(scope="module")
def judged(finished: Project) -> JudgedRun:
    return read_judged_run(Ledger(finished.root / "verdicts"), "tiny")


def come_to(
    run: JudgedRun, outcome: str, possible: str, *, epochs: int = 8, metric: str = "test_accuracy"
) -> JudgedRun:
    """The run as if its tests had left these values possible, perhaps under another setting or of another quantity."""
    (part,) = run.decision.decisions
    (margin, other) = (part.atoms[0], part.atoms[-1])
    atoms = (
        margin.model_copy(update={"interval": Interval.parse(possible), "rejected": False}),
        other.model_copy(update={"rejected": True}),
    )
    decided = part.model_copy(update={"status": "tested", "outcome": outcome, "atoms": atoms})
    registered = run.stored.registered
    plain = registered.hypothesis.model_dump(mode="json")
    for arm in plain["arms"].values():
        arm["setup"]["epochs"] = epochs
    plain["estimands"]["margin"]["metric"] = {"name": metric}
    hypothesis = type(registered.hypothesis).model_validate(plain)
    changed = replace(run.stored, registered=registered.model_copy(update={"hypothesis": hypothesis}))
    return replace(run, stored=changed, decision=run.decision.model_copy(update={"decisions": (decided,)}))


@pytest.mark.parametrize(
    ("second", "relation"),
    [
        (("worse", "(-inf, 0]"), "contradict"),
        (("worse", "(-inf, 0)"), "contradict"),
        (("better", "(0, inf)"), "agree"),
        (("inconclusive", "(-inf, 3]"), "compatible"),
        (("inconclusive", "(-inf, 0]"), "contradict"),  # not decided, and yet nothing is left to both
    ],
)
def test_a_contradiction_is_that_no_true_value_is_left_to_both(
    judged: JudgedRun, second: tuple[str, str], relation: str
) -> None:
    def relate(one: JudgedRun, other: JudgedRun) -> tuple[Comparison, str | None]:
        found = compare_judged(one, other)
        return found, found.decisions[0].relation

    first = come_to(judged, "better", "(0, inf)")
    found, related = relate(first, come_to(judged, *second))
    assert related == relation and found.contradict is (relation == "contradict")
    assert relate(come_to(judged, *second), first)[1] == relation
    assert ("contradict each other on margin" in found.conclusion) is (relation == "contradict")
    # The same comparison of arms that were trained otherwise: both may be right.
    found, related = relate(first, come_to(judged, *second, epochs=3))
    assert related == ("opposed" if relation == "contradict" else relation) and not found.contradict
    assert "epochs" in found.decisions[0].why
    # Another quantity.
    found, related = relate(first, come_to(judged, *second, metric="train_accuracy"))
    assert related == "other quantities" and not found.contradict and "metric.name" in found.decisions[0].why
    assert "nothing says whether they contradict" in found.conclusion


NAMES = {"bp": "plain", "dfa": "feedback", "shallow": "bp"}  # of which one is that of another arm in the first


def tell_otherwise(run: JudgedRun, *, names: dict[str, str] = NAMES, turned: bool = False, raw: bool = False) -> Any:
    """The same run as files with other words would have it: arms and decision under other names, b - a for a - b, and
    in the metric's own unit; all numbers follow."""
    sign, scale = -1 if turned else 1, 0.01 if raw else 1.0
    plain = run.stored.registered.hypothesis.model_dump(mode="json")
    plain["arms"] = {names.get(name, name): arm | {"label": "Another"} for name, arm in plain["arms"].items()}
    for about in (*plain["estimands"].values(), *plain["exploratory"].values()):
        if about.get("arm"):
            about["arm"] = names.get(about["arm"], about["arm"])
    margin = plain["estimands"]["margin"]
    first, second = (names.get(name, name) for name in ("bp", "shallow"))
    margin["contrast"] = [second, first] if turned else [first, second]
    margin["unit"] = "raw" if raw else "pp"
    bands = {"loses": "(-inf, 0)", "wins": "[0, inf)"} if turned else {"loses": "(-inf, 0]", "wins": "(0, inf)"}
    plain["decisions"] = {"gain": plain["decisions"]["margin"] | {"bands": bands}}
    plain["implications"] |= {"wins": plain["implications"]["better"], "loses": plain["implications"]["worse"]}
    called = ("wins", "loses") if turned else ("loses", "wins")
    renamed = dict(zip(("worse", "better"), called, strict=True))
    (part,) = run.decision.decisions

    def turn(value: float | None) -> float | None:
        return None if value is None else sign * scale * value

    def turn_interval(one: Interval) -> Interval:
        low, high = (turn(one.lower), one.lower_closed), (turn(one.upper), one.upper_closed)
        low, high = (high, low) if turned else (low, high)
        return Interval(lower=low[0], upper=high[0], lower_closed=low[1], upper_closed=high[1])

    result = part.estimand
    values = tuple(one.model_copy(update={"value": turn(one.value)}) for one in result.values)
    spread = {"sd": None if result.sd is None else result.sd * scale, "unit": "" if raw else "pp"}
    estimand = result.model_copy(update={"values": values, "mean": turn(result.mean), **spread})
    atoms = tuple(atom.model_copy(update={"interval": turn_interval(atom.interval)}) for atom in part.atoms)
    outcome = renamed.get(part.outcome, part.outcome)
    told = part.model_copy(update={"name": "gain", "outcome": outcome, "atoms": atoms, "estimand": estimand})
    registered = run.stored.registered
    hypothesis = type(registered.hypothesis).model_validate(plain)
    stored = replace(run.stored, registered=registered.model_copy(update={"hypothesis": hypothesis}))
    return replace(run, stored=stored, decision=run.decision.model_copy(update={"decisions": (told,)}))


@pytest.mark.parametrize("raw", [False, True], ids=["in pp", "in its own unit"])
@pytest.mark.parametrize("turned", [False, True], ids=["as it stands", "turned round"])
@pytest.mark.parametrize("names", [{}, NAMES], ids=["the same names", "other names"])
def test_arms_are_what_is_trained_and_a_contrast_turned_round_is_the_same_quantity(
    judged: JudgedRun, names: dict[str, str], turned: bool, raw: bool
) -> None:
    for outcome, possible, relation in (
        ("better", "(0, inf)", "agree"),
        ("worse", "(-inf, 0]", "contradict"),
        ("inconclusive", "(-inf, 0.29]", "compatible"),
    ):
        first = come_to(judged, "better", "(0, inf)" if relation != "compatible" else "[0.29, inf)")
        otherwise = tell_otherwise(come_to(judged, outcome, possible), names=names, turned=turned, raw=raw)
        for one, other in ((first, otherwise), (otherwise, first)):
            found = compare_judged(one, other)
            (pair,) = found.decisions
            assert pair.relation == relation and found.contradict is (relation == "contradict"), pair.why
            assert ("with the other sign" in pair.why) is turned and ("first's unit" in pair.why) is raw
            assert {pair.name, pair.other_name} == {"margin", "gain"}
            if pair.difference is not None:  # it is one run, whose values are the same in whatever words
                assert pair.difference == pytest.approx(0, abs=1e-9)
            shown = {one.field for one in found.settings if one.field.startswith("arms")}
            assert shown == set() and len(found.arms) == len(names)
        assert found.first.outcome == otherwise.decision.outcome
        # Trained otherwise, too: both may be right, whatever the arms are called.
        late = come_to(judged, outcome, possible, epochs=3)
        found = compare_judged(first, tell_otherwise(late, names=names, turned=turned, raw=raw))
        (pair,) = found.decisions
        assert pair.relation == ("opposed" if relation == "contradict" else relation) and "epochs" in pair.why
    part = otherwise.decision.decisions[0]
    (pair,) = compare_judged(first, otherwise).decisions
    assert pair.second is not None and pair.second.estimate == part.estimand.mean  # its own number, as it stands there


def test_a_ratio_turned_round_is_the_reciprocal() -> None:
    turn = Turn(turned=True, ratio=True)
    for text, other in (
        ("(0.5, 2]", "[0.5, 2)"), ("(-inf, 0.5)", "(2, inf)"), ("[4, inf)", "(-inf, 0.25]"), ("[0, 4]", "[0.25, inf)"),
    ):  # fmt: skip
        assert str(turn.interval(Interval.parse(text))) == other
    assert turn.value(4.0) == 0.25 and turn.pair((0.5, 4.0)) == (0.25, 2.0)
    first, second, absolute = (
        Estimand.model_validate({"metric": "train_loss"} | about)
        for about in ({"ratio": "a / b"}, {"ratio": "y / x"}, {"ratio": "x / y"})
    )
    assert find_turn(first, second, {"x": "a", "y": "b"}) == turn
    assert find_turn(first, absolute, {"x": "a", "y": "b"}) == Turn()
    assert find_turn(first, second, {"x": "a", "y": "c"}) is None


def test_two_metrics_exchanged_are_the_same_quantity_with_the_other_sign() -> None:
    def read(metric: str, minus: str, contrast: str = "a - b", **more: object) -> Estimand:
        return Estimand.model_validate({"metric": metric, "minus": minus, "contrast": contrast, "layer": [1, 2]} | more)

    ours, theirs = ("stacked_cosine", "perturbation_correlation"), ("perturbation_correlation", "stacked_cosine")
    first = read(*ours, layers="max")
    # The greatest of some differences is the smallest of their negatives.
    assert find_turn(first, read(*theirs, layers="min"), {}) == Turn(turned=True)
    assert find_turn(first, read(*theirs, "b - a", layers="min"), {}) == Turn()
    assert find_turn(first, read(*theirs, "y - x", layers="min"), {"x": "a", "y": "b"}) == Turn()
    assert find_turn(first, read(*theirs, layers="max"), {}) is None
    assert find_turn(read(*ours), read(*theirs, unit="pp"), {}) == Turn(turned=True, scale=Fraction(1, 100))
    assert find_turn(read(*ours), read("stacked_cosine", "site_cosine", samples="mean"), {}) is None
    # A peak minus the last has no such counterpart.
    peak = {"epochs": "peak_minus_last"}
    assert find_turn(read(*ours, **peak), read(*theirs, **peak), {}) is None
    assert find_turn(read(*ours, **peak), read(*ours, "b - a", **peak), {}) == Turn(turned=True)


def test_whether_intervals_have_a_number_in_common_is_what_their_numbers_say(judged: JudgedRun) -> None:
    ends = ("-inf", "0", "1", "inf")
    texts = []
    for low, high in itertools.combinations_with_replacement(ends, 2):
        for left, right in itertools.product("([", ")]"):
            if (low == high and (left, right) != ("[", "]")) or (low == "-inf" and left == "["):
                continue
            if (high == "inf" and right == "]") or low == "inf" or high == "-inf":
                continue
            texts.append(f"{left}{low}, {high}{right}")
    numbers = [-1.0, 0.0, 0.5, 1.0, 2.0]
    assert len(texts) > 12
    for one, other in itertools.product(texts, repeat=2):
        found = compare_judged(come_to(judged, "better", one), come_to(judged, "worse", other))
        common = any(Interval.parse(one).contains(x) and Interval.parse(other).contains(x) for x in numbers)
        assert found.contradict is not common, (one, other)
