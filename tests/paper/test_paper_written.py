"""Papers of real verdicts: what they say, that they compile, and what is refused."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import ledger, paper
from harness.ledger import Ledger
from harness.ledger.audit import UNDETECTABLE
from harness.ledger.prior_data_bodies import PilotBody
from harness.ledger.rerun_bodies import RepeatedBody
from harness.paper import FORMS, find_marked, find_value, is_written
from harness.pipeline.paper import read_studies, write_form, write_paper
from harness.records.linked import LinkedRuns
from harness.spec import load
from tests.e2e.projects import REPOSITORY, Project, make_project
from tests.paper.conftest import STORED
from tests.paper.latex import compile_tex

PARTS = {"results.tex", "methods.tex", "attempts.tex", "registration.tex", "checklist.tex"}


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_paper_has_all_its_parts_and_a_manifest_of_every_number(stored: Path) -> None:
    files = read(stored / "paper")
    manifest = json.loads(files.pop("harness-paper.json"))
    assert set(files) == set(manifest["files"]) >= {*PARTS, "paper.tex", "paper.md", "preamble.tex"}
    assert {name for name in files if name.endswith(".pdf")} and all(
        data.startswith(b"%PDF") and b"CreationDate" not in data for name, data in files.items() if name.endswith("pdf")
    )
    assert [run["hypothesis"] for run in manifest["runs"]] == [*STORED] and manifest["trail"] == "../verdicts"
    found = {}
    for name, data in files.items():
        for one in find_marked(data.decode(), tex=True) if name.endswith(".tex") else ():
            found[f"{one.run}:{one.place}"] = one.text
    assert found == {place: row["text"] for place, row in manifest["numbers"].items()} and len(found) > 50
    for place, row in manifest["numbers"].items():
        run, _, path = place.partition(":")
        (verdict,) = stored.glob(f"verdicts/*/{run}/verdict.json")
        assert find_value(json.loads(verdict.read_text()), path) == row["value"]
        assert is_written(row["text"], row["value"]) or "exploratory" in place


def test_both_languages_say_the_same_numbers(stored: Path) -> None:
    folder = stored / "paper"
    in_tex = sorted(one[:3] for part in PARTS for one in find_marked((folder / part).read_text(), tex=True))
    in_markdown = sorted(one[:3] for one in find_marked((folder / "paper.md").read_text(), tex=False))
    assert in_tex == in_markdown


def test_the_stored_verdicts_say_what_happened(stored: Path) -> None:
    text = flat((stored / "paper/paper.md").read_text().replace("\\", ""))
    for attempt in ("b776e8c24565", "76d31344c971", "65f2e4c2d262", "95741298e764", "53b4b3e5bcd6", "ef76524e2b5f"):
        assert f"| `{attempt}` |" in text  # all of them, not only those that are reported
    assert text.count("reported here, deviates") == 2 and "harness's own code differs" in text
    for owed in (
        "not adjusted for their number", "The authors could have chosen the seeds of H1 and H2",
        "Nothing outside the authors' own records shows when H1 and H2 were registered",
        "The data of H1 and H2 are not known to be the data sets' official files", "For the author.",
        "16. Declaration of LLM usage", "the probability of a wrong outcome is at most α",
        "CIFAR-10, with 50,000 training and 10,000 test images of 10 classes", "learning rate 0.001",
        "a5f025603feae704c91b889d6449a6e316332884bcd597de652888a921f817b2",
        "082b0d8ec11d286e2a3734e6911d26e513832e77", "by SHA-256 from the registration",
    ):  # fmt: skip
        assert owed in text, owed
    assert flat(UNDETECTABLE.split(":")[0]) in text
    assert not re.search(r"\bNone\b|\{\{|\(\)| ,|\.\.(?!\.)|[\ue000-\ue00f]|Markdown\(", text.replace("None is", ""))


TREES = (
    ({"commit": "a" * 40, "dirty": True, "dirty_digest": "b" * 64, "of_commit": True}, "with uncommitted changes",
     "which that commit holds"),
    ({"commit": "a" * 40, "dirty": False, "dirty_digest": None, "of_commit": False}, "unchanged",
     "of which that commit holds another version"),
    ({"commit": "a" * 40, "dirty": None, "dirty_digest": None, "of_commit": None}, "not known whether changed",
     "of which that commit is not known to hold any"),
    ({"commit": None, "no_commit": "no repository", "dirty": None, "dirty_digest": None, "of_commit": None},
     "the project is in no git repository", ""),
)  # fmt: skip


@pytest.mark.parametrize(("circumstances", "tree", "held"), TREES, ids=[tree for _, tree, _ in TREES])
def test_a_commit_is_the_projects_and_whoever_reads_it_learns_what_was_not_in_it(
    stored: Path, circumstances: dict[str, object], tree: str, held: str
) -> None:
    trail = Ledger(stored / "verdicts")
    (study,) = read_studies([ledger.find_judged(trail, "mode2-direction")], trail)
    body = study.run.body
    body = body.model_copy(update={"environment": body.environment.model_copy(update=circumstances)})
    text = flat(paper.write_paper([replace(study, run=replace(study.run, body=body))], [])["paper.md"])
    commit, dirty = circumstances["commit"], circumstances["dirty"]
    named = f"`{commit}`, {tree}" if commit else f"none: {tree}"
    changed = f" (SHA-256 of the difference `{'b' * 64}`)" if dirty else ""
    assert f"| Git commit of the project when the run was started | {named}{changed} |" in text
    assert f"`{body.environment.code}`{f', {held}' if held else ''} |" in text and "run's code" not in text
    short = f"commit `{str(commit)[:12]}`" if commit else "no commit"
    assert f"The project was at {short} for H1 ({tree})." in text  # in the checklist
    assert ("files of the project differed from the named commit" in text) is (dirty is True)
    assert ("No git commit of the project is named by H1" in text) is (commit is None)
    unheld = "The code of harness that trained H1 is not known to be in the named commit"
    assert (unheld in text) is (commit is not None and not circumstances["of_commit"])


def test_deviations_choices_and_runs_made_elsewhere_are_told_beside_the_outcome(stored: Path) -> None:
    trail = Ledger(stored / "verdicts")
    (study,) = read_studies([ledger.find_judged(trail, "mode2-direction")], trail)
    outcome = f"{study.decision.outcome}<!--/-->"

    def write(study: paper.Study) -> str:
        return flat(paper.write_paper([study], [])["paper.md"])

    plain = write(replace(study, deviating={}, choices={}))
    assert f"{outcome} |" in plain and "The search chose" not in plain and "made outside harness" not in plain
    assert f"{outcome} (deviates) |" in write(replace(study, deviating={study.run.name: "deviates"}))
    chosen = {"dfa": {"setup.optimizer.lr": 0.01, "setup.epochs": 3}, "bp": {"setup.optimizer.lr": 1e-4}}
    text = write(replace(study, choices=chosen))
    told = "The search chose setup.optimizer.lr 0.01, setup.epochs 3 for `dfa` and setup.optimizer.lr 0.0001 for `bp`."
    assert told in text.replace("\\", "")
    linked = LinkedRuns(exports=(), since="2026-11-30T00:00:00Z", runs=())
    text = write(replace(study, provenance=study.provenance.model_copy(update={"linked": linked})))
    assert "was registered before the runs that are reported here were entered" in text
    assert "The runs of H1 were made outside harness" in text and "how long training took is not known" in text


def test_a_repetition_is_told_as_that_of_whoever_made_it(stored: Path) -> None:
    trail = Ledger(stored / "verdicts")
    (study,) = read_studies([ledger.find_judged(trail, "mode2-direction")], trail)
    run = study.run
    body = RepeatedBody(
        run=run.digest, nonce="f" * 64, form="0" * 64, results="0" * 64, outcome=study.decision.outcome, combined={},
        plan="0" * 64, environment=run.body.environment, device="cpu",
    )  # fmt: skip
    told = "Repeated by {}, by the names in the ledger, with other seeds, which follow from a nonce of theirs, on cpu"
    for actor, who in ((run.event.actor, "whoever ran it"), (f"not {run.event.actor}", "somebody else")):
        entry = ledger.Entry(run.event.model_copy(update={"actor": actor}), body)
        text = flat(paper.write_paper([replace(study, repeated=(entry,))], [])["paper.md"])
        assert f"{told.format(who)}: it agreed" in text


def test_a_folder_takes_a_new_paper_with_the_same_figures_and_keeps_what_is_not_the_papers(
    stored: Path, tmp_path: Path
) -> None:
    folder, trail = tmp_path / "paper", Ledger(stored / "verdicts")
    shutil.copytree(stored / "paper", folder)
    (folder / "own.tex").write_text("mine")
    before = read(folder)
    write_paper(["ef76524e2b5f"], trail, folder)  # a run, by its digits
    files = read(folder)
    assert files.pop("own.tex") == b"mine" and not [name for name in files if "65f2e4c2d262" in name]
    assert set(files) == {*json.loads(files["harness-paper.json"])["files"], "harness-paper.json"}
    figures = {name: data for name, data in files.items() if name.endswith(".pdf")}
    assert len(figures) > 3 and figures == {name: before[name] for name in figures}  # by another process, at xdist


def break_folder(folder: Path) -> None:
    (folder / "results.tex").write_text((folder / "results.tex").read_text() + "edited")


REFUSED: tuple[tuple[Callable[[Path], object], str], ...] = (
    (break_folder, "results.tex: this file was changed since harness paper wrote it"),
    (lambda folder: (folder / "harness-paper.json").unlink(), "there are other files here than a paper's"),
    (lambda folder: (folder / "harness-paper.json").write_text("[]"), "this is not a manifest of a form that is known"),
    (lambda folder: (folder / "harness-paper.json").write_text('{"form": 1, "fi'), "this can't be read"),
)


@pytest.mark.parametrize(("spoil", "told"), REFUSED, ids=["edited", "foreign", "no manifest", "half a manifest"])
def test_a_folder_that_would_lose_something_is_refused(
    stored: Path, tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    shutil.copytree(stored, tmp_path / "project")
    project = Project(tmp_path / "project")
    spoil(project.root / "paper")
    before = read(project.root)
    done = project.harness("paper", *STORED)
    assert done.returncode == 2 and told in done.stderr and "→" in done.stderr, done.stderr
    assert read(project.root) == before


BAD = (
    (("mode2-directoin",), 2, "there is no verdict on 'mode2-directoin', did you mean 'mode2-direction'?", "verdicts"),
    (("65f2e4c2d263",), 2, "there is no verdict on '65f2e4c2d263', did you mean '65f2e4c2d262'?", "verdicts here are"),
    (("mode2-direction", "--form", "ofs"), 2, "unknown form 'ofs', did you mean 'osf'?", "use osf or aspredicted"),
    (("tinny", "--form", "osf"), 2, "no hypothesis 'tinny' is registered, did you mean 'tiny'?", "registered here"),
    (("no-such",), 2, "there is no verdict on 'no-such'", "verdicts here are on: alignment-at-floor, bp-penalty"),
    (("tiny",), 2, "there is no verdict on 'tiny'", "harness show tiny --history"),
    (("mode2-direction", "65f2e4c2d262"), 2, "run 65f2e4c2d262 of mode2-direction is named twice", "once"),
    (("mode2-direction", "--out", "hypotheses"), 2, "there are other files here than a paper's", "--out FOLDER"),
    (("mode2-direction", "--out", "verdicts/paper"), 2, "that of the trail lie in one another", "--out FOLDER"),
    (("mode2-direction", "--out", "file"), 2, "this is not a folder", "--out FOLDER"),
    (("mode2-direction", "--form", "html"), 2, "unknown form 'html'", "use osf or aspredicted"),
    (("mode2-direction", "tiny", "--form", "osf"), 2, "a form is that of one registration", "name one hypothesis"),
    (("no-such", "--form", "osf"), 2, "no hypothesis 'no-such' is registered", "registered here are:"),
    (("tiny", "--form", "osf", "--out", "file"), 2, "there is something already", "name a path that is free"),
)


def test_bad_input_gets_one_message_and_leaves_nothing(stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path / "project", ignore=shutil.ignore_patterns("paper"))
    project = Project(tmp_path / "project")
    tiny = make_project(tmp_path / "tiny")
    (project.root / "hypotheses/tiny.yaml").write_bytes((tiny.root / "hypotheses/tiny.yaml").read_bytes())
    claims = project.root / "hypotheses/claims.yaml"
    claims.write_text(claims.read_text() + "  depth-helps: {statement: Training the blocks helps.}\n")
    assert project.harness("register", "hypotheses/tiny.yaml").returncode == 0
    (project.root / "file").write_text("a file")
    before = read(project.root)
    for arguments, code, told, remedy in BAD:
        done = project.harness("paper", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert told in flat(done.stderr) and remedy in flat(done.stderr), done.stderr
        assert done.stderr.count("error:") == 1 and not done.stdout
        assert read(project.root) == before, arguments
    (project.root / "verdicts/mode2-direction/65f2e4c2d262/results.json").write_text("{}")
    done = project.harness("paper", "mode2-direction")
    assert done.returncode == 3 and "not the one that the ledger's verdict names" in done.stderr
    assert not (project.root / "paper").exists()


def test_nothing_is_left_where_a_file_cannot_be_written(stored: Path, tmp_path: Path) -> None:
    """No file may be larger than 12 KiB: the texts that were ready before the first larger one are gone again."""
    project = Project(stored)
    done = subprocess.run(
        project.command("paper", "bp-penalty-control", "--out", str(tmp_path / "paper")),
        cwd=stored, env=project.environment(), capture_output=True, text=True, check=False, timeout=240,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (12 << 10, 12 << 10)),
    )  # fmt: skip
    assert done.returncode == 1 and "error:" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "paper").exists()


def test_every_question_of_a_form_is_answered_from_the_registered_file(stored: Path, tmp_path: Path) -> None:
    trail = Ledger(stored / "verdicts")
    for form, count in (("osf", 23), ("aspredicted", 8)):
        text = write_form("mode2-direction", form, trail, tmp_path / f"{form}.md")
        assert (tmp_path / f"{form}.md").read_text() == text
        blocks = text.split("\n#### ")[1:]
        assert len(blocks) == count and all(len(flat(block.partition("\n")[2])) > 3 for block in blocks)
        for owed in ("summaries of such data had been seen", "10 seeds in each of 3 arms: 30 trained models",
                     "“confirmed”", "α = .05", "makes the outcome invalid", "healthy_reference"):  # fmt: skip
            assert owed in flat(text), owed
    assert set(FORMS) == {"osf", "aspredicted"}


def test_a_form_tells_of_the_pilots_before_the_registration_and_of_no_others(tmp_path: Path) -> None:
    loaded = load(REPOSITORY / "tests/corpus/valid/anytime.yaml")
    plain = loaded.hypothesis.prior_data_seen.model_copy(update={"level": "none", "what": None})
    hypothesis = loaded.hypothesis.model_copy(update={"prior_data_seen": plain})
    pins = ledger.pin_code(hypothesis, REPOSITORY / "templates")
    for before in (0, 1, 2):
        trail = Ledger(tmp_path / str(before))
        for _ in range(before):
            trail.record(PilotBody(hypothesis=hypothesis.id, settings={"seeds": before}))
        trail.record(PilotBody(hypothesis="another", settings={}))
        ledger.register(trail, loaded.raw, b"", hypothesis, pins)
        trail.record(PilotBody(hypothesis=hypothesis.id, settings={}))
        for form in FORMS:
            text = flat(write_form(hypothesis.id, form, trail, None))
            assert ("No; at the registration, no data that bear on the question existed." in text) == (before == 0)
            assert ("Yes, in part; before the registration, the ledger holds" in text) == (before > 0)
            assert (f"holds {before} pilot run{'s' * (before > 1)} of this hypothesis" in text) == (before > 0)


@pytest.mark.latex
def test_the_paper_of_the_stored_verdicts_compiles_within_its_margins(stored: Path, tmp_path: Path) -> None:
    compiled = compile_tex(stored / "paper", tmp_path / "compiled")
    assert compiled.problems == [] and 8 < compiled.pages < 20
    for owed in ("Results across seeds", "inconclusive", "0.1745 to 0.2098", "What is not proven", "16. Declaration"):
        assert owed in compiled.text, owed


@pytest.mark.latex
def test_a_hostile_paper_of_a_family_compiles_and_obeys_nobody(hostile_paper: Path, tmp_path: Path) -> None:
    text = (hostile_paper / "paper/paper.md").read_text()
    assert "further adjusted by Holm's method" in text and "family.adjusted" in text
    assert "settings are chosen by" in text  # it is tuned
    assert "<script" not in text and "javascript" in text
    compiled = compile_tex(hostile_paper / "paper", tmp_path / "compiled")
    assert compiled.problems == []
    assert "[U+05E9]" in compiled.text and "\N{RIGHT-TO-LEFT OVERRIDE}" not in compiled.text


def test_the_documented_example_is_the_one_that_is_written(stored: Path) -> None:
    """docs/paper.md shows a marked number of the stored verdicts."""
    page = (REPOSITORY / "docs" / "paper.md").read_text()
    shown = list(find_marked(page, tex=True))
    assert shown
    for one in shown:
        (verdict,) = stored.glob(f"verdicts/*/{one.run}/verdict.json")
        assert is_written(one.text, find_value(json.loads(verdict.read_text()), one.place))
