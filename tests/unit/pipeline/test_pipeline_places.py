"""[tool.harness.on] in pyproject.toml: what it may hold, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.errors import UsageError
from harness.launchers.dask import Dask
from harness.launchers.slurm import Slurm
from harness.pipeline.places import Place, find_place, make_folder
from harness.pipeline.project import Settings, find_project
from harness.pipeline.spread import bundle

TABLE = '[tool.harness.on.cluster]\nkind = "slurm"\nfolder = "jobs"\n'
DASK = '[tool.harness.on.lab]\nkind = "dask"\nfolder = "jobs"\n'


def read(folder: Path, text: str, name: str = "cluster") -> Place:
    (folder / "pyproject.toml").write_text(text)
    return find_place(name, find_project(folder, Settings()))


def test_a_place_has_its_launcher_and_an_absolute_folder(tmp_path: Path) -> None:
    place = read(tmp_path, f'[tool.harness]\ndevice = "cpu"\n{TABLE}options = ["--gres=gpu:1"]\n')
    assert isinstance(place.launcher, Slurm) and place.launcher.options == ("--gres=gpu:1",)
    assert place.launcher.folder == str(tmp_path / "jobs" / str(os.geteuid()))
    assert find_project(tmp_path, Settings()).device == "cpu"


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("", "cluster", "no place is called 'cluster'"),
        (TABLE, "clustre", "did you mean 'cluster'?"),
        ('[tool.harness.on.cluster]\nfolder = "jobs"\n', "cluster", "kind is missing"),
        ('[tool.harness.on.cluster]\nkind = "pbs"\nfolder = "jobs"\n', "cluster", "'pbs' is not a kind of launcher"),
        ('[tool.harness.on.cluster]\nkind = "slurm"\n', "cluster", "folder: field required"),
        (f"{TABLE}option = []\n", "cluster", "option: extra inputs are not permitted"),
        (f"{TABLE}at_most = 0\n", "cluster", "at_most: input should be greater than or equal to 1"),
        ('[tool.harness]\non = "cluster"\n', "cluster", "[tool.harness.on] takes tables"),
        (f'{DASK}address = "tcp://lab7:8786"\n', "lab", "without TLS only 127.0.0.1 is taken"),
        (f'{DASK}address = "tcp://0.0.0.0:8786"\n', "lab", "without TLS only 127.0.0.1 is taken"),
        (f'{DASK}address = "lab7:8786"\n', "lab", "it is written tls://HOST:PORT"),
        (f'{DASK}address = "tls://lab7"\n', "lab", "it is written tls://HOST:PORT"),
        ("", "tcp://lab7:8786", "without TLS only 127.0.0.1 is taken"),
    ],
)
def test_what_is_wrong_with_a_place_is_said_with_its_remedy(tmp_path: Path, text: str, name: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text, name)
    assert told in refused.value.message and refused.value.remedy and refused.value.where


def test_each_user_has_a_folder_that_nobody_else_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = read(tmp_path, TABLE)
    own = Path(place.launcher.folder)
    assert not own.exists()
    make_folder(place)
    make_folder(place)
    assert own.stat().st_mode & 0o777 == 0o700 and read(tmp_path, TABLE) == place
    with monkeypatch.context() as patched:  # a second user of the same place
        patched.setattr(os, "geteuid", lambda: 4321)
        assert read(tmp_path, TABLE).launcher.folder == str(own.with_name("4321"))
        own.rename(own.with_name("4321"))
        with pytest.raises(UsageError, match="4321, for your jobs, belongs to the user") as refused:
            read(tmp_path, TABLE)
        assert refused.value.where == "--on cluster" and "name another folder" in str(refused.value.remedy)
        patched.delattr(os, "geteuid")  # as on Windows
        assert read(tmp_path, TABLE).launcher.folder == str(own.parent)
    (own.with_name("4321")).rename(own)
    for mode in (0o720, 0o702):
        own.chmod(mode)
        for again in (lambda: read(tmp_path, TABLE), lambda: make_folder(place)):
            with pytest.raises(UsageError, match="can be written by others"):
                again()
    own.chmod(0o700)
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is not a folder, or is a link"):
        read(tmp_path, TABLE)


def test_the_variable_s_place_is_taken_unless_another_or_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_ON", "cluster")
    assert [api._choose_place(on) for on in (None, "lab", "")] == ["cluster", "lab", None]
    monkeypatch.delenv("HARNESS_ON")
    assert [api._choose_place(on) for on in (None, "lab", "")] == [None, "lab", None]


def test_jobs_are_counted_as_idle_only_if_they_came_no_further() -> None:
    from harness.pipeline.jobs import Try
    from harness.pipeline.spread import count_idle_tries

    def count(*steps: int) -> int:
        return count_idle_tries([Try(id="1", steps=one, ended="killed") for one in steps])

    assert count() == 0 and count(0) == 1 and count(0, 0, 0) == 3
    assert count(10, 20, 30) == 0 and count(10, 10) == 1 and count(0, 0, 5, 5) == 1


def test_cohorts_are_bundled_in_their_order_up_to_a_limit() -> None:
    def bundled(limit: float, *sizes: float) -> list[list[float]]:
        cohorts: list[Any] = list(sizes)  # what is bundled is nothing to whoever bundles
        return bundle(cohorts, float, limit)  # type: ignore[return-value]

    assert bundled(3, 1, 1, 1, 1) == [[1, 1, 1], [1]]
    assert bundled(3, 1, 9, 1, 2) == [[1], [9], [1, 2]]
    assert bundled(3) == [] and bundled(0.5, 1, 1) == [[1], [1]]


def test_a_place_may_be_an_address(tmp_path: Path) -> None:
    place = read(tmp_path, "", "tls://lab7:8786")
    assert isinstance(place.launcher, Dask) and place.launcher.address == place.name == "tls://lab7:8786"
    assert Path(place.launcher.folder).is_absolute()
