"""Files against the trail and against git: amendments, removed files, and the same question under another name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ledger, spec
from harness.errors import UsageError
from harness.pipeline.check import check_files
from harness.pipeline.project import Projects, Settings

ROOT = Path(__file__).parents[3]
ORIGINAL = ROOT / "tests/corpus/valid/mode2_direction.yaml"


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=Somebody", "-c", "user.email=s@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose hypothesis is registered and committed."""
    folder = tmp_path / "project"
    (folder / "hypotheses").mkdir(parents=True)
    for source in (ORIGINAL, ORIGINAL.with_name("claims.yaml")):
        shutil.copy(source, folder / "hypotheses" / source.name)
    register(folder / "hypotheses" / ORIGINAL.name, folder / "verdicts")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "registered")
    return folder


def register(path: Path, verdicts: Path) -> None:
    loaded = spec.load(path)
    pins = ledger.pin_code(loaded.hypothesis, ROOT / "templates")
    ledger.register(ledger.Ledger(verdicts), loaded.raw, loaded.claims_raw, loaded.hypothesis, pins)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def found(project: Path, against: str | None = "HEAD") -> list[tuple[str, int, str, str]]:
    report = check_files([project / "hypotheses"], Projects(Settings()), against)
    return [(Path(f.file).name, f.line, f.severity, f.message) for f in report.findings]


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if text in line)


def test_what_is_registered_and_unchanged_is_fine(project: Path) -> None:
    assert found(project) == []
    path = project / "hypotheses" / ORIGINAL.name
    edit(path, "id: mode2-direction", "id: mode2-direction  # a comment")
    assert found(project) == []


def test_a_registered_claim_in_other_words_is_told_before_a_run_deviates(project: Path) -> None:
    claims = project / "hypotheses/claims.yaml"
    statement = next(line for line in claims.read_text().splitlines() if "statement:" in line)
    claims.write_text(claims.read_text() + "\n# a comment\n")
    assert found(project) == []
    edit(claims, statement, f"{statement} Or so.")
    path = project / "hypotheses" / ORIGINAL.name
    (told,) = found(project)
    assert told[:3] == (ORIGINAL.name, line_of(path, "implications:") + 1, "warning")
    assert "was changed after the registration; its registered form is used" in told[3]


def test_a_changed_threshold_is_refused_at_its_place(project: Path) -> None:
    path = project / "hypotheses" / ORIGINAL.name
    edit(path, "above: 1.0e-7", "above: 1.0e-9")
    at = line_of(path, "above: 1.0e-9")
    name, line, severity, message = found(project)[0]
    assert (name, line, severity) == (path.name, at, "error")
    assert "guards.healthy_reference.above was registered on" in message
    assert "as 1e-07, but is 1e-09" in message
    # Without a commit to compare with, harness run is what refuses; check warns.
    assert [severity for _, _, severity, _ in found(project, None)] == ["warning"]


def test_another_number_of_seeds_is_not_sent_to_an_amendment_that_refuses_it(project: Path) -> None:
    edit(project / "hypotheses" / ORIGINAL.name, "count: 10", "count: 12")
    report = check_files([project / "hypotheses"], Projects(Settings()), "HEAD")
    (finding,) = [f for f in report.findings if f.rule == "amendment"]
    assert finding.message.startswith("seeds.count was registered on")
    assert finding.remedy.startswith("undo the change, or ask it under a new id")


def test_the_last_digit_of_a_band_counts(project: Path) -> None:
    path = project / "hypotheses" / ORIGINAL.name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.05)", "0.0500000001)").replace("[0.05,", "[0.0500000001,"), encoding="utf-8")
    assert {message.split(" was registered")[0] for *_, message in found(project)} == {
        "decisions.direction.bands.confirmed",
        "decisions.direction.bands.partial",
    }


def test_a_removed_file_and_a_removed_registration_are_named(project: Path) -> None:
    path = project / "hypotheses" / ORIGINAL.name
    other = project / "hypotheses" / "other.yaml"
    shutil.copy(ROOT / "tests/corpus/valid/several.yaml", other)
    path.unlink()
    ((name, line, severity, message),) = found(project)
    assert (name, line, severity) == (path.name, 1, "error")
    assert message == "this file held 'mode2-direction', which is registered, and is not here any more"
    git(project, "checkout", "-q", "--", ".")
    for event in (project / "verdicts/ledger/events").iterdir():
        event.unlink()
    assert any("the registered event of 'mode2-direction' is in HEAD and not here" in m for *_, m in found(project))


def test_renaming_is_another_roll_of_the_dice_unless_it_is_said(project: Path) -> None:
    path = project / "hypotheses" / "again.yaml"
    text = ORIGINAL.read_text(encoding="utf-8").replace("id: mode2-direction", "id: quite-new")
    text = text.replace("direction:", "angle:").replace("estimand: direction", "estimand: angle")
    text = text.replace("(-0.05, 0.05)", "(-0.04, 0.04)").replace("-0.05]", "-0.04]").replace("[0.05", "[0.04")
    path.write_text(text, encoding="utf-8")
    ((name, _, severity, message),) = found(project, None)
    assert (name, severity) == (path.name, "warning")
    assert message.startswith("decision 'angle' asks the same question as 'mode2-direction', registered on")
    edit(path, "Accuracies of earlier", "This replicates mode2-direction. Accuracies of earlier")
    report = check_files([path], Projects(Settings(verdicts=project / "verdicts")))
    assert report.findings == ()


def test_another_question_is_no_rerun(project: Path) -> None:
    path = project / "hypotheses" / "new.yaml"
    text = ORIGINAL.read_text(encoding="utf-8").replace("id: mode2-direction", "id: quite-new")
    path.write_text(text.replace("epochs: 100", "epochs: 50", 1), encoding="utf-8")
    assert found(project, None) == []


@pytest.mark.parametrize("ref", ["nowhere", "--help", "HEAD^{tree}"])
def test_a_commit_that_is_not_there(project: Path, ref: str) -> None:
    with pytest.raises(UsageError, match="git knows no commit"):
        found(project, ref)


def test_outside_a_repository(project: Path) -> None:
    shutil.rmtree(project / ".git")
    with pytest.raises(UsageError, match="needs a git repository"):
        found(project)


def test_against_says_which_reason_there_is(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git doesn't answer must not pass for "nothing was registered", and no remedy leaves the comparison out."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch
    with pytest.raises(UsageError, match="dubious ownership") as refused:
        found(project)
    assert "without" not in str(refused.value.remedy)
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    git(project, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{project}", "partial")
    shutil.copytree(project / "hypotheses", tmp_path / "partial" / "hypotheses")
    shutil.copytree(project / "verdicts", tmp_path / "partial" / "verdicts")
    with pytest.raises(UsageError, match=r"promisor|not this object here") as lacking:
        found(tmp_path / "partial")
    command = str(lacking.value.remedy).split(": ", 1)[1]
    subprocess.run(["sh", "-ec", command], cwd=tmp_path / "partial", check=True, capture_output=True)
    assert found(tmp_path / "partial") == []
