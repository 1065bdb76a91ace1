"""Replicas that stop when a condition holds, each at its own epoch, beside others that go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from harness.errors import Interrupted
from harness.records import Plan, ReplicaResult
from harness.training import Run, open_device, train
from tests.unit.training.training_inputs import arm, cohort, digits, planned

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.gpu),
    pytest.param("cuda-compiled", marks=pytest.mark.gpu),
    pytest.param("cuda-kernels", marks=pytest.mark.gpu),
]
COMPILE = {"": "off", "compiled": "on", "kernels": "auto"}
EPOCHS = 8
STEADY: dict[str, Any] = {
    "epochs": EPOCHS,
    "optimizer": {"name": "adamw", "lr": 3e-3, "schedule": "constant"},
    "evaluation": {"probe_samples": 50, "every_epochs": 2},
}


def plan(until: dict[str, Any] | None, **more: Any) -> Plan:
    setup = STEADY | more | ({} if until is None else {"until": until})
    return planned(cohort({"dfa": arm("dfa", setup=setup), "bp": arm("bp", setup=setup)}, [1, 2, 3]))


def trained(made: Plan, folder: Path, device: str = "cpu", **options: Any) -> list[ReplicaResult]:
    kind, _, way = device.partition("-")
    on = replace(open_device(kind, COMPILE[way]), workers=1)
    return list(train(made, Run({"digits": digits()}, on, folder, **options)).replicas)


def losses(replica: ReplicaResult) -> list[float]:
    return [row[0] or 0.0 for row in replica.metrics["train_loss"].values["value"]]


@pytest.mark.parametrize("evaluations", [1, 2])
@pytest.mark.parametrize("device", DEVICES)
def test_a_replica_stops_where_the_condition_holds_with_the_weights_of_that_epoch(
    device: str, evaluations: int, tmp_path: Path
) -> None:
    whole = trained(plan(None), tmp_path / "whole", device)
    middle = sorted(losses(one)[2] for one in whole)[3]  # some come below it, at several epochs
    until = {"metric": "train_loss", "below": middle, "evaluations": evaluations}
    stopped = trained(plan(until), tmp_path / "until", device)
    expected = []
    for one, other in zip(whole, stopped, strict=True):
        below = [loss < middle for loss in losses(one)]
        ends = [at for at in range(evaluations - 1, len(below)) if all(below[at - evaluations + 1 : at + 1])]
        epochs = one.metrics["train_loss"].epochs
        at = ends[0] if ends else None
        expected.append(None if at is None else epochs[at])
        kept = len(epochs) if at is None else at + 1
        assert other.stopped_epoch == expected[-1] and other.status == "finished"
        for name, series in one.metrics.items():
            assert other.metrics[name].epochs == epochs[:kept]
            assert all(rows == series.values[key][:kept] for key, rows in other.metrics[name].values.items())
        if at is not None:  # the rate is constant, so that training to that epoch alone gives the same weights
            short = trained(plan(None, epochs=epochs[at]), tmp_path / f"{epochs[at]}", device)
            alone = next(x for x in short if (x.arm, x.seed) == (one.arm, one.seed))
            assert other.weights_sha256 == alone.weights_sha256
    assert len(set(expected)) > 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("at", [3, 9, 17, 26, 33])
def test_a_resumed_run_gives_the_same_bits(device: str, at: int, tmp_path: Path) -> None:
    until = {"metric": "train_loss", "below": 1.2}
    whole = trained(plan(until, save=["weights"]), tmp_path / "whole", device)
    assert len({one.stopped_epoch for one in whole}) > 1
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == at

    try:
        resumed = trained(plan(until, save=["weights"]), tmp_path / "resumed", device, stop=stop)
    except Interrupted:
        resumed = trained(plan(until, save=["weights"]), tmp_path / "resumed", device)
    assert resumed == whole
    for file in (tmp_path / "whole/weights").rglob("*.safetensors"):
        other = tmp_path / "resumed/weights" / file.relative_to(tmp_path / "whole/weights")
        assert other.read_bytes() == file.read_bytes()
        assert load_file(file)


def test_a_cohort_ends_when_all_its_replicas_have(tmp_path: Path) -> None:
    until = {"metric": "train_loss", "below": 100.0}
    told = []
    stopped = trained(plan(until), tmp_path, report=told.append)
    assert {one.stopped_epoch for one in stopped} == {1}
    assert len([at for at in told if at.epoch not in (0, EPOCHS)]) == 1
    assert told[-1].steps_done == 5 * EPOCHS * 6


def test_without_a_condition_results_say_nothing_of_stops(tmp_path: Path) -> None:
    found = [one.model_dump(mode="json") for one in trained(plan(None), tmp_path)]
    assert all("stopped_epoch" not in one for one in found)
