"""What the site is built from, when it is built again, and what it never touches."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

import harness
from harness.claims import suppose_each
from harness.ledger import Ledger, timeline
from harness.ledger.audit import AuditReport
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.run_files import read_registered
from harness.records import Claim, Claims, Implication, Move
from harness.site import build, sources
from harness.site.layout import SHELF, Layout, lay_out, lay_out_parts, stack
from harness.site.marks import Scale, list_ticks
from harness.site.reading import Trail
from harness.site.watching import Watcher
from tests.e2e.projects import REPOSITORY, Project, make_project

STAMP = ".harness-site.json"


def read_undated(page: Path) -> bytes:
    """Read the page of an audit without when and how it was made."""
    return re.sub(rb'<time.*?</time>|<span class="how">.*?</span>', b"", page.read_bytes(), flags=re.DOTALL)


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copied(hostile: Project, pages: Path, tmp_path: Path) -> Project:
    """A copy of the project, and of its site, to be changed."""
    shutil.copytree(hostile.root, tmp_path / "project")
    project = Project(tmp_path / "project")
    done = project.harness("site", "site")
    assert done.returncode == 0, done.stderr
    return project


def test_every_hypothesis_of_the_trail_has_a_page_that_tells_its_life(pages: Path) -> None:
    files = read(pages)
    assert {name for name in files if name.endswith(".html")} == {
        "index.html", "claims.html", "audit.html", "check.html", "h/tiny.html", "h/other.html",
    }  # fmt: skip
    page = files["h/tiny.html"].decode()
    for told in (
        "amended, after run",
        "chose the settings of its arms",
        "an attempt started",
        "walks back what a verdict here",
    ):
        assert told in page
    assert "WALKED BACK" in page
    assert "is not valid any more" in page
    assert "setup.epochs" in files["h/other.html"].decode()
    assert "not as predicted" in files["index.html"].decode()
    assert "after Holm" in page


def test_a_timeline_lacks_no_event_that_concerns_it(hostile: Project) -> None:
    trail = Ledger(hostile.root / "verdicts")
    index = trail.index()
    for name in ("tiny", "other"):
        own: set[str] = set()
        wanted = []
        for event in index.events:  # each is asked
            if timeline._concerns(event, name, own, index):
                own.add(event.digest)
                wanted.append(event.digest)
        assert [moment.digest for moment in timeline.read_timeline(trail, name)] == wanted
        assert {index.type_of(digest) for digest in wanted} >= {"registered", "walk_back", "verdict"}


def test_a_site_is_built_again_only_where_something_changed(copied: Project) -> None:
    before = read(copied.root / "site")
    done = copied.harness("site", "site")
    assert "nothing written" in done.stderr
    again = read(copied.root / "site")
    assert {name for name in again if again[name] != before[name]} <= {STAMP}, "not even the date of the audit"
    copied.edit("epochs: 5", "epochs: 6", "other.yaml")
    done = copied.harness("site", "site")
    assert done.returncode == 0, done.stderr
    after = read(copied.root / "site")
    changed = {name for name in after if after[name] != before.get(name)}
    assert "h/other.html" in changed
    assert "h/tiny.html" not in changed
    (copied.root / "paper").mkdir()
    (copied.root / "paper/harness-paper.json").write_text("{}")
    assert copied.harness("site", "site").returncode == 0
    papers = read(copied.root / "site")
    assert {name for name in papers if papers[name] != after[name]} == {"audit.html", ".harness-site.json"}
    assert b"a paper that can" in papers["audit.html"], "the audit's page tells of a paper that was changed alone"
    copied.harness("site", "site", "--title", "Another")
    assert b"Another" in (copied.root / "site/h/tiny.html").read_bytes()


def test_an_audit_is_made_anew_although_no_page_has_changed(copied: Project) -> None:
    """An audit depends on weights, links, git, and more that no page is made from."""
    site, trail, hypotheses = copied.root / "site", Ledger(copied.root / "verdicts"), copied.root / "hypotheses"

    def change_weights() -> None:
        path = next(path for path in sorted(trail.root.glob("other/*/weights/**/*")) if path.is_file())
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    def commit() -> None:
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
            named = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
            subprocess.run(["git", *named, *command], cwd=copied.root, check=True, capture_output=True)

    def link() -> None:
        (trail.root / "other/linked").symlink_to("..")

    audit = read_undated(site / "audit.html")
    for change in (change_weights, commit, link):
        change()
        for out in (site, copied.root / change.__name__):
            built = build.build_site(out, Ledger(trail.root), hypotheses)
        assert read_undated(site / "audit.html") == read_undated(copied.root / change.__name__ / "audit.html")
        assert read_undated(site / "audit.html") != audit, change.__name__
        audit = read_undated(site / "audit.html")
        again = build.build_site(site, Ledger(trail.root), hypotheses)
        assert (again.written, again.ending) == ((), built.ending)


def test_what_cannot_be_shown_is_told_at_each_build(copied: Project) -> None:
    (path,) = copied.root.glob("verdicts/other/*/results.json")
    path.chmod(0o644)
    path.write_text(path.read_text() + " ")
    first, second = copied.harness("site", "site"), copied.harness("site", "site")
    assert (first.returncode, second.returncode) == (3, 3)
    assert "not shown" in second.stderr and "nothing written" in second.stderr


def test_a_hypothesis_may_have_the_name_of_a_working_folder(tmp_path: Path) -> None:
    """Working files are those of a run, in the third folder from the trail's."""
    for name in ("work/run/results.json", "weights/run/weights/seed-0", "a/run/work/state", "a/run/deep/work/state"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "a/linked").symlink_to("run")
    found = [Path(path).relative_to(tmp_path).as_posix() for path in sources.list_files(tmp_path)]
    assert found == ["a/linked", "a/run/deep/work/state", "work/run/results.json"]


def test_what_was_found_sound_is_looked_at_again_when_it_changes(copied: Project) -> None:
    """Results are not read again if their bytes are known, and other bytes under their name are not taken for them."""
    stamp = json.loads((copied.root / "site/.harness-site.json").read_text())
    (sound,) = [name for name in stamp["sound"] if not name.startswith("unlike ")]  # else a search's results count too
    run, digest = sound.split()
    (path,) = [path for path in copied.root.glob("verdicts/other/*/results.json") if run.startswith(path.parent.name)]
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    trail, hypotheses = copied.root / "verdicts", copied.root / "hypotheses"
    known = AuditRequest(remembered=frozenset(stamp["sound"]))
    assert audit_trail(trail, hypotheses, known).findings == audit_trail(trail, hypotheses).findings
    path.chmod(0o644)
    before = path.read_text()
    path.write_text(re.sub(r'("seed_index":\s*)1\b', r"\g<1>2", before, count=1))
    assert path.read_text() != before
    assert audit_trail(trail, hypotheses, known).findings == audit_trail(trail, hypotheses).findings
    done = copied.harness("site", "site")
    assert done.returncode == 3, done.stderr
    assert "tampered" in (copied.root / "site/audit.html").read_text()
    left = json.loads((copied.root / "site/.harness-site.json").read_text())["sound"]
    assert left == [name for name in stamp["sound"] if name != sound]


def test_what_the_audit_did_not_see_is_on_no_page(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that is through before an event is entered, which the pages tell of, is made again."""
    trail = Ledger(copied.root / "verdicts")

    @contextmanager
    def at_once(work: Callable[[], AuditReport]) -> Iterator[Callable[[], AuditReport]]:
        report = work()
        first.append(report.events)
        trail.append("pilot", {"hypothesis": "tiny", "settings": {}}, actor="somebody else")
        yield lambda: report

    first: list[int] = []
    monkeypatch.setattr(build, "run_beside", at_once)
    build.build_site(copied.root / "new", trail, copied.root / "hypotheses")
    audit, events = (copied.root / "new/audit.html").read_text(), len(trail.events())
    assert first == [events - 1]
    assert f"{events} events" in audit
    assert trail.heads()[0][:12] in audit


def test_files_that_are_read_beside_others_have_the_same_digests(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = (copied.root / "verdicts", copied.root / "hypotheses")
    (folders[1] / "link.yaml").symlink_to("tiny.yaml")
    monkeypatch.setattr(sources, "MANY", 10**6)
    alone = sources.look_at_files(folders, {}).digests
    monkeypatch.setattr(sources, "MANY", 1)
    assert list(sources.look_at_files(folders, {}).digests.items()) == list(alone.items())
    assert alone[str(folders[1] / "link.yaml")].startswith("not read")
    below = sources.find_below(alone, folders[0])
    (results,) = folders[0].glob("other/*/results.json")
    assert below[results.relative_to(folders[0]).as_posix()] == hashlib.sha256(results.read_bytes()).hexdigest()
    known, plain = AuditRequest(digests=below), AuditRequest()
    assert audit_trail(*folders, known).findings == audit_trail(*folders, plain).findings
    wrong = AuditRequest(digests=dict.fromkeys(below, "0" * 64))
    assert audit_trail(*folders, wrong).findings == audit_trail(*folders, plain).findings


def test_a_file_is_read_again_unless_nothing_can_have_touched_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, link = (tmp_path / name for name in ("old", "new", "link"))
    for path in (old, new):
        path.write_text("before")
    link.symlink_to("old")
    assert sources.look_at_files([tmp_path], {}).marks == {}, "each was changed just now"
    monkeypatch.setattr(sources, "SETTLING", -(10**15))
    first = sources.look_at_files([tmp_path], {})
    assert set(first.marks.values()) == {first.digests[str(old)]} and len(first.marks) == 2, "a link is none of them"
    known = dict.fromkeys(first.marks, "remembered")
    assert (first.read, sources.look_at_files([tmp_path], known).read) == (3, 1)
    status = new.stat()
    new.write_text("after!")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = sources.look_at_files([tmp_path], known)
    assert second.digests == {
        str(old): "remembered",
        str(new): hashlib.sha256(b"after!").hexdigest(),
        str(link): first.digests[str(link)],
    }
    other = tmp_path / "elsewhere"
    old.rename(other)
    assert sources.look_at_files([tmp_path], known).digests[str(other)] == hashlib.sha256(b"before").hexdigest()
    assert str(tmp_path) not in json.dumps(second.marks), "a site tells nobody where it was built"


def test_what_is_changed_behind_a_sites_back_is_found(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes of the same length and with the old time are read, although nothing else is."""
    monkeypatch.setattr(sources, "SETTLING", -(10**15))
    site, trail, hypotheses = copied.root / "new", Ledger(copied.root / "verdicts"), copied.root / "hypotheses"
    build.build_site(site, trail, hypotheses)
    assert build.build_site(site, trail, hypotheses).written == ()
    (path,) = trail.root.glob("other/*/results.json")
    name, status, data = f"{path.parent.name}/results.json", path.stat(), path.read_bytes()
    assert name not in (site / "audit.html").read_text()
    path.chmod(0o644)
    path.write_bytes(re.sub(rb'("seed_index":\s*)1\b', rb"\g<1>2", data, count=1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.read_bytes() != data and path.stat().st_size == len(data)
    assert build.build_site(site, trail, hypotheses).ending == 3
    assert name in (site / "audit.html").read_text()


def test_a_build_that_failed_leaves_nothing_in_the_way_of_the_next(copied: Project) -> None:
    claims = copied.root / "hypotheses/claims.yaml"
    before = claims.read_text()
    claims.write_text("claims: 1\n")
    assert copied.harness("site", "new").returncode == 2
    claims.write_text(before)
    done = copied.harness("site", "new")
    assert done.returncode == 0, done.stderr


def test_a_package_with_plugins_is_code_that_a_site_depends_on(tmp_path: Path) -> None:
    about = tmp_path / "thin_plugins-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: thin-plugins\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[harness.penalties]\nthin = thin_plugins:Thin\n")
    (about / "top_level.txt").write_text("thin_plugins\n")

    def digest(code: str, path: Path = tmp_path) -> str:
        (tmp_path / "thin_plugins.py").write_text(code)
        script = (
            f"import sys; sys.path.append({str(path)!r}); from harness.site import sources as s; print(s.digest_site())"
        )
        return subprocess.run(
            [sys.executable, "-c", script], cwd=REPOSITORY, check=True, capture_output=True, text=True
        ).stdout

    without, one, other = digest("", tmp_path / "nothing"), digest("Thin = 1\n"), digest("Thin = 2\n")
    assert len({without, one, other}) == 3
    assert digest("Thin = 1\n") == one


def test_the_version_that_pages_say_is_code_that_a_site_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {sources.digest_site(), sources.digest_site()}
    assert len(found) == 1
    with monkeypatch.context() as patch:
        patch.setattr(harness, "__version__", "99")
        found.add(sources.digest_site())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "99")
        found.add(sources.digest_site())
    for name in ("pydantic", "jinja2", "markupsafe"):
        told = {name: "99"}
        with monkeypatch.context() as patch:
            patch.setattr(sources, "version", lambda one, told=told: told.get(one) or version(one))
            found.add(sources.digest_site())
    assert len(found) == 6


def test_a_page_that_somebody_lost_is_written_again(copied: Project) -> None:
    before = read(copied.root / "site")
    (copied.root / "site/h/tiny.html").unlink()
    assert copied.harness("site", "site").returncode == 0
    assert read(copied.root / "site")["h/tiny.html"] == before["h/tiny.html"]


def test_files_that_were_young_are_remembered_by_a_later_build(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, trail, hypotheses = copied.root / "new", Ledger(copied.root / "verdicts"), copied.root / "hypotheses"
    monkeypatch.setattr(sources, "SETTLING", 10**15)
    build.build_site(site, trail, hypotheses)
    assert json.loads((site / STAMP).read_text())["marks"] == {}
    monkeypatch.setattr(sources, "SETTLING", -(10**15))
    assert build.build_site(site, trail, hypotheses).written == ()
    marks = json.loads((site / STAMP).read_text())["marks"]
    assert marks and sources.look_at_files([trail.root], marks).read == 0
    before = (site / STAMP).stat()
    assert build.build_site(site, trail, hypotheses).written == ()
    now = (site / STAMP).stat()
    assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "not even the stamp"


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SETTLING", -(10**15))
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)

    def read(paths: Sequence[str]) -> dict[str, str]:
        found = {path: sources.digest_file(path) for path in paths}
        (tmp_path / "one").write_text("changed")
        return found

    monkeypatch.setattr(sources, "_digest_many", read)
    assert set(sources.look_at_files([tmp_path], {}).marks.values()) == {hashlib.sha256(b"other").hexdigest()}


def test_the_page_of_an_audit_says_what_it_took_from_an_earlier_build(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SETTLING", -(10**15))
    site, trail, hypotheses = copied.root / "new", Ledger(copied.root / "verdicts"), copied.root / "hypotheses"
    build.build_site(site, trail, hypotheses)
    assert b"on top of an earlier" not in (site / "audit.html").read_bytes()
    files = len(list(sources.list_files(trail.root)))
    trail.append("pilot", {"hypothesis": "other", "settings": {}})
    build.build_site(site, Ledger(trail.root), hypotheses)
    page = (site / "audit.html").read_text()
    assert f"1 file of {files + 1} was read for a digest" in page
    assert "1 result was taken as that build found" in page


def test_a_view_sees_other_bytes_with_the_old_time_of_modification(tmp_path: Path) -> None:
    for name in ("verdicts", "hypotheses"):
        (tmp_path / name).mkdir()
    path = tmp_path / "hypotheses/one.yaml"
    path.write_text("before")
    watcher = Watcher(tmp_path / "verdicts", tmp_path / "hypotheses", ())
    assert watcher._stamp() == watcher._built
    status = path.stat()
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # a clock may be coarse
        path.write_text("after!")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert watcher._stamp() != watcher._built


def test_a_page_is_kept_only_if_it_is_what_the_stamp_says(copied: Project) -> None:
    """Somebody may edit a page, and a build may end before its stamp, after which the sources are as they were."""
    site, ledger, hypotheses = copied.root / "site", copied.root / "verdicts", copied.root / "hypotheses"
    build.build_site(site, Ledger(ledger), hypotheses)  # which names files otherwise than a command in their folder
    before = read(site)
    for name in ("h/tiny.html", "index.html", "site.css"):
        (site / name).write_bytes(before[name] + b" ")
    build.build_site(site, Ledger(ledger), hypotheses)
    again = read(site)
    assert {name for name in again if again[name] != before[name]} <= {STAMP}
    path = hypotheses / "other.yaml"
    text = path.read_text()
    path.write_text(text.replace("epochs: 5", "epochs: 6"))
    assert "h/other.html" in build.build_site(site, Ledger(ledger), hypotheses).written
    path.write_text(text)
    (site / STAMP).write_bytes(before[STAMP])
    build.build_site(site, Ledger(ledger), hypotheses)
    assert read(site)["h/other.html"] == before["h/other.html"]
    (site / "audit.html").write_text("All is well.")
    assert build.build_site(site, Ledger(ledger), hypotheses).written == ("audit.html",)
    assert read_undated(site / "audit.html") != b"All is well."


def test_a_stamp_that_is_not_understood_counts_as_none(copied: Project) -> None:
    site, trail, hypotheses = copied.root / "site", Ledger(copied.root / "verdicts"), copied.root / "hypotheses"
    build.build_site(site, trail, hypotheses)
    before, stamp = read(site), json.loads((site / STAMP).read_text())
    lists: tuple[object, ...] = ([], {"h/tiny.html": [], "a\0b": "x", "x" * 5000: "y"})
    for edit in (*(dict.fromkeys(stamp.keys() - {"form", "code"}, value) for value in lists), {"code": []}):
        (site / STAMP).write_text(json.dumps(stamp | edit))
        build.build_site(site, trail, hypotheses)
        assert read(site)["h/tiny.html"] == before["h/tiny.html"]
        assert json.loads((site / STAMP).read_text())["keys"] == stamp["keys"]
    for text in ("[" * 100_000, "{", "[]", '{"form": []}'):
        (site / STAMP).write_text(text)
        build.build_site(site, trail, hypotheses)
        assert json.loads((site / STAMP).read_text())["keys"] == stamp["keys"]


def test_the_same_trail_gives_the_same_pages(copied: Project) -> None:
    copied.harness("site", "twin")
    one, other = read(copied.root / "site"), read(copied.root / "twin")
    for name in ("audit.html", ".harness-site.json"):  # these hold when it was
        del one[name], other[name]
    assert one == other


def test_pages_that_are_made_beside_others_are_the_same(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in copied.root.glob("verdicts/*/*/verdict.json"):  # a problem in either half
        path.chmod(0o644)
        path.write_text(path.read_text() + " ")
    trail, hypotheses = Ledger(copied.root / "verdicts"), copied.root / "hypotheses"
    alone = build.build_site(copied.root / "alone", trail, hypotheses)
    monkeypatch.setattr(build, "MANY", 1)
    halved = build.build_site(copied.root / "halved", trail, hypotheses)
    assert read(copied.root / "alone/h") == read(copied.root / "halved/h")
    assert [str(one) for one in halved.problems] == [str(one) for one in alone.problems]
    assert len([one for one in halved.problems if one.exit_code == 3]) >= 2


def test_a_site_that_grew_is_the_one_that_is_built_at_once(copied: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a build remembers of the one before makes a page, or an audit, say anything else."""
    monkeypatch.setattr(sources, "SETTLING", -(10**15))  # or no file would be old enough to be remembered
    trail, hypotheses, stamp = Ledger(copied.root / "verdicts"), copied.root / "hypotheses", ".harness-site.json"
    first = trail.index().fixing("other")[0].event.body
    form = json.loads(trail.read_object(first["canonical"]))

    def register(name: str, **changed: object) -> None:
        text = json.dumps({**form, "id": name, **changed}).encode()
        kept = {"raw": trail.store_object(text), "canonical": trail.store_object(text)}
        trail.append("registered", first | kept | {"hypothesis": name}, actor="A")

    def edit_claims() -> None:
        path = hypotheses / "claims.yaml"
        path.write_text(path.read_text().replace("Digits can be learnt.", "Digits can all be learnt."))

    steps: dict[str, tuple[Callable[[], object], str, str]] = {
        "twin": (lambda: register("twin"), "audit.html", "it trains and tests the same as other"),
        "foreign": (lambda: register("foreign", schema_version=99), "index.html", "foreign"),
        "pilot": (lambda: trail.append("pilot", {"hypothesis": "twin", "settings": {}}), "h/twin.html", "a pilot"),
        "claims": (edit_claims, "claims.html", "Digits can all be learnt."),
    }
    remembered = []
    for name, (change, page, told) in steps.items():
        change()
        for out in ("site", name):
            build.build_site(copied.root / out, Ledger(trail.root), hypotheses)
        grown, whole = read(copied.root / "site"), read(copied.root / name)
        stamps = [json.loads(files.pop(stamp)) for files in (grown, whole)]
        for out, files in (("site", grown), (name, whole)):
            files["audit.html"] = read_undated(copied.root / out / "audit.html")
        assert grown == whole, name
        for one in stamps:
            del one["files"]["audit.html"]  # it says when it was made
        assert stamps[0] == stamps[1], name
        assert told in html.unescape(grown[page].decode()), name
        remembered.append(stamps[0])
    foreign = trail.index().fixing("foreign")[0].body.canonical
    assert first["canonical"] in remembered[-1]["valid"] and foreign not in remembered[-1]["valid"]
    assert remembered[-1]["normal_forms"].keys() >= {first["canonical"]}


def test_a_text_that_says_otherwise_than_its_form_is_read_by_all_rules(copied: Project) -> None:
    """Of a text that means what is registered no rule is applied again; a page of any other is as it always was."""
    trail = Trail(Ledger(copied.root / "verdicts"), copied.root / "hypotheses")
    for run in trail.ledger.index().starts():
        assert trail._read_registered(run) == read_registered(trail.ledger, run)
        (form,) = [run.body.canonical]
        trail._forms[form] = trail._read_form(form).model_copy(update={"title": "It says otherwise."})
        assert trail._read_registered(run) == read_registered(trail.ledger, run)


def test_a_folder_of_somebody_else_is_left_alone(hostile: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.html").write_text("mine")
    done = hostile.harness("site", str(tmp_path / "mine"))
    assert done.returncode == 2
    assert "other files here than a site's" in done.stderr
    assert read(tmp_path / "mine") == {"index.html": b"mine"}
    for taken in ("verdicts", "verdicts/site", ".", "hypotheses"):
        done = hostile.harness("site", taken)
        assert done.returncode == 2, taken
        assert "lie in one another" in done.stderr
    done = hostile.harness("site", "hypotheses/tiny.yaml")
    assert done.returncode == 2


def test_what_was_added_to_a_site_stays_and_what_left_the_trail_goes(copied: Project) -> None:
    site = copied.root / "site"
    (site / "CNAME").write_text("example.org")
    stamp = json.loads((site / ".harness-site.json").read_text())
    (site / "h/gone.html").write_text("gone")
    (site / "h/edited.html").write_text("edited by hand")
    stamp["files"] |= {"h/gone.html": hashlib.sha256(b"gone").hexdigest(), "h/edited.html": "0" * 64}
    stamp["files"]["../hypotheses/tiny.yaml"] = hashlib.sha256(
        (copied.root / "hypotheses/tiny.yaml").read_bytes()
    ).hexdigest()
    stamp["key"] = ""
    (site / ".harness-site.json").write_text(json.dumps(stamp))
    assert copied.harness("site", "site").returncode == 0
    assert (site / "CNAME").exists()
    assert (site / "h/edited.html").exists()
    assert not (site / "h/gone.html").exists()
    assert (copied.root / "hypotheses/tiny.yaml").exists()


def test_a_verdict_that_was_changed_is_not_shown(copied: Project) -> None:
    (path,) = copied.root.glob("verdicts/other/*/verdict.json")
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"outcome": "worse"', '"outcome": "better"'))
    done = copied.harness("site", "site")
    assert done.returncode == 3
    assert "not shown" in done.stderr
    page = html.unescape((copied.root / "site/h/other.html").read_text())
    assert "The verdict can't be shown." in page
    assert "his file is not the one that the ledger's verdict names" in page
    assert str(copied.root) not in page
    assert "tampered" in (copied.root / "site/audit.html").read_text()


def test_numbers_that_do_not_fit_their_registration_end_no_site(copied: Project) -> None:
    """Their author had the ledger name them, so that no digest differs."""
    (verdict,) = [event for event in copied.events("verdict") if event["body"]["outcome"] == "worse"]
    for path in copied.root.glob("verdicts/ledger/events/*.json"):
        event = json.loads(path.read_text())
        if event["type"] == "walk_back" or event == verdict:
            path.unlink()
    (path,) = copied.root.glob("verdicts/other/*/verdict.json")
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"name": "margin"', '"name": "nobody_registered_this"'))
    files = verdict["body"]["files"] | {"verdict.json": hashlib.sha256(path.read_bytes()).hexdigest()}
    Ledger(copied.root / "verdicts").append("verdict", verdict["body"] | {"files": files})
    done = copied.harness("site", "site")
    assert done.returncode == 1
    assert "do not fit its registration" in done.stderr
    assert "its numbers do not fit its registration" in (copied.root / "site/h/other.html").read_text().lower()
    assert "Search" in (copied.root / "site/h/tiny.html").read_text()


def test_a_trail_without_a_verdict_and_without_files_has_a_site(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.harness("register", "hypotheses/tiny.yaml")
    shutil.rmtree(project.root / "hypotheses")
    done = project.harness("site", "out", "--verdicts", "verdicts")
    assert done.returncode == 0, done.stderr
    page = (project.root / "out/h/tiny.html").read_text()
    assert "None was started." in page
    assert "BP beats frozen blocks" in page
    empty = make_project(tmp_path / "empty")
    assert empty.harness("site", "out").returncode == 0
    assert "0 registered hypotheses" in (empty.root / "out/index.html").read_text()


def test_the_site_of_this_projects_own_trail_is_small_and_never_loads_torch(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom harness.ledger import Ledger\nfrom harness.site import build_site\n"
        f"build_site(Path({str(tmp_path / 'site')!r}), Ledger(Path('verdicts')), Path('hypotheses'))\n"
        "assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules), 'loaded'\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)
    files = read(tmp_path / "site")
    plain = sum(len(re.sub(rb"<svg.*?</svg>", b"", data, flags=re.DOTALL)) for data in files.values())
    assert plain < 2_000_000, "without figures, of which every verdict brings its own"
    assert max(map(len, files.values())) < 250_000
    assert "h/mode2-direction.html" in files


def hits(layout: Layout, box: str) -> list[tuple[str, str]]:
    """Return the edges that pass a box which is not theirs."""
    x, layer = layout.places[box]
    return [
        edge
        for edge, bends in layout.bends.items()
        if box not in edge and any(at == layer and abs(place - x) < 0.5 for place, at in bends)
    ]


def test_an_edge_of_the_claims_graph_passes_no_box() -> None:
    below = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["c", "a", "b"], "e": ["a"], "f": ["e", "d", "a"], "g": []}
    layout = lay_out(below)
    assert layout == lay_out(below)
    assert len(layout.bends) == 10
    for name, stands_on in below.items():
        assert hits(layout, name) == []
        assert all(layout.places[name][1] > layout.places[one][1] for one in stands_on)
    for one, (x, layer) in layout.places.items():
        assert all(abs(x - y) > 0.999 for other, (y, at) in layout.places.items() if at == layer and other != one)


def test_parts_of_the_claims_graph_lie_in_rows_without_overlap() -> None:
    below = {f"alone-{at}": () for at in range(9)} | {"a": ("b",), "b": (), "c": ("b",), "d": ("e",), "e": ()}
    parts = lay_out_parts(below)
    assert sorted(name for part in parts for name in part.layout.places) == sorted(below)
    assert set(parts[0].layout.places) == {"a", "b", "c"} and (parts[0].left, parts[0].top) == (0.0, 0)
    assert max(part.left + part.layout.width for part in parts) <= SHELF
    boxes = [
        (part.left + x, part.top + part.layout.layers - 1 - layer)
        for part in parts
        for x, layer in part.layout.places.values()
    ]
    for at, (x, row) in enumerate(boxes):
        assert all(abs(x - y) > 0.999 for y, other in boxes[at + 1 :] if other == row)
    assert lay_out_parts({}) == ()


def test_edges_beside_the_column_share_a_lane_only_if_they_lead_to_one_claim() -> None:
    below = {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["c", "a", "b"], "e": ["a"], "f": ["e", "d", "a"], "g": []}
    column = stack(lay_out_parts(below))
    assert sorted(column.rows) == sorted(below) and sorted(column.rows.values()) == list(range(len(below)))
    assert set(column.edges) == {(name, one) for name, stands_on in below.items() for one in stands_on}
    taken: dict[tuple[int, int], str] = {}
    for upper, lower in column.edges:
        assert column.rows[upper] < column.rows[lower]
        for row in range(column.rows[upper], column.rows[lower] + 1):
            assert taken.setdefault((column.lanes[lower], row), lower) == lower
    assert max(column.lanes.values()) < 5
    assert stack(lay_out_parts({})).rows == {}


def test_claims_that_stand_on_one_another_are_drawn_once() -> None:
    layout = lay_out({"a": ["b"], "b": ["c"], "c": ["a", "nowhere"], "d": ["d"]})
    assert set(layout.places) == {"a", "b", "c", "d"}
    assert len(layout.bends) == 2
    assert lay_out({}).layers == 0


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.07, 0.31, [0, 0.1, 0.2, 0.3]),
        (2, 2.05, [2, 2.01, 2.02, 2.03, 2.04, 2.05]),
    ],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert list_ticks(low, high) == wanted


def test_logarithmic_ticks_are_written_alike() -> None:
    scale = Scale(3e-10, 2e-3, 0, 1, log=True)
    assert [scale.write(tick) for tick in scale.list_ticks()] == ["10⁻⁸", "10⁻⁶", "10⁻⁴"]
    scale = Scale(0.4, 6, 0, 1, log=True)
    assert [scale.write(tick) for tick in scale.list_ticks()] == ["0.5", "1", "2", "5"]


def test_supposed_outcomes_are_as_if_each_came_alone() -> None:
    claims = Claims(
        claims={
            "base": Claim(statement="It holds."),
            "above": Claim(statement="It rests.", stands_on=("base",)),
        }
    )

    def move(name: str, earlier: frozenset[str] = frozenset(), **does: tuple[str, ...]) -> Move:
        return Move(name, name, name, "o", False, Implication(says="x", **does), claims, earlier)

    done = [move("one", supports=("base",))]
    known = frozenset({"one"})
    supposed = [
        move("back", known, walks_back=("base",)),
        move("nothing", known),
        move("more", known, supports=("above", "base")),
    ]
    found = suppose_each(claims, done, supposed)
    assert [[(one.claim, one.before, one.after) for one in changes] for changes in found] == [
        [("base", "supported", "walked back"), ("above", "untested", "in question")],
        [],
        [("above", "untested", "supported")],
    ]
