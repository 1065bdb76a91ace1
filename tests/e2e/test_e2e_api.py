"""The public face for notebooks and scripts: it says what the files say, loads what it needs, and is the verbs' own."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.errors import InvalidHypothesis, UsageError
from tests.e2e.commands import PATIENCE
from tests.e2e.projects import REPOSITORY, Project, make_project

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def verdict(finished: Project) -> api.Verdict:
    return api.open_verdict("tiny", project=finished.root)


def flatten(results: dict[str, Any]) -> list[tuple[Any, ...]]:
    """results.json as rows, as somebody else would read it."""
    rows = []
    for replica in results["replicas"]:
        for metric, series in replica["metrics"].items():
            for summary, epochs in series["values"].items():
                for epoch, layers in zip(series["epochs"], epochs, strict=True):
                    for layer, value in enumerate(layers):
                        rows.append((replica["arm"], replica["seed"], metric, summary, epoch, layer, value))
    return rows


def test_a_verdict_says_what_its_files_say(verdict: api.Verdict, finished: Project) -> None:
    (folder,) = finished.runs()
    stored = json.loads((folder / "verdict.json").read_text())
    decision = stored["decision"]["decisions"][0]
    assert verdict.run == folder.name and verdict.folder.samefile(folder)
    assert (verdict.outcome, verdict.predicted) == (stored["outcome"], "better")
    assert verdict.as_predicted is (stored["outcome"] == "better")
    assert verdict.summary == stored["decision"]["summary"] and verdict.p == stored["decision"]["p"]
    one = verdict.decisions["margin"]
    assert one.outcome == decision["outcome"] and one.estimate == decision["estimand"]["mean"]
    assert one.interval == (None if decision["interval"] is None else tuple(decision["interval"]))
    assert set(verdict.estimates) == set(stored["estimates"])
    assert verdict.page == (folder / "verdict.md").read_text()
    assert api.list_verdicts(project=finished.root / "hypotheses") == (folder.name,)


def test_runs_deviate_here_as_for_all_other_readers() -> None:
    listed = json.loads(Project(REPOSITORY).harness("list", "--format", "json").stdout)
    deviates = {attempt["run"]: attempt["deviates"] for row in listed for attempt in row["attempts"]}
    runs = api.list_verdicts(project=REPOSITORY)
    assert len(runs) > 3
    for run in runs:
        assert bool(api.open_verdict(run, project=REPOSITORY).deviations) is deviates[run], run


def test_tables_hold_every_number_once_as_rows_and_as_data_frames(verdict: api.Verdict, finished: Project) -> None:
    (folder,) = finished.runs()
    expected = flatten(json.loads((folder / "results.json").read_text()))
    table = verdict.measurements()
    found = [(r.arm, r.seed, r.metric, r.summary, r.epoch, r.layer or 0, r.value) for r in table]
    assert found == expected and len(table) == len(expected) > 100
    assert {row.layer is None for row in table if row.metric == "test_accuracy"} == {True}
    assert {row.layer for row in table if row.metric == "gradient_norm"} == {0, 1, 2}
    assert {row.hypothesis for row in table} == {"tiny"} and {row.run for row in table} == {folder.name}
    frame = table.to_pandas()
    assert list(frame.columns) == [column.name for column in table.columns] == list(table.to_dicts()[0])
    values = [None if math.isnan(value) else value for value in frame["value"]]
    assert values == [row.value for row in table]
    assert frame["seed"].tolist() == [row.seed for row in table]
    assert frame["layer"].isna().tolist() == [row.layer is None for row in table]

    seeds = verdict.estimands()
    stored = json.loads((folder / "verdict.json").read_text())["estimates"]
    for name, result in stored.items():
        values = [one["value"] for one in result["values"]]
        assert [row.value for row in seeds if row.estimand == name] == values
    assert {row.role for row in seeds} == {"decision", "guard", "exploratory"}
    assert len(seeds.to_pandas()) == sum(len(result["values"]) for result in stored.values())
    for one in (table, seeds):
        explained = {row["column"] for row in one.dictionary}
        assert explained == {column.name for column in one.columns}
        assert all(row["meaning"] for row in one.dictionary)


def test_figures_are_matplotlibs_and_the_stored_ones(verdict: api.Verdict, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figures = verdict.figures()
    assert all(isinstance(figure, Figure) and figure.axes for figure in figures.values())
    drawn = {path.stem for path in verdict.folder.glob("figures/*.svg")}
    assert set(figures) == drawn
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_notebooks_show_objects_and_obey_nothing_in_them(finished: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(finished.root, root)
    project = Project(root)
    shutil.copy(root / "hypotheses/tiny.yaml", root / "hypotheses/other.yaml")
    project.edit("id: tiny", "id: other", "other.yaml")
    project.edit("title: BP beats frozen blocks on a few digits", f'title: "{HOSTILE}"', "other.yaml")
    file = api.load(root / "hypotheses/other.yaml")
    verdict = api.open_verdict("tiny", project=root)
    shown = [
        file, file.check(), file.plan(device="cpu"), file.power(sd=2.0), verdict, verdict.decisions["margin"],
        verdict.measurements(), verdict.estimands(),
    ]  # fmt: skip
    for one in shown:
        text = one._repr_html_()
        opened = re.findall(r"<(p|div|b|table|thead|tbody|tr|t[dh])\b", text)
        assert [text.count(f"<{tag}>") + text.count(f"<{tag} ") for tag in set(opened)] == [
            text.count(f"</{tag}>") for tag in set(opened)
        ]
        assert HOSTILE not in text and repr(one).startswith("<")
    assert "&lt;script&gt;" in file._repr_html_()
    assert verdict.outcome in verdict._repr_html_() and "data:image/svg+xml" in verdict._repr_html_()


def test_the_verbs_use_the_same_functions(finished: Project) -> None:
    file = finished.root / "hypotheses/tiny.yaml"
    said = finished.harness("power", "hypotheses/tiny.yaml", "--sd-from", "tiny", "--format", "json")
    printed = finished.harness("plan", "hypotheses/tiny.yaml", "--device", "cpu", "--format", "json")
    checked = finished.harness("check", "hypotheses", "--format", "json")
    found = json.loads(checked.stdout)
    if said.returncode == 0:  # a run without any spread says nothing about power, which the API says too
        assert api.power(file, sd_from="tiny").report.to_json() == said.stdout
    else:
        with pytest.raises(UsageError):
            api.power(file, sd_from="tiny")
    plan = json.loads(printed.stdout)
    preview = api.plan(file, device="cpu")
    assert (plan["steps"], plan["memory_bytes"]) == (preview.preview.estimate.steps, preview.memory_bytes)
    report = api.check(finished.root / "hypotheses")
    assert [one["message"] for one in found] == [one.message for one in report.findings]


def test_mistakes_are_the_errors_of_the_command_line(finished: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no verdict on 'nothing'"):
        api.open_verdict("nothing", project=finished.root)
    with pytest.raises(UsageError, match="no folder"):
        api.open_verdict("tiny", project=finished.root, verdicts=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not a standard deviation"):
        api.power(finished.root / "hypotheses/tiny.yaml", sd=0)
    project = make_project(tmp_path / "wrong")
    project.edit("epochs: 8", "epoks: 8")
    with pytest.raises(InvalidHypothesis, match="epoks"):
        api.load(project.root / "hypotheses/tiny.yaml")
    report = api.check(project.root / "hypotheses")
    assert not report and "epoks" in report._repr_html_()


WRONG: tuple[tuple[str, Callable[[Path], object], str, str], ...] = (
    ("a run without quotes", lambda _: api.open_verdict(65), "name has to be a text; it is 65, of type int",  # type: ignore[arg-type]
     "write it in quotes: '65'"),
    ("a number in quotes", lambda file: api.power(file, sd="1.5"), "sd has to be a number", "write it without quotes"),  # type: ignore[arg-type]
    ("text in a mapping", lambda file: api.power(file, sd={"margin": "1"}), "a number for each decision", "a number"),  # type: ignore[dict-item]
    ("one effect", lambda file: api.power(file, sd=1, effects=1.5), "effects has to be a list of numbers; it is 1.5",  # type: ignore[arg-type]
     "put it into a list: [1.5]"),
    ("effects as text", lambda file: api.power(file, sd=1, effects="0.5"), "effects has to be a list", "give a list"),  # type: ignore[arg-type]
    ("texts in effects", lambda file: api.power(file, sd=1, effects=[0.5, "1"]), "'1' in it is of type str", "without"),  # type: ignore[list-item]
    ("no path", lambda _: api.load(None), "file has to be a path", "give the path"),  # type: ignore[arg-type]
    ("a path of bytes", lambda _: api.load(b"x.yaml"), "file has to be a path", "give the path"),  # type: ignore[arg-type]
    ("files in a list", lambda file: api.check([file]), "paths has to be a path", "give the path"),  # type: ignore[arg-type]
    ("a loaded file", lambda file: api.plan(api.load(file)), "file has to be a path", "give the path"),  # type: ignore[arg-type]
    ("a device by its number", lambda file: api.plan(file, device=0), "device has to be a text", "'0'"),  # type: ignore[arg-type]
    ("a flag as text", lambda file: api.run(file, resume="no"), "resume has to be True or False", "True"),  # type: ignore[arg-type]
    ("exports in a list", lambda file: api.explore(file, ["runs.json"]), "exports has to be a path", "give the path"),  # type: ignore[arg-type]
    ("no function", lambda file: api.run(file, say=True), "say has to be a function", "print"),  # type: ignore[arg-type]
    ("two runs", lambda file: api.compare("tiny", 65, project=file.parent), "second has to be a text", "'65'"),  # type: ignore[arg-type]
    ("no format", lambda file: api.export("tiny", None, "x", project=file.parent), "form has to be a text", "quotes"),  # type: ignore[arg-type]
    ("no such folder", lambda _: api.list_verdicts(project="nowhere"), "there is no such folder", "name a folder"),
    ("no trail", lambda file: api.list_verdicts(verdicts=file.parent), "there is no trail of verdicts", "verdicts=…"),
)  # fmt: skip


@pytest.mark.parametrize(("use", "told", "remedy"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_argument_of_a_wrong_type_gets_one_error_of_harness_s_own(
    use: Callable[[Path], object], told: str, remedy: str, finished: Project
) -> None:
    before = sorted(finished.root.rglob("*"))
    with pytest.raises(UsageError) as raised:
        use(finished.root / "hypotheses/tiny.yaml")
    assert told in raised.value.message and raised.value.where, raised.value
    assert remedy in (raised.value.remedy or ""), raised.value
    assert sorted(finished.root.rglob("*")) == before


def test_arguments_of_other_libraries_are_taken(finished: Project, verdict: api.Verdict) -> None:
    import numpy as np

    file = finished.root / "hypotheses/tiny.yaml"
    plain = api.power(file, sd=2.0, effects=[0.5]).report
    given: Any = np.float32(2.0), {"margin": np.int64(2)}
    for sd in given:
        for effects in ((one for one in np.array([0.5])), np.array([0.5])):
            assert api.power(file, sd=sd, effects=effects).report == plain
    with pytest.raises(UsageError, match="no figure 'margn', did you mean 'margin'"):
        verdict.figures("margn")


def run_script(text: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    command = [sys.executable, "script.py"]
    return subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=PATIENCE
    )


LOADED = """
import sys
import harness
before = set(sys.modules)
from harness import api
print(*sorted(set(sys.modules) - before))
verdict = api.open_verdict("tiny", project={root!r})
verdict.measurements().to_dicts(), verdict._repr_html_()
print(*sys.modules)
sys.modules["pandas"] = None  # as where it is not installed
try:
    verdict.measurements().to_pandas()
except Exception as error:
    print(type(error).__name__, str(error).replace(chr(10), " "))
"""


def test_only_what_is_needed_is_loaded(finished: Project, tmp_path: Path) -> None:
    ran = run_script(LOADED.format(root=str(finished.root)), tmp_path)
    assert ran.returncode == 0, ran.stderr
    at_once, in_the_end, missing = ran.stdout.splitlines()
    heavy = {"numpy", "pydantic", "yaml", "scipy", "torch", "matplotlib", "pandas", "rich", "typer", "jinja2"}
    assert set(at_once.split()) & heavy == set() and "harness.pipeline" not in at_once.split()
    assert set(in_the_end.split()) & {"torch", "matplotlib", "pandas", "polars", "pyarrow", "typer", "rich"} == set()
    assert missing.startswith("UsageError") and "prereg-harness[notebook]" in missing


def test_a_script_without_a_guard_trains_once_in_several_processes(tmp_path: Path) -> None:
    """Python would have each training process run the script that started it, from its first line."""
    project = make_project(tmp_path / "project")
    project.edit("epochs: 8", "epochs: 2")
    text = """
from harness import api
print("begun")
verdict = api.run("project/hypotheses/tiny.yaml", device="cpu", say=print)
print(verdict.run, verdict.outcome)
"""
    ran = run_script(text, tmp_path, OMP_NUM_THREADS="2")
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    assert ran.stdout.count("begun") == 1
    (folder,) = project.runs()
    outcome = json.loads((folder / "verdict.json").read_text())["outcome"]
    assert ran.stdout.splitlines()[-1] == f"{folder.name} {outcome}"


def test_the_tutorial_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient")
    notebook = nbformat.read(REPOSITORY / "docs/tutorial.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the tutorial is kept without outputs"
    patience = {"timeout": int(PATIENCE), "startup_timeout": int(PATIENCE)}
    client = nbclient.NotebookClient(notebook, **patience, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert not [output for output in shown if output.output_type == "error"]
    assert list(tmp_path.glob("*/verdicts/*/*/verdict.json"))
