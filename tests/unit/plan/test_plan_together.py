"""Cohorts of several hypotheses: who shares, what each member's plan holds, and what it doesn't depend on."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness import plan, spec
from harness.plan import Member
from harness.records import Companion, Hypothesis, Plan

QUICKSTART = Path(__file__).parents[3] / "hypotheses" / "quickstart_digits.yaml"
SHARED = {"vanilla", "penalized", "bp_penalty"}
"""Arms of one program; the fourth, shallow, has another one."""


def changed(name: str, **parts: Any) -> Hypothesis:
    """The quick start under another name; ``setup`` goes into all arms."""
    plain = spec.load(QUICKSTART).hypothesis.model_dump(mode="json") | {"id": name}
    setup = parts.pop("setup", {})
    for arm in plain["arms"].values():
        arm["setup"] |= setup
    return Hypothesis.model_validate(plain | parts)


def member(name: str, seeds: int = 3, hypothesis: Hypothesis | None = None) -> Member:
    digest = hashlib.sha256(name.encode()).hexdigest()
    start = int(digest[:4], 16) * 100
    companion = Companion(
        hypothesis=name, registration=digest, canonical=digest, seeds=tuple(range(start, start + seeds))
    )
    return Member(companion, hypothesis or changed(name))


def replicas(planned: Plan) -> list[tuple[str, int]]:
    return [(one.arm, one.seed) for cohort in planned.cohorts for one in cohort.replicas]


def companies(*members: Member, **options: Any) -> list[list[str]]:
    return [
        [one.companion.hypothesis for one in company]
        for company in plan.find_companies(members, plan.Limits(**options))
    ]


def test_plans_of_all_members_hold_the_same_cohorts_once_each_replica() -> None:
    members = [member("one"), member("two", 2)]
    first, second = (plan.expand_together(name, members) for name in ("one", "two"))
    assert first.cohorts == second.cohorts and first.digest != second.digest
    assert all(plan.is_shared(cohort) for cohort in first.cohorts) and len(first.cohorts) == 2
    found = replicas(first)
    owed = {
        (f"{m.companion.hypothesis}/{arm}", s) for m in members for arm in m.hypothesis.arms for s in m.companion.seeds
    }
    assert len(found) == len(set(found)) and set(found) == owed
    assert first.seeds == members[0].companion.seeds and [one.hypothesis for one in first.together] == ["one", "two"]


def test_a_program_that_nobody_shares_is_planned_as_it_is_alone() -> None:
    other = changed("two")
    other = other.model_copy(update={"arms": {name: arm for name, arm in other.arms.items() if name in SHARED}})
    members = [member("one"), member("two", hypothesis=other)]
    planned = plan.expand_together("one", members)
    alone = plan.expand(members[0].hypothesis, members[0].companion.seeds)
    assert [sorted(cohort.arms) for cohort in planned.cohorts[1:]] == [["shallow"]]
    assert planned.cohorts[1:] == alone.cohorts[1:]
    assert {name.split("/")[1] for name in planned.cohorts[0].arms} == SHARED


def test_the_order_of_arms_in_a_file_changes_no_shared_cohort() -> None:
    turned = changed("one")
    turned = turned.model_copy(update={"arms": dict(reversed(turned.arms.items()))})
    plans = [plan.expand_together("two", [member("one", hypothesis=form), member("two")]) for form in (None, turned)]
    assert plans[0].digest == plans[1].digest


def test_arms_of_one_rule_are_neighbours_in_every_shared_cohort() -> None:
    planned = plan.expand_together("one", [member("one"), member("two"), member("three")], plan.Limits(largest=8))
    assert len(planned.cohorts) > 2
    for cohort in planned.cohorts:
        rules = [cohort.arms[replica.arm].rule for replica in cohort.replicas]
        assert sum(a != b for a, b in pairwise(rules)) < len({str(rule) for rule in rules})
        assert any(name.startswith("one/") for name in cohort.arms)
        assert len(cohort.replicas) <= 8


def test_nothing_is_shared_that_would_make_no_fewer_cohorts() -> None:
    assert companies(member("one"), member("two"), largest=20) == [["one", "two"]]
    assert companies(member("one", 20), member("two", 20), largest=20) == []  # 60 and 60, or 120
    assert companies(member("one", 20), member("two", 20)) == [["one", "two"]]


def test_members_that_share_nothing_are_in_no_company() -> None:
    wide = member("wide", hypothesis=changed("wide", setup={"epochs": 7}))
    assert companies(member("one"), wide, member("two")) == [["one", "two"]]
    also = member("also", hypothesis=changed("also", setup={"epochs": 7}))
    assert companies(member("one"), wide, member("two"), also) == [["one", "two"], ["wide", "also"]]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"stopping": {"kind": "looks", "at": [10, 20]}}, "stopping rule"),
        ({"setup": {"save": ["weights"]}}, "keeps weights"),
        ({"setup": {"until": {"metric": "train_loss", "below": 0.1}}}, "condition"),
    ],
    ids=str,
)
def test_what_results_decide_on_trains_alone(parts: dict[str, Any], reason: str) -> None:
    one, two = (member(name, hypothesis=changed(name, **parts)) for name in ("one", "two"))
    assert reason in str(plan.explain_alone(one.hypothesis)) and companies(one, two) == []
    assert plan.explain_alone(changed("three")) is None


def test_cohorts_that_do_not_fit_are_split() -> None:
    wide = {"model": {"name": "residual_mlp", "width": 1024, "blocks": 4}}  # what libraries hold is small beside it
    members = [member(name, 8, changed(name, setup=wide)) for name in ("one", "two", "three")]
    whole = plan.expand_together("one", members)
    limit = max(cohort.memory_bytes for cohort in whole.cohorts)
    planned = plan.expand_together("one", members, plan.Limits(memory_bytes=limit))
    assert len(planned.cohorts) > len(whole.cohorts)
    assert all(cohort.memory_bytes <= 0.85 * limit and "/" in min(cohort.arms) for cohort in planned.cohorts)


def test_a_plan_by_itself_has_the_digest_that_it_had() -> None:
    """Trails hold it: of this plan by the code before cohorts could be shared, with the memory that it predicted."""
    planned = plan.expand(spec.load(QUICKSTART).hypothesis, (5, 6, 7), plan.Limits(largest=20), registration="a" * 64)
    predicted = zip(planned.cohorts, (29_281_360, 10_823_824), strict=True)
    cohorts = tuple(cohort.model_copy(update={"memory_bytes": size}) for cohort, size in predicted)
    planned = planned.model_copy(update={"cohorts": cohorts})
    assert planned.digest == "83d76117b98c794b6c8773e96741240258fa4be71684d3114d52b86e0567dc95"
