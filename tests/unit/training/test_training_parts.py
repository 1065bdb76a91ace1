"""Batches, schedule, summaries and precision, each against a plain computation."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
import torch

from harness.batched.convolution import convolve, pool_max
from harness.batched.windows import Window
from harness.metrics import Evaluation
from harness.metrics.credit_cosine import CreditCosine
from harness.metrics.gradient_norm import GradientNorm
from harness.metrics.test_accuracy import TestAccuracy as Accuracy
from harness.records import STANDARD_METRICS
from harness.records.plan import CHUNK_REPLICAS
from harness.training import open_device
from harness.training.batches import draw_schedule, fetch, move_to_device
from harness.training.device import use_precision
from harness.training.diagnostics import Diagnostics
from harness.training.evaluate import evaluate, summarise
from harness.training.program import build_program
from harness.training.results import select_metrics
from harness.training.steps.interface import StepKind
from harness.training.steps.kernels.launcher import begin_loading
from tests.unit.training.training_inputs import arm, cohort, digits


def test_a_schedule_holds_every_image_once_and_moves_it_within_the_padding() -> None:
    dataset = arm(setup={"dataset": {"name": "digits", "augment": ["random_crop", "horizontal_flip"]}}).setup.dataset
    schedule = draw_schedule(dataset, 500, (3, 4), 7)
    assert schedule.shape == (2, 500, 4)
    for seed in range(2):
        assert sorted(schedule[seed, :, 0]) == list(range(500))
    assert set(np.unique(schedule[..., 1])) == set(np.unique(schedule[..., 2])) == set(range(9))
    assert set(np.unique(schedule[..., 3])) == {0, 1}
    assert not np.array_equal(schedule[0], schedule[1])
    assert not np.array_equal(schedule, draw_schedule(dataset, 500, (3, 4), 8))
    assert np.array_equal(schedule[1:], draw_schedule(dataset, 500, (4,), 7))
    out = np.full((2, 500, 4), -1, dtype=np.int32)
    assert draw_schedule(dataset, 500, (3, 4), 7, out, threads=3) is out and np.array_equal(out, schedule)


def test_no_augmentation_leaves_images_as_they_are() -> None:
    images, plain = digits(), arm().setup.dataset
    split = move_to_device(plain, images, "train", torch.device("cpu"), torch.float64)
    schedule = draw_schedule(plain, 300, (1,), 0)
    assert not schedule[..., 1:].any()
    x, y = fetch(split, split.original_labels, plain, torch.from_numpy(schedule[:, :5]))
    expected = (images.train_images[schedule[0, :5, 0]].reshape(5, -1) / 16.0 - 0.3053) / 0.3760
    np.testing.assert_allclose(x[0], expected, rtol=1e-12, atol=1e-12)
    assert y[0].tolist() == images.train_labels[schedule[0, :5, 0]].tolist()


def test_summaries() -> None:
    values = torch.tensor([[[1.0, 2.0, 4.0, 9.0]], [[1.0, float("nan"), 2.0, 3.0]]])
    summary = summarise(CreditCosine(name="credit_cosine"), values)
    assert summary["mean"][0, 0] == 4.0
    assert summary["median"][0, 0] == 3.0
    assert summary["std"][0, 0] == pytest.approx(np.std([1, 2, 4, 9], ddof=1))
    assert all(math.isnan(float(summary[name][1, 0])) for name in ("mean", "std", "median"))
    assert summarise(Accuracy(name="test_accuracy"), torch.tensor([0.5, 0.25]))["value"].tolist() == [[0.5], [0.25]]


def test_diagnostics_do_not_depend_on_how_replicas_are_chunked() -> None:
    seeds = list(range(CHUNK_REPLICAS + 3))
    program = build_program(cohort({"a": arm()}, seeds), digits(), open_device("cpu"))
    alone = build_program(cohort({"a": arm()}, seeds[-1:]), digits(), open_device("cpu"))
    program.state.loss_sum.zero_(), alone.state.loss_sum.zero_()
    metrics = select_metrics(program.state.setup)
    many, one = evaluate(program, metrics), evaluate(alone, metrics)
    for name, summaries in one.items():
        for summary, value in summaries.items():
            np.testing.assert_allclose(many[name][summary][-1:], value, rtol=1e-9, atol=1e-12, err_msg=name)


class Waiting(Accuracy):
    """Looks at a number on the way, as a plug-in may."""

    def measure(self, evaluation: Evaluation) -> torch.Tensor:
        assert evaluation.train_loss[0].item() >= 0
        return super().measure(evaluation)


class WaitingUnnoticed(Accuracy):
    """Waits in a way that PyTorch notices only while it captures."""

    def measure(self, evaluation: Evaluation) -> torch.Tensor:
        torch.cuda.synchronize()
        return super().measure(evaluation)


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["autograd", "kernels"])
def test_a_warm_up_measures_behind_the_steps_without_waiting_for_them(way: StepKind) -> None:
    program = build_program(cohort({"a": arm("dfa"), "b": arm("bp")}, [1, 2]), digits(), open_device("cuda"), kind=way)
    diagnostics = Diagnostics(program, select_metrics(program.state.setup))
    diagnostics.warm_up()  # libraries wait for the card when they are loaded
    program.begin_epoch(0, program.draw(0))
    torch.cuda._sleep(10**9)  # half a second in the stream of the steps
    program.run_epoch()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    diagnostics.warm_up()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] > before + 10
    assert not torch.cuda.current_stream().query()
    assert program.find_finite().all()


@pytest.mark.gpu
def test_triton_is_loaded_beside_other_work() -> None:
    begin_loading().join()
    from triton.runtime.cache import triton_key

    assert triton_key.cache_info().currsize == 1


@pytest.mark.gpu
@pytest.mark.parametrize("way", ["autograd", "kernels"])
@pytest.mark.parametrize("odd", [None, Waiting, WaitingUnnoticed])
def test_captured_diagnostics_have_the_bits_of_measured_ones(odd: type[Accuracy] | None, way: StepKind) -> None:
    fresh, probe = {"name": "credit_cosine", "feedback": "fresh"}, {"name": "hidden_norm", "probe_split": "train"}
    setup = {"evaluation": {"probe_samples": 50, "metrics": [*STANDARD_METRICS, fresh, fresh | {"draw": 1}, probe]}}
    arms = {"a": arm("dfa", 0.01, setup=setup), "b": arm("bp", setup=setup)}
    program = build_program(cohort(arms, [1, 2]), digits(), open_device("cuda"), kind=way)
    metrics = select_metrics(program.state.setup) + ([] if odd is None else [odd(name="test_accuracy")])
    diagnostics = Diagnostics(program, metrics)
    begun = {name: tensor.clone() for name, tensor in program.checkpoint().items()}
    for epoch in range(3):
        program.begin_epoch(
            epoch, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, epoch)
        )
        program.run_epoch()
        if epoch == 0:
            diagnostics.warm_up()
        if epoch == 2:
            program.load(begun)  # as a resumed run takes over what a checkpoint held
        found, expected = diagnostics.evaluate(), evaluate(program, metrics)
        assert list(found) == list(expected)
        for name, summaries in expected.items():
            for summary, value in summaries.items():
                np.testing.assert_array_equal(found[name][summary], value, err_msg=f"{name} {summary} {epoch}")
    assert (diagnostics._captured is None) == (odd is not None)


@pytest.mark.parametrize("rule", ["dfa", "bp"])
def test_bf16_takes_the_weights_of_the_step_before(rule: str) -> None:
    """Autocast may keep casts of weights: an epoch's steps come to what single steps come to."""
    found = []
    for whole in (True, False):
        program = build_program(
            cohort({"a": arm(rule, setup={"precision": "bf16", "optimizer": {"name": "adamw", "lr": 0.01}})}, [1, 2]),
            digits(),
            open_device("cpu"),
        )
        program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
        if whole:
            program.run_epoch()
        else:
            for run, times, _ in program._runs:
                for _ in range(times):
                    run()
        found.append(program.state.params["block_0.w1.weight"].detach())
    assert torch.equal(*found)


def test_tiny_gradients_are_data() -> None:
    """A cosine between vectors of 1e-12 is as good as any; nothing rounds it to 0 or 1."""

    class Tiny:
        credits = (torch.tensor([[[3e-12, 4e-12], [1.0, 0.0]]], dtype=torch.float64),)
        gradients = (torch.tensor([[[3e-10, 4e-10], [0.0, 1e-14]]], dtype=torch.float64),)

    cosine = CreditCosine(name="credit_cosine").measure(Tiny())  # type: ignore[arg-type]
    assert cosine.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    norm = GradientNorm(name="gradient_norm").measure(Tiny())  # type: ignore[arg-type]
    assert norm.flatten().tolist() == pytest.approx([5e-10, 1e-14])


def test_precision_leaves_no_trace() -> None:
    before = torch.get_float32_matmul_precision()
    for kind in ("float32", "tf32", "bf16"):
        with pytest.raises(RuntimeError, match="stop"), use_precision(kind, open_device("cpu")):
            raise RuntimeError("stop")
        assert torch.get_float32_matmul_precision() == before
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.gpu
def test_strict_float32_is_not_tf32() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(512, 512, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    errors = {}
    for kind in ("float32", "tf32"):
        with use_precision(kind, open_device("cuda")):
            product = a.cuda() @ b.cuda()
        errors[kind] = float((product.cpu().double() - exact).norm() / exact.norm())
    assert errors["float32"] < 1e-6 < 1e-4 < errors["tf32"]


def read_switches() -> tuple[str, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark


@pytest.mark.parametrize("kind", ["float32", "tf32", "bf16", "float64"])
def test_precision_covers_convolutions_and_is_given_back(kind: str) -> None:
    """cuDNN has switches of its own, and rounds to TF32 unless told not to; an error gives them back too."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = False, True
        outside = read_switches()
        with suppress(KeyError), use_precision(kind, open_device("cpu")):
            inside = read_switches()
            raise KeyError
        assert inside == ("high" if kind == "tf32" else "highest", kind == "tf32", True, False)
        assert read_switches() == outside
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@pytest.mark.gpu
def test_strict_convolutions_are_not_tf32_and_the_same_twice() -> None:
    """Forwards and backwards, grouped as the replicas are, on numbers that TF32 would round."""
    generator = torch.Generator().manual_seed(1)
    x, weight = torch.randn(4, 32, 16, 16, 16, generator=generator), torch.randn(4, 144, 16, generator=generator) / 12
    window = Window(3, 1, 1)
    exact = convolve(x.double(), weight.double(), None, window)
    errors = {}
    for kind in ("float32", "tf32"):
        with use_precision(kind, open_device("cuda")):
            found = convolve(x.cuda(), weight.cuda(), None, window)
        errors[kind] = float((found.cpu().double() - exact).norm() / exact.norm())
    assert errors["float32"] < 1e-6 < 1e-4 < errors["tf32"]
    gradients = []
    with use_precision("float32", open_device("cuda")):
        for _ in range(4):
            leaves = [tensor.cuda().requires_grad_() for tensor in (x, weight)]
            pooled = pool_max(convolve(*leaves, None, window), Window(3, 2))
            gradients.append(torch.autograd.grad(pooled.square().sum(), leaves))
    assert all(torch.equal(one, first) for found in gradients for one, first in zip(found, gradients[0], strict=True))
