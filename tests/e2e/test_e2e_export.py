"""Exports, read back by the programs that they are for: the same numbers, whatever the run came to."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.errors import StorageFailed, UsageError
from tests.e2e.commands import PATIENCE
from tests.e2e.programs import ProgramProject, make_program_project
from tests.e2e.projects import Project
from tests.once import made_once
from tests.unit.programs.toys import GOOD


@pytest.fixture(scope="module")
def verdict(finished: Project) -> api.Verdict:
    return api.open_verdict("tiny", project=finished.root)


@pytest.fixture(scope="module")
def tables(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables in both forms."""
    folder = tmp_path_factory.mktemp("tables")
    for form in ("csv", "parquet"):
        done = finished.harness("export", "tiny", "--as", form, "--out", str(folder / form))
        assert done.returncode == 0, done.stderr
        named = [Path(line).name for line in done.stdout.splitlines()]
        assert named == [f"{table}.{form}" for table in ("measurements", "estimands", "dictionary")]
    return folder


def compare(found: dict[str, list[Any]], expected: api.Table[Any]) -> None:
    """Columns of a table as a program read it against the rows: texts and whole numbers equal, numbers to the bit."""
    assert list(found) == [column.name for column in expected.columns]
    for place, column in enumerate(expected.columns):
        read = [None if value is None or value != value else value for value in found[column.name]]
        assert read == [row[place] for row in expected], column.name


def test_pandas_reads_the_same_numbers(tables: Path, verdict: api.Verdict) -> None:
    import pandas

    for name, expected in (("measurements", verdict.measurements()), ("estimands", verdict.estimands())):
        kinds = {"string": "object", "integer": "Int64", "number": "float64"}
        types = {column.name: kinds[column.type] for column in expected.columns}
        from_text = pandas.read_csv(tables / f"csv/{name}.csv", dtype=types, float_precision="round_trip")
        from_parquet = pandas.read_parquet(tables / f"parquet/{name}.parquet")
        for frame in (from_text, from_parquet):
            columns = {key: frame[key].astype(object).where(frame[key].notna(), None).tolist() for key in frame}
            compare(columns, expected)


def test_polars_reads_the_same_numbers(tables: Path, verdict: api.Verdict) -> None:
    import polars

    for name, expected in (("measurements", verdict.measurements()), ("estimands", verdict.estimands())):
        kinds = {"string": polars.String, "integer": polars.Int64, "number": polars.Float64}
        schema = {column.name: kinds[column.type] for column in expected.columns}
        compare(polars.read_csv(tables / f"csv/{name}.csv", schema=schema).to_dict(as_series=False), expected)
        compare(polars.read_parquet(tables / f"parquet/{name}.parquet").to_dict(as_series=False), expected)


R = """
table <- read.csv(commandArgs(TRUE)[1], colClasses = c(hypothesis = "character", run = "character"))
stopifnot(is.numeric(table$value), is.numeric(table$seed), is.character(table$arm))
write(ifelse(is.na(table$value), "", sprintf("%.17g", table$value)), "values.txt")
write(sprintf("%.0f", table$seed), "seeds.txt")
write(table$arm, "arms.txt")
"""


def test_r_reads_the_same_numbers(tables: Path, verdict: api.Verdict, tmp_path: Path) -> None:
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("needs R, and there is no Rscript here")
    (tmp_path / "read.R").write_text(R)
    command = [program, "read.R", str(tables / "csv/measurements.csv")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE)
    values, seeds, arms = ((tmp_path / f"{name}.txt").read_text().splitlines() for name in ("values", "seeds", "arms"))
    expected = verdict.measurements()
    assert [int(seed) for seed in seeds] == [row.seed for row in expected]
    assert arms == [row.arm for row in expected]
    for text, row in zip(values, expected, strict=True):
        assert (text == "") is (row.value is None)
        if row.value is not None:  # R's own reading may be off by the last bit
            assert math.isclose(float(text), row.value, rel_tol=1e-14, abs_tol=5e-324)


def test_the_dictionary_explains_every_column_and_metric(tables: Path, verdict: api.Verdict) -> None:
    import pyarrow.parquet

    with (tables / "csv/dictionary.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert all(row["meaning"] for row in rows)
    for name, table in (("measurements", verdict.measurements()), ("estimands", verdict.estimands())):
        own = [row for row in rows if row["table"] == name]
        assert [row["column"] for row in own if not row["value"]] == [column.name for column in table.columns]
        fields = pyarrow.parquet.read_schema(tables / f"parquet/{name}.parquet")
        assert all(
            fields.field(column.name).metadata[b"meaning"].decode() == column.meaning for column in table.columns
        )
    explained = {row["value"] for row in rows if (row["table"], row["column"]) == ("measurements", "metric")}
    assert {row.metric for row in verdict.measurements()} <= explained
    assert {row.unit for row in verdict.estimands()} <= {row["value"] for row in rows if row["column"] == "unit"}
    assert {row.summary for row in verdict.measurements()} <= {row["value"] for row in rows}
    stored = pyarrow.parquet.read_schema(tables / "parquet/measurements.parquet").metadata
    assert stored[b"run"].decode().startswith(verdict.run)


def test_a_file_may_be_named_and_nothing_is_overwritten(finished: Project, tables: Path, tmp_path: Path) -> None:
    named = tmp_path / "numbers.csv"
    assert finished.harness("export", "tiny", "--as", "csv", "--out", str(named)).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "numbers-dictionary.csv",
        "numbers-estimands.csv",
        "numbers.csv",
    ]
    assert named.read_bytes() == (tables / "csv/measurements.csv").read_bytes()
    named.unlink()
    refused = finished.harness("export", "tiny", "--as", "csv", "--out", str(named))  # the other two are there
    assert refused.returncode == 2 and "numbers-estimands.csv: there is something already" in refused.stderr
    assert not named.exists()


def test_without_a_format_or_a_place_the_message_lists_what_there_is(finished: Project, tmp_path: Path) -> None:
    forms = ("csv", "in-toto", "mlflow", "parquet", "ro-crate", "tensorboard", "wandb")
    shown = finished.harness("export", "--help", COLUMNS="300").stdout
    assert all(form in shown for form in forms)
    none = finished.harness("export", "tiny")
    assert none.returncode == 2 and all(f"\n      {form}: " in none.stderr for form in forms)
    nowhere = finished.harness("export", "tiny", "--as", "csv")
    assert nowhere.returncode == 2 and "add --out PATH" in nowhere.stderr
    wrong = finished.harness("export", "tiny", "--as", "excel", "--out", str(tmp_path / "x"))
    assert wrong.returncode == 2 and "unknown form 'excel'" in wrong.stderr and "tensorboard or wandb" in wrong.stderr
    absent = finished.harness("export", "nothing", "--as", "csv", "--out", str(tmp_path / "x"))
    assert absent.returncode == 2 and "no verdict on 'nothing'" in absent.stderr
    assert not (tmp_path / "x").exists()


def list_curves(verdict: api.Verdict) -> dict[tuple[str, int], dict[str, list[tuple[int, float]]]]:
    """Arm and seed index → curve → epochs and finite values, from the table."""
    found: dict[tuple[str, int], dict[str, list[tuple[int, float]]]] = {}
    for row in verdict.measurements():
        if row.value is not None:
            parts = [row.metric, row.summary, f"layer-{row.layer}"]
            name = "/".join(part for part in parts if part not in ("value", "layer-None"))
            curves = found.setdefault((row.arm, row.seed_index), {})
            curves.setdefault(name, []).append((row.epoch, row.value))
    return found


def list_numbers(verdict: api.Verdict) -> dict[str, float]:
    """The verdict's numbers as trackers are to have them."""
    one = verdict.decisions["margin"]
    low, high = one.interval or (None, None)
    told = {"estimate": one.estimate, "low": low, "high": high, "p": one.p, "n": one.n}
    numbers = {"p": verdict.p, **{f"margin/{name}": value for name, value in told.items()}}
    return {name: value for name, value in numbers.items() if value is not None}


def test_tensorboards_own_reader_reads_what_was_written(
    finished: Project, verdict: api.Verdict, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs TensorBoard, the extra tensorboard")
    import numpy as np
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder: Path) -> EventAccumulator:
        return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()

    done = finished.harness("export", "tiny", "--as", "tensorboard", "--out", str(tmp_path / "logs"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs" / "tiny" / verdict.run
    for (arm, index), curves in list_curves(verdict).items():
        events = read(folder / arm / f"seed-{index}")
        assert set(events.Tags()["scalars"]) == set(curves)
        for name, points in curves.items():
            found = [(event.step, event.value) for event in events.Scalars(name)]
            assert found == [(epoch, float(np.float32(value))) for epoch, value in points]
    told = read(folder / "verdict")
    for name, value in list_numbers(verdict).items():
        assert told.Scalars(f"verdict/{name}")[0].value == float(np.float32(value))
    assert told.Tensors("verdict")[0].tensor_proto.string_val[0].decode().endswith(verdict.page)
    assert told.Tensors("harness.outcome")[0].tensor_proto.string_val[0].decode() == verdict.outcome
    again = finished.harness("export", "tiny", "--as", "tensorboard", "--out", str(tmp_path / "logs"))
    assert again.returncode == 2 and "there is something already" in again.stderr


def test_mlflows_own_reader_reads_what_was_written(
    finished: Project, verdict: api.Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs MLflow, the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    store = tmp_path / "mlruns"
    done = finished.harness("export", "tiny", "--as", "mlflow", "--out", str(store))
    assert done.returncode == 0, done.stderr
    assert f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {store}" in done.stderr
    client = MlflowClient(tracking_uri=store.as_uri())
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["harness.outcome"] == verdict.outcome
    assert parent.data.tags["harness.run"].startswith(verdict.run)
    assert parent.data.metrics == list_numbers(verdict)
    assert parent.data.tags["mlflow.note.content"].endswith(verdict.page)
    children = {
        (run.data.params["arm"], int(run.data.params["seed_index"])): run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    expected = list_curves(verdict)
    assert children.keys() == expected.keys() and len(runs) == len(children) + 1
    for place, curves in list(expected.items())[:2]:
        run = children[place]
        assert set(run.data.metrics) == set(curves)
        for name, points in curves.items():
            history = client.get_metric_history(run.info.run_id, name)
            assert sorted((one.step, one.value) for one in history) == points
    again = finished.harness("export", "tiny", "--as", "mlflow", "--out", str(store))
    assert again.returncode == 2 and f"run {verdict.run} is there already" in again.stderr
    assert len(client.search_runs([experiment.experiment_id])) == len(runs)


def read_log(data: bytes) -> list[bytes]:
    """The records of a W&B file: LevelDB's log format after 7 bytes of its own."""
    block, place, found = 32768, 7, [b""]
    while place + 7 <= len(data):
        if block - place % block < 7:  # too little for another header: the rest of the block is padding
            place += block - place % block
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        found[-1] += data[place + 7 : place + 7 + size]
        if kind in (1, 4):  # whole, or the last part
            found.append(b"")
        place += 7 + size
    return found[:-1]


def test_weights_and_biases_keeps_offline_runs(finished: Project, verdict: api.Verdict, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs W&B, the extra wandb")
    from wandb.proto import wandb_internal_pb2

    done = finished.harness("export", "tiny", "--as", "wandb", "--out", str(tmp_path), WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    expected = list_curves(verdict)
    files = {path.name: path for path in tmp_path.glob("wandb/offline-run-*/*.wandb")}
    assert len(files) == len(expected) + 1
    (arm, index), curves = next(iter(expected.items()))
    found: dict[str, list[tuple[int, float]]] = {}
    for data in read_log(files[f"run-{verdict.run}-{arm}-{index}.wandb"].read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for name in set(items) & set(curves):
            found.setdefault(name, []).append((items["_step"], items[name]))
    assert found == curves


def make_failing_project(root: Path) -> None:
    """Make a project of a program that failed at one seed, committed and judged."""
    fails = "import os\nif os.environ['HARNESS_OUT'].endswith('weak-1/out'): raise SystemExit(3)\n"
    ran = make_program_project(root, fails + GOOD).harness("run", "hypotheses/toy.yaml", "--yes")
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> ProgramProject:
    return ProgramProject(made_once(tmp_path_factory, "failing-program", make_failing_project))


@pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
def test_a_failed_replica_has_failed_for_mlflow_and_nothing_else_has(
    failing: ProgramProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs MLflow, the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    api.export("toy", "mlflow", tmp_path / "mlruns", project=failing.root)
    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    runs = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    ended = {(run.data.params.get("arm"), run.data.params.get("seed_index")): run.info.status for run in runs}
    assert len(ended) == len(runs) == 7  # and the verdict
    assert ended.pop(("weak", "1")) == "FAILED"
    assert set(ended.values()) == {"FINISHED"}


@pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
def test_a_failed_replica_has_failed_for_weights_and_biases_and_nothing_else_has(
    failing: ProgramProject, tmp_path: Path
) -> None:
    pytest.importorskip("wandb", reason="needs W&B, the extra wandb")
    from wandb.proto import wandb_internal_pb2

    done = failing.harness("export", "toy", "--as", "wandb", "--out", str(tmp_path), WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    ended = {}
    for path in tmp_path.glob("wandb/offline-run-*/*.wandb"):
        for data in read_log(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("exit"):
                ended[path.stem.partition("-")[2].partition("-")[2]] = record.exit.exit_code
    assert len(ended) == 7  # and the verdict
    assert ended.pop("weak-1") == 1
    assert set(ended.values()) == {0}


REFUSED_PLACES = (
    ("mlflow", "sqlite:///mlflow.db", "an address (sqlite:…) is not a path", "mlflow migrate-filestore"),
    ("mlflow", "http://localhost:5000", "an address (http:…) is not a path", "--out mlruns"),
    ("mlflow", "file:///srv/a%20b", "an address (file:…) is not a path", "give the path itself: /srv/a b"),
    ("wandb", "https://api.wandb.ai/x", "an address (https:…) is not a path", "wandb sync"),
    ("csv", "s3://bucket/numbers", "an address (s3:…) is not a path", "give the path of a file or a folder"),
    ("csv", "n.parquet", "n.parquet would be a folder, and has the name of a file", "--as parquet would write such"),
    ("parquet", "n.CSV", "n.CSV would be a folder, and has the name of a file", "--as csv would write such a file"),
    ("mlflow", "runs.db", "runs.db would be a folder, and has the name of a file", "for mlflow, name a folder"),
    ("cvs", "n.csv", "unknown form 'cvs', did you mean 'csv'?", "use csv, in-toto, mlflow"),
)


@pytest.mark.parametrize(
    ("form", "place", "told", "remedy"), REFUSED_PLACES, ids=[f"{a} {b}" for a, b, *_ in REFUSED_PLACES]
)
def test_a_place_that_is_none_is_refused_with_the_way_to_what_was_wanted(
    form: str, place: str, told: str, remedy: str, finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        api.export("tiny", form, place, project=finished.root)
    assert told in raised.value.message and remedy in (raised.value.remedy or "") and raised.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_addresses_and_names_of_files_make_no_folders_for_any_verb(finished: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(finished.root, root)
    project, before = Project(root), sorted(root.rglob("*"))
    for words, told in (
        (("export", "tiny", "--as", "mlflow", "--out", "sqlite:///m.db"), "--out: an address (sqlite:…) is not a path"),
        (("site", "file:///tmp/x"), "FOLDER: an address (file:…) is not a path"),
        (
            ("show", "tiny", "--verdicts", "https://example.org/verdicts"),
            "--verdicts: an address (https:…) is not a path",
        ),
        (("check", "s3://bucket/hypotheses"), "PATHS: an address (s3:…) is not a path"),
        (("paper", "tiny", "--out", "paper.pdf"), "paper.pdf would be a folder"),
        (("site", "index.html"), "index.html would be a folder"),
    ):
        done = project.harness(*words)
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("→") == 1, done.stderr
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("form", "library", "extra"),
    [
        ("parquet", "pyarrow.parquet", "parquet"),
        ("tensorboard", "tensorboard", "tensorboard"),
        ("mlflow", "mlflow", "mlflow"),
        ("wandb", "wandb", "wandb"),
        ("ro-crate", "rocrate", "crate"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    form: str, library: str, extra: str, finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)  # which is how Python notes that there is none
    with pytest.raises(UsageError, match=rf"prereg-harness\[{extra}\]"):
        api.export("tiny", form, tmp_path / "out", project=finished.root)
    assert list(tmp_path.iterdir()) == []


def require(form: str) -> None:
    module = {"ro-crate": "rocrate", "parquet": "pyarrow", "tensorboard": "tensorboard", "mlflow": "mlflow"}.get(form)
    if module is not None:
        pytest.importorskip(module, reason=f"needs the extra of {form}")


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", ["csv", "parquet", "tensorboard", "mlflow", "ro-crate", "in-toto"])
def test_a_place_that_can_t_be_written_to_is_one_clear_error(finished: Project, tmp_path: Path, form: str) -> None:
    require(form)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageFailed, match="could not be written") as refused:
        api.export("tiny", form, tmp_path / "file" / "x", project=finished.root)
    assert "file" in str(refused.value) and "defect" not in str(refused.value)
    assert list_files(tmp_path) == ["file"]


@pytest.mark.parametrize("form", ["tensorboard", "mlflow"])
def test_an_interrupted_export_leaves_no_half_of_a_run(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The same place takes the whole run afterwards, and what else was there stays."""
    require(form)
    (tmp_path / "own").write_text("mine")
    module = importlib.import_module(f"harness.exporters.{form}")
    whole = module.list_replicas

    def list_some(tracked: Any) -> Iterator[Any]:
        yield from itertools.islice(whole(tracked), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "list_replicas", list_some)
    with pytest.raises(KeyboardInterrupt):
        api.export("tiny", form, tmp_path, project=finished.root)
    assert (tmp_path / "own").read_text() == "mine"
    assert not [name for name in list_files(tmp_path) if "tfevents" in name or "/metrics/" in name]
    monkeypatch.undo()
    api.export("tiny", form, tmp_path, project=finished.root)
    made = [name for name in list_files(tmp_path) if "tfevents" in name or name.endswith("tags/mlflow.runName")]
    replicas = {(row.arm, row.seed) for row in api.open_verdict("tiny", project=finished.root).measurements()}
    assert len(made) == len(replicas) + 1  # and the verdict
