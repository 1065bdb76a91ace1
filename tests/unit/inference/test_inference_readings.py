"""What is read on a replica: several layers and epochs, the best epoch, and replicas that diverged on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inference.estimands import build_title, evaluate, find_resolution, name_unit
from harness.records import Estimand
from tests.unit.inference.inference_records import make_hypothesis, make_measurements

EPOCHS = (1, 5, 10)
BANDS = {"low": "(-inf, 0]", "high": "(0, inf)"}


def measured(curves, *, metric="credit_cosine", arm="penalized", diverged=None, extra=None):
    """``curves``: one array [epoch, layer] per seed; ``extra``: metric → one list over epochs per seed."""
    made = make_measurements(
        {(arm, name): [0.0] * len(curves) for name in (metric, *(extra or {}))}, epochs=EPOCHS, diverged=diverged
    )
    replicas = []
    for seed, result in enumerate(made.replicas):
        rows = tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in np.asarray(curves[seed], float))
        series = {metric: result.metrics[metric].model_copy(update={"values": {"mean": rows, "value": rows}})}
        for name, values in (extra or {}).items():
            column = tuple((value,) for value in values[seed])
            series[name] = result.metrics[name].model_copy(update={"values": {"value": column}})
        replicas.append(result.model_copy(update={"metrics": series}))
    return made.model_copy(update={"replicas": tuple(replicas)})


def values_of(estimand, measurements, **more):
    record = Estimand.model_validate({"metric": "credit_cosine", "arm": "penalized", "samples": "mean"} | estimand)
    hypothesis = make_hypothesis({"e": record}, {"e": ("e", BANDS)}, **more)
    return evaluate("e", record, hypothesis, measurements).result


CURVES = np.random.default_rng(5).uniform(-1, 1, (4, len(EPOCHS), 5))


@pytest.mark.parametrize(
    ("estimand", "recompute"),
    [
        ({"layer": (1, 2, 3, 4)}, lambda c: c[:, -1, 1:5].mean(1)),
        ({"layer": (4, 2), "layers": "min"}, lambda c: c[:, -1, [2, 4]].min(1)),
        ({"layer": (0, 3), "layers": "max", "epoch": 5}, lambda c: c[:, 1, [0, 3]].max(1)),
        (
            {"layer": (1, 2, 4), "layers": "slope"},
            lambda c: np.polyfit([1, 2, 4], c[:, -1, [1, 2, 4]].T, 1)[0],
        ),
        ({"layer": 2, "epoch": (1, "last")}, lambda c: c[:, [0, 2], 2].mean(1)),
        ({"layer": 2, "epoch": {"first": 2}}, lambda c: c[:, 1:, 2].mean(1)),
        ({"layer": 2, "epochs": "area"}, lambda c: np.trapezoid(c[:, :, 2], EPOCHS, axis=1) / 9),
        ({"layer": 2, "epochs": "slope"}, lambda c: np.polyfit(EPOCHS, c[:, :, 2].T, 1)[0]),
        ({"layer": 2, "epochs": "peak_minus_last"}, lambda c: c[:, :, 2].max(1) - c[:, -1, 2]),
        (
            {"layer": (1, 3), "layers": "min", "epochs": "area"},
            lambda c: np.trapezoid(c[:, :, [1, 3]].min(2), EPOCHS, axis=1) / 9,
        ),
    ],
    ids=lambda case: " ".join(map(str, case.values())) if isinstance(case, dict) else "",
)
def test_several_places_give_one_number_per_seed(estimand, recompute):
    result = values_of(estimand, measured(CURVES))
    assert [seed.value for seed in result.values] == pytest.approx(recompute(CURVES).tolist())


def test_logarithms_are_taken_before_the_summaries():
    curves = 10.0 ** np.random.default_rng(6).uniform(-8, -2, (3, len(EPOCHS), 5))
    result = values_of(
        {"metric": "gradient_norm", "layer": (1, 2, 3, 4), "layers": "slope", "transform": "log10"},
        measured(curves, metric="gradient_norm"),
    )
    slopes = np.polyfit([1, 2, 3, 4], np.log10(curves[:, -1, 1:]).T, 1)[0]
    assert [seed.value for seed in result.values] == pytest.approx(slopes.tolist())
    assert result.unit == "log10 per layer"
    assert result.title.startswith("log10 of BP gradient norm, Penalized DFA, slope over layers 1 to 4")


def measured_in(**arms):
    """``arms``: arm → curves, one array [epoch, layer] per seed."""
    parts = [measured(curves, metric="gradient_norm", arm=arm) for arm, curves in arms.items()]
    return parts[0].model_copy(update={"replicas": tuple(one for part in parts for one in part.replicas)})


@pytest.mark.parametrize(
    ("estimand", "recompute", "words"),
    [
        (
            {"ratio": "penalized / shallow", "layer": (1, 2)},
            lambda a, b, c: 10 ** (np.log10(a) - np.log10(b))[:, -1, 1:3].mean(1),
            "Penalized DFA / DFA, blocks frozen, geometric mean over layers 1 and 2",
        ),
        (
            {"contrast": "mean(penalized, bp_penalty) - shallow", "layer": (1, 2), "layers": "max"},
            lambda a, b, c: (a[:, -1, 1:3].max(1) + c[:, -1, 1:3].max(1)) / 2 - b[:, -1, 1:3].max(1),
            "greatest over layers 1 and 2",
        ),
        (
            {"contrast": "penalized - shallow", "layer": (1, 2, 3), "layers": "slope", "transform": "log10"},
            lambda a, b, c: np.polyfit([1, 2, 3], (np.log10(a) - np.log10(b))[:, -1, 1:4].T, 1)[0],
            "slope over layers 1 to 3",
        ),
        (
            {"ratio": "penalized / shallow", "layer": 2, "epochs": "area"},
            lambda a, b, c: 10 ** (np.trapezoid((np.log10(a) - np.log10(b))[:, :, 2], EPOCHS, axis=1) / 9),
            "area under the curve of the logarithm, divided by its width, over all evaluated epochs",
        ),
    ],
    ids=["ratio", "mean of arms", "slope of logs", "area of a ratio"],
)
def test_summaries_are_taken_on_each_arm_before_arms_are_compared(estimand, recompute, words):
    rng = np.random.default_rng(7)
    a, b, c = (10.0 ** rng.uniform(-6, -2, (3, len(EPOCHS), 5)) for _ in range(3))
    record = Estimand.model_validate({"metric": "gradient_norm", "samples": "mean"} | estimand)
    bands = {"low": "(0, 1]", "high": "(1, inf)"} if record.ratio else BANDS
    hypothesis = make_hypothesis({"e": record}, {"e": ("e", bands)})
    result = evaluate("e", record, hypothesis, measured_in(penalized=a, shallow=b, bp_penalty=c)).result
    assert [seed.value for seed in result.values] == pytest.approx(recompute(a, b, c).tolist())
    assert words in result.title


@given(st.permutations((1, 2, 3, 4)), st.sampled_from(("mean", "min", "max", "slope")))
def test_the_order_in_which_layers_are_listed_makes_no_difference(layers, summary):
    asked = [
        values_of({"layer": tuple(order), "layers": summary}, measured(CURVES)) for order in (layers, (1, 2, 3, 4))
    ]
    assert asked[0] == asked[1]


def test_a_cell_without_a_finite_value_is_named():
    curves = CURVES.copy()
    curves[1, 2, 3] = np.nan
    result = values_of({"layer": (1, 2, 3)}, measured(curves), exclusions={"diverged": "exclude"})
    assert result.values[1].value is None
    assert result.values[1].note == "Penalized DFA: no finite credit_cosine in layer 3 at epoch 10"
    assert result.n == 3


LOSSES = [[2.0, 1.0, 1.5], [2.0, 1.0, 1.0], [None, 3.0, 2.0], [None, None, None]]


def test_the_best_epoch_is_each_replicas_own_and_the_earliest_of_equal_ones():
    result = values_of(
        {"layer": 2, "epoch": {"best": "train_loss"}},
        measured(CURVES, extra={"train_loss": LOSSES}),
        exclusions={"diverged": "exclude"},
    )
    expected = [CURVES[0, 1, 2], CURVES[1, 1, 2], CURVES[2, 2, 2], None]
    assert [seed.value for seed in result.values] == expected
    assert result.values[3].note == "Penalized DFA: no finite train_loss to choose the epoch by"


def accuracies():
    return measured(
        [np.array([[0.2], [0.6], [np.nan]]), np.array([[0.3], [0.5], [0.9]])],
        metric="test_accuracy",
        diverged={("penalized", 0): 8},
    )


@pytest.mark.parametrize(
    ("estimand", "value"),
    [
        ({"epochs": "area"}, (0.8 / 2 * 4 + 0.6 / 2 * 5) / 9),
        ({"epoch": (5, "last")}, 0.3),
        ({"epoch": {"last": 5}}, 0.4),
        ({"epochs": "min"}, 0.0),
        ({"epochs": "peak_minus_last"}, None),
        ({"epochs": "slope"}, None),
    ],
    ids=str,
)
def test_worst_case_fills_what_came_after_the_divergence(estimand, value):
    given = {"metric": "test_accuracy", "samples": None} | estimand
    result = values_of(given, accuracies(), exclusions={"diverged": "worst_case"})
    assert result.values[0].value == (None if value is None else pytest.approx(value))
    left_out = values_of(given, accuracies(), exclusions={"diverged": "exclude"})
    assert left_out.values[0].value is None
    assert left_out.values[0].note == "Penalized DFA: diverged in epoch 8"


def test_worst_case_keeps_the_best_epoch_before_the_divergence():
    made = measured(
        [np.array([[0.2], [0.6], [np.nan]]), np.array([[0.3], [0.5], [0.9]])],
        metric="test_accuracy",
        diverged={("penalized", 0): 8},
        extra={"train_loss": [[1.0, 2.0, None], [3.0, 2.0, 1.0]]},
    )
    given = {"metric": "test_accuracy", "samples": None, "epoch": {"best": "train_loss"}}
    result = values_of(given, made, exclusions={"diverged": "worst_case"})
    assert [seed.value for seed in result.values] == [0.2, 0.9]


@pytest.mark.parametrize(
    ("estimand", "unit", "domain"),
    [
        ({"layer": (1, 2, 3, 4), "samples": "mean"}, "", (-1, 1)),
        ({"layer": (1, 2), "layers": "slope", "samples": "mean"}, "per layer", (-2, 2)),
        ({"layer": (1, 2, 3), "layers": "slope", "samples": "mean"}, "per layer", (-1, 1)),
        ({"layer": 2, "epochs": "slope", "samples": "mean"}, "per epoch", (-2, 2)),
        ({"layer": 2, "epochs": "peak_minus_last", "samples": "mean"}, "", (0, 2)),
        ({"metric": "test_accuracy", "epochs": "area", "unit": "pp"}, "pp", (0, 100)),
        ({"metric": "test_accuracy", "epochs": "slope", "unit": "pp"}, "pp per epoch", (-100, 100)),
        ({"metric": "train_loss", "epochs": "peak_minus_last"}, "", (-np.inf, 0)),
        ({"metric": "train_loss", "epochs": "slope"}, "per epoch", (-np.inf, np.inf)),
    ],
    ids=str,
)
def test_units_and_bounds_follow_the_summaries(estimand, unit, domain):
    record = Estimand.model_validate({"metric": "credit_cosine", "arm": "penalized"} | estimand)
    assert name_unit(record) == unit
    assert record.domain == domain


@pytest.mark.parametrize(
    ("estimand", "steps"),
    [
        ({}, 1),
        ({"epoch": (1, 10)}, 1 / 2),
        ({"epochs": "mean"}, 1 / 3),
        ({"epochs": "area"}, 1 / 18),  # weights 4, 9 and 5 of 18
        ({"epochs": "min"}, 1),
        ({"epochs": "peak_minus_last"}, 1),
    ],
    ids=str,
)
def test_the_resolution_is_that_of_the_summary(estimand, steps):
    record = Estimand.model_validate({"metric": "test_accuracy", "arm": "penalized"} | estimand)
    hypothesis = make_hypothesis({"e": record}, {"e": ("e", BANDS)})
    assert hypothesis.arms["penalized"].setup.evaluated_epochs == EPOCHS
    assert find_resolution(record, hypothesis, accuracies()) == pytest.approx(steps / 360)


def test_a_spread_that_is_rounding_of_large_values_is_none():
    """Slopes of huge, equal values differ by rounding only, however small the slopes are."""
    noise = np.random.default_rng(1).choice([-1, 0, 1], (5, len(EPOCHS), 5))
    curves = 1e8 * (1 + noise * np.finfo(float).eps)
    result = values_of(
        {"metric": "hidden_norm", "layer": (1, 2, 3, 4), "layers": "slope"}, measured(curves, metric="hidden_norm")
    )
    assert result.sd > 0 and result.interval95 is None


@pytest.mark.parametrize(
    ("estimand", "words"),
    [
        ({"layer": (1, 2, 3, 4)}, "mean over layers 1 to 4"),
        ({"layer": (4, 1), "layers": "min"}, "smallest over layers 1 and 4"),
        ({"layer": 2, "epoch": (30, "last")}, "layer 2, mean over epoch 30 and the last"),
        ({"layer": 2, "epoch": (10, 20, 40), "epochs": "max"}, "layer 2, greatest over epochs 10, 20 and 40"),
        ({"layer": 2, "epochs": "mean"}, "layer 2, mean over all evaluated epochs"),
        (
            {"layer": 2, "epoch": {"first": 5, "last": 10}, "epochs": "slope"},
            "layer 2, slope over the evaluated epochs from 5 to 10",
        ),
        (
            {"layer": 2, "epochs": "area"},
            "layer 2, area under the curve, divided by its width, over all evaluated epochs",
        ),
        ({"layer": 2, "epochs": "peak_minus_last"}, "layer 2, peak minus last over all evaluated epochs"),
        ({"layer": 2, "epoch": {"best": "train_loss"}}, "layer 2, epoch of the best train_loss"),
    ],
    ids=str,
)
def test_titles_say_what_was_read(estimand, words):
    record = Estimand.model_validate({"metric": "credit_cosine", "arm": "penalized", "samples": "mean"} | estimand)
    title = build_title(record, make_hypothesis({"e": record}, {"e": ("e", BANDS)}))
    assert title == f"cosine of credit and BP gradient, Penalized DFA, {words}, mean over samples, mean over seeds"


def test_a_single_layer_and_epoch_keep_their_canonical_form():
    written = {"metric": "credit_cosine", "arm": "penalized", "layer": 2, "epoch": 10, "samples": "mean"}
    plain = Estimand.model_validate(written).model_dump(mode="json")
    assert plain["layer"] == 2 and plain["epoch"] == 10
    assert not {"layers", "epochs", "onset"} & plain.keys()
    assert Estimand.model_validate(written | {"epoch": "last"}).model_dump(mode="json")["epoch"] is None


FALLING = [[0.9, 0.5, 0.1], [0.4, 0.6, 0.3], [0.9, 0.8, 0.7], [0.4, None, 0.2]]
"""train_loss at each evaluated epoch, of four seeds."""


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ({"below": 0.5}, [2, 0, None, 0]),  # 0.5 itself is not below
        ({"below": 0.55}, [1, 0, None, 0]),
        ({"below": 0.65, "evaluations": 2}, [1, 0, None, None]),  # a number that isn't finite might have held or not
        ({"above": 0.55}, [0, 1, 0, None]),
    ],
)
def test_replicas_that_came_as_far_are_read_each_at_its_own_epoch(condition, rows):
    estimand = {"layer": 2, "epoch": {"when": {"metric": "train_loss", **condition}}}
    result = values_of(estimand, measured(CURVES, extra={"train_loss": FALLING}))
    expected = [None if row is None else CURVES[seed, row, 2] for seed, row in enumerate(rows)]
    assert [seed.value for seed in result.values] == expected
    (ground,) = result.ground
    assert ground.epochs == tuple(None if row is None else EPOCHS[row] for row in rows)
    assert ground.amounts == tuple(None if row is None else FALLING[seed][row] for seed, row in enumerate(rows))


def test_a_replica_that_never_comes_so_far_has_no_value_and_says_so():
    epoch = {"when": {"metric": "train_loss", "below": 0.05, "evaluations": 2}}
    result = values_of({"layer": 2, "epoch": epoch}, measured(CURVES, extra={"train_loss": [[0.9, 0.5, 0.1]] * 4}))
    assert [seed.note for seed in result.values] == [
        "Penalized DFA: never train_loss below 0.05 at 2 evaluations in a row"
    ] * 4
    assert "first epoch with train_loss below 0.05 at 2 evaluations in a row" in result.title


def test_a_replica_that_came_so_far_and_then_diverged_counts_only_under_worst_case():
    made = measured(CURVES, extra={"train_loss": FALLING}, diverged={("penalized", 1): 5})
    estimand = {"layer": 2, "epoch": {"when": {"metric": "train_loss", "below": 0.5}}}
    assert values_of(estimand, made).values[1].value is None
    kept = values_of(estimand, made, exclusions={"diverged": "worst_case"}).values[1]
    assert kept.value == CURVES[1, 0, 2] and kept.note is None


def test_other_estimands_note_no_ground():
    assert "ground" not in values_of({"layer": 2}, measured(CURVES)).model_dump()


def stopped(measurements, ends):
    """The measurements as they were if each seed had stopped at its epoch; None for one that went on."""
    replicas = []
    for replica, end in zip(measurements.replicas, ends, strict=True):
        count = sum(epoch <= (end or EPOCHS[-1]) for epoch in EPOCHS)
        metrics = {
            name: series.model_copy(
                update={"epochs": EPOCHS[:count], "values": {key: rows[:count] for key, rows in series.values.items()}}
            )
            for name, series in replica.metrics.items()
        }
        replicas.append(replica.model_copy(update={"metrics": metrics, "stopped_epoch": end}))
    return measurements.model_copy(update={"replicas": tuple(replicas)})


def test_the_last_epoch_of_a_replica_that_stopped_is_its_own():
    made = stopped(measured(CURVES), (1, 5, 10, None))
    assert [seed.value for seed in values_of({"layer": 2}, made).values] == [
        CURVES[seed, row, 2] for seed, row in enumerate((0, 1, 2, 2))
    ]
    means = values_of({"layer": 2, "epoch": {"first": 1}}, made).values
    assert [seed.value for seed in means] == pytest.approx(
        [CURVES[i, : i + 1, 2].mean() for i in (0, 1, 2)] + [CURVES[3, :, 2].mean()]
    )
    late = values_of({"layer": 2, "epoch": 5}, made).values
    assert late[0].note == "Penalized DFA: stopped at epoch 1, before epoch 5"
    assert [seed.value for seed in late[1:]] == [CURVES[seed, 1, 2] for seed in (1, 2, 3)]


def test_an_onset_that_had_not_come_by_the_stop_lies_after_it():
    made = stopped(measured(np.full_like(CURVES, -0.5)), (1, 5, None, None))
    result = values_of({"layer": 2, "onset": {"above": 0.0}, "seeds": "median"}, made)
    assert [seed.between for seed in result.values] == [(2, np.inf), (6, np.inf), (11, np.inf), (11, np.inf)]


def test_a_budget_reads_a_replica_that_stopped_where_it_stopped():
    made = stopped(measured(CURVES), (1, 5, 10, None))
    result = values_of({"layer": 2, "epoch": {"spent": "steps"}}, made)
    (ground,) = result.ground
    assert ground.epochs == (1, 5, 10, 10)
    assert ground.amounts == tuple(epoch * ground.amounts[0] for epoch in ground.epochs)
