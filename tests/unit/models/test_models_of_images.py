"""What holds for every model of images alike: the same bytes again, a way for torch.compile, penalties, metrics."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import Interrupted
from harness.metrics import parse_metric
from harness.records import plan as records
from harness.records.plan import count_chunk_replicas, count_chunk_samples, count_probed
from harness.training import Run, open_device, train
from harness.training.evaluate import evaluate
from harness.training.program import build_program
from harness.training.stored import WeightsFile, measure_stored
from tests.unit.training.training_inputs import arm, cohort, digits, planned

MODELS: dict[str, dict[str, Any]] = {
    "conv": {"layers": [{"channels": 3, "padding": 1, "pool": 3, "pool_stride": 2}, {"channels": 4}], "dense": [6]},
    "residual_conv": {"stages": [2, 4], "blocks": 1},
    "patch_mixer": {"width": 6, "blocks": 2},
    "tiny_vit": {"width": 6, "blocks": 2, "heads": 2},
}
SETUP: dict[str, Any] = {"batch_size": 16, "epochs": 2, "save": ["weights"], "evaluation": {"probe_samples": 12}}


def setup_of(name: str, **parts: Any) -> dict[str, Any]:
    return SETUP | {"model": {"name": name} | MODELS[name]} | parts


def check_bytes(name: str, device: str, folder: Path) -> None:
    plan = planned(cohort({rule: arm(rule, setup=setup_of(name)) for rule in ("kolen_pollack", "dfa")}, [5, 6]))

    def go(place: str, **options: Any) -> Any:
        return train(
            plan, Run({"digits": digits(40)}, replace(open_device(device), workers=1), folder / place, **options)
        )

    expected, again, stops = go("whole"), go("again"), 0
    for _ in range(20):
        try:
            found = go("stopped", stop=partial(next, chain([False], repeat(True))))
            break
        except Interrupted:
            stops += 1
    assert stops >= (2 if device == "cuda" else 3)  # captured, whole batches are one launch
    for other in (again, found):
        assert other.weights == expected.weights
        assert [one.model_dump() for one in other.replicas] == [one.model_dump() for one in expected.replicas]


@pytest.mark.parametrize("name", MODELS)
def test_stopped_and_repeated_it_has_the_same_bytes(name: str, tmp_path: Path) -> None:
    """In float32, under two rules of which one trains feedback along; stopped again and again."""
    check_bytes(name, "cpu", tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_stored_is_measured_as_it_was(name: str, tmp_path: Path) -> None:
    """Also where an evaluation takes statistics of training images."""
    evaluation = {"probe_samples": 12, "metrics": ["test_accuracy", "hidden_norm", "site_cosine"]}
    one = cohort({"dfa": arm("dfa", setup=setup_of(name, save=["weights", "feedback"], evaluation=evaluation))}, [5, 6])
    device = replace(open_device("cpu"), workers=1)
    found = train(planned(one), Run({"digits": digits(40)}, device, tmp_path))
    names = {("dfa", i): f"dfa/{i}.safetensors" for i in (0, 1)}
    files = {key: WeightsFile(tmp_path / "weights" / name, found.weights[name]) for key, name in names.items()}
    values, digests = measure_stored(one, files, digits(40), device, list(one.setup.evaluation.measured))
    assert digests == [replica.weights_sha256 for replica in found.replicas]
    assert set(values) == {"test_accuracy", "hidden_norm", "site_cosine"}
    for metric, summaries in values.items():
        for summary, value in summaries.items():
            last = [replica.metrics[metric].values[summary][-1] for replica in found.replicas]
            assert value.tolist() == [list(row) for row in last], metric


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_trains_it(name: str) -> None:
    one = arm("kolen_pollack", setup=setup_of(name, precision="bf16"))
    program = build_program(cohort({"a": one}, [1]), digits(40), open_device("cpu"))
    begun = {key: tensor.detach().clone() for key, tensor in program.state.params.items()}
    program.begin_epoch(0, program.draw(0))
    program.run_epoch()
    assert program.find_finite().all() and program.state.loss_sum.isfinite().all()
    assert all(not torch.equal(tensor, begun[key]) for key, tensor in program.state.params.items())


@pytest.mark.gpu
@pytest.mark.parametrize("name", MODELS)
def test_on_a_card_too(name: str, tmp_path: Path) -> None:
    """Convolutions, pooling and their gradients are the same at every call, captured or not."""
    check_bytes(name, "cuda", tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_torch_compile_follows_it(name: str) -> None:
    """Without graph breaks, which compiled steps don't allow; the backend that fuses nothing is the fastest."""
    program = build_program(cohort({"a": arm("dfa", setup=setup_of(name))}, [1]), digits(40), open_device("cpu"))
    state, group = program.state, program.state.rule_groups[0]
    x, y = torch.randn(1, 4, 64), torch.arange(4).unsqueeze(0)

    def objective(params: dict[str, torch.Tensor]) -> torch.Tensor:
        return group.rule.objective(state.model, params, group.feedback, x, y, None, state.setup.loss).descend

    compiled = torch.compile(objective, fullgraph=True, dynamic=False, backend="eager")
    torch.testing.assert_close(compiled(dict(state.params)), objective(dict(state.params)))


@pytest.mark.parametrize("name", MODELS)
def test_a_penalty_is_on_all_units_of_its_branches(name: str) -> None:
    """Strong enough, it keeps them smaller than they are without it."""
    arms = {"a": arm("bp", setup=setup_of(name)), "b": arm("bp", 10.0, setup=setup_of(name))}
    program = build_program(cohort(arms, [1]), digits(40), open_device("cpu"))
    for epoch in range(2):
        program.begin_epoch(epoch, program.draw(epoch))
        program.run_epoch()
    x = program.probe[0].float().expand(2, -1, -1)
    model, p = program.state.model, {name: tensor.detach() for name, tensor in program.state.params.items()}
    sizes = model.branch(p, 0, model.embed(p, x)).square().flatten(1).sum(1)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("name", MODELS)
def test_every_diagnostic_of_layers_is_measured_on_it(name: str) -> None:
    names = ["residual_growth", "hidden_norm", "gradient_norm", "site_cosine", "stacked_cosine", "nudging",
             "perturbation_correlation", "effective_rank", "participation_ratio", "cka", "label_cka",
             "direction_stability", "update_cosine", "sharpness", "neural_collapse", "test_accuracy"]  # fmt: skip
    metrics = [parse_metric(name) for name in names]
    program = build_program(cohort({"a": arm("dfa", setup=setup_of(name))}, [1, 2]), digits(40), open_device("cpu"))
    program.state.loss_sum.zero_()
    assert set(names) == set(evaluate(program, metrics))


def test_evaluations_take_as_many_replicas_and_samples_at_a_time_as_memory_holds() -> None:
    """Of vectors of the usual widths, as many as ever; of large maps fewer, so that plans need no more for it."""
    cifar = {"dataset": {"name": "cifar10"}, "evaluation": {"probe_samples": 1024}}
    vectors = arm(setup=cifar | {"model": {"name": "residual_mlp", "width": 1024, "blocks": 12}}).setup
    maps = arm(setup=cifar | {"model": {"name": "residual_conv"}}).setup
    assert (count_chunk_replicas(vectors), count_chunk_samples(vectors)) == (16, 2500)
    replicas, samples = count_chunk_replicas(maps), count_chunk_samples(maps)
    assert 1 <= replicas < 16 and 1 <= samples < 2500
    assert replicas * 1024 * count_probed(maps) <= 8e8 and samples * maps.model.footprint.passed <= 32e6


def test_chunks_of_any_size_measure_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = [parse_metric(name) for name in ("test_accuracy", "hidden_norm", "site_cosine")]
    found = []
    for passed, probed in ((32_000_000, 800_000_000), (70_000, 1)):
        monkeypatch.setattr(records, "CHUNK_PASSED", passed)
        monkeypatch.setattr(records, "CHUNK_PROBED", probed)
        one = arm("dfa", setup=setup_of("residual_conv", precision="float64"))
        program = build_program(cohort({"a": one}, [1, 2, 3]), digits(40), open_device("cpu"))
        found.append(evaluate(program, metrics))
    assert count_chunk_replicas(one.setup) == 1 and count_chunk_samples(one.setup) < 100
    for metric, summaries in found[0].items():
        for summary, values in summaries.items():
            np.testing.assert_allclose(found[1][metric][summary], values, rtol=1e-9, atol=1e-12, err_msg=metric)
