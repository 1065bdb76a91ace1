"""Paths and commands as they are printed."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.cli.common import show_path
from harness.pipeline.doctor import _examine_git
from harness.pipeline.project import Settings, find_project
from harness.spec import folders


def test_a_link_is_called_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hypotheses").mkdir()
    Path("other").mkdir()
    link = Path("hypotheses/tiny.yaml")
    for leads in ("nowhere.yaml", "tiny.yaml", "../other/real.yaml", str(tmp_path.parent / "outside.yaml")):
        link.unlink(missing_ok=True)
        link.symlink_to(leads)
        for written in (link, tmp_path / link, Path("other/../hypotheses/tiny.yaml")):
            assert show_path(written) == link


def test_paths_are_shown_relative_to_here_wherever_links_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "link").symlink_to(tmp_path / "elsewhere" / "below")
    (tmp_path / "elsewhere" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "alias")
    assert show_path(tmp_path / "alias" / "deep" / "a.yaml") == Path("deep/a.yaml")
    assert show_path(tmp_path / "elsewhere" / "a.yaml") == tmp_path / "elsewhere" / "a.yaml"
    assert show_path(Path("link/../a.yaml")) != Path("a.yaml")  # that is elsewhere/a.yaml


def test_a_setting_with_dots_is_told_without(tmp_path: Path) -> None:
    root, aside = tmp_path / "study", tmp_path / "aside"
    (root / "hypotheses").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.harness]\nverdicts = "../trail"\n', encoding="utf-8")
    (aside / "deep").mkdir(parents=True)
    (root / "link").symlink_to(aside / "deep")
    for data, leads in (("../shared", tmp_path / "shared"), ("link/../shared", root / "link" / ".." / "shared")):
        project = find_project(root / "hypotheses" / "a.yaml", Settings(variables={"HARNESS_DATA": data}))
        assert project.data == leads and os.path.realpath(leads) == os.path.realpath(root / data)
        assert project.verdicts == tmp_path / "trail"


def test_a_misplaced_file_is_told_with_a_command_to_paste(tmp_path: Path) -> None:
    below = tmp_path / "Ada's ideas"
    below.mkdir()
    (below / "a.yaml").write_text("x", encoding="utf-8")
    (finding,) = folders.list_folder(tmp_path).findings
    command = (finding.remedy or "").partition("name its folder: ")[2]
    assert shlex.split(command) == ["harness", "check", str(below)]


def test_the_doctor_tells_a_command_and_nothing_after_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (finding,) = _examine_git(tmp_path)
    inside = f"git -C {shlex.quote(os.path.realpath(tmp_path))}"
    assert (finding.remedy or "").endswith(f": {inside} add . && {inside} commit")
    assert "an audit holds the trail against its history" in finding.found
