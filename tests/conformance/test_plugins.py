"""Every plug-in that the registry finds keeps its family's promises. A new plug-in is tested without editing a test."""

import itertools
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.batched import keyed
from harness.beacons import Beacon, Registered
from harness.criteria import Criterion, Target
from harness.datasets import Dataset
from harness.errors import HarnessError
from harness.metrics import Metric
from harness.models import Model
from harness.penalties import Penalty, find_gradient_factor
from harness.plugins.fields import read_descriptions, read_sections
from harness.plugins.registry import FAMILIES, OPERATIONAL, Plugin, digest_source, find_members, read_capability
from harness.preconditions import Asked, AskedArm, AskedEstimand, Precondition
from harness.records import Arm, Cohort, Replica
from harness.rules import Rule
from harness.training import open_device
from harness.training.evaluate import ReplicaEvaluation
from harness.training.program import Program, build_program
from tests.unit.inference.inference_records import judged

FEATURES, CLASSES = 64, 10


def example(kind: type[Plugin]) -> Any:
    """The plug-in with its defaults; required numbers are 0.5 or, where that is refused, 1, all else its example.

    A model is on images of 8 × 8 pixels.
    """
    required = {name: field for name, field in kind.model_fields.items() if field.is_required()}
    told = {name: field for name, field in required.items() if field.annotation not in (int, float)}
    texts = {name: field.examples[0] for name, field in told.items() if field.examples}
    (name,) = get_args(kind.model_fields["name"].annotation)
    for value in (0.5, 1):
        try:
            made = kind.model_validate(dict.fromkeys(required, value) | texts | {"name": name})
            return made.on(1, 8) if isinstance(made, Model) else made
        except ValidationError:
            continue
    raise AssertionError(f"{name} has required parameters that are no numbers and have no example")


def every(family: str) -> list[Any]:
    return [pytest.param(example(kind), id=f"{family}/{name}") for name, kind in find_members(family).items()]


def own(plugin: Plugin) -> bool:
    """Tell whether a plug-in is a built-in one, and not of a package that is installed beside."""
    return type(plugin).__module__.startswith("harness.")


def everything() -> list[Any]:
    return [parameter for family in FAMILIES for parameter in every(family)]


def draw(model: Model, seeds: tuple[int, ...], requires_grad: bool = True) -> dict[str, torch.Tensor]:
    specs = model.parameters(FEATURES, CLASSES)
    drawn = {s.name: np.stack([keyed.tensor(s, seed, "weights") for seed in seeds]) for s in specs}
    return {name: torch.from_numpy(value).requires_grad_(requires_grad) for name, value in drawn.items()}


# All families -------------------------------------------------------------------------------------------------------


WITHOUT_EQUATION = ("datasets", "beacons", "preconditions", "launchers")


@pytest.mark.parametrize("plugin", [*everything(), *(one for family in OPERATIONAL for one in every(family))])
def test_it_tells_equation_source_use_and_traps(plugin: Plugin) -> None:
    if not own(plugin):
        pytest.skip("of another package, which may say less")
    _, sections = read_sections(type(plugin))
    family = type(plugin).__module__.split(".")[1]
    wanted = {"Equation", "Source", "Use", "Traps"}
    wanted -= {"Equation"} if family in WITHOUT_EQUATION else set()
    wanted -= {"Source"} if hasattr(plugin, "source") else set()  # it is declared
    assert set(sections) == wanted
    for name in ("Use", "Traps"):
        assert len(sections[name].split()) >= 4 and sections[name].endswith("."), name


@pytest.mark.parametrize("plugin", everything())
def test_it_describes_itself(plugin: Plugin) -> None:
    assert type(plugin).__doc__ and len(type(plugin).__doc__ or "") > 20
    texts = read_descriptions(type(plugin))
    for name in type(plugin).model_fields:
        assert texts.get(name), f"{plugin.name}.{name} has no description"


@pytest.mark.parametrize("plugin", everything())
def test_it_survives_being_written_down(plugin: Plugin) -> None:
    assert type(plugin).model_validate(plugin.model_dump(mode="json")) == plugin
    with pytest.raises(ValidationError):
        type(plugin).model_validate(plugin.model_dump(mode="json") | {"no_such_parameter": 1})
    with pytest.raises(ValidationError):
        plugin.name = "other"


@pytest.mark.parametrize("plugin", everything())
def test_its_code_can_be_pinned(plugin: Plugin) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", digest_source(plugin))


def test_listing_plugins_loads_no_large_library() -> None:
    code = (
        "import sys; from harness.plugins.registry import FAMILIES, find_members; [find_members(f) for f in FAMILIES];"
        "large = ('torch', 'torchvision', 'numpy', 'scipy', 'sklearn', 'PIL', 'matplotlib', 'cryptography');"
        "print([m for m in large if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# Models, penalties, rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", every("models"))
def test_a_model_keeps_shapes_and_replicas_apart(model: Model) -> None:
    p = draw(model, (1, 2))
    x = torch.randn(2, 5, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = model.embed(p, x)
    assert h.shape == (2, 5, *model.shape(0))
    for layer in range(model.depth):
        f = model.branch(p, layer, h)
        h = model.join(h, f)
        assert f.shape == h.shape == (2, 5, *model.shape(layer + 1))
    logits = model.head(p, h)
    assert logits.shape == (2, 5, CLASSES)
    for name, gradient in zip(p, torch.autograd.grad(logits[0].square().sum(), list(p.values())), strict=True):
        assert gradient[0].abs().sum() > 0, f"{name} has no part in the output"
        assert not gradient[1].any(), f"{name} of one replica touches another"


@pytest.mark.parametrize("model", every("models"))
def test_a_models_groups_are_its_parameters_groups(model: Model) -> None:
    assert {spec.group for spec in model.parameters(FEATURES, CLASSES)} == set(model.groups())
    assert model.expand_groups(("blocks",)) == {f"block_{layer}" for layer in range(model.depth)}
    with pytest.raises(ValueError, match="not a part"):
        model.expand_groups(("tail",))


def every_unit() -> list[Any]:
    """Every model, and those that may have logistic units with these as well."""
    found = every("models")
    for parameter in every("models"):
        (model,) = parameter.values
        field = type(model).model_fields.get("activation")
        if field is not None and "logistic" in get_args(field.annotation):
            logistic = model.model_copy(update={"activation": "logistic"})
            found.append(pytest.param(logistic.on(1, 8), id=f"{parameter.id}, logistic"))
    return found


@pytest.mark.parametrize("model", every_unit())
def test_a_model_says_whether_zero_parameters_give_zero_states(model: Model) -> None:
    """Checks of zero weights follow from it."""
    p = {name: torch.zeros_like(value) for name, value in draw(model, (1, 2)).items()}
    h = model.embed(p, torch.ones(2, 5, FEATURES, dtype=torch.float64))
    states = [h]
    for layer in range(model.depth):
        states.append(model.join(states[-1], model.branch(p, layer, states[-1])))
    assert model.is_silent_at_zero == (not any(state.any() for state in states))


@pytest.mark.parametrize("penalty", every("penalties"))
def test_a_penalty_is_one_number_per_replica(penalty: Penalty) -> None:
    branch = torch.randn(3, 4, 6, dtype=torch.float64).requires_grad_()
    value = penalty.value(branch)
    assert value.shape == (3,) and (value > 0).all()
    assert torch.equal(penalty.value(branch.view(3, 4, 1, 2, 3)), value), "of maps, it is that of their units"
    (gradient,) = torch.autograd.grad(value[0], branch)
    assert gradient[0].any() and not gradient[1:].any()


@pytest.mark.parametrize("penalty", every("penalties"))
def test_the_declared_gradient_of_a_penalty_is_that_of_its_value(penalty: Penalty) -> None:
    """What steps with gradients written out take in place of autograd: c·f/n."""
    factor = read_capability(penalty, "gradient_factor")
    if penalty.of_state:  # its gradient goes into the state, where these steps add none
        assert factor is None and find_gradient_factor(penalty) is None
    if factor is None:
        pytest.skip("left to autograd")
    branch = torch.randn(3, 4, 6, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(penalty.value(branch).sum(), branch)
    torch.testing.assert_close(gradient, branch.detach() * (factor / branch.shape[1]), rtol=1e-12, atol=0)


KNOWN_GOOD: dict[str, dict[str, Any]] = {
    "drtp": {"center": True},  # on states with layer norm, what it pushes all samples by alike swamps the rest
    "forward_gradient": {"directions": 8},  # of 6,826 parameters: along one, they are a random walk
    "weight_perturbation": {"directions": 8},
}
"""Rule → parameters under which it learns on this model, where its defaults are not expected to."""
QUICK = 4e-3
"""A rate at which rules learn in one to four epochs what takes two to ten at the usual 0.001."""
EPOCHS = {
    "activity_perturbation": 2, "bp": 1, "dtp": 2, "forward_forward": 4, "forward_gradient": 2, "local_greedy": 2,
    "sign_symmetric": 1, "weight_mirror": 1, "weight_perturbation": 2,
}  # fmt: skip
"""Rule → other epochs than three, after which it is right about 60 to 90% of the images."""
RATES = {"forward_gradient": 2e-2, "weight_perturbation": 2e-2}
"""Rule → rate at which it learns as much in these epochs."""


@pytest.mark.parametrize("rule", every("rules"))
def test_a_rule_learns_something(rule: Rule) -> None:
    """A few epochs on digits beat chance clearly: an update with the wrong sign would not."""
    if not rule.learns:
        pytest.skip("a control, which is not expected to")
    optimizer = {"name": "adamw", "lr": RATES.get(rule.name, QUICK), "schedule": "constant"}
    known_good = rule.model_copy(update=KNOWN_GOOD.get(rule.name, {}))
    program = trained(known_good, epochs=EPOCHS.get(rule.name, 3), optimizer=optimizer)
    logits = ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2)).test_logits
    accuracy = (logits.argmax(-1) == program.test.original_labels).double().mean(-1)
    assert (accuracy > 0.4).all()


# Metrics ------------------------------------------------------------------------------------------------------------


def trained(rule: Rule, epochs: int = 1, **parts: Any) -> Program:
    from harness.datasets.digits import Digits
    from harness.training.batches import draw_schedule

    setup = {
        "dataset": {"name": "digits"},
        "model": {"name": "residual_mlp", "width": 32, "blocks": 2},
        "optimizer": {"name": "adamw", "lr": 1e-3, "schedule": "constant"},
        "epochs": epochs,
        "batch_size": 64,
        "evaluation": {"probe_samples": 30},
    } | parts
    arm = Arm.model_validate({"label": "an arm", "rule": rule.model_dump(), "setup": setup})
    replicas = tuple(Replica(arm="a", seed_index=i, seed=i + 1) for i in range(2))
    images = Digits(name="digits").load(Path(), print)
    program = build_program(Cohort(arms={"a": arm}, replicas=replicas, memory_bytes=0), images, open_device("cpu"))
    for epoch in range(epochs):
        program.begin_epoch(
            epoch, draw_schedule(program.state.dataset, program.state.count, program.state.seeds, epoch)
        )
        program.run_epoch()
    return program


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    """One with a validation split, and one of a rule with pairs, which only metrics that declare it may read."""
    settings = {"test": ("dfa", {}), "validation": ("dfa", {"validation": {"share": 0.2}}), "pairs": ("fa", {})}
    return {
        name: trained(example(find_members("rules")[rule]), epochs=5, **parts)
        for name, (rule, parts) in settings.items()
    }


@pytest.fixture(scope="module")
def evaluations(programs: dict[str, Program]) -> dict[str, ReplicaEvaluation]:
    return {name: evaluated(program) for name, program in programs.items()}


def evaluated(program: Program) -> ReplicaEvaluation:
    return ReplicaEvaluation(program, program.state.rule_groups[0], slice(0, 2))


def measured_under(metric: Metric) -> str:
    return "pairs" if metric.needs_pairs else "validation" if metric.split == "validation" else "test"


SEEN_UNDER = {"head_update_cosine": "pairs"}
"""Metric → rule under which seeds differ; under dfa it is exactly 1."""


@pytest.mark.parametrize("metric", every("metrics"))
def test_a_metric_has_the_shape_and_bounds_it_declares(
    metric: Metric, evaluations: dict[str, ReplicaEvaluation]
) -> None:
    values = metric.measure(evaluations[SEEN_UNDER.get(metric.name, measured_under(metric))])
    shape = [2, *([3] if metric.layered else []), *([30] if metric.per_sample else [])]
    assert list(values.shape) == shape
    low, high = metric.bounds
    assert ((values >= low - 1e-12) & (values <= high + 1e-12)).all()
    assert metric.worst is None or low <= metric.worst <= high
    assert not torch.equal(values[0], values[1]), "two seeds measure the same: is the metric computed at all?"


@pytest.mark.parametrize("metric", every("metrics"))
def test_a_metric_reads_the_probe_batch_or_logits_as_it_declares(
    metric: Metric, programs: dict[str, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds follow from the size of a probe batch that is read, and plans from the logits that are held."""
    read = set()

    def told(name: str, found: Any) -> property:
        def tell(self: ReplicaEvaluation) -> Any:
            read.add(name)
            return found.__get__(self)

        return property(tell)

    for name in ("network", "test_logits", "train_logits", "validation_logits"):
        monkeypatch.setattr(ReplicaEvaluation, name, told(name, vars(ReplicaEvaluation)[name]))
    metric.measure(evaluated(programs[measured_under(metric)]))
    assert ("network" in read) == metric.reads_probe
    assert read - {"network"} == ({f"{metric.split}_logits"} if metric.reads_logits else set())


# Criteria -----------------------------------------------------------------------------------------------------------

DOMAIN = (-8.0, 12.0)  # its middle is 2, where the tests put the truth
ONE_CUT = {"low": "(-inf, 2]", "high": "(2, inf)"}


def criteria() -> list[Any]:
    return [
        pytest.param(example(kind).on(DOMAIN), id=f"criteria/{name}") for name, kind in find_members("criteria").items()
    ]


def values(criterion: Criterion, n: int, generator: np.random.Generator, truth: float = 2.0) -> np.ndarray:
    """Normal values of ``n`` seeds, or of two unpaired arms whose means differ by the truth."""
    if criterion.unpaired:
        return np.stack([generator.normal(truth, 0.7, n), generator.normal(0, 0.5, n)], axis=1)
    return generator.normal(truth, 0.7, n)


def seeds_for(criterion: Criterion, least: int, alpha: float = 0.05) -> int:
    return max(least, criterion.smallest_n(alpha, 2.0))


@pytest.mark.parametrize("criterion", criteria())
def test_a_criterion_says_what_it_tests(criterion: Criterion) -> None:
    assert criterion.targets in get_args(Target)
    assert len(criterion.assumes) > 15 and re.search(r"\d{4}", criterion.source)
    assert criterion.targets == "mean" or not criterion.unpaired


@pytest.mark.parametrize("criterion", criteria())
def test_a_criterion_keeps_its_error_rate(criterion: Criterion) -> None:
    """The truth on the cut: a rejection is an error, and happens at most as often as α says. Full: docs/calibration."""
    generator, draws, n = np.random.default_rng(7), 300, seeds_for(criterion, 8)
    data = [values(criterion, n, generator) for _ in range(draws)]
    for test in (criterion.p_greater, criterion.p_less):
        rate = np.mean([test(x, 2.0) <= 0.05 for x in data])
        assert rate <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5
    for x in data[:5]:
        assert criterion.p_greater(x, -4.0) <= 0.05 and criterion.p_less(x, 8.0) <= 0.05, "it never rejects"


@pytest.mark.parametrize("criterion", criteria())
def test_a_criterions_interval_is_its_tests_turned_around(criterion: Criterion) -> None:
    x = values(criterion, 12, np.random.default_rng(3))
    low, high = criterion.interval(x, 0.9)
    step = 1e-3 * (high - low)
    assert low < high
    assert criterion.p_greater(x, low - step) <= 0.05 < criterion.p_greater(x, low + step)
    assert criterion.p_less(x, high + step) <= 0.05 < criterion.p_less(x, high - step)


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.004])
@pytest.mark.parametrize("criterion", criteria())
def test_a_criterions_smallest_n_is_honest(criterion: Criterion, alpha: float) -> None:
    """With so many seeds some data decide, with one less none do: tried are all patterns of far and near values."""
    n = criterion.smallest_n(alpha, 2.0)
    assert n <= criterion.smallest_n(alpha / 2, 2.0)

    def decided(pattern: tuple[float, ...]) -> bool:
        x = np.array(pattern) + np.linspace(0, 1e-9, len(pattern))
        data = np.stack([x, np.linspace(0, 1e-9, len(x))], axis=1) if criterion.unpaired else x
        return judged(data, ONE_CUT, criterion, DOMAIN, alpha).outcome != "inconclusive"

    assert decided((11.99,) * n) and decided((-7.99,) * n)
    fewer = n - 1
    kinds = (-8.0, 1.99, 2.01, 12.0) if fewer <= 5 else (-8.0, 12.0)
    patterns = itertools.islice(itertools.combinations_with_replacement(kinds, fewer), 200)  # their order is no matter
    assert not any(decided(pattern) for pattern in patterns)


@pytest.mark.parametrize("criterion", criteria())
def test_a_criterion_moves_with_its_data_and_knows_no_order_of_seeds(criterion: Criterion) -> None:
    x = values(criterion, seeds_for(criterion, 9), np.random.default_rng(5))
    p = criterion.p_greater(x, 1.7), criterion.p_less(x, 1.7)
    shuffled = np.random.default_rng(1).permutation(x)
    assert (criterion.p_greater(shuffled, 1.7), criterion.p_less(shuffled, 1.7)) == pytest.approx(p, rel=1e-9)
    shift = 0.0 if criterion.unpaired else 8.0  # a shift of both arms leaves their difference
    moved = criterion.on((4 * DOMAIN[0] + shift, 4 * DOMAIN[1] + shift))
    there = moved.p_greater(4 * x + shift, 4 * 1.7 + shift), moved.p_less(4 * x + shift, 4 * 1.7 + shift)
    assert there == pytest.approx(p, rel=1e-9)
    mirror = criterion.on((-DOMAIN[1], -DOMAIN[0]))
    resampled = {"abs": 0.01} if "resamples" in type(criterion).model_fields else {"rel": 1e-9}
    assert (mirror.p_less(-x, -1.7), mirror.p_greater(-x, -1.7)) == pytest.approx(p, **resampled)


# Data sets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", every("datasets"))
def test_a_data_set_declares_itself(dataset: Dataset) -> None:
    assert dataset.features == dataset.channels * dataset.size**2
    assert len(dataset.mean) == len(dataset.std) == dataset.channels
    assert all(0 < value < 1 for value in (*dataset.mean, *dataset.std))
    assert dataset.train_count > dataset.test_count > dataset.classes
    places = {dataset.locate(Path(folder)) for folder in ("no-such-folder", "nor-this")}
    assert all(places) and dataset.bundled == (len(places) == 1)


# Beacons ------------------------------------------------------------------------------------------------------------

REGISTERED = Registered("5f" * 32, datetime(2026, 6, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2))))


@pytest.mark.parametrize("beacon", every("beacons"))
def test_a_beacon_says_which_round_is_due_and_how_to_get_it(beacon: Beacon) -> None:
    after = beacon.after(REGISTERED)
    assert after.utcoffset() == timedelta(0) and after - REGISTERED.time == timedelta(seconds=beacon.delay)
    assert beacon.earliest(REGISTERED) >= after
    assert beacon.due(REGISTERED) and beacon.instructions(REGISTERED) and beacon.trusts()
    for url in beacon.urls(REGISTERED):
        assert re.fullmatch(r"https?://[!-~]+", url) and url in beacon.instructions(REGISTERED)
    later = Registered(REGISTERED.digest, REGISTERED.time + timedelta(hours=3))
    assert beacon.due(later) != beacon.due(REGISTERED)
    assert type(beacon).model_validate(beacon.model_dump() | {"delay": beacon.delay + 9}).after(REGISTERED) > after


@pytest.mark.parametrize("beacon", every("beacons"))
@pytest.mark.parametrize("year", [1, 1969, 9001, 9999])
def test_a_beacon_refuses_times_beyond_the_calendar(beacon: Beacon, year: int) -> None:
    when = Registered(REGISTERED.digest, datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
    for ask in (beacon.after, beacon.due, beacon.urls, beacon.instructions, beacon.earliest):
        if ask != beacon.urls or beacon.urls(REGISTERED):
            with pytest.raises(HarnessError, match="no round is due"):
                ask(when)


# Preconditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precondition", every("preconditions"))
def test_a_precondition_is_met_or_says_why_not(precondition: Precondition) -> None:
    """By arms of which one trains nothing for one epoch; and by arms that all train alike."""
    good, bad = (asked(idle) for idle in (False, True))
    assert list(precondition.find_obstacles(good)) == []
    obstacles = list(precondition.find_obstacles(bad))
    assert obstacles == list(precondition.find_obstacles(bad)) != []
    for obstacle in obstacles:
        assert re.match(r"[a-z0-9].*[^.]$", obstacle.message) and obstacle.remedy
        assert not obstacle.at or obstacle.at[0] in ("arms", "estimands", "seeds")


def asked(idle: bool) -> Asked:
    parts = {"dataset": {"name": "digits"}, "model": {"name": "residual_mlp", "width": 8, "blocks": 2}}
    dataset, model = (find_members(f"{key}s")[str(part["name"])].model_validate(part) for key, part in parts.items())
    frozen = model.expand_groups(("blocks",))
    arms = {
        name: AskedArm(
            name, example(find_members("rules")["dfa"]), None, frozen if idle else frozenset(), dataset,
            dataset.train_count, model,
            epochs=1 if idle and name == "other" else 3, batch_size=64, probe_samples=64, at=("arms", name),
        )
        for name in ("penalized", "other")
    }  # fmt: skip
    metric = example(find_members("metrics")["hidden_norm"])
    estimand = AskedEstimand(metric, {"penalized": 1.0, "other": -1.0}, (2,), ("estimands", "e", "contrast"))
    return Asked(arms, {"e": estimand}, seeds=1)


HOSTILE = (b"", b"\0", b"\xff" * 100, b"{}", b"[]", b"null", b"[" * 2**16, b"9" * 2**16, b"{" * 2**15, b" " * 2**16,
           b"\n" * 2**16, b"x" * (2**16 + 1), b'{"a":1,"a":2}', b"NaN", b"-----BEGIN SSH SIGNATURE-----\n")  # fmt: skip


@pytest.mark.parametrize("beacon", every("beacons"))
@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_beacon_refuses_what_is_no_record_in_one_sentence(beacon: Beacon, data: bytes) -> None:
    for ask in (lambda: beacon.kept(data), lambda: beacon.verify(data, REGISTERED)):
        with pytest.raises(HarnessError) as caught:
            ask()
        assert caught.value.where == f"beacon {beacon.name}" and caught.value.remedy
        assert "\n" not in caught.value.message and len(caught.value.message) < 400


def test_a_plug_in_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.penalties.residual_branch import ResidualBranch
    from harness.plugins import registry

    class Other(ResidualBranch):
        """A penalty from elsewhere."""

        name: Literal["other"]  # type: ignore[assignment]

    def points(group: str) -> list[Any]:
        return [SimpleNamespace(name="other", load=lambda: Other)] if group == "harness.penalties" else []

    known = set(find_members("penalties"))
    monkeypatch.setattr(registry, "_find_installed", lambda: SimpleNamespace(select=points))
    registry.find_members.cache_clear()
    try:
        assert set(find_members("penalties")) == known | {"other"}
    finally:
        registry.find_members.cache_clear()
