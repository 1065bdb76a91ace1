"""Preconditions that a file names: when they are looked at, what they see, and what a registration keeps of them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import InvalidHypothesis
from harness.ledger.pins import pin_code
from harness.ledger.registration import compare_code, write_canonical
from harness.preconditions import Obstacle
from harness.preconditions.equal_steps import EqualSteps
from harness.preconditions.reference_trains import ReferenceTrains
from harness.preconditions.trained_depth import TrainedDepth
from harness.records import Hypothesis
from harness.spec import load, parse
from harness.spec.draft import Draft
from harness.spec.preconditions import check_preconditions, describe_set_up
from harness.spec.tree import MAX_FINDINGS, Node
from harness.verdict import default_templates

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "tests/corpus"
VALID = CORPUS / "valid/preconditions.yaml"


@pytest.fixture(scope="module")
def hypothesis() -> Hypothesis:
    return load(VALID).hypothesis


def with_arm(hypothesis: Hypothesis, name: str, **more) -> Hypothesis:
    setup = more.pop("setup", {})
    arm = hypothesis.arms[name]
    arm = arm.model_copy(update={**more, "setup": arm.setup.model_copy(update=setup)})
    return hypothesis.model_copy(update={"arms": hypothesis.arms | {name: arm}})


def messages(precondition, hypothesis: Hypothesis) -> list[str]:
    asked = describe_set_up(hypothesis)
    assert asked is not None
    return [obstacle.message for obstacle in precondition.find_obstacles(asked)]


def test_a_file_that_names_none_keeps_its_canonical_form() -> None:
    plain = load(ROOT / "hypotheses/quickstart_digits.yaml").hypothesis
    assert b"preconditions" not in write_canonical(plain)
    assert b'"preconditions":[{"blocks":1,"name":"trained_depth"' in write_canonical(load(VALID).hypothesis)


def test_a_registered_file_is_not_held_against_them_again() -> None:
    path = CORPUS / "invalid/precondition_equal_steps.yaml"
    with pytest.raises(InvalidHypothesis, match="equal_steps is not met"):
        load(path)
    claims = (CORPUS / "invalid/claims.yaml").read_bytes()
    assert parse(path.read_bytes(), claims, path.name).hypothesis.preconditions[0].name == "equal_steps"


def test_steps_are_those_that_a_run_takes(hypothesis: Hypothesis) -> None:
    from harness import plan

    asked = describe_set_up(hypothesis)
    planned = plan.expand(hypothesis, (1,))
    assert asked is not None
    for cohort in planned.cohorts:
        for arm in cohort.arms:
            assert asked.arms[arm].steps == planned.steps(cohort) == 7 * 23


def test_steps_are_equal_up_to_the_tolerance(hypothesis: Hypothesis) -> None:
    longer = with_arm(hypothesis, "penalized", setup={"epochs": 8})
    assert messages(EqualSteps(name="equal_steps"), hypothesis) == []
    assert messages(EqualSteps(name="equal_steps", tolerance=0.13), longer) == []
    (said,) = messages(EqualSteps(name="equal_steps", tolerance=0.12), longer)
    assert said == "gain compares 184 optimizer steps of arm 'penalized' with 161 of arm 'vanilla'"


def test_depth_counts_trained_blocks_below_the_layer(hypothesis: Hypothesis) -> None:
    assert messages(TrainedDepth(name="trained_depth"), hypothesis) == []
    (said,) = messages(TrainedDepth(name="trained_depth", blocks=2), hypothesis)
    assert said.startswith("1 trained block below layer 1 in arm 'penalized'")
    above = with_arm(hypothesis, "penalized", freeze=("block_1", "head"))
    below = with_arm(hypothesis, "penalized", freeze=("block_0",))
    assert messages(TrainedDepth(name="trained_depth"), above) == []
    assert messages(TrainedDepth(name="trained_depth"), below) != []


def test_a_reference_trains_what_the_others_freeze(hypothesis: Hypothesis) -> None:
    reference = ReferenceTrains(name="reference_trains", reference="penalized")
    assert messages(reference, hypothesis) == []
    assert messages(reference, with_arm(hypothesis, "penalized", freeze=("head",))) == []
    (said,) = messages(reference, with_arm(hypothesis, "penalized", freeze=("block_1",)))
    assert said == "arm 'vanilla' freezes block_1, which the reference, 'penalized', does not train"


@pytest.mark.parametrize(
    ("yields", "said"),
    [
        ([("no obstacle", "though a tuple")], "TypeError: it yields a tuple where an Obstacle is expected"),
        (["text"], "TypeError: it yields a str where an Obstacle is expected"),
        (None, "TypeError: 'NoneType' object is not iterable"),
        ((Obstacle(f"obstacle {i}", "wait") for i in itertools.count()), "is not met: obstacle 0"),
    ],
    ids=["tuple", "text", "nothing", "endless"],
)
def test_what_a_precondition_yields_may_be_anything(hypothesis: Hypothesis, yields, said: str) -> None:
    class Odd(EqualSteps):
        def find_obstacles(self, asked):
            return yields

    draft = Draft(Node({}, (1, 1), (1, 1)), hypothesis.model_copy(update={"preconditions": (Odd(name="equal_steps"),)}))
    problems = list(check_preconditions(draft))
    assert said in problems[0].message and len(problems) <= MAX_FINDINGS
    assert all(problem.path == ("preconditions", 0) and problem.remedy for problem in problems)


def test_its_code_is_pinned_and_changes_no_number(hypothesis: Hypothesis) -> None:
    pins = pin_code(hypothesis, default_templates())
    named = {name for name in pins.plugins if name.startswith("preconditions/")}
    assert named == {"preconditions/trained_depth", "preconditions/reference_trains", "preconditions/equal_steps"}
    changed = pins.model_copy(update={"plugins": pins.plugins | {"preconditions/equal_steps": "0" * 64}})
    found = compare_code(pins, changed)
    assert found.deviations == () and found.words == "preconditions/equal_steps"
    rule = pins.model_copy(update={"plugins": pins.plugins | {"rules/dfa": "0" * 64}})
    assert compare_code(pins, rule).deviations != ()


def test_looking_at_them_loads_no_torch() -> None:
    code = f"import sys; from harness.spec import load; from pathlib import Path; load(Path({str(VALID)!r}));"
    code += "print([m for m in ('torch', 'scipy', 'sklearn', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
