"""Bad input and bad luck: one clear message, the right exit code, nothing lost and nothing half-written."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.projects import Project


def refused(project: Project, *arguments: str, code: int = 2, **more: str) -> str:
    ran = project.harness(*arguments, **more)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr


def assert_nothing_happened(project: Project) -> None:
    assert not project.events()
    assert not list(project.root.glob("verdicts/tiny/*/*"))


def test_an_unknown_key(project: Project) -> None:
    project.edit("rule: {name: bp}}", "rule: {name: bp}, penality: {name: residual_branch}}")
    said = refused(project, "run", "hypotheses/tiny.yaml")
    assert "hypotheses/tiny.yaml:16:37:" in said and "penality" in said and "did you mean" in said and "penalty" in said
    assert_nothing_happened(project)


def test_a_missing_arm(project: Project) -> None:
    project.edit("contrast: bp - shallow", "contrast: bp - shalow")
    said = refused(project, "run", "hypotheses/tiny.yaml")
    assert "shalow" in said and "shallow" in said
    assert_nothing_happened(project)


def test_overlapping_bands(project: Project) -> None:
    project.edit('better: "(0, inf)"', 'better: "[0, inf)"')
    said = refused(project, "run", "hypotheses/tiny.yaml")
    assert "0 is in more than one band: worse and better" in said
    assert_nothing_happened(project)


def test_all_findings_at_once(project: Project) -> None:
    project.edit("contrast: bp - shallow", "contrast: bp - shalow")
    project.edit("epochs: 8", "epochs: 0")
    project.edit("seeds: {count: 6}", "seeds: {count: six}")
    said = refused(project, "check")
    ran = project.harness("check")
    assert "3 errors" in said
    assert ran.stdout.count("hypotheses/tiny.yaml:") == 3
    assert project.harness("check", "--format", "github").stdout.count("::error file=") == 3


def test_a_file_that_is_not_there(project: Project) -> None:
    assert "did you mean hypotheses/tiny.yaml" in refused(project, "run", "hypotheses/tinny.yaml")


def test_absent_data(project: Project) -> None:
    project.edit("dataset: {name: digits}", "dataset: {name: cifar10}")
    said = refused(project, "run", "hypotheses/tiny.yaml", "--data", "nowhere")
    assert "cifar10" in said and "train" in said and "test" in said
    assert_nothing_happened(project)


def test_no_gpu(project: Project) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert "no CUDA device" in refused(project, "run", "hypotheses/tiny.yaml", "--device", "cuda")
    assert "unknown device" in refused(project, "run", "hypotheses/tiny.yaml", "--device", "gpu")
    assert_nothing_happened(project)


def test_an_unknown_verb_and_option(project: Project) -> None:
    assert "No such" in refused(project, "rum")
    assert "No such option" in refused(project, "run", "hypotheses/tiny.yaml", "--sedes", "3")
    assert "format" in refused(project, "list", "--format", "xml")


def test_stopping_at_any_time_needs_a_criterion_that_allows_it(project: Project) -> None:
    project.edit("seeds: {count: 6}", "seeds: {count: 6}\nstopping: {kind: anytime}")
    said = refused(project, "run", "hypotheses/tiny.yaml")
    assert "criterion t can't be judged at any number of seeds" in said and "t_sequence" in said
    assert_nothing_happened(project)


def test_adding_seeds_to_a_fixed_number_is_refused_with_the_way_out(registered_only: Project) -> None:
    registered_only.edit("seeds: {count: 6}", "seeds: {count: 9}")
    said = refused(registered_only, "run", "hypotheses/tiny.yaml")
    assert "registered with 6 seeds" in said and "adding seeds outside the declared stopping rule is refused" in said
    assert "make a fresh registration under a new id, which has fresh seeds" in said
    assert not registered_only.events("run_started")


def test_a_change_after_registration_is_refused_field_by_field(registered_only: Project) -> None:
    registered_only.edit('worse: "(-inf, 0]", better: "(0, inf)"', 'worse: "(-inf, -9]", better: "(-9, inf)"')
    said = refused(registered_only, "run", "hypotheses/tiny.yaml")
    assert "decisions.margin.bands.better" in said and "(0, inf)" in said and "(-9, inf)" in said
    assert not registered_only.events("run_started")


def test_a_comment_is_no_change(registered_only: Project) -> None:
    registered_only.edit("id: tiny", "id: tiny  # a comment")
    ran = registered_only.harness("run", "hypotheses/tiny.yaml", "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    assert "only comments or layout differ" in ran.stderr


def test_require_registered(project: Project) -> None:
    assert "not registered" in refused(project, "run", "hypotheses/tiny.yaml", "--require-registered")
    assert_nothing_happened(project)


def test_two_processes_do_not_run_one_hypothesis(registered_only: Project) -> None:
    first = registered_only.start_until("cohort 1", "run", "hypotheses/tiny.yaml", "--device", "cpu")
    first.send_signal(signal.SIGSTOP)  # so that it cannot be done before the second has tried
    said = refused(registered_only, "run", "hypotheses/tiny.yaml", "--device", "cpu")
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert "another process" in said
    assert first.returncode == 0
    assert len(registered_only.events("run_started")) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A real file system of 400 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder  # type: ignore[misc]
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_loses_nothing(registered_only: Project, finished: Project, small_disk: Path) -> None:
    """The trail lies on a disk that fills up during the run; after tidying up the same command goes on."""
    trail = registered_only.root / "verdicts"
    shutil.copytree(trail, small_disk / "verdicts")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 240_000)
    arguments = ["run", "hypotheses/tiny.yaml", "--device", "cpu", "--verdicts", str(small_disk / "verdicts")]
    said = refused(registered_only, *arguments, "--checkpoint-every", "0", code=1)
    assert "no space left" in said and "goes on" in said
    assert not list((small_disk / "verdicts").glob("tiny/*/results.json"))
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    ran = registered_only.harness(*arguments)
    assert ran.returncode == 0, ran.stderr
    assert "resuming attempt" in ran.stderr
    (expected,) = finished.runs()
    (folder,) = (small_disk / "verdicts" / "tiny").glob("*/results.json")
    assert folder.read_bytes() == (expected / "results.json").read_bytes()


def test_a_tampered_ledger_is_refused_with_its_own_code(registered_only: Project) -> None:
    (event,) = (registered_only.root / "verdicts/ledger/events").glob("*.json")
    event.chmod(0o644)
    event.write_text(event.read_text().replace('"tiny"', '"tidy"'))
    said = refused(registered_only, "run", "hypotheses/tiny.yaml", code=3)
    assert event.name[:12] in said
