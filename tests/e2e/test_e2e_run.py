"""The main job through the command line: run, kill, resume, rerun, read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.projects import Project


def test_a_run_leaves_a_verdict_and_its_trail(finished: Project) -> None:
    (folder,) = finished.runs()
    assert {path.name for path in folder.iterdir()} == {
        "results.json",
        "verdict.md",
        "verdict.json",
        "env.json",
        "figures",
        "weights",
    }
    kinds = [event["type"] for event in finished.events()]
    assert sorted(kinds) == ["registered", "run_finished", "run_started", "verdict"]
    (verdict,) = finished.events("verdict")
    for name, digest in verdict["body"]["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    results = json.loads((folder / "results.json").read_text())
    assert len(results["replicas"]) == 18
    started = finished.events("run_started")[0]["body"]
    assert results["seeds"] == started["seeds"]
    text = (folder / "verdict.md").read_text()
    assert verdict["body"]["outcome"] in text
    assert "depth-helps" in text


def test_every_number_in_the_verdict_can_be_recomputed_from_the_results(finished: Project) -> None:
    import numpy as np
    from scipy import stats

    (folder,) = finished.runs()
    results = json.loads((folder / "results.json").read_text())
    final = {
        (r["arm"], r["seed_index"]): r["metrics"]["test_accuracy"]["values"]["value"][-1][0]
        for r in results["replicas"]
    }
    margins = 100 * np.array([final["bp", seed] - final["shallow", seed] for seed in range(6)])
    (decision,) = json.loads((folder / "verdict.json").read_text())["decision"]["decisions"]
    assert decision["estimand"]["mean"] == pytest.approx(margins.mean(), abs=1e-8)
    expected = stats.ttest_1samp(margins, 0.0, alternative="greater").pvalue
    (atom,) = [atom for atom in decision["atoms"] if atom["outcome"] == "worse"]
    assert atom["p"] == pytest.approx(expected, rel=1e-6)
    assert decision["outcome"] == ("better" if expected <= 0.05 else "inconclusive")


def test_a_rerun_has_the_same_seeds_and_bits_and_is_counted(finished: Project, tmp_path: Path) -> None:
    again = Project(tmp_path / "copy")
    shutil.copytree(finished.root, again.root)
    ran = again.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    one, two = again.runs()
    assert (one / "results.json").read_bytes() == (two / "results.json").read_bytes()
    assert sorted("2 started" in (folder / "verdict.md").read_text() for folder in (one, two)) == [False, True]


def test_killed_at_random_moments_it_resumes_to_the_same_bytes(finished: Project, registered_only: Project) -> None:
    moments = random.Random(11)
    command = ("run", "hypotheses/tiny.yaml", "--device", "cpu", "--checkpoint-every", "0")
    kills = kills_in_training = 0
    resumed_once = False

    def trained() -> dict[Path, int]:
        """What training has left so far, and when."""
        left = {}
        for path in registered_only.root.glob("verdicts/tiny/*/work/*"):
            if path.suffix in (".safetensors", ".json"):
                with contextlib.suppress(FileNotFoundError):  # finished cohorts and runs are tidied up
                    left[path] = path.stat().st_mtime_ns
        return left

    for start in range(40):
        before = trained()
        process = registered_only.start(*command, stdout=subprocess.DEVNULL)
        # Most of a short run is start-up: at every other start wait for training, so that kills fall everywhere. The
        # first ones come as soon as it left something, since a fast machine would be done.
        deadline = time.monotonic() + moments.uniform(0.5, 6.0) + 0.4 * kills
        if start < 3 or start % 2:
            while process.poll() is None and trained() == before:
                time.sleep(0.005)
            deadline = time.monotonic() + (moments.uniform(0.0, 0.5) if start >= 3 else 0.0)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        # Once the verdict is recorded the attempt is over, and another start would be a rerun.
        if process.poll() is None and not registered_only.events("verdict"):
            process.send_signal(signal.SIGKILL)
        said = process.communicate()[1]
        resumed_once = resumed_once or "resuming attempt" in said
        if process.returncode == 0 or registered_only.events("verdict"):
            break
        assert process.returncode == -signal.SIGKILL, said
        kills += 1
        kills_in_training += bool(trained())
    else:
        pytest.fail("it never finished")
    assert kills >= 2 and kills_in_training >= 1 and resumed_once
    (expected,), (resumed,) = finished.runs(), registered_only.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()
    assert len(registered_only.events("run_started")) == 1
    assert len(registered_only.events("run_finished")) == 1
    # A kill between the verdict's event and the tidying up leaves the folder, which nobody reads any more.
    assert process.returncode == -signal.SIGKILL or not (resumed / "work").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", ["on", "off"])
def test_on_a_card_too_a_killed_run_resumes_to_the_same_bytes(
    compiled: str, registered_only: Project, tmp_path: Path
) -> None:
    """In another process, with captured and with compiled steps."""
    whole = Project(tmp_path / "whole")
    shutil.copytree(registered_only.root, whole.root)
    arguments = ["run", "hypotheses/tiny.yaml", "--device", "cuda", "--compile", compiled, "--checkpoint-every", "0"]
    assert whole.harness(*arguments).returncode == 0
    process = registered_only.start_until("cohort 2", *arguments)
    process.kill()
    process.communicate()
    ran = registered_only.harness(*arguments)
    assert ran.returncode == 0 and "resuming attempt" in ran.stderr, ran.stderr
    (expected,), (resumed,) = whole.runs(), registered_only.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()


@pytest.mark.gpu
def test_what_a_verdict_needs_is_loaded_while_a_card_computes(registered_only: Project) -> None:
    """And what Triton compiles of itself on this machine is told of as nobody else's code, before and after."""
    program = """if __name__ == "__main__":
    import sys
    from pathlib import Path
    from harness.pipeline.project import Settings
    from harness.pipeline.run import run_hypothesis
    from harness.pipeline.session import Reporter, Session
    seen, file = [], Path("hypotheses/tiny.yaml")
    reporter = Reporter(progress=lambda at: seen.append("matplotlib.figure" in sys.modules))
    run_hypothesis(file, Session.open(file, Settings(device="cuda:0"), reporter))
    assert not seen[0] and seen[-1], seen
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=registered_only.root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (started,) = registered_only.events("run_started")
    (run,) = registered_only.runs()
    after = json.loads((run / "env.json").read_text())["loaded"]
    assert "cuda_utils" not in {*started["body"]["environment"]["foreign"], *after}


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(finished: Project, registered_only: Project) -> None:
    process = registered_only.start_until("cohort 1", "run", "hypotheses/tiny.yaml", "--device", "cpu")
    process.send_signal(signal.SIGINT)
    text = process.communicate()[1]
    assert process.returncode == 130, text
    assert "Traceback" not in text and "same command" in text
    ran = registered_only.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0 and "resuming attempt" in ran.stderr
    (expected,), (resumed,) = finished.runs(), registered_only.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()
    assert "resumed 1 time" in (resumed / "verdict.md").read_text()


def test_no_resume_closes_the_old_attempt_with_a_reason(registered_only: Project) -> None:
    arguments = ["run", "hypotheses/tiny.yaml", "--device", "cpu", "--checkpoint-every", "0"]
    process = registered_only.start_until("cohort 1", *arguments)
    process.kill()
    process.communicate()
    ran = registered_only.harness("run", "hypotheses/tiny.yaml", "--device", "cpu", "--no-resume")
    assert ran.returncode == 0, ran.stderr
    (aborted,) = registered_only.events("run_aborted")
    assert "anew on request" in aborted["body"]["reason"]
    (folder,) = registered_only.runs()
    assert "1 aborted" in (folder / "verdict.md").read_text()


def test_a_verdict_is_recomputed_to_the_same_bytes(finished: Project, tmp_path: Path) -> None:
    ran = finished.harness("reverdict", "tiny")
    assert ran.returncode == 0, ran.stderr
    assert "the same to the byte" in ran.stderr
    copy = Project(tmp_path / "copy")
    shutil.copytree(finished.root, copy.root)
    (folder,) = copy.runs()
    results = json.loads((folder / "results.json").read_text())
    results["replicas"][0]["metrics"]["test_accuracy"]["values"]["value"][-1][0] -= 0.01
    (folder / "results.json").write_text(json.dumps(results))
    altered = copy.harness("reverdict", folder.name)
    assert altered.returncode == 3, altered.stderr
    assert "results.json" in altered.stderr


def test_show_refuses_an_edited_verdict(finished: Project, tmp_path: Path) -> None:
    copy = Project(tmp_path / "copy")
    shutil.copytree(finished.root, copy.root)
    (folder,) = copy.runs()
    page = folder / "verdict.md"
    page.write_text(page.read_text().replace("better", "worse", 1))
    shown = copy.harness("show", "tiny")
    assert shown.returncode == 3
    assert "verdict.md" in shown.stderr and not shown.stdout


def test_a_verdict_that_does_not_follow_from_its_results_differs(finished: Project, tmp_path: Path) -> None:
    """Somebody edits the page and rebuilds the ledger's last event to fit: only recomputing shows it."""
    import rfc8785

    copy = Project(tmp_path / "copy")
    shutil.copytree(finished.root, copy.root)
    (folder,) = copy.runs()
    page = folder / "verdict.md"
    page.write_text(page.read_text().replace("better", "worse", 1))
    events = copy.root / "verdicts/ledger/events"
    (path,) = [path for path in events.glob("*.json") if json.loads(path.read_text())["type"] == "verdict"]
    event = json.loads(path.read_text())
    event["body"]["files"]["verdict.md"] = hashlib.sha256(page.read_bytes()).hexdigest()
    path.unlink()
    forged = rfc8785.dumps(event)
    (events / f"{hashlib.sha256(forged).hexdigest()}.json").write_bytes(forged)
    ran = copy.harness("reverdict", "tiny")
    assert ran.returncode == 4, ran.stderr
    assert "verdict.md" in ran.stderr


def test_the_registered_claims_count(registered_only: Project) -> None:
    registered_only.edit("Training the blocks helps.", "Something else altogether.", "claims.yaml")
    ran = registered_only.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    (folder,) = registered_only.runs()
    text = (folder / "verdict.md").read_text()
    assert "Training the blocks helps." in text and "Something else" not in text
    assert "the claim depth-helps was changed after the registration" in text
    assert registered_only.harness("reverdict", "tiny").returncode == 0


def test_what_cannot_resume_to_the_same_bits_is_kept(
    finished: Project, registered_only: Project, tmp_path: Path
) -> None:
    arguments = ["run", "hypotheses/tiny.yaml", "--device", "cpu", "--checkpoint-every", "0"]
    process = registered_only.start_until("cohort 2", *arguments)
    process.kill()
    process.communicate()
    source = Path(__file__).parents[2]
    for part in ("harness", "templates"):
        shutil.copytree(source / part, tmp_path / "other" / part)
    with (tmp_path / "other/harness/training/loop.py").open("a") as file:
        file.write("# another version\n")
    other = registered_only.harness(*arguments, PYTHONPATH=str(tmp_path / "other"))
    assert other.returncode == 2, other.stderr
    assert "its code (the code that trains and measures) changed" in other.stderr and "--no-resume" in other.stderr
    assert not registered_only.events("run_aborted")
    shutil.copy(source / "harness/training/loop.py", tmp_path / "other/harness/training/loop.py")
    for words in ("harness/errors.py", "templates/verdict.md.j2"):  # which are meant for words
        (tmp_path / "other" / words).open("a").write("# another version\n")
    # Nor is another number of cores another device.
    ran = registered_only.harness(*arguments, OMP_NUM_THREADS="2", PYTHONPATH=str(tmp_path / "other"))
    assert ran.returncode == 0 and "resuming attempt" in ran.stderr, ran.stderr
    (expected,), (resumed,) = finished.runs(), registered_only.runs()
    assert (resumed / "results.json").read_bytes() == (expected / "results.json").read_bytes()
    assert "another version" not in (resumed / "verdict.md").read_text()  # the page keeps the template of its start
    assert registered_only.harness("reverdict", "tiny").returncode == 0


def test_a_pilot_is_watermarked_and_gives_no_outcome(project: Project) -> None:
    ran = project.harness("run", "hypotheses/tiny.yaml", "--pilot", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    assert "no outcome" in ran.stdout
    (folder,) = project.root.glob("verdicts/tiny/pilot-*")
    text = (folder / "verdict.md").read_text()
    assert "PILOT" in text
    assert [event["type"] for event in project.events()] == ["pilot"]
    assert json.loads((folder / "verdict.json").read_text())["outcome"] is None
    for name in (folder.name, folder.name.removeprefix("pilot-")[:6]):
        shown = project.harness("show", name)
        assert (
            shown.returncode == 2
            and f"is a pilot, which is not judged: read verdicts/tiny/{folder.name}/verdict.md" in shown.stderr
        ), shown.stderr
    ran = project.harness("power", "hypotheses/tiny.yaml", "--sd-from", "tiny")
    assert f"estimated from 2 seeds of {folder.name};" in ran.stdout, ran.stderr


def test_plan_list_show_and_check(finished: Project) -> None:
    plan = finished.harness("plan", "hypotheses/tiny.yaml", "--device", "cpu")
    assert "18 replicas" in plan.stdout and "bundled with scikit-learn" in plan.stdout
    as_json = json.loads(finished.harness("plan", "hypotheses/tiny.yaml", "--device", "cpu", "--format", "json").stdout)
    assert sum(cohort["replicas"] for cohort in as_json["cohorts"]) == 18
    assert as_json["cohorts"][0]["steps"] == 8 * 12
    assert as_json["settings_from"]["device"] == "from --device"
    listed = json.loads(finished.harness("list", "--format", "json").stdout)
    assert [(row["id"], row["outcome"]) for row in listed] == [
        ("tiny", finished.events("verdict")[0]["body"]["outcome"])
    ]
    (folder,) = finished.runs()
    assert finished.harness("show", "tiny").stdout == (folder / "verdict.md").read_text()
    assert finished.harness("show", folder.name[:6]).stdout == (folder / "verdict.md").read_text()
    assert finished.harness("check").returncode == 0


def test_settings_come_from_option_then_variable_then_file(project: Project) -> None:
    def origin(*arguments: str, **variables: str) -> dict[str, str]:
        ran = project.harness("plan", "hypotheses/tiny.yaml", "--format", "json", *arguments, **variables)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, str] = json.loads(ran.stdout)["settings_from"]
        return found

    assert origin()["device"] == "default"
    (project.root / "pyproject.toml").write_text('[tool.harness]\ndevice = "cpu"\n')
    assert origin()["device"] == "from [tool.harness]"
    assert origin(HARNESS_DEVICE="cpu")["device"] == "from HARNESS_DEVICE"
    assert origin("--device", "cpu", HARNESS_DEVICE="cuda:99")["device"] == "from --device"
    (project.root / "pyproject.toml").write_text('[tool.harness]\ndevise = "cpu"\n')
    ran = project.harness("plan", "hypotheses/tiny.yaml")
    assert ran.returncode == 2 and "devise" in ran.stderr


@pytest.mark.parametrize(
    "verb",
    [["--help"], ["check"], ["list"], ["show", "tiny"], ["show", "tiny", "--history"], ["claims"], ["run", "--help"]],
)
def test_looking_never_loads_torch(finished: Project, verb: list[str]) -> None:
    code = (
        "import sys, harness.cli; sys.argv = ['harness', *sys.argv[1:]]\nfrom harness.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as stop:\n    assert stop.code in (None, 0), stop.code\n"
        "assert 'torch' not in sys.modules, 'torch was loaded'\nassert 'scipy' not in sys.modules, 'scipy was loaded'"
    )
    command = [finished.command()[0], "-c", code, *verb]
    ran = subprocess.run(command, cwd=finished.root, env=finished.environment(), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_verdict_names_no_machine_path(finished: Project) -> None:
    (folder,) = finished.runs()
    for name in ("verdict.md", "verdict.json", "results.json"):
        assert str(finished.root) not in (folder / name).read_text()
    for event in finished.events():
        assert str(finished.root) not in json.dumps(event)
