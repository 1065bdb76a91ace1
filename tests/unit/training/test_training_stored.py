"""Stored weights: kept at chosen epochs, named by digest, put back to the bit; every kind of step goes on from them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.errors import Interrupted, Tampered, UsageError
from harness.records import Arm, Cohort, Plan, Start
from harness.training import Result, Run, open_device, train
from harness.training.program import Program, build_program
from harness.training.steps.interface import StepKind
from harness.training.stored import WeightsFile, digest_weights, measure_stored, read_tensors, start_from_stored
from tests.unit.training.training_inputs import arm, cohort, digits, planned

KEPT: dict[str, Any] = {
    "epochs": 3,
    "save": ["weights", "feedback"],
    "save_epochs": [1, 2, 3],
    "evaluation": {"probe_samples": 50, "every_epochs": 1, "metrics": ["hidden_norm", "credit_cosine"]},
}
CARD = torch.cuda.is_available()  # which Triton's interpreter does without
WAYS = [
    pytest.param(("autograd", "cpu"), id="autograd"),
    pytest.param(("explicit", "cpu"), id="explicit"),
    pytest.param(("kernels", "cpu"), id="interpreted", marks=pytest.mark.skipif(CARD, reason="there is a card")),
    pytest.param(("kernels", "cuda"), id="kernels", marks=pytest.mark.gpu),
]


def train_on(plan: Plan, folder: Path, **options: Any) -> Result:
    return train(plan, Run({"digits": digits()}, replace(open_device("cpu"), workers=1), folder, **options))


def plan_kept() -> Plan:
    return planned(cohort({"dfa": arm(setup=KEPT), "bp": arm("bp", setup=KEPT)}, [5, 6]))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("stored")
    return folder / "weights", train_on(plan_kept(), folder)


def started(arms: dict[str, Arm], stored: tuple[Path, Result], feedback: tuple[int | None, int | None]) -> Cohort:
    """Arms at two new seeds that start from the stored dfa's weights."""
    plain = cohort(arms, [70, 71])
    replicas = tuple(
        one.model_copy(
            update={
                "start": Start(
                    weights=stored[1].weights[f"dfa/{one.seed_index}.safetensors"],
                    feedback_seed=feedback[one.seed_index],
                )
            }
        )
        for one in plain.replicas
    )
    return plain.model_copy(update={"replicas": replicas})


def paths(stored: tuple[Path, Result]) -> dict[str, Path]:
    return {digest: stored[0] / name for name, digest in stored[1].weights.items()}


@pytest.fixture
def way(request: pytest.FixtureRequest) -> tuple[StepKind, str]:
    """A kind of step and its device; kernels run on a processor by Triton's interpreter."""
    kind, device = request.param
    if (kind, device) == ("kernels", "cpu"):
        pytest.importorskip("triton")
        request.getfixturevalue("interpreter")
    return kind, device


def run_epoch(program: Program) -> None:
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()


def test_weights_are_kept_at_chosen_epochs_and_named_by_digest(stored: tuple[Path, Result]) -> None:
    folder, result = stored
    names = {f"{a}/{i}{e}.safetensors" for a in ("dfa", "bp") for i in (0, 1) for e in ("", "-epoch-1", "-epoch-2")}
    assert set(result.weights) == names
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.safetensors")} == names
    for name, digest in result.weights.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        kinds = {key.split("/")[0] for key in load_file(folder / name)}
        assert kinds == ({"weights", "feedback"} if name in ("dfa/0.safetensors", "dfa/1.safetensors") else {"weights"})


def test_what_is_measured_on_them_is_what_was_measured_then(stored: tuple[Path, Result]) -> None:
    folder, result = stored
    part = plan_kept().cohorts[0]
    metrics = list(part.setup.evaluation.measured)
    for epoch, suffix in ((1, "-epoch-1"), (2, "-epoch-2"), (3, "")):
        files = {
            (one.arm, one.seed_index): WeightsFile(folder / name, result.weights[name])
            for one in part.replicas
            for name in [f"{one.arm}/{one.seed_index}{suffix}.safetensors"]
        }
        values, digests = measure_stored(part, files, digits(), open_device("cpu"), metrics)
        for r, replica in enumerate(part.replicas):
            (then,) = [o for o in result.replicas if (o.arm, o.seed_index) == (replica.arm, replica.seed_index)]
            assert (digests[r] == then.weights_sha256) == (epoch == 3)
            for key, series in then.metrics.items():
                for summary, rows in series.values.items():
                    assert tuple(values[key][summary][r]) == rows[series.epochs.index(epoch)], (key, epoch)


def test_a_run_that_was_stopped_keeps_the_same(stored: tuple[Path, Result], tmp_path: Path) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    with pytest.raises(Interrupted):
        train_on(plan_kept(), tmp_path, stop=stop, checkpoint_seconds=0.0)
    again = train_on(plan_kept(), tmp_path)
    assert again.weights == stored[1].weights and again.replicas == stored[1].replicas


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_every_kind_of_step_goes_on_from_them_as_from_a_checkpoint(
    way: tuple[StepKind, str], stored: tuple[Path, Result]
) -> None:
    """The weights are the stored ones to the bit, moments begin at 0, and a penalty acts from the first step on."""
    arms = {"a": arm("dfa"), "b": arm("dfa", 0.1), "c": arm("bp")}
    part = started(arms, stored, (5, 6))
    program, other = (build_program(part, digits(32), open_device(way[1]), kind=way[0]) for _ in range(2))
    start_from_stored(program, paths(stored))
    for r, replica in enumerate(part.replicas):
        tensors = load_file(stored[0] / f"dfa/{replica.seed_index}.safetensors")
        for name, tensor in program.state.params.items():
            assert torch.equal(tensor[r].cpu(), tensors[f"weights/{name}"]), name
    assert all(
        not tensor.any()
        for tensor in (
            *program.state.optimizer_state["exp_avg"].values(),
            *program.state.optimizer_state["exp_avg_sq"].values(),
        )
    )
    checkpoint = {name: tensor.clone() for name, tensor in program.checkpoint().items()}
    other.load(checkpoint)
    run_epoch(program), run_epoch(other)
    for name, tensor in program.state.params.items():
        assert torch.equal(tensor, other.state.params[name]), name
    ends = [digest_weights(program, r) for r in range(6)]
    assert len(set(ends)) == 6


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_a_replica_that_learns_nothing_ends_where_it_started(
    way: tuple[StepKind, str], stored: tuple[Path, Result]
) -> None:
    still = {"optimizer": {"name": "adamw", "lr": 1e-30, "weight_decay": 0.0}}
    program = build_program(
        started({"a": arm("dfa", setup=still)}, stored, (None, None)), digits(32), open_device(way[1]), kind=way[0]
    )
    start_from_stored(program, paths(stored))
    run_epoch(program)
    then = {one.seed_index: one.weights_sha256 for one in stored[1].replicas if one.arm == "dfa"}
    assert [digest_weights(program, r) for r in range(2)] == [then[0], then[1]]


def test_feedback_is_that_of_the_stored_seed_or_fresh(stored: tuple[Path, Result]) -> None:
    kept, fresh = (
        build_program(started({"a": arm()}, stored, seeds), digits(), open_device("cpu"))
        for seeds in ((5, 6), (None, None))
    )
    for r in range(2):
        tensors = load_file(stored[0] / f"dfa/{r}.safetensors")
        for name, tensor in kept.state.rule_groups[0].feedback.items():
            assert torch.equal(tensor[r], tensors[f"feedback/{name}"])
            assert not torch.equal(fresh.state.rule_groups[0].feedback[name][r], tensors[f"feedback/{name}"])
    own = build_program(cohort({"a": arm()}, [70, 71]), digits(), open_device("cpu"))
    for name, tensor in own.state.rule_groups[0].feedback.items():
        assert torch.equal(tensor, fresh.state.rule_groups[0].feedback[name])


def test_a_started_plan_trains_resumes_and_keeps_what_is_not_started(
    stored: tuple[Path, Result], tmp_path: Path
) -> None:
    part = started({"a": arm("dfa"), "b": arm("bp")}, stored, (5, 6))
    mixed = part.model_copy(
        update={"replicas": tuple(o.model_copy(update={"start": None}) if o.arm == "b" else o for o in part.replicas)}
    )
    whole = train_on(planned(mixed), tmp_path / "whole", weights=paths(stored))
    plain = train_on(planned(cohort({"a": arm("dfa"), "b": arm("bp")}, [70, 71])), tmp_path / "plain")
    same = [
        one.weights_sha256 == other.weights_sha256 for one, other in zip(whole.replicas, plain.replicas, strict=True)
    ]
    assert same == [False, False, True, True]
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 7

    with pytest.raises(Interrupted):
        train_on(planned(mixed), tmp_path / "cut", weights=paths(stored), stop=stop, checkpoint_seconds=0.0)
    assert train_on(planned(mixed), tmp_path / "cut", weights=paths(stored)).replicas == whole.replicas


def test_weights_that_are_missing_changed_or_of_another_model_are_told_apart(
    stored: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, result = stored
    data = bytearray((folder / "dfa/0.safetensors").read_bytes())
    digest = result.weights["dfa/0.safetensors"]
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read_tensors(WeightsFile(tmp_path / "none", digest))
    data[-1] ^= 1
    (tmp_path / "changed").write_bytes(data)
    with pytest.raises(Tampered, match=f"expected {digest}"):
        read_tensors(WeightsFile(tmp_path / "changed", digest))
    (tmp_path / "odd").write_bytes(b"no tensors")
    with pytest.raises(UsageError, match="can't be read"):
        read_tensors(WeightsFile(tmp_path / "odd", hashlib.sha256(b"no tensors").hexdigest()))
    wide = arm(setup={"model": {"name": "residual_mlp", "width": 8, "blocks": 2}})
    program = build_program(started({"a": wide}, stored, (5, 6)), digits(), open_device("cpu"))
    with pytest.raises(UsageError, match="of another model"):
        start_from_stored(program, paths(stored))


def test_a_file_with_too_little_in_it_starts_nothing(stored: tuple[Path, Result], tmp_path: Path) -> None:
    tensors = load_file(stored[0] / "dfa/0.safetensors")
    del tensors["weights/head.weight"]
    save_file(tensors, tmp_path / "less")
    digest = hashlib.sha256((tmp_path / "less").read_bytes()).hexdigest()
    part = started({"a": arm()}, stored, (5, 6))
    replicas = tuple(o.model_copy(update={"start": Start(weights=digest, feedback_seed=None)}) for o in part.replicas)
    program = build_program(part.model_copy(update={"replicas": replicas}), digits(), open_device("cpu"))
    with pytest.raises(UsageError, match="of another model"):
        start_from_stored(program, {digest: tmp_path / "less"})
