"""The comparison with published errors: networks as they were published, what is trained when, and what is said."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.plugins.registry import find_members
from harness.records import Setup

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
WEIGHTS = {"pepita": 3_155_968, "lenet_fashion": 61_706, "lenet_cifar": 128_842}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("published")


@pytest.fixture
def literature(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("literature")


def test_networks_are_those_of_the_publications(published: Any, literature: Any) -> None:
    """By the number of weights that reference sheets name; every arm can be trained, for few epochs too."""
    assert sorted(literature.ORDER) == sorted(
        (name, arm) for name, one in literature.EXPERIMENTS.items() for arm in one.arms
    )
    for name, key in literature.ORDER:
        whole = literature.EXPERIMENTS[name].epochs
        for epochs in (1, 3, round(literature.EXPERIMENTS[name].share * whole), whole):
            setup: Setup = published.make_arm(name, key, epochs).setup
            drops = [setup.optimizer.schedule.factor(epoch, epochs) for epoch in range(epochs)]
            assert drops[0] == 1.0 and drops == sorted(drops, reverse=True)
        specs = setup.model.parameters(setup.dataset.features, setup.classes)
        assert sum(math.prod(spec.shape) for spec in specs) == WEIGHTS[name]
        at = [epoch for epoch in range(1, whole) if drops[epoch] != drops[epoch - 1]]
        assert tuple(at) == literature.EXPERIMENTS[name].milestones


def make_row(name: str, arm: str, errors: list[float], **other: Any) -> dict[str, Any]:
    replicas = [
        {"seed": seed, "status": "finished", "epochs": [1, 2], "test_accuracy": [1 - error / 100, 1 - error / 50],
         "validation_accuracy": [0.2, 0.1]}
        for seed, error in enumerate(errors)
    ]  # fmt: skip
    data = {"canonical": False, "fingerprint": "0" * 64, "origin": "nowhere"}
    return {"set": name, "arm": arm, "epochs": 2, "images": None, "data": data, "replicas": replicas} | other


def test_a_published_error_is_held_against_the_mean_as_far_as_both_scatter(literature: Any) -> None:
    """Against Welch's t and the prediction of one run, by the numbers of a table of t."""
    errors = [46.0, 47.0, 45.0, 46.0]  # mean 46, sd √(2/3)
    one = literature.Published({"name": "bp"}, "47.5")
    gap, allowed = literature.compare(one, errors)
    assert gap == pytest.approx(1.5 - 0.05)
    assert allowed == pytest.approx(3.182446 * (2 / 3 * (1 + 1 / 4)) ** 0.5, rel=1e-6)
    same = literature.Published({"name": "bp"}, "46.04", (2 / 3) ** 0.5, 4)
    gap, allowed = literature.compare(same, errors)
    assert gap == pytest.approx(0.035) and allowed == pytest.approx(2.446912 * (2 * (2 / 3) / 4) ** 0.5, rel=1e-6)


def test_the_epoch_is_read_that_was_published(literature: Any) -> None:
    """The last, the best by the test split, or the best by validation, whose test error is then read."""
    replica = {"test_accuracy": [0.5, 0.9, 0.8], "validation_accuracy": [0.3, 0.6, 0.7]}
    found = {name: literature.read_errors(one, [replica])[0] for name, one in literature.EXPERIMENTS.items()}
    assert found == pytest.approx({"pepita": 20, "lenet_fashion": 10, "lenet_cifar": 20})


def test_runs_at_chance_are_counted_and_the_others_told_beside_them(literature: Any) -> None:
    experiment = literature.EXPERIMENTS["lenet_fashion"]
    row = make_row("lenet_fashion", "bp", [9.0, 9.2, 9.4, 90.0])
    assert literature.word_stuck(experiment, "bp", row) == (
        "BP: 1 of 4 runs are at chance at every epoch; the other 3 come to 9.20 ± 0.20, 0.00 from what was published, "
        "of 0.99."  # t = 4.303 at 2 degrees of freedom, times .2 √(1 + 1/3)
    )
    assert literature.word_stuck(experiment, "bp", make_row("lenet_fashion", "bp", [9.0, 9.2, 9.4])) is None
    assert literature.word_stuck(experiment, "bp", make_row("lenet_fashion", "bp", [90.0, 9.2])) is None


def test_a_table_takes_the_longest_training_and_says_what_is_missing(literature: Any, tmp_path: Path) -> None:
    path, head = tmp_path / "found.jsonl", {"device": "a card", "torch": "2", "seeds": 3}
    half, whole = make_row("pepita", "bp", [60.0, 61.0, 62.0]), make_row("pepita", "bp", [20.0, 21.0, 22.0], epochs=100)
    tried = make_row("pepita", "fa", [30.0, 31.0, 32.0], images=500)
    broken = make_row("pepita", "drtp", [30.0, 31.0, 32.0])
    broken["replicas"][1]["status"] = "diverged"
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, half, whole, tried, broken)))
    lines = {line.split(" | ")[0].strip("| "): line for line in literature.word_report(path).splitlines()}
    assert "| 100 of 100 | 42.00 ± 2.00 |" in lines["BP"] and "60" not in lines["BP"]
    assert "500 images only" in lines["FA"] and "1 of 3 diverged" in lines["DRTP"]
    assert "PEPITA" not in lines, "was not trained"
    path.write_text(json.dumps(head) + "\n")
    with pytest.raises(SystemExit, match="holds no arm"):
        literature.word_report(path)


def test_arms_are_trained_once_and_what_is_missing_later(
    published: Any, literature: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the digits in the place of the other data, with few units."""
    small = {"pepita": literature.EXPERIMENTS["pepita"]}
    model = {**small["pepita"].setup["model"], "width": 8}
    monkeypatch.setitem(small["pepita"].setup, "model", model)
    monkeypatch.setitem(small["pepita"].setup, "dataset", {"name": "digits"})
    assert "digits" in find_members("datasets")
    out = tmp_path / "out.jsonl"
    command = [f"--out={out}", "--device=cpu", "--sets", "pepita", "--epochs=2", "--seeds=2", "--images=200"]
    published.main([*command, "--seconds=-1"])
    assert len(out.read_text().splitlines()) == 1 and "out of time" in capsys.readouterr().err
    published.main(command)
    first = out.read_text()
    _, *rows = map(json.loads, first.splitlines())
    assert [row["arm"] for row in rows] == ["bp", "fa", "drtp", "pepita"]
    assert all([replica["status"] for replica in row["replicas"]] == ["finished"] * 2 for row in rows)
    assert len({replica["weights"] for row in rows for replica in row["replicas"]}) == 8
    published.main(command)
    assert out.read_text() == first, "what is there is not trained again"
    with pytest.raises(SystemExit, match="number of seeds"):
        published.main([*command, "--seeds=3"])
