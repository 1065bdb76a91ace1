"""Models of tokens: published sizes, parts by block or by branch, and what doesn't divide."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness.models import Model
from harness.models.patch_mixer import PatchMixer
from harness.models.tiny_vit import TinyVit
from harness.plugins.registry import find_members
from harness.rules.bp import Bp
from harness.rules.dfa import Dfa
from harness.training import open_device
from harness.training.program import build_program
from tests.unit.training.training_inputs import arm, cohort, digits

KINDS: dict[str, type[Model]] = {"patch_mixer": PatchMixer, "tiny_vit": TinyVit}
SMALL: dict[str, Any] = {"width": 8, "blocks": 2}


def made(name: str, channels: int = 3, size: int = 32, **parts: Any) -> Model:
    return KINDS[name].model_validate({"name": name, **parts}).on(channels, size)


@pytest.mark.parametrize(
    ("name", "parts", "count", "tokens"),
    [("patch_mixer", {}, 104_522, 64), ("tiny_vit", {}, 546_186, 65), ("tiny_vit", {"ratio": 4}, 809_354, 65)],
)
@pytest.mark.parametrize("sites", ["blocks", "branches"])
def test_it_has_as_many_parameters_as_told(
    name: str, parts: dict[str, Any], count: int, tokens: int, sites: str
) -> None:
    model = made(name, sites=sites, **parts)
    assert sum(prod(spec.shape) for spec in model.parameters(3072, 10)) == count
    assert model.depth == (4 if sites == "blocks" else 8) and model.shape(0)[0] == tokens and model.has_equal_states
    assert {spec.group for spec in model.parameters(3072, 10)} == set(model.groups())


def test_its_products_are_counted_at_every_token_and_those_of_attention_twice_on_the_way_back() -> None:
    d, t = 128, 65
    block = 2 * t * (3 * d * d + 2 * t * d + d * d + 4 * d * d)
    model = made("tiny_vit", blocks=1)
    assert sum(product.flops for product in model.products(3072, 10) or ()) == block + 2 * 64 * 48 * d + 2 * d * 10
    whole = Bp(name="bp").count_flops(model, 3072, 10, frozenset())
    frozen = Bp(name="bp").count_flops(model, 3072, 10, frozenset({"block_0", "embedding"}))
    assert whole is not None and whole.backward == 2 * whole.forward - 2 * 64 * 48 * d
    assert frozen is not None and frozen.backward == 2 * 2 * d * 10
    above = Bp(name="bp").count_flops(model, 3072, 10, frozenset({"block_0"}))
    weights = 2 * t * 8 * d * d
    assert above is not None and above.backward == whole.backward - weights


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(ValidationError, match="patches of 3 × 3 don't divide an image of 8 × 8"):
        arm(setup={"model": {"name": "patch_mixer", "patch": 3}})
    with pytest.raises(ValidationError, match="5 heads don't divide a width of 128"):
        made("tiny_vit", heads=5)


def test_positions_are_no_weights_that_an_error_passes() -> None:
    names = [spec.name for spec in made("tiny_vit", blocks=1).weights(3072, 10)]
    inner = [f"block_0.{name}.weight" for name in ("attention.qkv", "attention.out", "units.w1", "units.w2")]
    assert names == ["embedding.weight", *inner, "head.weight"]


@pytest.mark.parametrize("name", KINDS)
def test_blocks_and_branches_are_one_network_with_other_parts(name: str) -> None:
    """Under backpropagation both train alike; direct feedback has a matrix for each part."""
    found = {}
    for sites in ("blocks", "branches"):
        setup = {"model": {"name": name, **SMALL, "sites": sites}, "precision": "float64", "batch_size": 16}
        program = build_program(cohort({"a": arm("bp", setup=setup)}, [1]), digits(40), open_device("cpu"))
        if found:  # names key the random numbers
            with torch.no_grad():
                for tensor, own in zip(program.state.params.values(), found["begun"], strict=True):
                    tensor.copy_(own)
        else:
            found["begun"] = [tensor.detach().clone() for tensor in program.state.params.values()]
        program.begin_epoch(0, program.draw(0))
        program.run_epoch()
        found[sites] = [tensor.detach().clone() for tensor in program.state.params.values()]
        assert len(Dfa(name="dfa").feedback(program.state.model, 64, 10)) == program.state.model.depth
    for one, other, begun in zip(found["blocks"], found["branches"], found["begun"], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert not torch.equal(one, begun)


@pytest.mark.parametrize("name", KINDS)
def test_only_similarity_of_vectors_is_not_defined_for_tokens(name: str) -> None:
    model, rules = made(name), find_members("rules")
    named = [rule.model_validate({"name": one}) for one, rule in rules.items()]
    assert [rule.name for rule in named if rule.explain_misfit(model) is not None] == ["local_greedy"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_rule_lowers_its_loss(name: str) -> None:
    optimizer = {"name": "adamw", "lr": 0.01, "schedule": "constant"}
    setup = {"model": {"name": name, **SMALL}, "batch_size": 16, "optimizer": optimizer}
    arms = {rule: arm(rule, setup=setup) for rule in ("bp", "fa", "dfa", "kolen_pollack")}
    program = build_program(cohort(arms, [1]), digits(96), open_device("cpu"))
    losses = []
    for epoch in range(4):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
        losses.append(program.state.loss_sum.clone())
    assert (losses[-1] < losses[0]).all()
