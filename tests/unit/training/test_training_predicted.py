"""The memory that plans predict for a step of the kernels, beside the buffers that they allocate."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.plan.cost import count_activations
from harness.records import Cohort
from harness.training import open_device
from harness.training.steps.kernels.buffers import Shape, Workspace, count_numbers_per_sample
from harness.training.steps.kernels.layout import FlatStorage
from harness.training.steps.kernels.tiles import Cuts, Tiles
from harness.training.steps.state import allocate_state
from tests.unit.training.training_inputs import arm, cohort, digits

EXPANSIONS = (1, 2, 4, 8)


def planned(strength: float | None, **model: Any) -> Cohort:
    """A cohort of 64 replicas, of which the first half has gradients that flow."""
    setup = {"model": {"name": "residual_mlp"} | model}
    arms = {"bp": arm("bp", strength, setup), "dfa": arm("dfa", strength, setup)}
    return cohort(arms, list(range(32)))


@pytest.mark.parametrize("expansion", EXPANSIONS)
def test_a_plan_predicts_the_buffers_that_the_kernels_allocate(expansion: int) -> None:
    """Images included, of which the kernels keep those of each seed and a plan counts those of each replica."""
    one = planned(0.1, width=32, blocks=8, expansion=expansion)
    work = Workspace(allocate_state(one, digits(64), open_device("cpu"), FlatStorage))
    held = work.activations
    allocated = sum(tensor.nbytes for tensor in (*held.memory.values(), held.images))
    predicted = 4 * len(one.replicas) * one.setup.batch_size * count_activations(one.setup, kernels=True)
    assert 1 / 1.15 < allocated / predicted < 1.15


@pytest.mark.parametrize("expansion", EXPANSIONS)
@pytest.mark.parametrize(("width", "blocks"), [(128, 16), (256, 4), (1024, 8)])
def test_a_plan_predicts_the_sizes_of_large_buffers(width: int, blocks: int, expansion: int) -> None:
    """Larger models are counted by what the buffers are allocated from. One number per unit is for a penalty alone."""
    one = planned(0.1, width=width, blocks=blocks, expansion=expansion)
    count, inner = len(one.replicas), width * expansion
    shape = Shape(count, 32, blocks, width, inner, 10, features=64, batch=128)
    for flowing in (True, False):
        tiles = Tiles.choose(count, width, torch.float32, fp16x3_allowed=True, blocks_updated_later=not flowing)
        cuts = Cuts.count(tiles, "float32", width=width, inner=inner, batch=128, gradients_flow=flowing)
        needed = {
            penalised: sum(count_numbers_per_sample(shape, cuts, penalised=penalised, gradients_flow=flowing).values())
            for penalised in (True, False)
        }
        predicted = count * (count_activations(one.setup, kernels=True) - one.setup.dataset.features)
        assert 1 / 1.15 < needed[True] / predicted < 1.15
        assert needed[True] - needed[False] == count * blocks * width
