"""Training: cohorts and neighbours, resume, divergence, splitting, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from harness.batched import keyed
from harness.errors import Interrupted, TrainingFailed, UsageError
from harness.records import Plan
from harness.training import Device, Progress, Run, open_device, train
from harness.training.batches import draw_schedule
from harness.training.checkpoint import WorkFolder
from harness.training.program import build_program
from harness.training.steps.interface import StepKind
from tests.unit.training.training_inputs import arm, cohort, digits, planned

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
COMPILE = {"": "off", "compiled": "on", "kernels": "auto"}
WAYS = [*DEVICES, *[pytest.param(f"cuda-{way}", marks=pytest.mark.gpu) for way in ("compiled", "kernels")]]
COHORT_TOLERANCE = 2e-5  # stated in docs/engine.md: relative, float32, over the first epoch


def in_this_process(kind: str = "cpu", compiling: str = "auto") -> Device:
    """A device that trains one cohort after the other, here, however many cores or cards there are."""
    return replace(open_device(kind, compiling), workers=1)


def results(plan: Plan, folder: Path, device: str = "cpu", **options: Any) -> str:
    kind, _, way = device.partition("-")
    done = train(plan, Run({"digits": digits()}, in_this_process(kind, COMPILE[way]), folder, **options))
    return json.dumps([replica.model_dump(mode="json") for replica in done.replicas], sort_keys=True)


def two_cohorts() -> Plan:
    seeds = [1, 2, 3]
    return planned(
        cohort({"vanilla": arm("dfa"), "penalised": arm("dfa", 0.01)}, seeds),
        cohort({"bp": arm("bp", 0.01)}, seeds),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The results of a plan that nothing stopped, each trained once."""
    found: dict[tuple[str, str], str] = {}

    def results_of(plan: Plan, device: str = "cpu") -> str:
        key = (plan.model_dump_json(), device)
        if key not in found:
            found[key] = results(plan, tmp_path_factory.mktemp("whole"), device)
        return found[key]

    return results_of


@pytest.mark.parametrize("device", WAYS)
def test_the_same_plan_gives_the_same_bits(device: str, tmp_path: Path) -> None:
    assert results(two_cohorts(), tmp_path / "a", device) == results(two_cohorts(), tmp_path / "b", device)


@pytest.mark.parametrize(
    ("device", "stop_after"),
    [
        *[("cpu", epochs) for epochs in (1, 2, 4)],
        *[pytest.param("cuda", epochs, marks=pytest.mark.gpu) for epochs in (1, 2, 4)],
        pytest.param("cuda-compiled", 2, marks=pytest.mark.gpu),
        *[pytest.param("cuda-kernels", epochs, marks=pytest.mark.gpu) for epochs in (1, 2, 4)],
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    device: str, stop_after: int, undisturbed: Callable[..., str], tmp_path: Path
) -> None:
    whole = undisturbed(two_cohorts(), device)
    epochs = {"done": 0}

    def stop() -> bool:
        epochs["done"] += 1
        return epochs["done"] >= stop_after

    with pytest.raises(Interrupted):
        results(two_cohorts(), tmp_path / "parts", device, stop=stop)
    assert results(two_cohorts(), tmp_path / "parts", device) == whole


@pytest.mark.parametrize("precision", ["float32", "bf16"])  # gradients written out, and by autograd
@pytest.mark.parametrize("asked", [1, 4, 5, 7, 12])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_from_there(
    asked: int, precision: str, undisturbed: Callable[..., str], tmp_path: Path
) -> None:
    """An epoch may take longer than whoever wants the run to end will wait."""
    setup = {"precision": precision, "evaluation": {"metrics": ["train_loss"], "every_epochs": 1}}
    one = cohort({"dfa": arm("dfa", setup=setup), "bp": arm("bp", 0.01, setup=setup)}, [1, 2])
    whole = undisturbed(planned(one))
    times = iter(range(1, 100))
    with pytest.raises(Interrupted):
        results(planned(one), tmp_path / "parts", stop=lambda: next(times) >= asked)
    kept = WorkFolder(tmp_path / "parts/work").load_checkpoint(one)
    assert kept is not None
    assert (kept.epoch, kept.step) == divmod(asked, 5)  # 300 images in batches of 64
    seen: list[Progress] = []
    assert results(planned(one), tmp_path / "parts", report=seen.append) == whole
    assert (seen[0].epoch, seen[0].steps_done) == (kept.epoch, 4 * asked)


def test_checkpoints_come_as_often_as_asked_within_an_epoch_too(tmp_path: Path) -> None:
    one = cohort({"dfa": arm("dfa")}, [1])
    seen: set[tuple[int, int]] = set()

    def look() -> bool:
        if (kept := WorkFolder(tmp_path / "work").load_checkpoint(one)) is not None:
            seen.add((kept.epoch, kept.step))
        return False

    often = results(planned(one), tmp_path, checkpoint_seconds=1e-9, stop=look)
    assert {epoch for epoch, step in seen if step} == {0, 1, 2}
    assert often == results(planned(one), tmp_path / "seldom")


def test_a_damaged_checkpoint_is_not_used(undisturbed: Callable[..., str], tmp_path: Path) -> None:
    whole = undisturbed(two_cohorts())
    with pytest.raises(Interrupted):
        results(two_cohorts(), tmp_path / "parts", stop=lambda: True)
    (checkpoint,) = (tmp_path / "parts" / "work").glob("*.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert results(two_cohorts(), tmp_path / "parts") == whole


def test_working_files_that_were_swapped_are_not_used(undisturbed: Callable[..., str], tmp_path: Path) -> None:
    """Same name, size and time, other bytes: a finished cohort's result and another one's checkpoint."""
    whole = undisturbed(two_cohorts())
    seen: list[Progress] = []

    def stop() -> bool:
        return bool(seen) and seen[-1].cohort == 2

    with pytest.raises(Interrupted):
        results(two_cohorts(), tmp_path / "parts", stop=stop, report=seen.append)
    swapped = 0
    for path in (tmp_path / "parts" / "work").glob("[!.]*"):  # not the lock; nothing goes on from the values
        data, status = bytearray(path.read_bytes()), path.stat()
        for position in range(len(data)):
            if chr(data[position]).isdigit() and position > len(data) // 2:
                data[position] = ord("7") if data[position] != ord("7") else ord("3")
                break
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        swapped += 1
    assert swapped == 3
    assert results(two_cohorts(), tmp_path / "parts") == whole


@pytest.mark.parametrize(
    ("device", "way"),
    [
        ("cpu", "autograd"),
        ("cpu", "explicit"),
        *[pytest.param("cuda", w, marks=pytest.mark.gpu) for w in ("autograd", "kernels")],
    ],
)
@pytest.mark.parametrize("rule", ["dfa", "bp"])
def test_a_replica_alone_and_among_forty_agree(device: str, way: StepKind, rule: str) -> None:
    """Another cohort size may sum in another order, nothing else: see docs/engine.md for the tolerance."""
    images = digits()
    seeds = list(range(100, 140))

    def weights(chosen: list[int], at: int) -> dict[str, np.ndarray]:
        program = build_program(cohort({"a": arm(rule, 0.01)}, chosen), images, in_this_process(device), kind=way)
        program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
        program.run_epoch()
        return {name: tensor[at].detach().cpu().numpy() for name, tensor in program.state.params.items()}

    among, alone = weights(seeds, 17), weights([117], 0)
    for name, value in alone.items():
        spread = np.abs(value).max()
        np.testing.assert_allclose(among[name], value, rtol=0, atol=COHORT_TOLERANCE * spread, err_msg=name)


def test_arms_of_a_seed_share_weights_feedback_and_batches(tmp_path: Path) -> None:
    images = digits()
    one = build_program(cohort({"a": arm("dfa"), "b": arm("dfa", 0.5)}, [8, 9]), images, in_this_process("cpu"))
    other = build_program(cohort({"c": arm("bp")}, [9]), images, in_this_process("cpu"))
    for name, tensor in other.state.params.items():
        assert torch.equal(tensor[0], one.state.params[name][1])
        assert torch.equal(tensor[0], one.state.params[name][3])
    assert torch.equal(
        one.state.rule_groups[0].feedback["feedback_1"][0], one.state.rule_groups[0].feedback["feedback_1"][2]
    )
    assert not torch.equal(
        one.state.rule_groups[0].feedback["feedback_0"][0], one.state.rule_groups[0].feedback["feedback_1"][0]
    )
    assert one.state.seeds == (8, 9)


def test_a_diverging_replica_is_marked_and_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    wild = arm("dfa", setup={"optimizer": {"name": "adamw", "lr": 1e30}})
    together = train(
        planned(cohort({"tame": arm("dfa"), "wild": wild}, [4, 5])),
        Run({"digits": digits()}, in_this_process("cpu"), tmp_path / "a"),
    )
    alone = train(
        planned(cohort({"tame": arm("dfa")}, [4, 5])), Run({"digits": digits()}, in_this_process("cpu"), tmp_path / "b")
    )
    tame, marked = together.replicas[:2], together.replicas[2:]
    assert [replica.status for replica in together.replicas] == ["finished"] * 2 + ["diverged"] * 2
    assert {replica.diverged_epoch for replica in marked} == {1}
    assert all(
        value is None for s in marked[0].metrics.values() for v in s.values.values() for row in v for value in row
    )
    for mine, expected in zip(tame, alone.replicas, strict=True):
        loss, other = (r.metrics["train_loss"].values["value"][-1][0] for r in (mine, expected))
        assert loss == pytest.approx(other, rel=1e-4)


def test_metrics_are_measured_after_the_right_epochs_and_where_they_are_defined(tmp_path: Path) -> None:
    longer = {"epochs": 5}
    plan = planned(cohort({"dfa": arm("dfa", setup=longer)}, [1]), cohort({"bp": arm("bp", setup=longer)}, [1]))
    dfa, bp = train(plan, Run({"digits": digits()}, in_this_process("cpu"), tmp_path)).replicas
    assert dfa.metrics["credit_cosine"].epochs == (1, 2, 4, 5)
    assert len(dfa.metrics["credit_cosine"].values["median"][0]) == 3
    assert set(bp.metrics) == set(dfa.metrics) - {"credit_cosine", "credit_norm"}
    assert set(dfa.metrics["test_accuracy"].values) == {"value"}


def test_kept_files_are_the_same_bytes_whenever_the_same_is_trained(tmp_path: Path) -> None:
    plan = planned(cohort({"dfa": arm("dfa", setup={"save": ["weights"], "epochs": 1})}, list(range(10))))
    first, second = (
        train(plan, Run({"digits": digits()}, in_this_process("cpu"), tmp_path / name)).weights for name in ("a", "b")
    )
    assert first == second and len(first) == 10


def test_saved_weights_are_those_that_were_measured(tmp_path: Path) -> None:
    plan = planned(cohort({"dfa": arm("dfa", setup={"save": ["weights", "feedback"]})}, [1, 2]))
    done = train(plan, Run({"digits": digits()}, in_this_process("cpu"), tmp_path))
    assert sorted(done.weights) == ["dfa/0.safetensors", "dfa/1.safetensors"]
    path = tmp_path / "weights" / "dfa" / "1.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done.weights["dfa/1.safetensors"]
    with safe_open(path, framework="np") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    digest = hashlib.sha256()
    for name in sorted(name for name in kept if name.startswith("weights/")):
        digest.update(np.ascontiguousarray(kept[name]).data)
    assert digest.hexdigest() == done.replicas[1].weights_sha256
    specs = plan.cohorts[0].arms["dfa"].rule.feedback(plan.cohorts[0].setup.model, 64, 10)
    np.testing.assert_array_equal(kept["feedback/feedback_0"], keyed.tensor(specs[0], 2, "feedback").astype(np.float32))


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(two_cohorts(), Run({"digits": digits(1437)}, in_this_process("cpu"), tmp_path, report=seen.append))
    assert [at.epoch for at in seen] == [1, 2, 3, 1, 2, 3]
    assert [at.cohort for at in seen] == [1, 1, 1, 2, 2, 2]
    assert seen[-1].steps_done == seen[-1].steps_total


@pytest.mark.parametrize("device", DEVICES)
def test_other_work_is_done_while_a_card_computes(device: str, tmp_path: Path) -> None:
    """A part of it per epoch, but for a cohort's first, in which libraries are loaded; a processor has no time."""
    done: list[int] = []
    results(two_cohorts(), tmp_path, device, idle=lambda: done.append(1))
    assert len(done) == (2 * 2 if device == "cuda" else 0)


@pytest.mark.gpu
@pytest.mark.parametrize("megabytes", [700, 1000, 1300])
def test_out_of_memory_splits_the_cohort_and_goes_on(megabytes: int, tmp_path: Path) -> None:
    """Wherever memory runs out: for the weights of eight replicas, for a step, or for its capture.

    It is a process of its own, so that neither what other tests left in this one decides that, nor tests beside it on
    the same card; and if it aborts, what the driver said is told.
    """
    command = [sys.executable, "-m", "tests.unit.training.out_of_memory", str(megabytes), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert ran.returncode == 0, f"ended with {ran.returncode}: {ran.stderr[-3000:]}"
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["seeds"] == list(range(8)) and sum(told["cohorts"]) == 8
    assert bool(told["said"]) == (len(told["cohorts"]) > 1)
    assert all("do not fit" in text for text in told["said"])
    if megabytes == 700:  # less than the weights, moments and gradients of eight
        assert told["said"]


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown device"):
        open_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            open_device("cuda")
    assert open_device("auto").torch.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_one_replica_that_does_not_fit_is_a_clear_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("harness.training.cohorts.build_program", full)
    with pytest.raises(TrainingFailed, match="single replica"):
        results(planned(cohort({"dfa": arm("dfa")}, [1, 2])), tmp_path)
