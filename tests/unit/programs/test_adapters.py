"""Adapters: what real tools wrote is read as it was noted, and what they don't write is no result."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.adapters import Adapter, Point
from harness.errors import InvalidHypothesis
from harness.ledger import pin_code
from harness.metrics._declared import DeclaredMetric
from harness.plugins.registry import find_members
from harness.programs import BadResults, parse_results
from harness.programs.adapted import read_adapted
from harness.records.program import FORMS, Results, list_forms
from harness.spec import load
from tests.unit.programs.toys import make, write_hypothesis

LIGHTNING = """\
epoch,step,test_accuracy,train_loss,val_accuracy
0,9,,0.9,
0,9,,,0.5
1,19,,0.7,
1,19,,,0.75
2,20,0.7,,
"""
STATE = {
    "epoch": 2.0,
    "global_step": 20,
    "log_history": [
        {"epoch": 0.5, "step": 5, "loss": 0.9, "grad_norm": 1.0},
        {"epoch": 1.0, "step": 10, "eval_accuracy": 0.5, "eval_runtime": 0.01},
        {"epoch": 2.0, "step": 20, "eval_accuracy": 0.75, "eval_runtime": 0.01},
        {"epoch": 2.0, "step": 20, "train_loss": 0.8},
    ],
    "is_world_process_zero": True,
}
TASKS = {
    "results": {
        "hellaswag": {"alias": "hellaswag", "acc,none": 0.5, "acc_stderr,none": 0.02, "acc_norm,none": 0.75},
        "arc_easy": {"alias": "arc_easy", "acc,none": 0.25, "acc_stderr,none": "N/A"},
    },
    "versions": {"hellaswag": 1.0},
}
GIVEN = {
    "lightning_csv": LIGHTNING.encode(),
    "trainer_state": json.dumps(STATE).encode(),
    "lm_eval": json.dumps(TASKS).encode(),
    "mlflow_store": json.dumps({"loss": "1795987956535 0.25 0\n", "val/accuracy": "1 0.5 1\n2 0.75 2\n"}).encode(),
}
"""Name → what its tool writes, by its documented form (Lightning 2.6, transformers, lm-eval 0.4, MLflow 3)."""


def find(name: str) -> Adapter:
    found = Results(form=name).adapter
    assert found is not None
    return found


def read(raw: bytes, form: str, source: str, **more: Any) -> dict[int, float | None]:
    """Return epoch → value of one metric."""
    results = Results(form=form, names={"test_accuracy": source}, **more)
    declared = {"test_accuracy": DeclaredMetric(name="declared", metric="test_accuracy", low=0, high=1)}
    values = parse_results(raw, results, declared).values["test_accuracy"]
    return {epoch: layers[0] for epoch, layers in sorted(values.items())}


def test_scalars_of_a_real_summary_writer_are_read(tmp_path: Path) -> None:
    event_file_writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    writer = event_file_writer.EventFileWriter(str(tmp_path / "logs"))
    for step, value in ((0, 0.125), (10, 0.5), (20, 0.75)):
        plain = Summary(value=[Summary.Value(tag="val/accuracy", simple_value=value)])
        for summary in (plain, scalar_pb("loss", 1 - value), text_pb("notes", "nothing")):
            writer.add_event(Event(wall_time=1.0, step=step, summary=summary))
    writer.close()
    adapter = find("tensorboard")
    raw = adapter.gather(tmp_path, "logs/events.out.tfevents.*")
    assert raw is not None
    points = list(adapter.read(raw))
    assert [p for p in points if p.name == "val/accuracy"] == [
        Point("val/accuracy", step, value) for step, value in ((0, 0.125), (10, 0.5), (20, 0.75))
    ]
    assert [p.value for p in points if p.name == "loss"] == [0.875, 0.5, 0.25]
    assert {p.name for p in points} == {"val/accuracy", "loss"}
    assert read(raw, "tensorboard", "val/accuracy", epochs=2, steps_per_epoch=10) == {1: 0.5, 2: 0.75}
    with pytest.raises(BadResults, match="val/accuracy has 3 values, and the file asks for one"):
        read(raw, "tensorboard", "val/accuracy")
    with pytest.raises(BadResults, match="cut off"):
        read(raw[:-5], "tensorboard", "val/accuracy", epochs=2)


def test_a_real_run_of_mlflow_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.entities import Metric
    from mlflow.store.tracking.file_store import FileStore

    store = FileStore(str(tmp_path / "mlruns"))
    run = store.create_run("0", "somebody", 0, [], "a run").info.run_id
    for name, value, step in (("val/accuracy", 0.5, 1), ("val/accuracy", 0.75, 2), ("bad", float("nan"), 1)):
        store.log_metric(run, Metric(name, value, 1795987956535, step))
    adapter = find("mlflow_store")
    raw = adapter.gather(tmp_path, "mlruns/*/*/metrics")
    assert raw is not None
    assert read(raw, "mlflow_store", "val/accuracy", epochs=2) == {1: 0.5, 2: 0.75}
    assert read(raw, "mlflow_store", "bad") == {1: None}
    store.log_metric(store.create_run("0", "somebody", 0, [], "another").info.run_id, Metric("x", 1.0, 1, 1))
    assert adapter.gather(tmp_path, "mlruns/*/*/metrics") is None


@pytest.mark.parametrize(
    ("form", "source", "more", "expected"),
    [
        ("lightning_csv", "val_accuracy", {"epochs": 2}, {1: 0.5, 2: 0.75}),
        ("lightning_csv", "test_accuracy", {}, {1: 0.7}),
        ("trainer_state", "eval_accuracy", {"epochs": 2}, {1: 0.5, 2: 0.75}),
        ("trainer_state", "train_loss", {}, {1: 0.8}),
        ("lm_eval", "hellaswag/acc_norm,none", {}, {1: 0.75}),
        ("mlflow_store", "loss", {}, {1: 0.25}),
        ("mlflow_store", "val/accuracy", {"epochs": 1_000, "steps_per_epoch": 2}, {1: 0.75}),
    ],
)
def test_documented_forms_are_read(form: str, source: str, more: dict[str, Any], expected: dict[int, float]) -> None:
    assert read(GIVEN[form], form, source, **more) == expected


REAL = Path(__file__).parents[2] / "corpus/results"


@pytest.mark.parametrize(
    ("form", "source", "more", "expected"),
    [
        ("trainer_state", "eval_accuracy", {"epochs": 3}, {1: 0.84375, 2: 0.921875, 3: 0.921875}),
        ("trainer_state", "train_loss", {}, {1: 0.4577951629956563}),
        ("lm_eval", "toy_sums/acc,none", {}, {1: 0.4}),
    ],
)
def test_files_of_tools_that_tests_do_not_install_are_read(
    form: str, source: str, more: dict[str, Any], expected: dict[int, float]
) -> None:
    """Trainer of transformers 5.24 wrote one, on a model of ten weights; lm-eval 0.4.13 the other, of which what names
    the machine and the task's file is left out.
    """
    assert read((REAL / f"{form}.json").read_bytes(), form, source, **more) == expected


def test_several_values_in_an_epoch_are_refused() -> None:
    doubled = LIGHTNING + "1,20,,,0.8\n"
    with pytest.raises(BadResults, match="has two values at epoch 2"):
        read(doubled.encode(), "lightning_csv", "val_accuracy", epochs=2)


def damage() -> Iterator[bytes]:
    """Yield bytes that no tool writes: damaged results of tools, and JSON of another shape."""
    chance = random.Random(1)
    others = [None, 1, [], {}, {"results": []}, {"results": {"a": 1}}, {"log_history": 1}, {"log_history": [[]]}]
    yield from (json.dumps(other).encode() for other in others)
    yield b"[" * 100_000
    yield b"epoch,a\n0,1,2\n"
    yield b"epoch,a\n0\n"
    yield b"epoch,a,a\n0,1,2\n"
    yield struct.pack("<Q", 2**63) + b"\0" * 20
    for raw in GIVEN.values():
        for _ in range(20):
            at = chance.randrange(len(raw))
            yield raw[:at] + chance.randbytes(2) + raw[at + 2 :]
            yield raw[:at]
    for _ in range(100):
        message = chance.randbytes(chance.randrange(1, 40))
        yield struct.pack("<Q", len(message)) + b"\0" * 4 + message + b"\0" * 4


@pytest.mark.parametrize("form", sorted({*list_forms()} - {*FORMS}))
def test_bytes_that_no_tool_writes_give_results_or_one_sentence(form: str) -> None:
    said = [why for raw in damage() if (why := explain_bad(raw, form)) is not None]
    assert len(said) > 20
    assert all(why.startswith(("its ", "a ", "an ")) for why in said)


def explain_bad(raw: bytes, form: str) -> str | None:
    """Return why bytes are no results; None if they are. Any other error goes through."""
    results = Results(form=form, names={"test_accuracy": "val_accuracy"}, epochs=10)
    try:
        list(read_adapted(raw, results, find(form), ["test_accuracy"]))
    except BadResults as error:
        return str(error)
    return None


def test_a_place_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "out"
    inside.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (inside / "state.json").symlink_to(tmp_path / "secret.json")
    (inside / "folder").symlink_to(tmp_path)
    adapter = find("trainer_state")
    assert adapter.gather(inside, "state.json") is None
    assert adapter.gather(inside, "folder/secret.json") is None
    assert adapter.gather(inside, "*.nothing") is None


WRITES = """\
import json, os, pathlib, sys
out = pathlib.Path(os.environ["HARNESS_OUT"], f"checkpoint-{os.getpid()}")
out.mkdir()
value = float(sys.argv[1]) + int(os.environ["HARNESS_SEED"]) / 1000
history = [{"epoch": float(epoch), "step": epoch, "eval_accuracy": value * epoch / 2} for epoch in (1, 2)]
(out / "trainer_state.json").write_text(json.dumps({"log_history": history}))
"""


def test_a_program_s_results_are_gathered_from_where_its_tool_put_them(tmp_path: Path) -> None:
    results = {
        "form": "trainer_state",
        "file": "checkpoint-*/trainer_state.json",
        "names": {"test_accuracy": "eval_accuracy"},
        "epochs": 2,
    }
    toy = make(tmp_path, WRITES, of_seeds=2, results=results)
    result = toy.run()
    assert [one.status for one in result.replicas] == ["finished"] * 4
    (series,) = result.replicas[0].metrics.values()
    assert series.epochs == (1, 2)
    assert series.values["value"] == ((0.5110 / 2,), (0.5110,))
    assert json.loads(result.raw["strong-0"])["log_history"][1]["eval_accuracy"] == 0.5110
    none = make(tmp_path / "none", "pass", of_arms=1, of_seeds=1, results=results).run()
    assert none.replicas[0].failure == (
        "it ended with exit code 0, and not exactly one checkpoint-*/trainer_state.json is there"
    )


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({"form": "excel"}, "no form of results is called 'excel': known are json, jsonl"),
        ({"form": "tensorbord"}, "no form of results is called 'tensorbord', did you mean 'tensorboard'?"),
        ({"form": "lm_eval", "file": "**/results.json"}, "fits any number of folders"),
        ({"form": "lm_eval", "steps_per_epoch": 5}, "lm_eval has epochs"),
        ({"steps_per_epoch": 5}, "json has epochs"),
        ({"form": "lm_eval", "names": {"accuracy": "x/acc"}}, "no metric 'accuracy' is declared"),
    ],
)
def test_results_that_make_no_sense_are_refused(tmp_path: Path, results: dict[str, Any], said: str) -> None:
    program = {"command": ["python3", "x.py", "{alpha}"], "lock": "none", "timeout": "1 min"}
    with pytest.raises(InvalidHypothesis) as refused:
        load(write_hypothesis(tmp_path, program=program, results=results))
    assert any(said in finding.message for finding in refused.value.findings)


def test_every_adapter_is_a_form_and_none_of_harness_s_own() -> None:
    assert not set(find_members("adapters")) & set(FORMS)
    assert {"tensorboard", "lightning_csv", "trainer_state", "lm_eval", "mlflow_store"} <= set(find_members("adapters"))


def test_the_adapter_s_code_is_pinned_with_the_file_that_names_it(tmp_path: Path) -> None:
    program = {"command": ["python3", "x.py", "{alpha}"], "lock": "none", "timeout": "1 min"}
    for form in ("json", "lm_eval"):
        hypothesis = load(write_hypothesis(tmp_path, program=program, results={"form": form})).hypothesis
        assert ("adapters/lm_eval" in pin_code(hypothesis, tmp_path).plugins) == (form == "lm_eval")
