"""Arms of a program and arms of harness's own in one file: compared, repeated, refused, and the same by both."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import inference, plan
from harness.batched.keyed import permutation
from harness.pipeline.plan import preview_run
from harness.pipeline.project import Settings
from harness.pipeline.session import Session
from harness.programs import Work, read_replica, run_replicas, show_command
from harness.records import Measurements, Replica
from harness.records.program import fill
from harness.spec import load
from tests.e2e.commands import PATIENCE
from tests.e2e.environments import make_environment_without
from tests.e2e.programs import BESIDE, ProgramProject, make_program_project
from tests.e2e.projects import REPOSITORY
from tests.unit.programs.toys import GOOD

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
EXAMPLE = REPOSITORY / "examples/protocol-2"
FILE = "hypotheses/toy.yaml"


def swap(measured: Measurements, one: str, other: str) -> Measurements:
    """Return measurements in which two arms have each other's values."""
    names = {one: other, other: one}
    replicas = [r.model_copy(update={"arm": names.get(r.arm, r.arm)}) for r in measured.replicas]
    return measured.model_copy(update={"replicas": tuple(replicas)})


def test_a_plain_script_and_harness_s_own_arm_agree_within_the_replication_tolerance(tmp_path: Path) -> None:
    """The margin of protocol 2 by the script is held against that by harness, as a rerun is against its run."""
    shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    project = ProgramProject(tmp_path / "project")
    project.git("init", "--quiet")
    project.commit()
    ran = project.harness("run", "hypotheses/protocol_2.yaml", "--yes")
    assert ran.returncode == 0, ran.stderr
    (folder,) = (path.parent for path in project.root.glob("verdicts/protocol-2/*/verdict.json"))
    measured = Measurements.model_validate_json((folder / "results.json").read_bytes())
    hypothesis = load(project.root / "hypotheses/protocol_2.yaml").hypothesis
    raw = json.loads((folder / "raw.json").read_text())
    assert sorted(raw) == ["script-0", "script-1", "script-2"]
    assert all((one.raw is not None) == (one.arm == "script") for one in measured.replicas)
    by_script = inference.decide(hypothesis, measured)
    by_harness = inference.decide(hypothesis, swap(measured, "script", "bp_penalty"))
    assert inference.list_disagreements(by_script, by_harness, hypothesis.replication.level) == ()
    frozen = inference.decide(hypothesis, swap(measured, "script", "shallow"))
    assert inference.list_disagreements(by_script, frozen, hypothesis.replication.level) != ()
    page = (folder / "verdict.md").read_text()
    assert "**Measured by the program itself**, BP with penalty in plain PyTorch" in page
    assert "| Work | of each replica: BP with penalty 230 steps" in page


def test_the_example_sets_the_images_apart_that_harness_does() -> None:
    order = permutation(1797, 0, "digits/split")
    assert sorted(order[1437:].tolist()) == [int(word) for word in (EXAMPLE / "test.txt").read_text().split()]


def test_both_kinds_of_arms_are_stopped_by_one_look_and_repeated(tmp_path: Path) -> None:
    looks = {"stopping": {"kind": "looks", "at": [3, 6]}, "seeds": {"list": [1, 2, 3, 4, 5, 6]}}
    project = make_program_project(tmp_path / "project", program={"deterministic": True}, **BESIDE, **looks)
    seen = preview_run(project.root / FILE, Session.open(project.root / FILE, Settings()))
    assert seen.commands == {"weak": "python3 toy.py 0.25"}
    assert {cohort.is_program for cohort in seen.planned.cohorts} == {True, False}
    assert seen.estimate.steps == 6 * 2  # of harness's cohorts, one before and one after the look
    ran = project.harness("run", FILE, "--yes", "--parallel", "2", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    results = json.loads((project.folder / "results.json").read_text())
    arms = [one["arm"] for one in results["replicas"]]
    assert arms == ["own"] * (len(arms) // 2) + ["weak"] * (len(arms) // 2)
    assert {tuple(one["metrics"]) for one in results["replicas"]} == {("test_accuracy",)}
    assert [one["seed"] for one in results["replicas"] if one["arm"] == "own"] == [
        one["seed"] for one in results["replicas"] if one["arm"] == "weak"
    ]
    project.commit()
    again = project.harness("audit", "--recompute", "--rerun", "toy")
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_program_that_fails_beside_harness_s_arms_makes_the_outcome_invalid(tmp_path: Path) -> None:
    project = make_program_project(tmp_path / "project", "raise SystemExit(3)", **BESIDE)
    ran = project.harness("run", FILE, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "toy: invalid" in ran.stdout
    assert "weak, seed 0 failed: it ended with exit code 3" in ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a mark that a replica leaves")
def test_a_run_that_was_stopped_amid_its_program_goes_on_there(tmp_path: Path) -> None:
    """What harness had trained is sealed, and only the replica that ran is begun again."""
    began, go = tmp_path / "began", tmp_path / "go"
    waits = (
        f"import os, time\nopen({str(began)!r}, 'a').write('x')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    )
    project = make_program_project(tmp_path / "project", waits + GOOD, **BESIDE, seeds={"list": [1, 2, 3]})
    process = project.start("run", FILE, "--yes", "--parallel", "1")
    while not began.exists():
        assert process.poll() is None
        time.sleep(0.05)
    (sealed,) = project.root.glob("verdicts/toy/*/work/*.json")
    trained = json.loads(sealed.read_bytes().partition(b"\n")[2])["replicas"]
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    go.touch()
    again = project.harness("run", FILE)
    assert again.returncode == 0, again.stderr
    results = json.loads((project.folder / "results.json").read_text())["replicas"]
    assert [one for one in results if one["arm"] == "own"] == trained
    noted = json.loads((project.folder / "env.json").read_text())
    assert noted["resumed"] == 1
    assert [len(one["repeated"]) for one in noted["program"]["replicas"]] == [1, 0, 0]
    assert began.read_text() == "x" * 4


def test_the_scikit_learn_example_is_valid_and_its_command_gives_results(tmp_path: Path) -> None:
    """One replica: all forty take a minute and a half of a processor, most of it imports."""
    pytest.importorskip("sklearn")
    folder = REPOSITORY / "examples/scikit-learn"
    hypothesis = load(folder / "hypotheses/neighbours.yaml").hypothesis
    assert hypothesis.program is not None
    assert hypothesis.results is not None
    assert hypothesis.seeds.number == 20
    arm = hypothesis.arms["neighbours"]
    command = fill(show_command(hypothesis.program, arm), {"seed": "1", "out": str(tmp_path)})
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, *command[1:]], cwd=folder, env=environment, check=True, timeout=PATIENCE)
    raw = (tmp_path / "metrics.json").read_bytes()
    result = read_replica(Replica(arm="neighbours", seed_index=0, seed=1), arm, raw, hypothesis.results)
    ((accuracy,),) = (series.values["value"][0] for series in result.metrics.values())
    assert accuracy is not None
    assert 0.9 < accuracy < 1


def test_the_lightning_example_is_trained_by_the_real_trainer_and_read_by_its_adapter(tmp_path: Path) -> None:
    """One replica, as a run makes it: all ten take a minute of a processor, most of it imports."""
    if importlib.util.find_spec("pytorch_lightning") is None:
        pytest.skip("pytorch-lightning is not installed")
    # Beside another build of torch, PyPI's torchvision can't be imported, which Lightning tries wherever it is there.
    python = make_environment_without("torchvision", tmp_path / "venv")
    folder = REPOSITORY / "examples/lightning"
    hypothesis = load(folder / "hypotheses/spirals.yaml").hypothesis
    assert hypothesis.program is not None
    assert hypothesis.results is not None
    (first, *_) = (whole := plan.expand_replicas(hypothesis, (1,))).cohorts
    work = Work(
        program=hypothesis.program,
        results=hypothesis.results,
        frozen={"train.py": (0o100644, (folder / "train.py").read_bytes())},
        inputs={},
        root=folder,
        environment=os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    result = run_replicas(whole.model_copy(update={"cohorts": (first,)}), work, tmp_path / "run")
    (replica,) = result.replicas
    log = (tmp_path / "run/logs/bypassed-0.log").read_text(errors="replace")
    assert replica.status == "finished", f"{replica.failure}: {log}"
    (series,) = replica.metrics.values()
    assert series.epochs == (1, 5, 10, 15, 20)
    accuracy = series.values["value"][-1][0]
    assert accuracy is not None
    assert 0.6 < accuracy <= 1, "guessing gives a half"
    assert result.raw["bypassed-0"].splitlines()[0] == b"epoch,step,val_accuracy"
