"""Runs that were made elsewhere: every one is counted, excluded by the file's rule, or rejected with a reason."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest

from harness.adapters import Adapter, BadRecord, Point, ToldRun
from harness.plugins import registry
from harness.programs import BadResults, account, list_forms, read_export
from harness.programs.linked import Accounted
from harness.records import Hypothesis, program
from harness.records.linked import Export, Link, LinkedRun
from tests.unit.programs.told import Row, list_rows, make_told, measure, write_table
from tests.unit.programs.toys import SEEDS, make

SINCE, LATER, UNTIL = "2026-11-01T00:00:00Z", "2026-11-02T12:00:00+01:00", "2026-12-01T00:00:00Z"
PERCENT = "a percentage, where a fraction is declared?"
COMMITS = {"a" * 40: "", "b" * 40: "it ran other code, of commit bbbbbbbbbbbb: toy.py"}


@pytest.fixture
def toy(tmp_path: Path) -> Hypothesis:
    return make(tmp_path).hypothesis


def tell(hypothesis: Hypothesis, *files: list[Row], form: str = "runs_json") -> Accounted:
    exports = tuple(Export(name=f"{n}.json", form=form, sha256=f"{n:064}") for n, _ in enumerate(files))
    told = [tuple(map(make_told, rows)) for rows in files]
    return account(hypothesis, SEEDS, SINCE, Link(exports=exports, commits=COMMITS, until=UNTIL), told)


def find_run(accounted: Accounted, name: str) -> LinkedRun:
    return next(run for run in accounted.told.runs if run.run == name)


class Notebook(Adapter):
    """Another package's adapter of several runs, which is built on no base class for them."""

    name: Literal["notebook"]
    tool = "a notebook"
    tells_runs: ClassVar[bool] = True
    apart: ClassVar[bool] = False

    def read(self, raw: bytes) -> Iterator[Point]:
        raise BadRecord("a notebook tells of several runs")

    def read_runs(self, raw: bytes) -> Iterator[ToldRun]:
        for line in raw.decode().splitlines():
            yield ToldRun(line, 1, LATER, "finished", {}, {"test_accuracy": 0.5})


def test_an_adapter_of_another_package_tells_runs_because_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[Any]:
        return [SimpleNamespace(name="notebook", load=lambda: Notebook)] if group == "harness.adapters" else []

    known = set(list_forms())
    monkeypatch.setattr(registry, "_find_installed", lambda: SimpleNamespace(select=points))
    registry.find_members.cache_clear()
    try:
        assert set(list_forms()) == known | {"notebook"} and "notebook" not in program.list_forms()
        assert [run.name for run in read_export(b"first\nsecond\n", "notebook")] == ["first", "second"]
    finally:
        registry.find_members.cache_clear()


def test_runs_by_the_registered_seeds_and_parameters_count(toy: Hypothesis) -> None:
    accounted = tell(toy, list_rows(SEEDS, LATER, commit="a" * 40))
    assert accounted.gaps == ()
    assert accounted.told.count("counted") == len(accounted.told.runs) == 6
    assert (accounted.told.missing, accounted.told.varying, accounted.told.untold) == ((), (), 0)
    for one in accounted.replicas:
        (series,) = one.metrics.values()
        alpha = {"strong": 0.5, "weak": 0.25}[one.arm]
        assert one.seed == SEEDS[one.seed_index]
        assert series.values["value"] == ((measure(alpha, one.seed),),)
        assert json.loads(accounted.raw[f"{one.arm}-{one.seed_index}"])["metrics"] == {
            "test_accuracy": series.values["value"][0][0]
        }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seed": 99}, "its seed 99 is not registered"),
        ({"seed": None}, "it tells no seed that is a whole number"),
        ({"started": "2026-10-31T23:59:59Z"}, "it began before the registration"),
        ({"started": "2026-11-01T00:30:00+01:00"}, "it began before the registration"),
        ({"started": ""}, "it must tell when it began, with a time zone, and it tells none"),
        ({"started": "2026-11-02T12:00:00"}, "with a time zone, and 2026-11-02T12:00:00 is no such time"),
        ({"started": "2026-12-01T00:00:01Z"}, "it says that it begins in the future: 2026-12-01T00:00:01Z, linked"),
        ({"started": "2026-11-30T23:30:00-01:00"}, "it says that it begins in the future"),
        ({"parameters": {"alpha": 0.3}}, "parameters of no arm; of strong differ alpha (registered 0.5, told 0.3)"),
        ({"parameters": {}}, "parameters of no arm; of strong differ alpha (registered 0.5, told nothing)"),
        ({"arm": "weak"}, "it has other parameters than arm weak: alpha (registered 0.25, told 0.5)"),
        ({"arm": "third"}, "there is no arm third"),
        ({"commit": "b" * 40}, "it ran other code, of commit bbbbbbbbbbbb: toy.py"),
        ({"commit": "c" * 40}, "its code was not compared"),
        ({"status": "running"}, "its status is running"),
    ],
)
def test_a_run_that_is_none_of_the_registered_ones_is_rejected_and_its_seed_is_missing(
    toy: Hypothesis, change: Row, why: str
) -> None:
    first, *rest = list_rows(SEEDS, LATER)
    accounted = tell(toy, [{**first, **change}, *rest])
    run = find_run(accounted, "strong-0")
    assert run.fate == "rejected"
    assert why in run.why
    (gap,) = accounted.gaps
    assert gap in accounted.told.missing
    assert gap.startswith("strong, seed 0: ")
    assert [one.status for one in accounted.replicas] == ["failed", *["finished"] * 5]
    assert "strong-0" not in accounted.raw


def test_a_link_from_before_its_time_was_noted_comes_to_what_it_came_to(toy: Hypothesis) -> None:
    """An event that has no such time is accounted for as it was."""
    rows = list_rows(SEEDS, "2999-01-01T00:00:00Z")
    link = Link(exports=(Export(name="0.json", form="runs_json", sha256="0" * 64),), commits=COMMITS)
    accounted = account(toy, SEEDS, SINCE, link, [tuple(map(make_told, rows))])
    assert accounted.gaps == ()
    assert tell(toy, rows).told.count("rejected") == len(rows)


def test_several_reasons_are_all_named(toy: Hypothesis) -> None:
    first, *rest = list_rows(SEEDS, LATER)
    run = find_run(tell(toy, [{**first, "seed": 99, "started": "", "commit": "b" * 40}, *rest]), "strong-0")
    assert run.why.count("; ") == 2


def test_an_extra_run_is_rejected_and_takes_nothing_away(toy: Hypothesis) -> None:
    rows = list_rows(SEEDS, LATER)
    accounted = tell(toy, [*rows, {**rows[0], "run": "extra", "seed": 99}])
    assert accounted.gaps == ()
    assert find_run(accounted, "extra").fate == "rejected"


@pytest.mark.parametrize("better", [0.1, 0.95])
def test_of_several_runs_of_a_seed_none_is_chosen(toy: Hypothesis, better: float) -> None:
    """Whichever came first, and whichever is better: choosing is selection by outcome."""
    rows = list_rows(SEEDS, LATER)
    again = {**rows[0], "run": "again", "started": "2026-11-03T00:00:00Z", "metrics": {"test_accuracy": better}}
    for told in ([*rows, again], [again, *rows]):
        accounted = tell(toy, told)
        assert {find_run(accounted, name).fate for name in ("strong-0", "again")} == {"rejected"}
        assert accounted.gaps == ("strong, seed 0: its seed has 2 runs, and none is chosen",)
    failed = tell(toy, [*rows, {**again, "status": "failed"}])
    assert find_run(failed, "again").why == "its seed has 2 runs, and none is chosen"


def test_a_run_that_is_told_twice_counts_once(toy: Hypothesis) -> None:
    rows = list_rows(SEEDS, LATER)
    accounted = tell(toy, rows, [rows[0]])
    assert accounted.gaps == ()
    assert [run.fate for run in accounted.told.runs] == [*["counted"] * 6, "rejected"]
    assert accounted.told.runs[-1].why == "it is told twice, in 0.json before"


def test_a_rule_of_the_file_excludes_what_was_killed_and_no_more(tmp_path: Path) -> None:
    toy = make(tmp_path, program={"again": {"when": ["killed"], "times": 1}}).hypothesis
    rows = list_rows(SEEDS, LATER)
    killed = {**rows[0], "run": "killed", "status": "killed", "started": "2026-11-02T00:00:00Z", "metrics": {}}
    accounted = tell(toy, [*rows, killed])
    assert accounted.gaps == ()
    assert find_run(accounted, "killed").fate == "excluded"
    assert find_run(accounted, "killed").why == "it was killed, and the file has such a seed run again"
    more = {**killed, "run": "more", "started": "2026-11-02T01:00:00Z"}
    assert tell(toy, [*rows, killed, more]).gaps == ("strong, seed 0: its seed has 2 runs, and none is chosen",)
    after = {**killed, "started": "2026-11-04T00:00:00Z"}  # what came first counts, and its seed was run again
    assert tell(toy, [*rows, after]).gaps == ("strong, seed 0: its seed has 2 runs, and none is chosen",)
    preempted = {**killed, "status": "preempted"}
    assert find_run(tell(toy, [*rows, preempted]), "killed").fate == "rejected"
    (alone,) = tell(toy, [killed, *rows[1:]]).gaps
    assert alone == "strong, seed 0: its export says that it was killed"


def test_a_failed_or_invalid_run_counts_as_failed_and_a_diverged_one_as_diverged(toy: Hypothesis) -> None:
    rows = list_rows(SEEDS, LATER)
    rows[0] |= {"status": "failed"}
    rows[1]["metrics"] = {"test_accuracy": 80.1}
    rows[2]["metrics"] = {"other": 0.5}
    rows[3] |= {"status": "diverged", "metrics": {}}
    accounted = tell(toy, rows)
    assert [run.fate for run in accounted.told.runs] == ["counted"] * 6
    assert accounted.gaps == (
        "strong, seed 0: its export says that it failed",
        f"strong, seed 1: test_accuracy is 80.1 at epoch 1, outside its bounds 0 to 1; {PERCENT}",
        "strong, seed 2: its results have no test_accuracy at epoch 1",
    )
    assert [one.status for one in accounted.replicas] == [*["failed"] * 3, "diverged", *["finished"] * 2]
    assert find_run(accounted, "strong-0").why == "its export says that it failed"


def test_parameters_that_nobody_registered_and_that_differ_are_named(toy: Hypothesis) -> None:
    rows = list_rows(SEEDS, LATER)
    for row in rows:
        row["parameters"] |= {"width": 16, "lr": 0.1 if row["run"].startswith("strong") else 0.2}
    assert tell(toy, rows).told.varying == ("lr: 0.1 (3 runs), 0.2 (3 runs)",)
    assert tell(toy, rows, form="wandb_csv").told.varying == ()  # parameters and metrics are one there
    assert tell(toy, rows).told.untold == 6


MLFLOW = {"run_id": "run", "status": "status", "start_time": "started", "params.seed": "seed",
          "tags.mlflow.source.git.commit": "commit"}  # fmt: skip
WANDB = {"Name": "run", "State": "status", "Created": "started", "seed": "seed", "commit": "commit"}
OWN = {"run": "run", "seed": "seed", "started": "started", "status": "status", "commit": "commit"}


def write(rows: list[Row], form: str) -> bytes:
    if form == "runs_json":
        return json.dumps({"runs": rows}).encode()
    columns = {"mlflow_csv": MLFLOW, "wandb_csv": WANDB, "runs_csv": OWN}[form]
    plain = form == "wandb_csv"
    return write_table(rows, columns, "{}" if plain else "params.{}", "{}" if plain else "metrics.{}")


STARTS = {"mlflow_csv": "2026-11-02 11:00:00.123000+00:00", "wandb_csv": "2026-11-02T11:00:00.000Z"}
STATUS = {"mlflow_csv": "FINISHED"}


@pytest.mark.parametrize("form", sorted(list_forms()))
def test_every_form_tells_the_same(form: str, toy: Hypothesis) -> None:
    more = {"status": STATUS.get(form, "finished"), "commit": "a" * 40}
    told = read_export(write(list_rows(SEEDS, STARTS.get(form, LATER), **more), form), form)
    link = Link(exports=(Export(name="runs", form=form, sha256="0" * 64),), commits=COMMITS)
    accounted = account(toy, SEEDS, SINCE, link, [told])
    expected = tell(toy, list_rows(SEEDS, LATER, commit="a" * 40))
    assert accounted.gaps == ()
    assert [one.metrics for one in accounted.replicas] == [one.metrics for one in expected.replicas]


def test_several_epochs_come_from_json_and_from_rows(tmp_path: Path) -> None:
    toy = make(tmp_path, results={"form": "csv", "file": "m.csv", "epochs": 2, "names": {"test_accuracy": "acc"}})
    rows = list_rows(SEEDS, LATER)
    for row in rows:
        row["metrics"] = {"acc": {"epochs": [1, 2], "value": [0.5, row["metrics"]["test_accuracy"]]}}
    by_json = tell(toy.hypothesis, rows)
    assert by_json.gaps == ()
    lines = ["run,seed,started,params.alpha,epoch,metrics.acc"]
    for row in rows:
        for epoch, value in zip((1, 2), row["metrics"]["acc"]["value"], strict=True):
            lines.append(f"{row['run']},{row['seed']},{LATER},{row['parameters']['alpha']},{epoch},{value!r}")
    link = Link(exports=(Export(name="runs", form="runs_csv", sha256="0" * 64),))
    by_rows = account(toy.hypothesis, SEEDS, SINCE, link, [read_export("\n".join(lines).encode(), "runs_csv")])
    assert [one.metrics for one in by_rows.replicas] == [one.metrics for one in by_json.replicas]
    last = list_rows(SEEDS, LATER)  # a tracker's table has no others
    for row in last:
        row["metrics"] = {"acc": 0.5}
    assert tell(toy.hypothesis, last).gaps[0] == "strong, seed 0: its results have no test_accuracy at epoch 1"


def test_a_real_export_of_mlflow_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Hypothesis) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("pandas")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'mlruns'}")
    for row in list_rows(SEEDS, LATER):
        with mlflow.start_run():
            mlflow.log_params({"seed": row["seed"], **row["parameters"]})
            mlflow.log_metrics(row["metrics"])
    mlflow.search_runs(search_all_experiments=True).to_csv(tmp_path / "runs.csv", index=False)
    link = Link(exports=(Export(name="runs.csv", form="mlflow_csv", sha256="0" * 64),), commits=COMMITS)
    told = [run._replace(commit=None) for run in read_export((tmp_path / "runs.csv").read_bytes(), "mlflow_csv")]
    accounted = account(toy, SEEDS, SINCE, link, [told])
    assert accounted.gaps == ()
    expected = tell(toy, list_rows(SEEDS, LATER))
    assert [one.metrics for one in accounted.replicas] == [one.metrics for one in expected.replicas]


def damage(form: str) -> Iterator[bytes]:
    """Yield exports of another shape, and damaged ones."""
    chance = random.Random(1)
    others: list[Any] = [None, 1, [], {}, {"runs": []}, {"runs": 1}, {"runs": [1]}, {"runs": [{"metrics": 1}]},
                         {"runs": [{"other": 1}]}, {"runs": [{"run": 1}]}]  # fmt: skip
    yield from (json.dumps(other).encode() for other in others)
    yield from (b"", b"[" * 100_000, b"\xff\xfe", b"a,a\n1,2\n", b"a\n1,2\n", b'{"runs": [NaN]}', b"run,seed,started\n")
    yield b"run,seed,started,odd\n1,2,3,4\n"
    yield b"run,seed,started,params.a\n1,2,3,4\n1,2,3,5\n"
    yield b"run,seed,started,metrics.a\n1,2,3,4\n1,2,3,5\n"
    raw = write(list_rows(SEEDS, LATER), form)
    for _ in range(40):
        at = chance.randrange(len(raw))
        yield raw[:at] + chance.randbytes(2) + raw[at + 2 :]
        yield raw[:at]


@pytest.mark.parametrize("form", sorted(list_forms()))
def test_bytes_that_no_tool_writes_give_an_account_or_one_sentence(form: str, toy: Hypothesis) -> None:
    said = []
    for raw in damage(form):
        try:
            told = read_export(raw, form)
        except BadResults as error:
            said.append(str(error))
            continue
        link = Link(exports=(Export(name="runs", form=form, sha256="0" * 64),), commits=COMMITS)
        accounted = account(toy, SEEDS, SINCE, link, [told])
        assert len(accounted.replicas) == 6
        assert len(accounted.told.runs) == len(told)
        accounted.told.model_dump_json().encode()
    assert len(said) > 20
    assert all(len(why) < 400 and "\n" not in why for why in said)
