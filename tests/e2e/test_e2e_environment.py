"""The user's environment neither stops nor changes a run: results, verdict and figures are those of a plain one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import PATIENCE
from tests.e2e.environments import (
    ALL,
    FILE_SYSTEM,
    LINKS,
    LOCKS,
    SYNC,
    TOGETHER,
    Surroundings,
    combined,
    lacking,
    missing,
    start,
)
from tests.e2e.projects import TINY, Project, make_project
from tests.once import made_once

RUN = ("run", "hypotheses/tiny.yaml", "--device", "cpu")
SMALL = TINY.replace("epochs: 8", "epochs: 2").replace("seeds: {count: 6}", "seeds: {count: 5}")
SMALL = SMALL.replace("title: BP beats", "title: ≥ BP − “beats”").replace("  save: [weights]\n", "")


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a registration, so that every run of a copy has the same seeds."""

    def make(root: Path) -> None:
        assert make_project(root, SMALL).harness("register", "hypotheses/tiny.yaml").returncode == 0

    return made_once(tmp_path_factory, "environment", make)


@pytest.fixture(scope="session")
def plain(registered: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run of it as nothing stands in its way."""

    def make(root: Path) -> None:
        shutil.copytree(registered, root)
        ran = Project(root).harness(*RUN)
        assert ran.returncode == 0, ran.stderr

    return Project(made_once(tmp_path_factory, "plain", make))


def judged(root: Path) -> dict[str, str]:
    """The files of the only run, times and its name aside; env.json tells what it ran on.

    Aside, too, what the page tells of other people's code that was loaded: here sitecustomize, which takes things away.
    """
    (results,) = root.glob("verdicts/tiny/*/results.json")
    run = results.parent
    files = {}
    for path in run.rglob("*"):
        if path.is_file() and path.name != "env.json":
            text = path.read_bytes().decode().replace(run.name, "RUN")
            text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
            text = re.sub(r'"training": [\d.e-]+', '"training": TIME', text)
            text = re.sub(r"\| Other packages \|.*\n", "", text)
            text = re.sub(r'"loaded": \{(?:[^{}]|\{[^{}]*\})*\}', '"loaded": PACKAGES', text)
            files[path.relative_to(run).as_posix()] = re.sub(r"\| Time \|.*", "| TIME |", text)
    return files


def ran_in(
    around: Surroundings, registered: Path, tmp_path: Path, *arguments: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    root, beside = tmp_path / around.folder, tmp_path / "beside"
    (beside / ("d" * 120)).mkdir(parents=True)
    (beside / "sitecustomize.py").write_text(FILE_SYSTEM)
    shutil.copytree(registered, root)
    for prepare in around.prepare:
        prepare(root)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    command = [sys.executable, *around.python, "-m", "harness", *(arguments or RUN)]
    return root, start(
        command, root, beside, around, inherited | {"OMP_NUM_THREADS": "2"}
    )  # so that processes are started


def noticed(around: Surroundings, registered: Path, plain: Project, folder: Path) -> list[str]:
    """What a run in these surroundings did otherwise than the plain one."""
    root, ran = ran_in(around, registered, folder)
    if ran.returncode:
        return [f"exit code {ran.returncode}", ran.stdout, ran.stderr]
    here, usual = judged(root), judged(plain.root)
    found = [f"{name} differs" for name in sorted(here.keys() | usual.keys()) if here.get(name) != usual.get(name)]
    found += [f"{said!r} is said {ran.stderr.count(said)} times" for said in around.says if ran.stderr.count(said) != 1]
    found += [word for word in ("Traceback", "defect") if word in ran.stderr]
    if ran.stderr.count("note: ") != len(around.says):
        found.append("other notes than expected")
    found += [f"an event: {event}" for event in Project(root).events("run_failed")]
    found += [f"left over: {path}" for path in root.glob("verdicts/**/*.held")]
    return [*found, ran.stderr] if found else []


def test_every_environment_is_tried_once() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(ALL)


@pytest.mark.skipif(os.name == "nt", reason="the environments are those of a POSIX shell")
@pytest.mark.parametrize("names", TOGETHER, ids=" + ".join)
def test_a_run_does_not_notice(names: tuple[str, ...], registered: Path, plain: Project, tmp_path: Path) -> None:
    """Several environments at a time, for a run takes seconds; if one of them is noticed, each alone says which."""
    lacking_here = {name: why for name in names if (why := missing(ALL[name])) is not None}
    names = tuple(name for name in names if name not in lacking_here)
    if not names:
        pytest.skip(", ".join(lacking_here.values()))
    found = noticed(combined(names), registered, plain, tmp_path / "together")
    if found and len(names) > 1:
        alone = {name: noticed(ALL[name], registered, plain, tmp_path / str(at)) for at, name in enumerate(names)}
        culprits = {name: told for name, told in alone.items() if told} or "none of them alone"
        pytest.fail("\n".join(found) + f"\n\nnoticed: {culprits}")
    assert not found, "\n".join(found)


def without_matplotlib(folder: Path) -> dict[str, str]:
    """Variables under which matplotlib can't be loaded, as where its compiled parts don't fit the machine."""
    folder.mkdir()
    (folder / "matplotlib.py").write_text("raise ImportError('libfreetype.so.6: cannot open shared object file')\n")
    return {"PYTHONPATH": str(folder)}


def test_a_figure_that_cannot_be_drawn_withholds_no_verdict(registered: Path, plain: Project, tmp_path: Path) -> None:
    project = Project(Path(shutil.copytree(registered, tmp_path / "project")))
    ran = project.harness(*RUN, **without_matplotlib(tmp_path / "broken"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("libfreetype.so.6") == 1  # of six figures: said once
    (run,) = project.runs()
    undrawn = json.loads((run / "env.json").read_text(encoding="utf-8"))["undrawn"]
    assert set(undrawn) == {name for name in judged(plain.root) if name.endswith(".svg")} != set()
    page = (run / "verdict.md").read_text(encoding="utf-8")
    assert "figures/margin.svg`" in page and f"harness reverdict {run.name} --figures" in page
    assert "](figures/" not in page  # no picture that is not there
    (verdict,) = project.events("verdict")
    assert set(verdict["body"]["files"]) == {"env.json", "results.json", "verdict.json", "verdict.md"}
    assert (run / "results.json").read_bytes() == (plain.runs()[0] / "results.json").read_bytes()

    assert "the same to the byte" in project.harness("reverdict", "tiny").stderr
    expected = plain.harness("audit", "--recompute").returncode  # 5: there is no git history to compare with
    audited = project.harness("audit", "--recompute")
    assert audited.returncode == expected and "FAIL" not in audited.stdout, audited.stdout
    later = project.harness("reverdict", "tiny", "--figures")
    assert later.returncode == 0 and "drawn now, which the run did without: figures/" in later.stderr
    drawn = {path.name: path.read_bytes() for path in run.glob("figures/*.svg")}
    assert drawn == {path.name: path.read_bytes() for path in plain.runs()[0].glob("figures/*.svg")}
    again = project.harness("audit", "--recompute")
    assert again.returncode == expected and "FAIL" not in again.stdout, again.stdout


def test_a_pilot_without_figures(registered: Path, tmp_path: Path) -> None:
    project = Project(Path(shutil.copytree(registered, tmp_path / "project")))
    ran = project.harness(*RUN, "--pilot", **without_matplotlib(tmp_path / "broken"))
    assert ran.returncode == 0, ran.stderr
    (page,) = project.root.glob("verdicts/tiny/pilot-*/verdict.md")
    assert "](figures/" not in page.read_text(encoding="utf-8")


def test_a_figure_that_was_asked_for_says_why_it_is_not_there(plain: Project, tmp_path: Path) -> None:
    ran = plain.harness("reverdict", "tiny", "--figures", **without_matplotlib(tmp_path / "broken"))
    assert ran.returncode == 1
    assert "the figure could not be drawn: ImportError: libfreetype" in ran.stderr and "defect" not in ran.stderr


VERBS = (
    ("list", "--format", "json"), ("show", "tiny"), ("reverdict", "tiny"), ("reverdict", "tiny", "--criterion", "all"),
    ("audit", "--recompute"), ("explain", "dfa", "--format", "json"), ("check",),
    ("plan", "hypotheses/tiny.yaml", "--measure"), ("run", "--help"),
)  # fmt: skip
HARD = {
    "ascii": {"PYTHONIOENCODING": "ascii", "TERMINAL_WIDTH": "wide", "COLUMNS": "1"},
    "cp1252, -OO": {"PYTHONIOENCODING": "cp1252", "PYTHONOPTIMIZE": "2"},
    "no folder to write to": {"HOME": "/proc/none", "HARNESS_CACHE": "/proc/none", "TMPDIR": "/proc/none"},
}


VERB_BY_VERB = """
import importlib, json, os, pkgutil, runpy, sys
import harness.cli, harness.pipeline

for module in pkgutil.iter_modules(harness.pipeline.__path__):
    if module.name != "preload":
        importlib.import_module(f"harness.pipeline.{module.name}")
for at, verb in enumerate(json.loads(sys.argv[1])):
    if (child := os.fork()) == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[2]}/{at}.{name}", os.O_WRONLY | os.O_CREAT, 0o600), number)
        sys.argv = ["harness", *verb]
        runpy.run_module("harness.cli", run_name="__main__", alter_sys=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Starts once with variables that count from Python's start on, loads what verbs share, and forks each verb."""


@pytest.fixture(scope="session")
def usual(plain: Project) -> dict[tuple[str, ...], subprocess.CompletedProcess[str]]:
    return {verb: plain.harness(*verb) for verb in VERBS}


@pytest.mark.parametrize("name", HARD)
def test_every_verb_says_what_it_has_to_say(
    name: str, plain: Project, usual: dict[tuple[str, ...], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    variables = HARD[name]
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    command = [sys.executable, "-c", VERB_BY_VERB, json.dumps(VERBS), str(tmp_path)]
    environment = plain.environment(**variables)
    hard = subprocess.run(command, cwd=plain.root, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    codes = hard.stdout.split()
    assert len(codes) == len(VERBS), hard.stderr
    for at, (verb, code) in enumerate(zip(VERBS, codes, strict=True)):
        said, noted = ((tmp_path / f"{at}.{stream}").read_bytes().decode(encoding) for stream in ("out", "err"))
        assert int(code) == usual[verb].returncode, (verb, noted)
        assert "defect" not in noted and "Traceback" not in noted, verb
        if verb[-1] == "json":
            assert json.loads(said) == json.loads(usual[verb].stdout), verb
        elif encoding == "utf-8" and "--measure" not in verb:
            assert said == usual[verb].stdout, verb


def test_a_page_is_printed_to_the_byte(plain: Project) -> None:
    command = plain.command("show", "tiny", "--raw")
    environment = plain.environment(PYTHONIOENCODING="cp1252")
    ran = subprocess.run(command, cwd=plain.root, env=environment, capture_output=True, check=True)
    assert ran.stdout == (plain.runs()[0] / "verdict.md").read_bytes()


REFUSED = {
    "a logger": ("run", {"TORCH_LOGS": "garbage"}, "error: TORCH_LOGS: torch can't be loaded"),
    "help instead of a run": ("run", {"TORCH_LOGS": "help"}, "error: TORCH_LOGS: torch can't be loaded"),
    "a switch": ("plan", {"PYTORCH_JIT": "perhaps"}, "error: PYTORCH_JIT: torch can't be loaded"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_variable_that_a_library_cannot_take_is_named(kind: str, registered: Path, tmp_path: Path) -> None:
    """It stops the library as it is loaded; what trains beside says nothing of its own."""
    verb, variables, told = REFUSED[kind]
    root = tmp_path / "project"
    shutil.copytree(registered, root)
    before = everything(root)
    ran = Project(root).harness(verb, "hypotheses/tiny.yaml", OMP_NUM_THREADS="2", **variables)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith(told) and "→ unset " in ran.stderr
    assert ran.stderr.count("\n") == 2 and "defect" not in ran.stderr and not ran.stdout
    assert everything(root) == before


def test_a_library_that_is_broken_or_missing_is_named(registered: Path, tmp_path: Path) -> None:
    project = Project(registered)
    for name, text, told in (
        (
            "safetensors.py",
            "raise RuntimeError('its settings are odd')",
            "safetensors can't be loaded here: RuntimeErr",
        ),
        ("sitecustomize.py", "import sys; sys.modules['safetensors'] = None", "safetensors is not installed here"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(text)
        ran = project.harness("run", "hypotheses/tiny.yaml", "--device", "cpu", PYTHONPATH=str(folder))
        assert ran.returncode == 2 and f"error: {told}" in ran.stderr and "defect" not in ran.stderr, ran.stderr


def test_the_doctor_names_the_variable_and_goes_on(registered: Path) -> None:
    ran = Project(registered).harness("doctor", "--format", "json", TORCH_LOGS="garbage")
    found = findings(ran)
    assert ran.returncode == 2 and found["device"]["state"] == "broken"
    assert found["device"]["found"].startswith("TORCH_LOGS: torch can't be loaded") and "trail: lock" in found


def everything(root: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def findings(ran: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {finding["what"]: finding for finding in json.loads(ran.stdout)}


def test_the_doctor_tries_what_a_run_does_and_leaves_nothing(plain: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(plain.root, root)
    before = everything(root)
    cache = str(tmp_path / "cache")  # whoever runs this may have no home
    found = findings(Project(root).harness("doctor", "--device", "cpu", "--format", "json", HARNESS_CACHE=cache))
    tried = {
        "trail: write and rename", "trail: new event", "trail: lock", "cache: write", "temporary files",
        "training process", "figure", "output",
    }  # fmt: skip
    assert {what: found[what]["state"] for what in tried} == dict.fromkeys(tried, "works")
    assert everything(root) == before


def test_the_doctor_makes_no_trail(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    found = findings(Project(tmp_path).harness("doctor", "--device", "cpu", "--format", "json"))
    assert found["trail: new event"]["state"] == "works"
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_the_doctor_says_what_is_done_without(registered: Path, tmp_path: Path) -> None:
    around = lacking("links modes sync locks")
    around.set.update({"MPLBACKEND": "nonsense", "PYTHONIOENCODING": "cp1252", "HARNESS_CACHE": "/proc/none"})
    _, ran = ran_in(around, registered, tmp_path, "doctor", "--device", "cpu", "--format", "json")
    found = findings(ran)
    assert ran.returncode == 0, ran.stdout
    for what, note in (("trail: write and rename", SYNC), ("trail: new event", LINKS), ("trail: lock", LOCKS)):
        assert found[what]["state"] == "note" and note.removeprefix("note: ") in found[what]["found"]
        assert found[what]["remedy"]
    assert found["figure"]["state"] == "works"
    assert found["cache: write"]["state"] == "note" and "decoded again by every run" in found["cache: write"]["found"]
    assert found["output"]["state"] == "note" and "cp1252" in found["output"]["found"]
    assert "note: " not in ran.stderr


def test_the_doctor_says_that_no_figure_can_be_drawn(registered: Path, tmp_path: Path) -> None:
    project = Project(registered)
    found = findings(project.harness("doctor", "--format", "json", **without_matplotlib(tmp_path / "broken")))
    assert found["figure"]["state"] == "note" and "libfreetype" in found["figure"]["found"]
