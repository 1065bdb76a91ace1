"""What list, check, audit, plan and show say of hypotheses: nothing that is registered or was tried disappears."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import Interrupted
from harness.pipeline.session import Reporter
from tests.e2e.projects import REPOSITORY, Project, make_project, run_file
from tests.e2e.test_e2e_trail import MOMENT, RUN, done, given

FILE = "hypotheses/tiny.yaml"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def moment(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", MOMENT)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four attempts: one finished, one closed, one that deviates, one left open."""
    project = make_project(tmp_path_factory.mktemp("tried") / "project", MOMENT)
    path = project.root / FILE
    run_file(path)
    interrupt(path)
    (run,) = [event for event in rows(project)[0]["attempts"] if event["status"] == "open"]
    done(project, "close", run["run"], "--reason", "the machine is needed")
    project.edit("Training the blocks helps.", "Training the blocks always helps.", "claims.yaml")
    run_file(path)
    interrupt(path)
    return project


def interrupt(path: Path) -> None:
    with pytest.raises(Interrupted):
        run_file(path, Reporter(stop=lambda: True))


def rows(project: Project, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(given(project, "list", "--format", "json", *arguments)[0])
    return found


def copied(project: Project, tmp_path: Path) -> Project:
    shutil.copytree(project.root, tmp_path / "copy")
    return Project(tmp_path / "copy")


def findings(project: Project, *arguments: str, code: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(given(project, "check", "--format", "json", *arguments, code=code)[0])
    return found


def test_list_marks_attempts_that_are_open_closed_or_deviate(tried: Project) -> None:
    (_, line) = given(tried, "list")[0].splitlines()
    assert re.match(r"tiny  .*  4 \(1 open, 1 aborted, 2 deviating\)  better +better \(deviates\)  Training", line)
    (row,) = rows(tried)
    assert [(one["status"], one["deviates"]) for one in row["attempts"]] == [
        ("finished", False),
        ("aborted", False),
        ("finished", True),
        ("open", True),
    ]
    assert (row["outcome"], row["deviates"], row["note"]) == ("better", True, None)


def pasted(project: Project, remedy: str, folder: str = ".") -> None:
    """Give a shell the command that ends a remedy."""
    subprocess.run(["sh", "-c", remedy.rsplit(": ", 1)[1]], cwd=project.root / folder, check=True)


def test_a_registered_hypothesis_stays_when_its_file_is_gone(tried: Project, tmp_path: Path) -> None:
    project = copied(tried, tmp_path)
    text = (project.root / FILE).read_bytes()
    (project.root / FILE).unlink()
    (row,) = rows(project)
    (before,) = rows(tried)
    assert row == before | {"file": None, "note": "file missing"}
    assert re.search(
        r"^tiny .* 4 \(1 open.* better \(deviates\)  file missing  Training", done(project, "list"), re.MULTILINE
    )
    (finding,) = findings(project, code=2)
    assert (finding["file"], finding["severity"], finding["rule"]) == (FILE, "error", "amendment")
    assert "'tiny' is registered" in finding["message"] and "its file is missing" in finding["message"]
    pasted(project, finding["remedy"])
    assert (project.root / FILE).read_bytes() == text
    assert findings(project, code=0) == findings(tried, code=0) and rows(project) == rows(tried)


@pytest.mark.parametrize("state", ["empty", "no text", "no YAML", "a link to nowhere", "a folder"])
def test_it_stays_when_its_file_says_nothing(state: str, tried: Project, tmp_path: Path) -> None:
    project = copied(tried, tmp_path)
    file = project.root / FILE
    text = file.read_bytes()
    file.unlink()
    if state == "a link to nowhere":
        file.symlink_to("nowhere.yaml")
    elif state == "a folder":
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "no text": b"\xff\xfe", "no YAML": b"id: [tiny"}[state])
    (row,) = rows(project)
    (before,) = rows(tried)
    assert {key: row[key] for key in ("id", "registered", "outcome", "attempts")} == {
        key: before[key] for key in ("id", "registered", "outcome", "attempts")
    }
    assert row["note"] in ("file unreadable", "file missing")
    (finding,) = [one for one in findings(project, code=2) if "'tiny' is registered" in one["message"]]
    pasted(project, finding["remedy"])
    assert any(one.is_file() and one.read_bytes() == text for one in (project.root / "hypotheses").iterdir())
    if state != "a folder":  # which is no file that a command may remove
        assert file.read_bytes() == text and not file.is_symlink()
        assert findings(project, code=0) == findings(tried, code=0)


def test_it_stays_when_the_whole_folder_is_gone(tried: Project, tmp_path: Path) -> None:
    project = copied(tried, tmp_path)
    shutil.rmtree(project.root / "hypotheses")
    assert [(row["id"], row["note"]) for row in rows(project)] == [("tiny", "file missing")]
    (finding,) = findings(project, code=2)
    assert finding["rule"] == "amendment"
    pasted(project, finding["remedy"])
    assert findings(project, code=0) == [] and rows(project) == rows(tried)
    assert "there is no folder hypothesis here" in done(project, "check", "hypothesis", code=2)


def test_after_an_amendment_the_amended_file_is_brought_back(moment: Project) -> None:
    done(moment, "register", FILE)
    moment.edit("epochs: 2", "epochs: 1")
    done(moment, "amend", FILE, "--reason", "sooner")
    text = (moment.root / FILE).read_bytes()
    (moment.root / FILE).rename(moment.root / "elsewhere.yaml")
    (moment.root / FILE).write_text(MOMENT.replace("id: tiny", "id: other").replace("epochs: 2", "epochs: 7"))
    (finding,) = findings(moment, code=2)
    command = re.search(r"cat (\S+) > hypotheses/tiny-registered.yaml$", finding["remedy"])
    assert command is not None and (moment.root / command[1]).read_bytes() == text
    (moment.root / "hypotheses/tiny-registered.yaml").write_text("id: another\n")
    assert any(one["remedy"].endswith("tiny-registered-2.yaml") for one in findings(moment, code=2))


@pytest.mark.parametrize("name", ["renamed.yaml", "Tiny (2).yaml.yaml"])
def test_a_renamed_file_is_not_missing(moment: Project, name: str) -> None:
    done(moment, "register", FILE)
    (moment.root / FILE).rename(moment.root / "hypotheses" / name)
    assert [(row["file"], row["note"]) for row in rows(moment)] == [(f"hypotheses/{name}", None)]
    assert findings(moment, code=0) == []


@pytest.mark.parametrize("place", ["old/tiny.yaml", "tiny.yml", "tiny (copy).yaml"])
def test_a_file_that_is_left_out_is_shown_where_it_lies(moment: Project, place: str) -> None:
    done(moment, "register", FILE)
    moment.edit("id: tiny", "id: other")
    (moment.root / "hypotheses/old").mkdir()
    (moment.root / "hypotheses" / place).write_text(MOMENT)
    other, row = rows(moment)
    assert (other["id"], row["id"], row["file"]) == ("other", "tiny", f"hypotheses/{place}")
    assert row["note"] == f"file not checked: hypotheses/{place}" and row["registered"] is not None
    assert f"hypotheses/{place}: has findings" in given(moment, "list")[1] or place in given(moment, "list")[1]
    assert f"hypotheses/{place}" in {finding["file"] for finding in findings(moment, code=0)}
    assert "it lies in" in done(moment, "audit", code=5)


def test_an_invalid_file_and_two_of_one_id_stay_in_the_list(moment: Project) -> None:
    done(moment, "register", FILE)
    moment.edit("epochs: 2", "epochs: 012")
    first, second = MOMENT.replace("id: tiny", "id: twice"), MOMENT.replace("id: tiny", "id: twice")
    (moment.root / "hypotheses/a.yaml").write_text(first.replace("epochs: 2", "epochs: 3"))
    (moment.root / "hypotheses/b.yaml").write_text(second.replace("epochs: 2", "epochs: 4"))
    found = [(row["id"], row["file"], row["note"]) for row in rows(moment)]
    assert found == [
        ("twice", "hypotheses/a.yaml", "its id is also that of another file"),
        ("twice", "hypotheses/b.yaml", "its id is also that of hypotheses/a.yaml"),
        ("tiny", FILE, "file has errors"),
    ]
    assert "hypotheses/b.yaml, hypotheses/tiny.yaml: have findings, see harness check" in given(moment, "list")[1]
    (moment.root / FILE).write_text("id: tiny\n  oops: [")  # no YAML at all: still the file of this id
    assert rows(moment)[2]["note"] == "file has errors"
    assert not any("is missing" in finding["message"] for finding in findings(moment, code=2))


def test_a_file_of_another_trail_is_no_missing_file(moment: Project, tmp_path: Path) -> None:
    """A trail outside the project may be shared; nor does a look at one file or another folder say what is missing."""
    done(moment, "register", FILE)
    other = make_project(tmp_path / "other", MOMENT.replace("id: tiny", "id: other"))
    assert findings(other, "--verdicts", str(moment.root / "verdicts"), "hypotheses", code=0) is not None
    moment.edit("id: tiny", "id: other")
    (moment.root / "drafts").mkdir()
    (moment.root / FILE).rename(moment.root / "drafts/x.yaml")
    assert [row["id"] for row in rows(moment, "drafts")] == ["other"]
    assert [row["id"] for row in rows(moment, "drafts/x.yaml")] == ["other"]
    assert [row["id"] for row in rows(moment, "drafts", "hypotheses")] == ["other", "tiny"]


def in_folder(project: Project, folder: str, *arguments: str, code: int = 0) -> str:
    """Standard output of a command given in a folder of the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root / folder)
        ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == code, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("folder", ["hypotheses", ".."])
def test_what_brings_a_file_back_is_pasted_where_it_was_printed(moment: Project, folder: str) -> None:
    done(moment, "register", FILE)
    file = moment.root / FILE
    text = file.read_bytes()
    file.unlink()
    file.symlink_to(moment.root / "elsewhere" / "it's.yaml")  # to a folder that is not there
    there = "project/hypotheses" if folder == ".." else "."
    for empty in (False, True):
        if empty:
            file.write_text("")
        printed = in_folder(moment, folder, "check", there, code=2)
        (line,) = [line for line in printed.splitlines() if " > " in line]
        pasted(moment, line, folder)
        assert file.read_bytes() == text and not file.is_symlink()
        in_folder(moment, folder, "check", there)


def test_paths_of_a_command_are_all_relative_or_all_whole(moment: Project) -> None:
    done(moment, "register", FILE)
    (moment.root / FILE).unlink()
    for folder, starts in ((".", {"hypotheses", "verdicts"}), ("hypotheses", {""})):
        printed = json.loads(in_folder(moment, folder, "check", "--format", "json", code=2))
        (remedy,) = [finding["remedy"] for finding in printed]
        assert {word.split("/")[0] for word in remedy.split() if "/" in word} == starts


def test_a_trail_outside_the_project_loses_no_file(moment: Project) -> None:
    """Told as a warning, because another project may share the trail."""
    (moment.root / "pyproject.toml").write_text('[tool.harness]\nverdicts = "../x"\n')
    done(moment, "register", FILE)
    assert [row["note"] for row in rows(moment)] == [None]
    text = (moment.root / FILE).read_bytes()
    (moment.root / FILE).write_text(MOMENT.replace("id: tiny", "id: other"))
    found = [finding for finding in findings(moment, code=0) if "'tiny' is registered" in finding["message"]]
    assert [finding["severity"] for finding in found] == ["warning"] and "another project's" in found[0]["message"]
    (moment.root / FILE).unlink()
    (row,) = rows(moment)
    assert (row["id"], row["file"], row["note"]) == ("tiny", None, "no file here") and row["registered"]
    (finding,) = findings(moment, code=0)
    assert findings(moment, "--strict", code=2) == [finding]
    pasted(moment, finding["remedy"])
    assert (moment.root / FILE).read_bytes() == text and findings(moment, code=0) == []


def test_no_other_project_of_the_same_id_hides_a_missing_file(moment: Project, tmp_path: Path) -> None:
    done(moment, "register", FILE)
    other = make_project(tmp_path / "other", MOMENT)
    done(other, "register", FILE)
    both = (str(moment.root / "hypotheses"), str(other.root / "hypotheses"))
    assert findings(moment, *both, code=0) == []  # each is the only file of its id in its trail
    (moment.root / FILE).unlink()
    for order in (both, both[::-1]):
        (finding,) = [one for one in findings(moment, *order, code=2) if "'tiny' is registered" in one["message"]]
        assert finding["file"] == str(moment.root / FILE)
        assert {(row["file"], row["note"]) for row in rows(moment, *order)} == {
            (None, "file missing"),
            (str(other.root / FILE), None),
        }
    (other.root / FILE).rename(other.root / "elsewhere.yaml")
    assert {one["file"] for one in findings(moment, *both, code=2) if one["rule"] == "amendment"} == {
        str(moment.root / FILE),
        str(other.root / FILE),
    }
    assert len(rows(moment, *both)) == 2
    (other.root / "elsewhere.yaml").rename(other.root / FILE)
    (moment.root / "hypotheses/link.yaml").symlink_to(other.root / FILE)  # which belongs to the other project
    (finding,) = findings(moment, code=2)
    assert "'tiny' is registered" in finding["message"]
    assert sorted(str(row["note"]) for row in rows(moment)) == ["None", "file missing"]


def test_files_are_compared_with_the_registrations_of_their_own_trail(moment: Project, tmp_path: Path) -> None:
    done(moment, "register", FILE)
    other = make_project(tmp_path / "other", MOMENT.replace("epochs: 2", "epochs: 3"))
    done(other, "register", FILE)
    both = (str(moment.root / "hypotheses"), str(other.root / "hypotheses"))
    assert findings(moment, *both, code=0) == []
    moment.edit("epochs: 2", "epochs: 3")
    found = findings(moment, *both, code=0)
    assert {finding["file"] for finding in found} == {str(moment.root / FILE)}
    assert all("was registered on" in finding["message"] for finding in found)


@pytest.mark.parametrize("state", ["empty", "missing", "a link to nowhere"])
def test_a_single_file_is_told_as_registered(moment: Project, state: str) -> None:
    done(moment, "register", FILE)
    file = moment.root / FILE
    text = file.read_bytes()
    file.unlink()
    if state == "empty":
        file.write_text("")
    elif state != "missing":
        file.symlink_to("nowhere")
    for arguments in ((FILE,), (FILE, "hypotheses/claims.yaml")):
        (finding,) = [one for one in findings(moment, *arguments, code=2) if "'tiny' is registered" in one["message"]]
        assert finding["file"] == FILE
        (row,) = rows(moment, *arguments)
        assert row["id"] == "tiny" and row["note"] == ("file missing" if state == "missing" else "file unreadable")
    pasted(moment, finding["remedy"])
    assert file.read_bytes() == text and findings(moment, FILE, code=0) == []
    file.rename(moment.root / "hypotheses/renamed.yaml")
    file.write_text("")  # what is registered is in another file by now
    assert not any("is registered" in one["message"] for one in findings(moment, FILE, code=2))


def test_the_audit_notes_a_missing_file_and_passes_as_before(tried: Project, tmp_path: Path) -> None:
    project = copied(tried, tmp_path)
    before = json.loads(given(project, "audit", "--format", "json", code=5)[0])  # an open attempt, and no git
    (project.root / FILE).unlink()
    os.mkfifo(project.root / "hypotheses/pipe.yaml")
    after = json.loads(given(project, "audit", "--format", "json", code=5)[0])
    new = [finding for finding in after["findings"] if finding not in before["findings"]]
    assert {(one["sort"], one["kind"]) for one in new} == {("file-missing", "note"), ("file-not-compared", "note")}
    (missing,) = [one for one in new if one["sort"] == "file-missing"]
    assert missing["hypothesis"] == "tiny" and "tiny is registered, and its file is missing" in missing["what"]
    kept = re.search(r"objects/sha256/[0-9a-f]{64}", missing["what"])
    assert kept is not None and (project.root / "verdicts" / kept[0]).read_text() == MOMENT
    assert after["hypotheses"] == before["hypotheses"] and after["trail"] == before["trail"]
    assert "note, step 6: hypotheses: tiny is registered" in given(project, "audit", code=5)[1]
    shutil.rmtree(project.root / "hypotheses")  # a trail alone, as an export holds it: nothing is compared
    alone = json.loads(given(project, "audit", "--format", "json", code=5)[0])
    assert not {"file-missing", "file-not-compared"} & {finding["sort"] for finding in alone["findings"]}


def test_show_says_of_what_was_never_judged_what_there_is(moment: Project) -> None:
    done(moment, "register", FILE)
    shown = moment.harness("show", "tiny")
    assert shown.returncode == 2
    assert "there is no verdict on 'tiny'\n  → harness show tiny --history lists what was done; " in shown.stderr
    assert "registered: " in done(moment, "show", "tiny", "--history")


def test_show_gives_a_verdict_as_json(tried: Project) -> None:
    shown = json.loads(given(tried, "show", "tiny", "--format", "json")[0])
    last = tried.root / shown["file"]
    assert (shown["hypothesis"], shown["run"], shown["banners"]) == ("tiny", last.parent.name, [])
    assert shown["verdict"] == json.loads(last.with_name("verdict.json").read_text())


def terminal(project: Project, columns: int, *arguments: str) -> str:
    """What a command writes on a terminal of so many columns, without colours and links."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    unset = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
    environment = {key: value for key, value in project.environment(TERM="xterm").items() if key not in unset}
    running = subprocess.Popen(
        project.command(*arguments),
        cwd=project.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=subprocess.DEVNULL,
    )
    os.close(child)
    parts = []
    while True:
        try:
            part = os.read(parent, 1 << 16)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(parent)
    assert running.wait() == 0
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x1b]*\x1b\\)", "", b"".join(parts).decode())


def letters(text: str) -> Counter[str]:
    return Counter(re.sub(r"[\s─━│▌•]", "", text))


@pytest.mark.parametrize("columns", [30, 80])
def test_show_crops_nothing_on_a_terminal(columns: int) -> None:
    """Every letter of the page, its numbered steps and tables included, is there at any width."""
    wide = terminal(Project(REPOSITORY), 2000, "show", "bp-penalty-control")
    narrow = terminal(Project(REPOSITORY), columns, "show", "bp-penalty-control")
    assert max(map(len, narrow.splitlines())) <= columns
    assert "…" not in narrow
    assert letters(wide) - letters(narrow) == Counter()


@pytest.mark.parametrize(
    "arguments",
    [
        ("power", "hypotheses/mode2_direction.yaml", "--sd", "1"),
        ("reverdict", "mode2-direction", "--criterion", "all"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_tables_are_folded_on_a_narrow_terminal_and_not_cut(arguments: tuple[str, ...]) -> None:
    wide, narrow = (terminal(Project(REPOSITORY), columns, *arguments) for columns in (1000, 50))
    assert "…" not in narrow
    assert letters(wide) == letters(narrow)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("list",), ("bp-penalty-control", "quickstart-digits", "credit_fails", "registered", "(deviates)")),
        (("show", "mode2-direction"), ("healthy_reference", "Registration", "inconclusive", "65f2e4c2d262 (this one)")),
    ],
    ids=lambda part: part[0],
)
def test_tables_of_a_terminal_break_no_name_while_there_is_room(
    arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    lines = terminal(Project(REPOSITORY), 80, *arguments)
    assert max(map(len, lines.splitlines())) <= 80
    assert [name for name in names if name not in lines] == []


def test_show_on_a_terminal_has_no_markup_left_and_names_what_a_page_unfolds() -> None:
    page = " ".join(terminal(Project(REPOSITORY), 80, "show", "mode2-direction").split())
    assert "over the bands confirmed (-0.05, 0.05)" in page and "\\" not in page
    assert "Values per seed" in page and "Numbers per layer" in page


def test_on_a_terminal_only_the_title_of_a_hypothesis_is_shortened() -> None:
    lines = terminal(Project(REPOSITORY), 130, "list").splitlines()
    assert len(lines) == 1 + len(list(REPOSITORY.glob("hypotheses/*.yaml"))) - 1
    assert all(len(line) <= 130 for line in lines)
    assert any(re.match(r"bp-penalty-control .* 3 \(1 deviating\) .* partial \(deviates\) .*…", line) for line in lines)


def test_off_a_terminal_no_table_has_a_width(moment: Project) -> None:
    name = "-".join(["a-long-id"] * 6)
    title = "A title that goes on and on, " * 4 + "to its end"
    path = moment.root / "hypotheses/long.yaml"
    path.write_text(MOMENT.replace("id: tiny", f"id: {name}").replace("Training the blocks is felt at once", title))
    for columns in ("20", "80"):
        listed = moment.harness("list", COLUMNS=columns).stdout.splitlines()
        assert len(listed) == 3 and listed[1].startswith(f"{name}  ") and listed[1].rstrip().endswith(title)
        claims = moment.harness("claims", COLUMNS=columns).stdout.splitlines()
        assert claims[1].split() == ["depth-helps", "untested", "Training", "the", "blocks", "helps."]
        explained = moment.harness("explain", "dfa", COLUMNS=columns).stdout
        assert "…" not in explained
        power = moment.harness("power", str(path), "--sd", "1", COLUMNS=columns).stdout
        assert "…" not in power and power


def test_plan_says_of_a_changed_file_what_run_says(moment: Project) -> None:
    done(moment, "register", FILE)
    assert "registered: " in done(moment, "plan", FILE, "--device", "cpu")
    for old, new in (("epochs: 2", "epochs: 4"), ("count: 4", "count: 6")):
        moment.edit(old, new)
        refused = given(moment, *RUN, code=2)[1]
        planned, told = given(moment, "plan", FILE, "--device", "cpu", code=2)
        assert told == refused and told.startswith(f"error: {FILE}: tiny was ")
        assert f"2 arms × {6 if 'count' in new else 4} seeds" in planned and "cohort" in planned
        plain = json.loads(given(moment, "plan", FILE, "--device", "cpu", "--format", "json", code=2)[0])
        assert plain["refused"] in refused and plain["cohorts"]
        moment.edit(new, old)
    assert json.loads(done(moment, "plan", FILE, "--device", "cpu", "--format", "json"))["refused"] is None


def test_plan_says_what_a_run_would_say_of_its_deviations(moment: Project) -> None:
    done(moment, "register", FILE)
    moment.edit("id: tiny", "id: tiny  # a comment")
    moment.edit("Training the blocks helps.", "Training the blocks always helps.", "claims.yaml")
    planned = done(moment, "plan", FILE, "--device", "cpu").splitlines()
    said = [line for line in given(moment, *RUN)[1].splitlines() if "deviates" in line or "layout" in line]
    assert len(said) == 2 and planned[-2:] == said
