"""Programs that put something else in the place of harness's own files: nothing outside a run's folder is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import programs
from harness.errors import Interrupted
from tests.unit.programs.toys import GOOD, make

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs run on Linux and macOS")
ONE = {"of_arms": 1, "of_seeds": 1}
PLACES = """\
import os, shutil, time
out = os.environ['HARNESS_OUT']
own = os.path.dirname(out)
work = os.path.dirname(own)
"""
AGAIN = {"again": {"when": ["preempted", "killed"], "times": 1}}
AS_USER = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "--inh-caps=+dac_read_search"]
AS_USER += ["--ambient-caps=+dac_read_search"]  # to read Python where it lies below root's home, and nothing else
CLOSING = """\
import os, sys
from pathlib import Path
from harness.programs.folders import ReplicaFolder
from harness.records import Replica
attempt, target = map(Path, sys.argv[1:])
folder = ReplicaFolder(attempt, Replica(arm="strong", seed_index=0, seed=11))
folder.begin({})
(folder.code / "a/b").mkdir(parents=True)
os.link(target / "cached", folder.code / "a/b/hard")
(folder.code / "a/b/soft").symlink_to(target)
folder.results.rmdir()
folder.results.symlink_to(target)
for closed in ("code/a/b", "code/a", "code", "resume", "."):
    (folder.path / closed).chmod(0o555)
folder.forget()
assert sorted(path.name for path in folder.path.iterdir()) == ["resume", "tries.json"]
folder.begin({})
(folder.kept / "checkpoint").write_text("again")
"""


def make_precious(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Make a folder outside of all runs, with names as a replica's; return its files, with their modes."""
    for name in ("code/thesis.tex", "out/figure.pdf", "strong-0/code/thesis.tex", "cached"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o444)
    return read_precious(folder)


def read_precious(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", ["own", "work"])
def test_a_link_in_the_place_of_a_folder_is_removed_and_not_what_it_leads_to(place: str, tmp_path: Path) -> None:
    """The run is stopped, so that the link is still there when the next try begins."""
    before = make_precious(tmp_path / "thesis")
    mark = tmp_path / "mark"
    script = f"{PLACES}shutil.move({place}, {place} + '-moved')\nos.symlink({str(tmp_path / 'thesis')!r}, {place})\n"
    toy = make(tmp_path, f"{script}open({str(mark)!r}, 'w')\ntime.sleep(600)", **ONE)
    with pytest.raises(Interrupted):
        toy.run(stop=mark.exists)
    (replica,) = toy.run_other(GOOD).replicas
    assert replica.status == "finished"
    assert before.items() <= read_precious(tmp_path / "thesis").items()
    assert not (tmp_path / "thesis/code/toy.py").exists()


def test_files_that_have_another_name_elsewhere_keep_their_mode(tmp_path: Path) -> None:
    """Caches give out their files as hard links; folders in folders are deeper than Python's own removal goes."""
    before = make_precious(tmp_path / "cache")
    nest = "for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"
    link = f"os.link({str(tmp_path / 'cache/cached')!r}, 'linked')\n"
    (replica,) = make(tmp_path, f"{PLACES}{GOOD}{link}{nest}{link}os.chmod('..', 0o555)", **ONE).run().replicas
    assert replica.status == "finished"
    assert not (tmp_path / "run/work/strong-0").exists()
    assert read_precious(tmp_path / "cache") == before


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs setpriv to be no root")
def test_what_a_program_closed_to_us_is_removed_and_nothing_outside_is_opened(tmp_path: Path) -> None:
    before, attempt = make_precious(tmp_path / "cache"), tmp_path / "run"
    attempt.mkdir()
    command = [sys.executable, "-c", CLOSING, str(attempt), str(tmp_path / "cache")]
    if os.geteuid() == 0:
        for path in (attempt, *(tmp_path / "cache").rglob("*"), tmp_path / "cache"):
            os.chown(path, 4242, 4242)
        command = [*AS_USER, *command]
    (tmp_path / "cache").chmod(0o555)
    root = Path(programs.__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert read_precious(tmp_path / "cache") == before
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o555


def test_the_log_is_written_through_no_link(tmp_path: Path) -> None:
    before = make_precious(tmp_path / "thesis")
    link = f"os.symlink({str(tmp_path / 'thesis/cached')!r}, own + '.log')\nprint('told')\n"
    result = make(tmp_path, f"{PLACES}{GOOD}{link}", **ONE).run()
    assert result.replicas[0].status == "finished"
    assert read_precious(tmp_path / "thesis") == before
    assert (tmp_path / "run/logs/strong-0.log").read_text() == "told\n"


@pytest.mark.parametrize("code", [0, 3])
def test_a_folder_in_the_place_of_the_log_changes_nothing_of_the_end(code: int, tmp_path: Path) -> None:
    """Otherwise, the guard would end without a word, which is repeated as an end from outside."""
    script = f"{PLACES}{GOOD}os.makedirs(own + '.log/below')\nraise SystemExit({code})"
    result = make(tmp_path, script, program=AGAIN, **ONE).run()
    assert result.replicas[0].failure == ("it ended with exit code 3" if code else None)
    assert result.runs[0].repeated == ()
    assert [path.name for path in (tmp_path / "run/work").iterdir() if path.name != ".lock"] == ["strong-0.json"]


def test_a_program_that_removes_the_folder_of_all_replicas_is_one_that_failed(tmp_path: Path) -> None:
    (replica,) = make(tmp_path, f"{PLACES}shutil.rmtree(work)", **ONE).run().replicas
    assert replica.failure == "it ended with exit code 0, and its results file metrics.json is not there"


def test_a_program_that_removes_the_list_of_its_tries_has_no_more_of_them(tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    script = f"{PLACES}open({str(mark)!r}, 'a').write('x')\nos.remove(own + '/tries.json')\nraise SystemExit(75)"
    result = make(tmp_path, script, program={"again": {"when": ["preempted"], "times": 2}}, **ONE).run()
    assert result.replicas[0].failure == "it was preempted: exit code 75"
    assert result.runs[0].repeated == ("it was preempted: exit code 75",) * 2
    assert mark.read_text() == "xxx"


@pytest.mark.parametrize(
    "change",
    [
        "shutil.rmtree(own + '/resume')\nopen(own + '/resume', 'w')",
        "shutil.rmtree(own + '/resume')\nos.symlink('/nowhere/at/all', own + '/resume')",
        "os.remove(own + '/opened')\nos.makedirs(own + '/opened/below')",
        "os.remove(own + '/tries.json')\nos.makedirs(own + '/tries.json/below')",
        "open(own + '/tries.json', 'w').write('5')",
        "open(own + '/tries.json', 'w').write('[' * 100000)",
        "os.makedirs(os.path.dirname(work) + '/logs/strong-0.log/below')",
    ],
    ids=["file for resume", "link for resume", "opened", "tries", "a number of tries", "deep tries", "kept log"],
)
def test_something_else_in_the_place_of_a_file_of_ours_is_no_obstacle(change: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    first = f"if not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w')\n"
    first += "".join(f"    {line}\n" for line in [*change.splitlines(), "raise SystemExit(75)"])
    kept = "open(os.environ['HARNESS_RESUME'] + '/kept', 'w')\nprint('told')\n"
    result = make(tmp_path, f"{PLACES}{first}{GOOD}{kept}", program=AGAIN, **ONE).run()
    assert result.replicas[0].status == "finished"
    assert result.runs[0].repeated == ("it was preempted: exit code 75",)
    assert (tmp_path / "run/logs/strong-0.log").read_text() == "told\n"
