"""Runs by code that is not the registered one: what kind of difference it is, and what shows it to be harmless."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.projects import Project

SOURCE = Path(__file__).parents[2]
BANNER = "**This run deviated from its registration**"


class Other:
    """A copy of harness to change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("harness", "templates"):
            shutil.copytree(SOURCE / part, root / part)  # with its bytecode

    def comment(self, *files: str) -> None:
        for file in files:
            with (self.root / file).open("a") as text:
                text.write("{# another #}\n" if file.endswith(".j2") else "# another\n")

    def runs(self, project: Project, verb: str = "run", what: str = "hypotheses/tiny.yaml") -> str:
        ran = project.harness(verb, what, "--device", "cpu", PYTHONPATH=str(self.root))
        assert ran.returncode == 0, ran.stderr
        return ran.stderr


@pytest.fixture
def other(tmp_path: Path) -> Other:
    return Other(tmp_path / "other")


@pytest.fixture
def judged(finished: Project, tmp_path: Path) -> Project:
    """A project with one verdict, to go on with."""
    shutil.copytree(finished.root, tmp_path / "judged")
    return Project(tmp_path / "judged")


def new_run(project: Project, before: Path) -> tuple[str, dict[str, Any]]:
    """The page of the run that came second, and its event's body."""
    (folder,) = [folder for folder in project.runs() if folder != before]
    (body,) = [e["body"] for e in project.events("run_started") if e["body"]["words"] or e["body"]["deviations"]]
    return (folder / "verdict.md").read_text(), body


def audited(project: Project, steps: tuple[int, ...] = (3, 4, 5, 6)) -> str:
    """What an audit says; nothing fails, and what follows from the results follows again."""
    said = project.harness("audit", "--recompute").stdout
    assert "FAIL" not in said and all(f"PASS        {step} " in said for step in steps), said
    return said


def test_a_run_that_differs_in_words_only_does_not_deviate(judged: Project, other: Other) -> None:
    (before,) = judged.runs()
    other.comment("harness/cli/run.py", "templates/verdict.md.j2")
    init = other.root / "harness/__init__.py"
    init.write_text(init.read_text().replace('"0.', '"1.'))
    said = other.runs(judged)
    assert "deviates" not in said
    page, body = new_run(judged, before)
    assert body["deviations"] == []
    assert "to see whether" not in said
    assert body["words"].startswith("the template verdict.md.j2, the code that reports and keeps records (")
    assert body["words"].endswith("harness 0.2.0 → 1.2.0")
    assert BANNER not in page
    section = page.split("## Deviations")[1].split("##")[0].strip()
    known = "None was found in code that is meant to train, measure or judge. "
    known += "What differs from the registration is meant for words"
    assert section.startswith(f"{known} only: ") and len(section.splitlines()) == 1
    assert "verdict.md.j2" in section
    said = audited(judged, steps=(3, 4, 5))
    assert "deviates" not in said and "NOT CHECKED 6 " in said and "no release" in said  # a template of its author's


def test_other_judging_code_is_tried_on_the_stored_results(judged: Project, other: Other) -> None:
    (before,) = judged.runs()
    other.comment("harness/inference/outcome.py", "harness/criteria/t.py")
    said = other.runs(judged)
    page, body = new_run(judged, before)
    (line,) = body["deviations"]
    assert line.startswith("the code that judges differs from the registered one (harness's own code ")
    assert "; criteria/t): the judgement could differ; " in line
    assert line.endswith(f"judging the stored results of run {before.name} again with this code gave the same decision")
    assert f"this run deviates: {line}" in said and BANNER in page
    assert "Whether the code made a difference" not in page  # the deviation says it
    audited(judged)
    again = judged.harness("reverdict", before.name, PYTHONPATH=str(other.root))
    told = "the code that judges is not that of the run"
    assert again.returncode == 0 and told in again.stderr and "the same to the byte" in again.stderr
    assert told not in judged.harness("reverdict", before.name).stderr


def test_other_judging_code_that_decides_otherwise_is_told(judged: Project, other: Other) -> None:
    (before,) = judged.runs()
    path = other.root / "harness/criteria/t.py"
    path.write_text(
        path.read_text().replace("def p_greater(self", "def p_greater(self, *_): return 1.0\n\n    def _p(self")
    )
    other.runs(judged)
    _, body = new_run(judged, before)
    assert body["deviations"][0].endswith("again with this code gave another decision")


def test_other_training_code_is_shown_harmless_by_a_replication(judged: Project, other: Other) -> None:
    (before,) = judged.runs()
    other.comment("harness/training/loop.py", "harness/rules/dfa.py", "harness/rules/bp.py")
    other.runs(judged, "replicate", "tiny")
    other.runs(judged)
    page, body = new_run(judged, before)
    (line,) = body["deviations"]
    assert line.startswith("the code that trains and measures differs from the registered one (harness's own code ")
    assert "; rules/bp; rules/dfa): the numbers could differ; " in line
    assert f"run {before.name}, trained again with this code on " in line
    assert line.endswith(", came to the same bits")
    assert BANNER in page
    audited(judged)


def test_the_command_that_could_show_it_is_named_and_so_are_equal_results(judged: Project, other: Other) -> None:
    (before,) = judged.runs()
    other.comment("harness/training/loop.py")
    said = other.runs(judged)
    page, body = new_run(judged, before)
    assert body["deviations"][0].endswith("): the numbers could differ")
    assert f"→ to see whether the numbers differ: harness replicate {before.name}\n" in said
    shown = f"- the same numbers: results.json is, to the byte, that of run {before.name}, which the registered code"
    assert f"Whether the code made a difference:\n\n{shown}" in page
    (second,) = [folder for folder in judged.runs() if folder != before]
    assert (second / "results.json").read_bytes() == (before / "results.json").read_bytes()
    said = other.runs(judged)
    proof = f"run {second.name}, by this code, has the same results.json as run {before.name}, by that one"
    assert f": the numbers could differ; {proof}\n" in said and "to see whether" not in said
    audited(judged)


def test_a_run_with_nothing_to_compare_with_names_what_would_show_it(registered_only: Project, other: Other) -> None:
    other.comment("harness/training/loop.py", "harness/inference/outcome.py")
    said = other.runs(registered_only)
    assert said.count("this run deviates") == 2 and "to see whether" not in said
    (run,) = registered_only.runs()
    page = (run / "verdict.md").read_text()
    for what, verb in (("numbers", "replicate"), ("decisions", "reverdict")):
        command = f"harness {verb} {run.name}, with the registered code"
        assert f"- not known yet whether the {what} differ; it would show: {command}\n" in page
    audited(registered_only)
    here = registered_only.harness("replicate", "tiny", "--device", "cpu")  # by the registered code, which is ours
    assert here.returncode == 0, here.stderr
    said = other.runs(registered_only)
    assert f"; run {run.name}, by this code, trained again with that one on " in said
