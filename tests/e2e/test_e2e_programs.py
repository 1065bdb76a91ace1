"""Hypotheses that a program trains, from the file to the audit."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from harness import api
from harness.errors import UsageError
from harness.exporters._tracked import list_replicas, read_tracked
from harness.ledger import Ledger
from harness.pipeline.plan import Preview, preview_run
from harness.pipeline.project import Settings
from harness.pipeline.session import Session
from tests.e2e.programs import ProgramProject, copy_project, make_judged_project, make_program_project
from tests.e2e.projects import CLAIMS, TINY
from tests.once import made_once
from tests.unit.programs.toys import GOOD

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
FILE = "hypotheses/toy.yaml"


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose program was run and judged, all of it committed. Copy it before changing it."""
    return made_once(tmp_path_factory, "judged-program", make_judged_project)


@pytest.fixture
def project(judged: Path, tmp_path: Path) -> ProgramProject:
    return copy_project(judged, tmp_path)


def assert_sound(project: ProgramProject, *more: str) -> None:
    """Commit what was entered, and have it audited."""
    project.commit()
    audited = project.harness("audit", "--recompute", *more)
    assert audited.returncode == 0, audited.stdout


def test_a_program_is_judged_as_harness_s_own_arms_are(project: ProgramProject) -> None:
    results = json.loads((project.folder / "results.json").read_text())
    verdict = json.loads((project.folder / "verdict.json").read_text())
    (event,) = project.events("verdict")
    raw = json.loads((project.folder / "raw.json").read_text())
    values: dict[str, list[float]] = {"strong": [], "weak": []}
    assert len(results["replicas"]) == 6
    for one in results["replicas"]:
        text = raw[f"{one['arm']}-{one['seed_index']}"]
        assert one["raw"] == hashlib.sha256(text.encode()).hexdigest()
        (series,) = one["metrics"].values()
        assert series["values"]["value"] == [[json.loads(text)["metrics"]["test_accuracy"]]]
        values[one["arm"]] += series["values"]["value"][0]
    mean = 100 * (fmean(values["strong"]) - fmean(values["weak"]))
    (decision,) = verdict["decision"]["decisions"]
    assert decision["estimand"]["mean"] == pytest.approx(mean)
    assert event["body"]["outcome"] == verdict["decision"]["outcome"] == "worse"  # by 5 points, whatever the seeds
    assert event["body"]["files"]["raw.json"] == hashlib.sha256((project.folder / "raw.json").read_bytes()).hexdigest()
    page = (project.folder / "verdict.md").read_text()
    assert "Measured by the program itself" in page
    assert "harness saw its files, not its training" in page
    environment = json.loads((project.folder / "env.json").read_text())["program"]
    blob = project.git("rev-parse", "HEAD:toy.py").strip()
    assert environment["pins"]["trees"] == {"toy.py": blob, "uv.lock": project.git("rev-parse", "HEAD:uv.lock").strip()}
    for one in environment["replicas"]:
        log = project.folder / "logs" / f"{one['arm']}-{one['seed_index']}.log"
        assert one["log"] == hashlib.sha256(log.read_bytes()).hexdigest()
    assert not (project.folder / "work").exists()
    assert "logs" not in project.git("ls-files", "verdicts")


def test_it_is_judged_again_audited_and_replicated(project: ProgramProject) -> None:
    judged = project.harness("reverdict", "toy")
    assert "the same to the byte" in judged.stderr + judged.stdout, judged.stderr
    assert_sound(project)
    again = project.harness("replicate", "toy", "--yes")
    assert again.returncode == 0, again.stderr
    assert "the same results to the bit" in again.stdout
    assert "expected: the same bits" in again.stdout
    fresh = project.harness("replicate", "toy", "--fresh", "0123456789abcdef0123456789abcdef")
    assert fresh.returncode == 0, fresh.stderr
    assert "worse with seeds from the nonce" in fresh.stdout
    assert_sound(project, "--rerun", "toy")


def test_tables_and_trackers_call_a_metric_as_the_file_does(judged: Path) -> None:
    verdict = api.open_verdict("toy", project=judged)
    table = verdict.measurements()
    assert {row.metric for row in table} == {"test_accuracy"} and len(table) == 6
    explained = {row["value"]: row["meaning"] for row in table.dictionary if row["column"] in ("metric", "status")}
    assert explained["test_accuracy"] == "Test accuracy" and {"finished", "diverged", "failed"} <= set(explained)
    tracked = read_tracked("toy", Ledger(judged / "verdicts"))
    assert {name for one in list_replicas(tracked) for _, name, _ in one.points} == {"test_accuracy"}


def test_nothing_runs_unless_somebody_runs_it_and_the_first_time_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "it-ran"
    project = make_program_project(tmp_path / "project", f"open({str(mark)!r}, 'w')\n{GOOD}")
    for verb in (
        ["check"],
        ["plan", FILE],
        ["power", FILE, "--sd", "1"],
        ["register", FILE],
        ["list"],
        ["audit"],
        ["site", "../out"],
    ):
        project.commit()
        done = project.harness(*verb)
        assert done.returncode == 0, (verb, done.stderr)
        assert not mark.exists(), verb
    before = len(project.events())
    project.commit()
    refused = project.harness("run", FILE)
    assert refused.returncode == 2
    assert "weak: python3 toy.py 0.25" in refused.stderr
    assert "--yes" in refused.stderr
    assert not mark.exists()
    assert len(project.events()) == before
    monkeypatch.setenv("HARNESS_CACHE", project.environment()["HARNESS_CACHE"])
    with pytest.raises(UsageError, match="in Python: yes=True"):  # nor by a notebook
        api.run(project.root / FILE)
    assert not mark.exists()
    assert api.run(project.root / FILE, yes=True).record.outcome
    assert mark.exists()
    allowed = project.harness("run", FILE)  # another attempt, whose commands have run here
    assert allowed.returncode == 0, allowed.stderr
    project.commit()
    mark.unlink()
    for verb in (
        ["show", "toy"],
        ["reverdict", "toy"],
        ["audit", "--recompute"],
        ["badge", "../badge.svg"],
        ["paper", "toy", "--out", "../paper"],
        ["export", "toy", "--as", "csv", "--out", "../tables"],
        ["site", "../out"],
    ):
        done = project.harness(*verb)
        assert done.returncode == 0, (verb, done.stderr)
        assert not mark.exists(), verb


def answer(project: ProgramProject, word: bytes) -> tuple[int, str]:
    """Run at a terminal, where the question is answered after a second; return the exit code and what was shown."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        project.command("run", FILE),
        cwd=project.root,
        env=project.environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, asked = b"", False
    with suppress(OSError):  # as a terminal has it when nobody is left
        while data := os.read(ours, 4096):
            shown += data
            if not asked and b"Run them? [y/N]: " in shown:  # which may come in parts
                asked = True
                assert not select.select([ours], [], [], 1.0)[0], "the question stays, and nothing wipes it out"
                os.write(ours, word + b"\n")
    os.close(ours)
    return process.wait(), shown.decode()


def test_at_a_terminal_the_commands_are_shown_and_a_person_decides(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project")
    code, shown = answer(project, b"n")
    assert code == 2
    assert (
        shown.index("weak: python3 toy.py 0.25") < shown.index("Run them? [y/N]") < shown.index("nobody allowed them")
    )
    assert not project.root.joinpath("verdicts").exists() or project.events("run_started") == []
    code, shown = answer(project, b"y")
    assert code == 0, shown
    assert "as predicted" in shown
    allowed = project.harness("run", FILE)  # nobody is asked again
    assert allowed.returncode == 0, allowed.stderr


def test_no_secret_of_the_environment_is_in_the_trail_or_on_a_page(tmp_path: Path) -> None:
    script = "import os\nassert os.environ['API_TOKEN'] == 'hunter2-hunter2'\n"
    told = {"environment": ["API_TOKEN"]}
    project = make_program_project(tmp_path / "project", script + GOOD, program=told)
    ran = project.harness("run", FILE, "--yes", API_TOKEN="hunter2-hunter2", OTHER_TOKEN="hunter2-hunter2")
    assert ran.returncode == 0, ran.stderr
    assert "as predicted" in ran.stdout
    assert project.harness("site", "../site").returncode == 0
    pages = [path for folder in (project.root, tmp_path / "site") for path in folder.rglob("*") if path.is_file()]
    assert "API\\_TOKEN" in (project.folder / "verdict.md").read_text()  # the name alone
    assert [path for path in pages if b"hunter2" in path.read_bytes() and path.name != "toy.py"
            and ".git" not in path.parts] == []  # fmt: skip


def test_code_that_is_not_committed_or_not_the_registered_one_is_refused_by_name(project: ProgramProject) -> None:
    (project.root / "toy.py").write_text(GOOD + "# changed\n")
    (project.root / "helper.py").write_text("")
    before = len(project.events())
    refused = project.harness("run", FILE, "--yes")
    assert refused.returncode == 2
    assert "2 files of the program's code are not committed" in refused.stderr
    assert "changed: toy.py" in refused.stderr
    assert "new: helper.py" in refused.stderr
    project.commit()
    refused = project.harness("run", FILE, "--yes")
    assert refused.returncode == 2
    assert "the program of toy is not the one that was registered" in refused.stderr
    assert "toy.py: " in refused.stderr
    assert "helper.py: none → " in refused.stderr
    assert len(project.events()) == before
    amended = project.harness("amend", FILE, "--reason", "A comment.")
    assert amended.returncode == 0, amended.stderr
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "this run deviates" in ran.stderr
    assert_sound(project)


def test_inputs_and_the_lock_file_are_held_against_what_was_said(tmp_path: Path) -> None:
    data = b"1,2\n"
    (tmp_path / "data.csv").write_bytes(data)
    told = {"inputs": {"data": {"path": "../data.csv", "sha256": hashlib.sha256(data).hexdigest()}}}
    script = GOOD + "assert open(sys.argv[2]).read() == '1,2\\n'\n"
    told["command"] = ["python3", "toy.py", "{alpha}", "{input.data}"]  # type: ignore[assignment]
    project = make_program_project(tmp_path / "project", script, program=told)
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "not pinned" not in ran.stderr
    (tmp_path / "data.csv").write_bytes(b"3,4\n")
    refused = project.harness("run", FILE)
    assert refused.returncode == 2
    assert "../data.csv is not the file that the hypothesis names" in refused.stderr
    (tmp_path / "data.csv").write_bytes(data)
    (project.root / "uv.lock").write_text("other\n")
    project.commit()
    assert "the lock file: " in project.harness("run", FILE).stderr


def test_a_program_that_ignores_its_seed_makes_the_outcome_invalid(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project", GOOD.replace('int(os.environ["HARNESS_SEED"])', "7"))
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "toy: invalid" in ran.stdout
    assert "identical weights or measurements, so the seed was not applied" in ran.stdout


def test_a_seed_whose_program_failed_makes_the_outcome_invalid_and_is_named(tmp_path: Path) -> None:
    fails = "import os\nif os.environ['HARNESS_OUT'].endswith('weak-1/out'): print('no luck'); raise SystemExit(3)\n"
    project = make_program_project(tmp_path / "project", fails + GOOD)
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    log = project.folder.relative_to(project.root) / "logs/weak-1.log"
    assert f"weak, seed 1 failed: it ended with exit code 3; its output is in {log}" in " ".join(ran.stderr.split())
    assert (project.root / log).read_text() == "no luck\n"
    assert "Invalid: 1 of 3 seeds of Weak failed, and the file allows no outcome then." in ran.stdout
    assert "Weak, seed 1: it ended with exit code 3" in (project.folder / "verdict.md").read_text()
    rows = api.open_verdict("toy", project=project.root).measurements()
    assert [(row.arm, row.seed_index) for row in rows] == [
        (arm, seed) for arm in ("strong", "weak") for seed in range(3)
    ]
    assert [row.status for row in rows if row.value is None] == ["failed"]  # it is no missing seed
    tracked = list_replicas(read_tracked("toy", Ledger(project.root / "verdicts")))
    assert [(one.status, len(one.points)) for one in tracked].count(("failed", 0)) == 1
    assert project.harness("reverdict", "toy").returncode == 0
    again = project.harness("replicate", "toy", "--yes")
    assert "weak, seed 1 failed: it ended with exit code 3\n" in again.stderr, "its output is removed at the end"
    assert_sound(project)


def test_every_program_may_fail_at_every_seed(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project", "raise SystemExit(1)")
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "toy: invalid" in ran.stdout
    assert project.harness("reverdict", "toy").returncode == 0
    assert project.harness("site", "../out").returncode == 0
    rows = api.open_verdict("toy", project=project.root).measurements()
    assert {(row.metric, row.status, row.value) for row in rows} == {("test_accuracy", "failed", None)}


def test_a_failed_seed_may_count_as_the_worst(tmp_path: Path) -> None:
    fails = "import os\nif os.environ['HARNESS_OUT'].endswith('weak-1/out'): raise SystemExit(3)\n"
    bands = {"worse": "[0, 50)", "similar": "[50, 60]", "better": "(60, 100]"}
    project = make_program_project(
        tmp_path / "project",
        fails + GOOD,
        metrics={"test_accuracy": {"bounds": [0, 1], "worst": 0.0}},
        estimands={"margin": {"metric": "test_accuracy", "arm": "weak", "unit": "pp"}},
        exclusions={"failed": "worst_case"},
        decisions={"margin": {"estimand": "margin", "criterion": {"name": "t"}, "bands": bands}},
        prediction={"outcome": "worse", "why": "It fails."},
    )
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    (decision,) = json.loads((project.folder / "verdict.json").read_text())["decision"]["decisions"]
    values = [one["value"] for one in decision["estimand"]["values"]]
    assert values[1] == 0
    assert min(values[0], values[2]) > 80
    assert decision["status"] == "tested"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """What was sealed is not run again: each replica notes that it ran."""
    ran, go = tmp_path / "ran", tmp_path / "go"
    ran.mkdir()
    waits = (
        "import os, pathlib, time, uuid\n"
        "name = pathlib.Path(os.environ['HARNESS_OUT']).parent.name\n"
        f"pathlib.Path({str(ran)!r}, f'{{name}}.{{uuid.uuid4()}}').touch()\n"
        f"while name == 'weak-1' and not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    )
    project = make_program_project(tmp_path / "project", waits + GOOD, seeds={"list": [3, 5, 7]})
    process = project.start("run", FILE, "--yes", "--parallel", "1")
    while not any(path.name.startswith("weak-1.") for path in ran.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    go.touch()
    again = project.harness("run", FILE, "--parallel", "2")
    assert again.returncode == 0, again.stderr
    counts = {name: sum(path.name.startswith(f"{name}.") for path in ran.iterdir()) for name in ("strong-0", "weak-1")}
    assert counts == {"strong-0": 1, "weak-1": 2}
    page = json.loads((project.folder / "env.json").read_text())
    (begun,) = [one for one in page["program"]["replicas"] if (one["arm"], one["seed_index"]) == ("weak", 1)]
    assert begun["repeated"] == ["harness ended before it did"]
    whole = project.harness("run", FILE, "--no-resume")
    assert whole.returncode == 0, whole.stderr
    first, second = {path.read_bytes() for path in project.root.glob("verdicts/toy/*/results.json")}, page
    assert len(first) == 1, second["run"]
    assert_sound(project)


def test_looks_stop_a_program_s_run_when_they_decide(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project", stopping={"kind": "looks", "at": [3, 6]}, seeds={"count": 6})
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    results = json.loads((project.folder / "results.json").read_text())
    assert len(results["replicas"]) == 6  # of two arms, three seeds: 5 points lie far beyond the first look
    assert_sound(project)


def test_options_that_change_nothing_are_refused(project: ProgramProject) -> None:
    for option in (["--device", "cpu"], ["--data", "."], ["--compile", "off"]):
        refused = project.harness("run", FILE, "--yes", *option)
        assert refused.returncode == 2
        assert "has no effect: a program trains" in refused.stderr


def test_a_pilot_of_a_program_gives_no_outcome(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project")
    ran = project.harness("run", FILE, "--pilot", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "pilot, no outcome" in ran.stdout
    assert project.events("run_started") == []


def test_a_plan_takes_as_long_as_a_run_with_its_options_may(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project")
    variables = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4"}

    def preview(**told: Any) -> Preview:
        return preview_run(project.root / FILE, Session.open(project.root / FILE, Settings(**told)))

    for told, at_a_time in (
        ({"parallel": 1}, 1),
        ({"parallel": 4}, 4),
        ({"parallel": 4, "gpus": 2, "variables": variables}, 2),
        ({"parallel": 1, "gpus": 1, "variables": variables}, 1),
    ):
        seen = preview(**told)
        assert (seen.parallel, seen.longest_seconds) == (at_a_time, -(-6 // at_a_time) * 60), told
    with pytest.raises(UsageError, match="each replica is to have 6, and there are 5 cards here"):
        preview(gpus=6, variables=variables)
    shown = project.harness("plan", FILE, "--parallel", "3")
    assert "each replica runs by itself, 3 at a time; all of them take at most 2 min on this machine" in shown.stdout


def test_programs_are_planned_and_run_among_other_hypotheses_of_a_folder(tmp_path: Path) -> None:
    """They share no cohort with others, and are planned without a time of their own."""
    project = make_program_project(tmp_path / "project", program={"code": {"git": ["toy.py"]}})
    text = (project.root / FILE).read_text()
    (project.root / "hypotheses/other.yaml").write_text(text.replace("id: toy", "id: other"))
    (project.root / "hypotheses/tiny.yaml").write_text(TINY.replace("epochs: 8", "epochs: 2"))
    (project.root / "hypotheses/claims.yaml").write_text(CLAIMS)
    planned = project.harness("plan", "hypotheses", "--parallel", "2")
    assert planned.returncode == 0, planned.stderr
    assert "toy trains alone: a program trains it" in planned.stdout
    for verb in ("plan", "run"):
        refused = project.harness(verb, "hypotheses/tiny.yaml", "--parallel", "2")
        assert refused.returncode == 2
        assert "has no effect: harness trains the replicas of this file as one program" in refused.stderr
    ran = project.harness("run", "hypotheses", "--together", "--yes", "--parallel", "2")
    assert ran.returncode == 0, ran.stderr
    assert {path.parent.parent.name for path in project.root.glob("verdicts/*/*/verdict.json")} == {
        "toy", "other", "tiny"
    }  # fmt: skip


EVENTS = """\
import os, pathlib, random, struct, sys
alpha, seed = float(sys.argv[1]), int(os.environ["HARNESS_SEED"])
value = 0.9 - 0.2 * alpha + 0.02 * random.Random(seed).random() + 0.001 * random.Random(seed + 1).random() * alpha
folder = pathlib.Path(os.environ["HARNESS_OUT"], "logs")
folder.mkdir()
scalar = b"\\x0a\\x07val/acc\\x15" + struct.pack("<f", value)
summary = b"\\x0a" + bytes([len(scalar)]) + scalar
event = b"\\x10\\x05\\x2a" + bytes([len(summary)]) + summary
record = struct.pack("<Q", len(event)) + b"\\xff" * 4 + event + b"\\xff" * 4
(folder / f"events.out.tfevents.{os.getpid()}").write_bytes(record)
"""


def test_what_another_tool_wrote_is_kept_and_read_again(tmp_path: Path) -> None:
    """TensorBoard's files are no text, and their names differ from run to run."""
    results = {"form": "tensorboard", "file": "logs/events.out.tfevents.*", "names": {"test_accuracy": "val/acc"}}
    project = make_program_project(tmp_path / "project", EVENTS, results=results)
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "toy: worse" in ran.stdout
    raw = json.loads((project.folder / "raw.json").read_text())
    assert all(bytes.fromhex(one["hexadecimal"]).count(b"val/acc") == 1 for one in raw.values())
    (event,) = project.events("registered")
    assert "adapters/tensorboard" in event["body"]["pins"]["plugins"]
    assert "test_accuracy as val/acc" in (project.folder / "verdict.md").read_text().replace("\\", "")
    assert_sound(project)
