"""Two verdicts side by side: the numbers are theirs, and what counts as a contradiction."""

from __future__ import annotations

import html
import itertools
import json
import shutil
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from harness import api
from harness.ledger import Ledger
from harness.pipeline.compare import Comparison, compare_judged
from harness.pipeline.verdicts import JudgedRun, read_judged_run
from harness.records import Interval
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
    assert "can't contradict" in found.conclusion


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
