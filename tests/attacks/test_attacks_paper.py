"""Papers against their trail: an edited number is found, wherever it was edited, and a trail that has gone on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.ledger import Ledger, sign
from harness.ledger.audit import CODES, Evidence, TrailFiles
from harness.ledger.bodies import AmendedBody, RunAbortedBody
from harness.ledger.rerun_bodies import ReplicatedBody
from harness.ledger.signatures import read_fingerprint
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.paper import write_paper
from harness.pipeline.paper_audit import check
from harness.pipeline.paper_manifest import find_papers
from harness.pipeline.run import run_hypothesis
from tests.attacks.draws import draw, make_key, open_session, register_at, witness, write_file
from tests.attacks.trails import Trail
from tests.e2e.projects import Project
from tests.paper.conftest import hostile_paper, stored  # noqa: F401  # fixtures
from tests.ssh import needs_ssh_keygen


@pytest.fixture
def written(stored: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A copy of the stored verdicts with their paper, to be changed."""
    shutil.copytree(stored, tmp_path / "project")
    return tmp_path / "project"


def find(project: Path) -> list[tuple[str, str, str | None, str | None]]:
    """Return code, place, what is expected and what is there, of every finding on the project's papers."""
    trail = project / "verdicts"
    found = check(Evidence(TrailFiles(trail)), find_papers(project, trail))
    return [(one.code, Path(one.where).name, one.expected, one.got) for one in found]


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(project: Path) -> None:
        path = project / "paper" / name
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, 1))

    return spoil


def own_text(text: str) -> Callable[[Path], None]:
    return lambda project: void((project / "paper/own.tex").write_text(text))


def void(_: object) -> None:
    return None


def change_figure(project: Path) -> None:
    path = project / "paper/figures/65f2e4c2d262-direction.pdf"
    path.write_bytes(path.read_bytes() + b"% another")


def change_manifest(project: Path) -> None:
    """Edit a number, and the digest of its file with it."""
    change("methods.tex", "learning rate 0.001", "learning rate 0.01")(project)
    path = project / "paper/harness-paper.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["methods.tex"] = hashlib.sha256((project / "paper/methods.tex").read_bytes()).hexdigest()
    path.write_text(json.dumps(manifest))


MEAN = "65f2e4c2d262:decision.decisions[0].estimand.mean"
ATTACKS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a marked number": (change("results.tex", "{0.1921}", "{0.2921}"), "paper-number", "results.tex:16"),
    "its sign": (change("paper.md", "−0.0126<", "0.0126<"), "paper-number", "paper.md"),
    "an outcome": (change("results.tex", "{inconclusive}", "{confirmed}"), "paper-number", "results.tex:"),
    "a number of the methods": (change("methods.tex", "learning rate 0.001", "learning rate 0.01"), "paper-number",
                                "methods.tex"),
    "an attempt left out": (change("attempts.tex", r"\texttt{b776e8c24565}", ""), "paper-number",
                            "attempts.tex"),
    "a digest": (change("registration.tex", "a5f025", "a5f026"), "paper-number", "registration.tex"),
    "number and manifest": (change_manifest, "paper-number", "methods.tex"),
    "a number in a text of one's own": (own_text(rf"\fromtrail{{{MEAN}}}{{0.35}}"), "paper-number", "own.tex:1"),
    "a number apart from its mark": (own_text(f"\\fromtrail {{{MEAN}}}%\n {{0.35}}"), "paper-number", "own.tex:1"),
    "a number in more braces": (own_text(rf"\fromtrail{{{MEAN}}}{{\textbf{{\emph{{0.35}}}}}}"), "paper-number",
                                "own.tex:1"),
    "a number without braces": (own_text(rf"\fromtrail{{{MEAN}}} 9"), "paper-number", "own.tex:1"),
    "a place that is not there": (own_text(r"\fromtrail{65f2e4c2d262:decision.q}{0.3}"), "paper-number", "own.tex:1"),
    "a run that is not there": (own_text(r"\fromtrail{000000000000:decision.p}{0.3}"), "paper-number", "own.tex:1"),
    "a figure": (change_figure, "paper-figure", "65f2e4c2d262-direction.pdf"),
    "a file": (lambda project: (project / "paper/results.tex").unlink(), "paper-missing", "results.tex"),
    "the manifest": (lambda project: void((project / "paper/harness-paper.json").write_text("{}")), "paper-unreadable",
                     "harness-paper.json"),
    "the words alone": (change("registration.tex", "Nobody has trained", "No one has trained"), "paper-words",
                        "registration.tex"),
}  # fmt: skip


def test_nothing_is_found_in_a_paper_as_it_was_written(written: Path) -> None:
    assert find(written) == []


@pytest.mark.parametrize("name", ATTACKS)
def test_what_was_edited_is_found(name: str, written: Path) -> None:
    spoil, code, place = ATTACKS[name]
    spoil(written)
    found = find(written)
    assert any(one[0] == code and one[1].startswith(place) for one in found), found
    assert {one[0] for one in found} - {"paper-words"} == {code} - {"paper-words"}


def test_what_an_audit_advises_mends_a_paper_at_once(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that stands there, given as it stands there, whatever was edited; a text of one's own stays."""
    monkeypatch.chdir(written)
    for name in ("a marked number", "a number of the methods", "a figure", "an attempt left out"):
        ATTACKS[name][0](written)
    (written / "paper/checklist.tex").unlink()
    own_text(rf"\fromtrail{{{MEAN}}}{{0.35}}")(written)
    trail = Path("verdicts")
    found = list(check(Evidence(TrailFiles(trail)), find_papers(Path(), trail)))
    mine = [one.remedy for one in found if "own.tex" in one.where]
    (told,) = mine
    assert told.startswith("write what the trail has there, 0.19214290774491935, or take the number with its mark")
    (advice,) = {one.remedy for one in found if "own.tex" not in one.where}
    removed, paper = advice.removeprefix("keep what you wrote in files of your own, then ").split(" && ")
    assert shlex.split(removed)[0] == "rm" and len(shlex.split(removed)) == 5
    refused = Project(written).harness(*shlex.split(paper)[1:])
    assert refused.returncode == 2 and all(Path(file).name in refused.stderr for file in shlex.split(removed)[1:])
    for file in shlex.split(removed)[1:]:
        Path(file).unlink()
    done = Project(written).harness(*shlex.split(paper)[1:])
    assert done.returncode == 0, done.stderr
    assert [one[1] for one in find(written)] == ["own.tex:1"]


def test_a_paper_where_no_audit_looks_is_told_of_and_can_be_named(written: Path, tmp_path: Path) -> None:
    project, trail = Project(written), written / "verdicts"
    shutil.rmtree(written / "paper")
    done = project.harness("paper", "bp-penalty-control", "--out", "a/b/c")
    assert done.returncode == 0 and "harness audit --paper a/b/c" in " ".join(done.stderr.split()), done.stderr
    assert find_papers(written, trail) == []
    for place in (written / ".hidden", tmp_path / "elsewhere", written / "a/paper"):
        shutil.copytree(written / "a/b/c", place)
    assert find_papers(written, trail) == [written / "a/paper"]  # where nothing is to be said
    for place in ("a", "nowhere"):
        refused = project.harness("audit", "--paper", place)
        assert refused.returncode == 2 and f"{place} is not a paper that harness paper wrote" in refused.stderr


def test_every_code_of_papers_has_an_attack() -> None:
    told = {code for code, kind in CODES.items() if kind.step == 10 and not code.startswith("stopped")}
    assert told == {code for _, code, _ in ATTACKS.values()} | {"paper-outdated"}


def test_a_number_may_be_rounded_further_in_a_text_of_ones_own(written: Path) -> None:
    own_text(rf"As \fromtrail{{{MEAN}}}{{0.19}} says. % \fromtrail{{{MEAN}}}{{0.5}}")(written)
    assert find(written) == []


def test_pipes_links_and_numbers_without_end_stop_no_audit(written: Path) -> None:
    os.mkfifo(written / "paper/own.tex")
    (written / "paper/endless.md").symlink_to("/dev/zero")
    (written / "paper/other.tex").write_bytes(b"\\fromtrail{" * 10_000 + b"\xff" * 1000)
    assert find(written) == []
    (written / "paper/results.tex").unlink()
    os.mkfifo(written / "paper/results.tex")
    assert [one[:2] for one in find(written)] == [("paper-missing", "results.tex")]


def test_a_trail_that_has_gone_on_is_told_from_an_edit(written: Path) -> None:
    """The paper is of a ledger without the third attempts and all that followed, which then come."""
    events = written / "verdicts/ledger/events"
    bodies = {path: json.loads(path.read_text()) for path in events.glob("*.json")}
    later = {path for path in bodies if path.name[:12] in {"65f2e4c2d262", "ef76524e2b5f"}}
    assert len(later) == 2
    while more := {
        path
        for path, event in bodies.items()
        if path not in later and any(events / f"{parent}.json" in later for parent in event["parents"])
    }:
        later |= more
    kept = {path: path.read_bytes() for path in later}
    for path in later:
        path.unlink()
    shutil.rmtree(written / "paper")
    write_paper(["bp-penalty-control"], Ledger(written / "verdicts"), written / "paper")
    assert "53b4b3e5bcd6:decision.p" in (written / "paper/results.tex").read_text()
    assert find(written) == []
    for path, data in kept.items():
        path.write_bytes(data)
    found = find(written)
    assert {one[0] for one in found} == {"paper-outdated"} and "attempts.tex" in {one[1] for one in found}
    assert not [one for one in found if one[1].startswith("results")]  # its own run's numbers still hold


def test_an_adjusted_p_is_held_against_the_family(hostile_paper: Path, tmp_path: Path) -> None:  # noqa: F811
    root = shutil.copytree(hostile_paper, tmp_path / "project")
    assert find(root) == []
    text = (root / "paper/results.tex").read_text()
    marked = re.search(r"\\fromtrail\{(\w+:family\.adjusted)\}\{", text)
    assert marked is not None
    (root / "paper/own.tex").write_text(rf"\fromtrail{{{marked[1]}}}{{1.5}}")  # no p is
    assert [one[:2] for one in find(root)] == [("paper-number", "own.tex:1")]


def test_an_audit_says_so_in_a_line_of_its_own(written: Path) -> None:
    sound = audit_trail(written / "verdicts", written / "hypotheses")
    change("results.tex", "{0.1921}", "{0.2921}")(written)
    deep = shutil.copytree(written / "paper", written / "a/b/c")
    asked = AuditRequest(papers=(deep, written / "paper"))
    spoilt = audit_trail(written / "verdicts", written / "hypotheses", asked)
    places = [Path(one.where) for one in spoilt.findings if one.code == "paper-number" and ":16" in one.where]
    assert len(places) == 2 and {path.parent.resolve() for path in places} == {deep, written / "paper"}
    shutil.rmtree(written / "paper")
    without = audit_trail(written / "verdicts", written / "hypotheses")
    assert [[line.status for line in one.trail if line.step == 10] for one in (sound, spoilt, without)] == [
        ["PASS"], ["FAIL"], [],
    ]  # fmt: skip
    assert {finding.code for finding in spoilt.findings} - {finding.code for finding in sound.findings} == {
        "paper-number"
    }


def test_papers_of_other_trails_are_theirs(written: Path) -> None:
    trail = written / "verdicts"
    assert find_papers(written, trail) != [] and find_papers(written, written / "elsewhere") == []
    manifest = written / "paper/harness-paper.json"
    manifest.write_text(manifest.read_text().replace('"../verdicts"', '"../nowhere"'))
    assert find_papers(written, trail) != []  # a trail that is not there takes no paper away
    (written / "paper").rename(written / ".paper")
    assert find_papers(written, trail) == []


def read_page(trail: Ledger, names: list[str], folder: Path) -> str:
    """Write a paper and return its Markdown on one line, without the escapes."""
    write_paper(names, trail, folder)
    return " ".join((folder / "paper.md").read_text().replace("\\", "").split())


def test_a_paper_tells_of_every_attempt_pilot_amendment_and_rerun(good_trail: Trail, tmp_path: Path) -> None:
    good_trail.copy().write(tmp_path / "verdicts")
    trail = Ledger(tmp_path / "verdicts")
    told = read_page(trail, ["first", "second"], tmp_path / "paper")
    for entry in trail.index().entries(RunAbortedBody):
        assert f"| `{entry.body.run[:12]}` |" in told and f"| aborted | {entry.body.reason}" in told
    for entry in trail.index().entries(AmendedBody):
        assert f"Amendment `{entry.digest[:12]}`" in told and entry.body.reason in told
    assert trail.index().entries(ReplicatedBody) and "Trained again from its registered seeds on" in told
    assert "2 attempts (1 finished, 1 aborted); and 1 pilot run, whose numbers are prior data" in told
    assert find(tmp_path) == []


@needs_ssh_keygen
def test_a_statement_has_the_anchors_and_the_beacon_of_a_registration(tmp_path: Path) -> None:
    key, beacon = make_key(tmp_path)
    file = write_file(tmp_path, beacon)
    now = datetime.now(UTC)
    registration = register_at(tmp_path, now - timedelta(minutes=5))
    trail = Ledger(tmp_path / "verdicts")
    sign(trail, key)
    draw(tmp_path, witness(key, registration, now - timedelta(minutes=4)))
    run_hypothesis(file, open_session(tmp_path))
    told = read_page(trail, ["drawn"], tmp_path / "paper")
    assert f"an SSH signature by the key `{read_fingerprint(key)}` over event `{registration[:12]}`" in told
    assert "Evidence from outside the ledger that the registration was there before the run" in told
    assert "follow from a round of the beacon `witness`" in told and "this is to be trusted" in told
    assert "could have chosen the seeds" not in told and "Nothing outside the authors' own records" not in told
    sign(trail, key)  # later: what was written has gone out of date, by no number
    assert {one[0] for one in find(tmp_path)} <= {"paper-outdated", "paper-words"}
