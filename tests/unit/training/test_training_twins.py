"""Kernels, and gradients written out, against their plain twin, in float64: the former also by Triton's interpreter."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.training.interpreted import ON_CARD, kernel
from tests.unit.training.training_inputs import arm, cohort, digits, small_tiles

import triton.language as tl  # isort:skip

from harness.records import Arm
from harness.rules import Rule
from harness.rules.dfa import Dfa
from harness.rules.drtp import Drtp
from harness.rules.fa_block import FaBlock
from harness.training import open_device
from harness.training.batches import draw_schedule
from harness.training.program import Program, build_program
from harness.training.steps.interface import StepKind
from harness.training.steps.kernels import amax
from harness.training.steps.kernels.layout import Layout
from harness.training.steps.kernels.step import KernelsStep
from harness.training.steps.kernels.streams import Lane
from harness.training.steps.kernels.tiles import PRECISIONS
from harness.training.steps.kernels.triton.common import invert, scale_of
from harness.training.steps.state import RuleGroup
from harness.training.steps.supports import fits_explicit, fits_kernels

pytestmark = pytest.mark.usefixtures("interpreter")
SEEDS = [5, 6] if ON_CARD else [5]
DEVICE = "cuda" if ON_CARD else "cpu"
SMALL: dict[str, Any] = {"batch_size": 16, "epochs": 2, "precision": "float64"}
PLAIN: dict[str, Any] = {"name": "residual_mlp", "width": 20, "blocks": 3}
MODELS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "two": PLAIN | {"blocks": 2},
    "wide": PLAIN | {"blocks": 1, "expansion": 2, "activation": "relu", "branch_std": 0.3},
    "bare": PLAIN | {"blocks": 1, "terminal_norm": False, "skip": False, "branch_std": 0.5},
}
AUGMENTED = {"name": "digits", "augment": ("random_crop", "horizontal_flip")}


def one(rule: str, strength: float | None = None, model: str = "plain", **parts: Any) -> Arm:
    return arm(rule, strength, SMALL | {"model": MODELS[model], "dataset": AUGMENTED}, **parts)


def clipped(largest: float | None) -> Arm:
    return fed(Dfa(name="dfa", clip=largest))


def fed(rule: Rule, strength: float | None = None, **parts: Any) -> Arm:
    return one("dfa", strength, **parts).model_copy(update={"rule": rule})


def trained(arms: dict[str, Arm], way: StepKind, seeds: list[int], device: str = DEVICE) -> Program:
    program = build_program(cohort(arms, seeds), digits(20), open_device(device), kind=way)
    for epoch in range(2):
        program.begin_epoch(
            epoch, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, epoch)
        )
        program.run_epoch()
    return program


faster = {"model": PLAIN, "dataset": AUGMENTED, "optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.1}}
COHORTS: dict[str, dict[str, Arm]] = {
    "all at once": {
        "a": clipped(None),
        "b": clipped(0.01),
        "c": one("dfa", 0.05),
        "d": one("bp", 0.05),
        "e": arm("bp", None, SMALL | faster),
    },
    "wide": {"a": one("dfa", 0.02, "wide"), "b": one("bp", 0.02, "wide")},
    "bare": {"a": one("dfa", 0.02, "bare"), "b": one("bp", 0.02, "bare")},
    "other credit": {
        "a": fed(Drtp(name="drtp", center=True, normalize="batch", clip=0.01), 0.05, model="two"),
        "b": fed(FaBlock(name="fa_block"), model="two"),
        "c": fed(Dfa(name="dfa", matrices="nested", error="sign", normalize="none"), model="two"),
    },
    "frozen block": {"a": one("dfa", 0.1, freeze=["block_1"]), "b": one("bp", 0.1, freeze=["block_1"])},
}
SLOW: dict[str, dict[str, Arm]] = {  # for Triton's interpreter
    "more credit": {
        "a": fed(Drtp(name="drtp"), freeze=["block_2"]),
        "b": fed(FaBlock(name="fa_block", normalize="batch"), 0.05, freeze=["block_2"]),
        "c": fed(FaBlock(name="fa_block", normalize="none", clip=None), freeze=["block_2"]),
        "d": fed(Dfa(name="dfa", matrices="shared", normalize="batch", error="target"), freeze=["block_2"]),
    },
    "frozen blocks": {"a": one("dfa", freeze=["blocks"]), "b": one("bp", freeze=["blocks"])},
    "frozen ends": {"a": one("dfa", freeze=["embedding", "head"]), "b": one("bp", freeze=["embedding", "head"])},
}
SLOW_LABELS = ("shuffled", "random")


@pytest.mark.parametrize("name", [*COHORTS, *[pytest.param(name, marks=pytest.mark.gpu) for name in SLOW]])
def test_kernels_do_what_the_plain_step_does(name: str) -> None:
    """20 images in batches of 16 leave one of 4; a wrong last batch, crop, flip, clip or rate shows."""
    arms = (COHORTS | SLOW)[name]
    plain, fused = trained(arms, "autograd", SEEDS), trained(arms, "kernels", SEEDS)
    start = build_program(cohort(arms, SEEDS), digits(20), open_device(DEVICE))
    assert_same(fused, plain, start)
    start.load(fused.checkpoint())  # where tensors lie in memory is a program's own business
    assert all(torch.equal(start.checkpoint()[name], tensor) for name, tensor in fused.checkpoint().items())


@pytest.mark.parametrize("augmented", [True, pytest.param(False, marks=pytest.mark.gpu)])
@pytest.mark.parametrize("kind", ["noisy", *[pytest.param(kind, marks=pytest.mark.gpu) for kind in SLOW_LABELS]])
def test_kernels_train_on_each_seeds_own_labels(kind: str, augmented: bool) -> None:
    """Two seeds at least, so that the labels of one that are taken for another's show."""
    labels = {"name": kind} | ({"share": 0.5} if kind == "noisy" else {})
    setup = SMALL | {"model": MODELS["wide"], "labels": labels}
    setup |= {"dataset": AUGMENTED} if augmented else {}
    targets = arm("dfa", 0.02, setup).model_copy(update={"rule": Drtp(name="drtp")})  # reads labels by itself
    arms = {"a": targets, "b": arm("bp", 0.02, setup)}
    plain, fused = trained(arms, "autograd", [5, 6]), trained(arms, "kernels", [5, 6])
    assert len({tuple(row) for row in plain.state.labels.tolist()}) == 2
    start = build_program(cohort(arms, [5, 6]), digits(20), open_device(DEVICE))
    assert_same(fused, plain, start)


def test_a_reset_leaves_nothing_of_what_ran_before() -> None:
    """Steps before the first reset divide nothing by nothing; NaN in the padding would call every replica diverged."""
    program = build_program(cohort({"a": one("dfa")}, SEEDS), digits(20), open_device(DEVICE), kind="kernels")
    assert program.find_finite().all()  # on a card, captured before

    program.state.storage.weights.fill_(float("nan"))
    assert not program.find_finite().any()
    program.reset()
    assert program.find_finite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("rule", ["dfa", "bp"])
@pytest.mark.parametrize(("kind", "near"), [("float32", True), ("float32", False), ("tf32", True)])
@pytest.mark.parametrize("replicas", [2, 8, 48])
def test_kernels_are_as_exact_as_their_precision(
    rule: str, kind: str, near: bool, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against float64 after some steps: products of split numbers err no more than PyTorch's own.

    Eight replicas of this width take the cuts of large cohorts, 48 their order of launches. Blocks multiply in parts of
    float16 only where weights stay ``near``.
    """
    if not near:
        monkeypatch.setattr(amax, "MAX_UPDATE", 0.0)
    errors = {}
    ways: list[tuple[str, StepKind]] = [("float64", "autograd"), (kind, "autograd"), (kind, "kernels")]
    for precision, way in ways:
        setup = {"batch_size": 128, "epochs": 2, "precision": precision, "model": PLAIN | {"width": 256}}
        arms = {"a": arm(rule, 0.01, setup | {"dataset": AUGMENTED})}
        program = build_program(cohort(arms, list(range(replicas))), digits(512), open_device("cuda"), kind=way)
        program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
        program.run_epoch()
        errors[precision, way] = {
            name: tensor.double() for name, tensor in program.state.optimizer_state["exp_avg"].items()
        }
    assert isinstance(program.step, KernelsStep)
    assert program.step.work.cuts.tiles.use_fp16x3 == (kind == "float32" and near and replicas > 2)
    exact = errors["float64", "autograd"]
    for name, tensor in exact.items():
        plain, fused = ((errors[kind, way][name] - tensor).norm() / tensor.norm() for way in ("autograd", "kernels"))
        assert fused <= 4.0 * plain + 1e-6, name


def halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks multiply in parts of float16, cut small."""
    small_tiles(monkeypatch, early=False, halves=True)
    if not ON_CARD:  # Triton's interpreter multiplies bfloat16's bits, as if they were whole numbers
        monkeypatch.setitem(PRECISIONS, "float32", "ieee")


def both(**setup: Any) -> dict[str, Arm]:
    """DFA and BP in one cohort: what belongs to a replica or block and is taken for another's shows."""
    model = PLAIN | {"width": 24, "expansion": 2, "blocks": 2, **setup.pop("model", {})}
    return {rule: arm(rule, 0.01, {"batch_size": 16, "precision": "float32", "model": model} | setup) for rule in RULES}


RULES = ("dfa", "bp")


@pytest.mark.parametrize(("inner", "outer", "apart"), [(1.0, 1.0, 10.0), (1e6, 1.0, 0.1), (1e-6, 1e-6, 10.0)])
def test_parts_of_float16_hold_what_float32_holds(
    inner: float, outer: float, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Activations beyond float16's largest number, and gradients below its smallest, err no more than float32's.

    ``inner`` and ``outer`` multiply the blocks' first weights and the head's as they are drawn, ``apart`` all of
    the second block's and, twice, the second replica's: a scale that is another's leads beyond float16's range.
    """
    halves(monkeypatch)
    moments, steps = {}, []
    ways: list[tuple[str, StepKind]] = [("float64", "autograd"), ("float32", "autograd"), ("float32", "kernels")]
    for precision, way in ways:
        program = build_program(cohort(both(precision=precision), [5]), digits(16), open_device(DEVICE), kind=way)
        if precision == "float64":
            drawn = {name: tensor.detach().clone() for name, tensor in program.state.params.items()}
        for name, tensor in program.state.params.items():
            factor = inner if "w1" in name else outer if name == "head.weight" else 1.0
            tensor.detach().copy_((drawn[name] * factor).float())
            if name.startswith("block") and name.endswith("weight"):
                tensor.detach()[1] *= apart**2
                tensor.detach().mul_(apart ** int("block_1" in name))
        program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
        program.run_epoch()
        moments[precision, way] = {
            name: tensor.double() for name, tensor in program.state.optimizer_state["exp_avg"].items()
        }
        steps.append(program.step)
    fused = steps[-1]
    assert isinstance(fused, KernelsStep) and fused.work.cuts.tiles.use_fp16x3
    assert fused.work.activations.memory["u"].abs().max().item() > 1e5 or inner <= 1
    for name, exact in moments["float64", "autograd"].items():
        for r in range(2):
            plain, parts = (
                (moments["float32", way][name][r] - exact[r]).norm() / exact[r].norm()
                for way in ("autograd", "kernels")
            )
            assert parts <= 4.0 * plain + 1e-6, (name, r)


def test_what_scales_a_factor_is_of_this_step_and_leaves_room_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps, of which the second is smaller, at a rate that makes the weights many times larger."""
    halves(monkeypatch)
    arms = both(optimizer={"name": "adamw", "lr": 0.5, "weight_decay": 0.0}, model={"width": 20, "expansion": 1})
    program = build_program(cohort(arms, [5, 6]), digits(20), open_device(DEVICE), kind="kernels")
    step = program.step
    assert isinstance(step, KernelsStep)
    step.work.amax.measured.fill_(1e30)
    begun = {name: tensor.detach().clone() for name, tensor in program.state.params.items()}
    program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
    program.run_epoch()
    assert program.find_finite().all()
    found = {name: tensor.cpu() for name, tensor in step.work.amax.tensors.items()}
    for name in ("u", "df", "dz"):  # of the last batch, of 4
        largest = (
            step.work.activations.memory[name]
            .view(-1)[: step.work.activations.memory[name].numel() // 4]
            .view(2, 4, -1)
            .abs()
            .amax(-1)
            .cpu()
        )
        if name == "u":  # by way of z, of which no more is kept
            assert (largest <= found[name]).all() and (found[name] < 100 * largest).all()
        else:
            assert torch.equal(largest, found[name])
    for layer in range(2):
        for name in ("w1", "w2"):
            before, after = (
                tensors[f"block_{layer}.{name}.weight"].detach().flatten(1).abs().amax(1).cpu()
                for tensors in (begun, program.state.params)
            )
            assert (after > 2 * before).all() and (after <= found[name][layer]).all()
    moved = 0.5 * step.work.max_update
    assert found["normalised"].eq(20**0.5).all()
    torch.testing.assert_close(found["norm_output"], torch.full((2, 4), 20**0.5 * (1 + moved) + moved))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter, which is NumPy
def test_parts_of_float16_never_make_a_finite_number_of_one_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What float32 would call diverged is called so, and the replica beside it has the bits that it had."""
    halves(monkeypatch)
    arms = both(model={"width": 20, "expansion": 1, "blocks": 1})
    weights = []
    for first, second in ((1.0, 1.0), (math.inf, 1.0), (math.nan, 1.0), (1.0, math.inf), (1e38, 1e38)):
        program = build_program(cohort(arms, [5]), digits(16), open_device(DEVICE), kind="kernels")
        with torch.no_grad():
            program.state.params["block_0.w1.weight"][0, 3, 5] = first
            program.state.params["block_0.w2.weight"][0] *= second
        program.begin_epoch(0, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, 0))
        program.run_epoch()
        assert program.state.loss_sum.isfinite().tolist() == [first == second == 1.0, True]
        weights.append(torch.cat([tensor[1].flatten() for tensor in program.state.params.values()]))
    assert all(torch.equal(weights[0], found) for found in weights[1:])


@kernel
def scales(peaks, out):
    at = tl.program_id(0)
    scale = scale_of(peaks, at, True)
    tl.store(out + 2 * at, scale)
    tl.store(out + 2 * at + 1, invert(scale))


def test_scales_and_their_inverse_are_powers_of_two() -> None:
    """For tensors of zeros, of numbers below the smallest normal one, and up to the largest."""
    found = torch.tensor([0.0, 1e-45, 2.0**-126, 1.9 * 2.0**-113, 2.0**-112, 1e-30, 0.7, 65504.0, 3.4e38]).to(DEVICE)
    out = torch.zeros((len(found), 2), device=DEVICE)
    scales[(len(found),)](found, out)
    assert out.prod(1).eq(1).all()
    small = found < 2.0**-112
    assert out[small, 0].eq(2.0**126).all()
    scaled = (found * out[:, 0])[~small]
    assert (scaled >= 2.0**14).all() and (scaled < 2.0**15).all()


def test_weights_that_an_epoch_may_move_far_are_not_multiplied_in_float16() -> None:
    """A scale that leaves room for all of that would leave too few bits; and decay may be what moves them."""
    for lr, decay, halves in ((0.01, 0.01, True), (1e3, 0.0, False), (0.01, 201.0, False)):
        optimizer = {"name": "adamw", "lr": lr, "weight_decay": decay}
        setup = {"optimizer": optimizer, "model": PLAIN | {"width": 256, "blocks": 1}}
        program = build_program(
            cohort({"a": arm("dfa", None, setup)}, list(range(8))), digits(300), open_device(DEVICE), kind="kernels"
        )
        assert isinstance(program.step, KernelsStep) and program.step.work.cuts.tiles.use_fp16x3 == halves


@pytest.mark.parametrize(("early", "frozen"), [(False, []), (True, []), (False, ["block_1"])])
def test_sums_over_several_tiles_are_whole_and_steps_follow_one_another(
    early: bool, frozen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of real widths hold the whole of these small matrices; 16 by 16 do not, and what they share must add up.

    And two steps as a card captures them: the second one's images are fetched beside the first, and its blocks wait for
    their own updates only. A smaller batch follows, of fewer row tiles. Late cohorts go there and back in two lanes;
    BP's blocks are updated behind their gradients, at a rate of their own, unless one is frozen.
    """
    small_tiles(monkeypatch, early=early)
    setup = SMALL | {"batch_size": 40, "model": PLAIN | {"blocks": 2, "expansion": 2}, "dataset": AUGMENTED}
    rates = {"dfa": setup, "bp": setup | {"optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.1}}}
    arms = {rule: arm(rule, 0.05, rates[rule], freeze=frozen) for rule in RULES}
    seeds = SEEDS if early or frozen else [5, 6]
    plain, fused = (
        build_program(cohort(arms, seeds), digits(88), open_device(DEVICE), kind=way) for way in ("autograd", "kernels")
    )
    schedule = draw_schedule(plain.state.dataset, plain.state.count, plain.state.seeds, 0)
    for program in (plain, fused):
        program.begin_epoch(0, schedule)
    plain.run_epoch()
    step = fused.step
    assert isinstance(step, KernelsStep)
    assert (
        step.work.gradients.norm_sums.shape[3] == 3 and len(step.update_chunks) == 2
    )  # row tiles of 40; two spans of the update
    assert len(step.updated_in_place) == (not frozen) and len(step.gradients_stored) == 1
    assert len(step.lanes) == 2 * len(seeds) or early
    step.launch(40, more=True)
    step.launch(40, 1)
    step.advance(40, 2)
    step.launch(8)
    step.advance(8, 1)
    step.end_epoch()
    assert_same(fused, plain, build_program(cohort(arms, seeds), digits(88), open_device(DEVICE)))


def test_lanes_are_as_equal_as_can_be_and_hold_each_replica_once() -> None:
    for count, lanes in itertools.product(range(1, 9), range(1, 5)):
        group = RuleGroup(Dfa(name="dfa"), slice(3, 3 + count), {})
        cut = Lane.split(group, lanes)
        assert [r for lane in cut for r in lane.replicas] == list(range(3, 3 + count))
        counts = [len(lane.replicas) for lane in cut]
        assert len(counts) == min(count, lanes) and max(counts) - min(counts) <= 1


@pytest.mark.parametrize("name", [*COHORTS, *SLOW])
def test_gradients_written_out_are_those_of_autograd(name: str) -> None:
    arms = (COHORTS | SLOW)[name]
    plain, direct = (trained(arms, way, [5, 6], "cpu") for way in ("autograd", "explicit"))
    assert_same(direct, plain, build_program(cohort(arms, [5, 6]), digits(20), open_device("cpu")))


def assert_same(found: Program, plain: Program, start: Program) -> None:
    """All that a checkpoint holds and the loss; and that training moved what it should have."""
    for tensor, expected in plain.checkpoint().items():
        torch.testing.assert_close(
            found.checkpoint()[tensor], expected, rtol=1e-9, atol=1e-11, msg=lambda text, name=tensor: f"{name}: {text}"
        )
    before, after = start.state.params, plain.state.params
    moved = tuple(name for name in plain.state.trained if not torch.equal(after[name], before[name]))
    assert moved == plain.state.trained
    torch.testing.assert_close(found.state.loss_sum, plain.state.loss_sum, rtol=1e-10, atol=0)


def test_parts_of_the_model_begin_at_a_chunk_and_do_not_overlap() -> None:
    specs = one("dfa", model="wide").setup.model.parameters(64, 10)
    layout = Layout.from_specs(specs)
    taken = np.zeros(layout.size, dtype=int)
    for spec in specs:
        taken[layout.offsets[spec.name] : layout.offsets[spec.name] + int(np.prod(spec.shape))] += 1
        assert layout.groups[layout.offsets[spec.name] // 1024] == spec.group
    assert taken.max() == 1
    assert layout.gradient_start == 2048  # 64 × 20 numbers in chunks of 1024
    for spec in specs:  # no chunk holds vectors and matrices
        assert layout.is_matrix[layout.offsets[spec.name] // 1024] == (len(spec.shape) > 1)


def test_what_the_kernels_do_not_know_takes_the_plain_step() -> None:
    tanh = {"model": PLAIN | {"activation": "tanh"}}
    assert not fits_kernels(cohort({"a": arm("bp", setup=tanh)}, [1]))
    assert fits_explicit(cohort({"a": arm("bp", setup=tanh)}, [1]))
    assert not fits_kernels(cohort({"a": arm("bp", setup={"precision": "bf16"})}, [1]))
    assert not fits_explicit(cohort({"a": arm("bp", setup={"precision": "bf16"})}, [1]))
    assert not fits_kernels(cohort({"a": arm("bp", setup={"model": PLAIN | {"width": 2048}})}, [1]))
    assert fits_kernels(cohort(COHORTS["wide"], [1]))
