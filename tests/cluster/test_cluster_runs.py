"""Runs whose cohorts are trained in jobs, whatever becomes of jobs, nodes and the command itself: the same bits."""

from __future__ import annotations

import json
import shutil
import signal

import pytest

from harness import api
from harness.errors import UsageError
from harness.ledger import Ledger
from harness.pipeline.following import Follower
from harness.pipeline.jobs import TASK, Task, read
from harness.site.live import write_live
from harness.site.pages import make_common
from tests.cluster.conftest import Remote, read_job
from tests.cluster.slurm import Slurm, wait_until


def test_jobs_and_their_command_may_be_killed(remote: Remote, reference: bytes) -> None:
    remote.prepare("kill", "hold", "term")
    command = remote.start()
    held = remote.await_held()
    assert held.parent.stat().st_mode & 0o077 == 0, "only its owner reads what is kept while a run lasts"
    follower = Follower(Ledger(remote.project.root / "verdicts"), peek=True)
    (shown,) = follower.follow()
    task = read(held, TASK, Task)
    assert task is not None and shown.measurements is not None
    own = {(one.arm, one.seed_index) for cohort in task.plan.cohorts for one in cohort.replicas}
    assert own <= {(one.arm, one.seed_index) for one in shown.measurements.replicas if one.metrics}, "it is not fetched"
    assert len(shown.jobs) == 2 and any(job.state == "running" for job in shown.jobs)
    page = write_live([shown], True, None, make_common("Verdicts", None))
    assert "Jobs that train its cohorts elsewhere" in page and 'class="mean' in page
    wait_until(lambda: follower.follow()[0].told is not None, "the command tells how far its jobs have come")
    command.kill()
    command.wait()
    wait_until(lambda: "may go on" in follower.follow()[0].state, "a view says that the command has ended")
    code, listed = remote.call("jobs", "--on", "there")
    assert code == 0 and "running" in listed, listed
    remote.let_go(held)
    code, said = remote.run()
    assert code == 0 and "attached to" in said, said  # whichever command started a job again: they are counted below
    assert len(remote.project.events("run_started")) == 1
    assert "| Trained in | 2 jobs of " in remote.page() and "started 4 times in all" in remote.page()
    (told,) = (json.loads(file.read_bytes())["launch"] for file in remote.project.root.glob("verdicts/tiny/*/env.json"))
    assert sum(told["devices"].values()) == 4 and told["seconds"] > 0, told
    assert not list(remote.jobs.glob("tiny-*"))
    (weights,) = remote.project.root.glob("verdicts/tiny/*/weights")
    assert len(list(weights.rglob("*.safetensors"))) == 18
    assert remote.results() == reference
    assert remote.project.harness("audit").returncode in (0, 5)  # 5: nothing here is in git


def test_an_interrupted_command_leaves_its_jobs_which_can_be_cancelled(remote: Remote, reference: bytes) -> None:
    remote.prepare("hold")
    command = remote.start()
    held = remote.await_held()
    command.send_signal(signal.SIGINT)
    _, told = command.communicate()
    assert command.returncode == 130 and "go on without this command" in told, told
    code, said = remote.call("jobs", "--on", "there", "--cancel")
    assert code == 0 and "ended at there" in said, said
    remote.let_go(held)
    code, said = remote.run("--no-resume")
    assert code == 0, said
    assert remote.results() == reference
    (closed,) = remote.project.events("run_aborted")  # what lay with the jobs could be read
    progress = closed["body"]["progress"]
    assert progress["readable"] or progress["trained"] + progress["under_way"] > 0, progress


def test_a_job_that_always_dies_is_given_up_while_others_finish(here: Remote, reference: bytes) -> None:
    settings = here.project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + "again = 1\n")
    here.prepare("die", "", "full")
    code, said = here.run()
    assert code == 1 and "ended without results" in said and "2 tries" in said, said
    assert "stopped: could not be written: File too large" in said
    assert len(list(here.project.root.glob("verdicts/tiny/*/work/*.json"))) == 1
    assert not here.project.events("run_failed")
    code, said = here.run()
    assert code == 0, said
    assert here.results() == reference


def test_a_notebook_runs_there_on_slow_folders_and_a_run_is_replicated_there(here: Remote, reference: bytes) -> None:
    settings = here.project.root / "pyproject.toml"
    slow = settings.read_text().replace("grace_seconds = 0.5", "grace_seconds = 600")
    settings.write_text(slow + "cohorts_per_job = 9\n")
    here.prepare("late")
    known = set(here.jobs.glob("tiny-*"))
    file = here.project.root / "hypotheses/tiny.yaml"
    planned = api.plan(file, device="cpu", on="there")
    said: list[str] = []
    verdict = api.load(file).run(device="cpu", on="there", say=said.append)
    assert "1 job submitted to there" in said and here.results() == reference, said
    assert "in 1 job at there" in repr(planned) and "| Trained in | 1 job of local |" in here.page(), "started once"
    code, told = here.call("replicate", verdict.run, "--device", "cpu", "--on", "there")
    assert code == 0 and "1 job submitted to there" in told and "the same results to the bit" in told, told
    assert "asking" not in told, "the device is known, whatever else this process has loaded"
    assert set(here.jobs.glob("tiny-*")) <= known, "its files are gone with its end"
    with pytest.raises(UsageError, match="has no effect where the plan is of a place"):
        api.plan(file, on="there", measure=True)


def test_training_that_fails_there_closes_the_attempt_and_says_where_its_log_is(here: Remote) -> None:
    settings = here.project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + "cohorts_per_job = 9\n")
    here.prepare("broken")
    code, said = here.run()
    assert code == 1 and "RuntimeError: broken as was asked" in said, said
    (log,) = [file for file in here.jobs.glob("tiny-*/job-*/log") if f"see {file}" in said]
    assert "in fail" in log.read_text(), said
    assert len(here.project.events("run_failed")) == 1
    shutil.rmtree(log.parent.parent)  # other tests at this place look for what is left of theirs


def test_a_machine_with_another_device_trains_nothing(here: Remote) -> None:
    code, planned = here.call("plan", "hypotheses/tiny.yaml", "--device", "cpu", "--on", "there")
    assert code == 0 and "cohort" in planned, planned
    told = set(here.jobs.glob("device-*"))
    here.prepare("other", "other")
    code, said = here.run()
    assert code == 1 and "--on there: the device's name is" in said, said
    assert not list(here.project.root.glob("verdicts/tiny/*/work/*.json"))
    assert not here.project.events("run_failed")
    assert len(told - set(here.jobs.glob("device-*"))) == 1, "it may have another by now: it is asked again"


def test_a_job_that_slurm_requeues_or_whose_time_is_over_goes_on(
    cluster: Remote, slurm: Slurm, reference: bytes
) -> None:
    cluster.prepare("hold", "", "hold")  # a job, the other one, and whichever starts next
    command = cluster.start()
    job = read_job(cluster.await_held())
    slurm.call("scontrol", "requeue", job)
    # Slurm starts it two minutes later unless it is asked to at once, which it hears only of a pending job.
    wait_until(lambda: "PENDING" in slurm.call("squeue", "-h", "-r", "-j", job, "-o", "%T"), "it waits again")
    slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now")
    job = read_job(cluster.await_held())
    # Its time limit comes now, which Slurm looks at every half a minute. It is held, and so no warning ends it.
    slurm.call("scontrol", "update", f"JobId={job}", "EndTime=now")
    told, error = command.communicate()
    assert command.returncode == 0, told + error
    assert "JobState TIMEOUT, Reason TimeLimit" in error and "it is started again" in error, error
    assert cluster.results() == reference
    assert set((slurm.folder / "seen").read_text().split()) <= {"0", "1"}


def test_a_node_that_is_lost_costs_no_more_than_its_jobs(cluster: Remote, slurm: Slurm, reference: bytes) -> None:
    options = cluster.project.root / "pyproject.toml"
    options.write_text(options.read_text().replace(', "--requeue"', ""))
    cluster.prepare("hold")
    command = cluster.start()
    cluster.await_held()
    slurm.kill_node()
    slurm.start_node()
    told, error = command.communicate()
    assert command.returncode == 0, told + error
    assert "it is started again" in error
    assert cluster.results() == reference
