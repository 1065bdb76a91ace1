"""The trail's verbs as a user gives them: register, amend, close, replicate, claims, show --history, anchor, export.

The commands are called in this process, on a hypothesis that trains in a moment: a process for each would load torch
each time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
import torch
from typer.testing import CliRunner

from harness import training
from harness.cli import run as _  # noqa: F401  (the verbs add themselves to the program)
from harness.cli.app import app
from harness.errors import Interrupted
from harness.ledger import Ledger, verify_anchors
from harness.pipeline.claims import append_walk_backs
from harness.pipeline.project import Settings
from harness.pipeline.repeat import repeat_run
from harness.pipeline.replicate import replicate_run
from harness.pipeline.session import Reporter, Session
from tests.e2e.folders import git
from tests.e2e.projects import Project, make_project, run_file
from tests.ssh import needs_ssh_keygen

RUN = ("run", "hypotheses/tiny.yaml", "--device", "cpu")
MOMENT = """\
schema_version: 1
id: tiny
title: Training the blocks is felt at once
question: Is it?
prediction: {outcome: better, why: It trains more.}
prior_data_seen: {level: none}
setup:
  dataset: {name: digits}
  model: {name: residual_mlp, width: 8, blocks: 1}
  optimizer: {name: adamw, lr: 3.0e-3}
  epochs: 2
  batch_size: 256
  evaluation: {probe_samples: 32, metrics: [train_loss]}
arms:
  bp: {label: BP, rule: {name: bp}}
  shallow: {label: Frozen, rule: {name: bp}, freeze: [blocks]}
seeds: {count: 4}
estimands:
  margin: {metric: train_loss, contrast: bp - shallow}
decisions:
  margin: {estimand: margin, criterion: {name: t}, bands: {worse: "(-inf, -90]", better: "(-90, inf)"}}
implications:
  better: {says: Depth helps., supports: [depth-helps]}
  worse: {says: Depth hurts., walks_back: [depth-helps]}
  inconclusive: {says: Nothing moves.}
  invalid: {says: Nothing can be said.}
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes of other tests, so that a device's name does not depend on how pytest was started."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def moment(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", MOMENT)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("judged") / "project", MOMENT)
    run_file(project.root / "hypotheses/tiny.yaml")
    return project


@pytest.fixture
def copy(judged: Project, tmp_path: Path) -> Project:
    shutil.copytree(judged.root, tmp_path / "copy")
    return Project(tmp_path / "copy")


def given(project: Project, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Standard output and standard error of a command given in the project's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.setenv("COLUMNS", "120")
        ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == code, ran.stdout + ran.stderr
    return ran.stdout, ran.stderr


def done(project: Project, *arguments: str, code: int = 0) -> str:
    return "".join(given(project, *arguments, code=code))


def add_turned(moment: Project) -> None:
    """The same hypothesis with a threshold that nothing reaches, so that it walks its claim back."""
    text = MOMENT.replace("id: tiny", "id: turned")
    turned = text.replace('{worse: "(-inf, -90]", better: "(-90, inf)"}', '{worse: "(-inf, 90]", better: "(90, inf)"}')
    assert turned != text
    (moment.root / "hypotheses/turned.yaml").write_text(turned)


def test_registering_fixes_everything_and_runs_nothing(moment: Project) -> None:
    said = done(moment, "register", "hypotheses/tiny.yaml")
    (event,) = moment.events("registered")
    (path,) = (moment.root / "verdicts/ledger/events").glob("*.json")
    assert f"registered as {path.stem[:12]}" in said and f"keeping elsewhere: {path.stem}" in said
    assert event["body"]["data"]["digits"] in said and len(moment.events()) == 1
    assert "registered already" in done(moment, "register", "hypotheses/tiny.yaml", code=2)
    assert "harness amend" in done(moment, "register", "hypotheses/tiny.yaml", code=2)


def test_data_that_are_not_here_are_not_downloaded(moment: Project) -> None:
    moment.edit("dataset: {name: digits}", "dataset: {name: cifar10}")
    said = done(moment, "register", "hypotheses/tiny.yaml", "--data", "nowhere")
    assert "cifar10, not here" in said
    assert moment.events("registered")[0]["body"]["data"] == {}


@pytest.mark.parametrize("verb", ["run", "run --pilot", "plan", "replicate", "register", "amend --reason so"])
def test_a_data_folder_that_nothing_is_read_from_is_refused(verb: str, copy: Project, moment: Project) -> None:
    project = copy if verb == "replicate" else moment
    command = [*verb.split(), "tiny" if verb == "replicate" else "hypotheses/tiny.yaml"]
    if verb.startswith("amend"):
        done(project, "register", "hypotheses/tiny.yaml")
        project.edit("epochs: 2", "epochs: 1")
    before = project.events()
    said = done(project, *command, "--data", "nowhere", code=2)
    assert "error: --data: has no effect: no folder is read for digits" in said and "leave it out" in said
    assert project.events() == before
    if verb == "plan":  # a variable is set once for many commands, and says nothing of where these data come from
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARNESS_DATA", "nowhere")
            assert "data: digits, bundled with scikit-learn\n" in done(project, *command)


@pytest.mark.parametrize("verb", ["run", "run --pilot", "replicate"])
def test_compiling_is_refused_where_auto_is_a_processor(verb: str, copy: Project, moment: Project) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    project = copy if verb == "replicate" else moment
    command = [*verb.split(), "tiny" if verb == "replicate" else "hypotheses/tiny.yaml"]
    before = project.events()
    for choice in ("on", "off", "auto"):
        said = done(project, *command, "--compile", choice, code=2)
        assert "error: --compile: has no effect on " in said and "only a card's programs are compiled" in said
    assert "unknown choice 'yes'" in done(project, *command, "--compile", "yes", code=2)
    assert project.events() == before


def test_a_life_with_amendments(moment: Project) -> None:
    done(moment, "register", "hypotheses/tiny.yaml")
    moment.edit("epochs: 2", "epochs: 1")
    refused = done(moment, *RUN, code=2)
    assert "setup.epochs: 2 → 1, before any run" in refused and "harness amend" in refused
    assert "empty" in done(moment, "amend", "hypotheses/tiny.yaml", "--reason", " ", code=2)
    amended = done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "too long for a test")
    assert "setup.epochs: 2 → 1" in amended and "before any run in this trail" in amended
    assert "nothing differs" in done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "again", code=2)
    done(moment, *RUN, "--require-registered")
    (first,) = moment.runs()
    page = (first / "verdict.md").read_text()
    assert "are those of the registration as amended, as far as it fixes them" in page and "deviated" not in page
    assert "setup.epochs: 2 → 1, amended before any run: too long for a test" in page

    moment.edit("id: tiny", "id: tiny  # said again")
    assert "only comments" in done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "a comment")
    moment.edit("lr: 3.0e-3", "lr: 4.0e-3")
    assert f"after run {first.name} started" in done(moment, *RUN, code=2)
    assert f"after run {first.name}" in done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "hoping")
    line = f"setup.optimizer.lr: 0.003 → 0.004, amended after run {first.name} started: hoping"
    assert f"this run deviates: {line}" in done(moment, *RUN)
    (second,) = set(moment.runs()) - {first}
    page = (second / "verdict.md").read_text()
    assert "**This run deviated from its registration**" in page and line in page

    history = done(moment, "show", "tiny", "--history")
    for part in (
        "registered: Training the blocks",
        "only comments and layout differ",
        f"amended, after run {first.name} started",
        "verdict on run",
        f"deviates: {line}",
    ):
        assert part in history
    told = json.loads(given(moment, "show", "tiny", "--history", "--format", "json")[0])
    assert [moment["type"] for moment in told] == [
        "registered", "amended", "run_started", "run_finished", "verdict",
        "amended", "amended", "run_started", "run_finished", "verdict",
    ]  # fmt: skip
    for run in (first, second):  # each by the registration that it was started under
        assert "the same to the byte" in done(moment, "reverdict", run.name)


def test_an_open_attempt_is_closed_with_a_reason(moment: Project) -> None:
    with pytest.raises(Interrupted):
        run_file(moment.root / "hypotheses/tiny.yaml", Reporter(stop=lambda: True))
    (folder,) = [path.parent for path in moment.root.glob("verdicts/tiny/*/work")]
    assert "no attempt" in done(moment, "close", "none", "--reason", "x", code=2)
    assert f"attempt {folder.name} closed" in done(moment, "close", folder.name[:6], "--reason", "wrong data folder")
    (event,) = moment.events("run_aborted")
    assert event["body"]["reason"] == "wrong data folder" and event["body"]["run"].startswith(folder.name)
    assert "not open: it is aborted" in done(moment, "close", folder.name, "--reason", "again", code=2)
    assert "was closed: wrong data folder" in done(moment, "show", "tiny", "--history")
    done(moment, *RUN)
    (run,) = moment.runs()
    assert "1 aborted" in (run / "verdict.md").read_text()


def test_a_rerun_comes_to_the_same_bits_and_is_no_attempt(copy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = copy.runs()
    before = {path: path.read_bytes() for path in copy.root.rglob("verdicts/tiny/**/*") if path.is_file()}
    assert "the same results to the bit" in done(copy, "replicate", "tiny", "--device", "cpu")
    (event,) = copy.events("replicated")
    assert (event["body"]["expected"], event["body"]["agreement"]) == ("bits", "bits")
    assert event["body"]["results"] == hashlib.sha256((folder / "results.json").read_bytes()).hexdigest()
    torch.set_num_threads(2)  # two processes train: still the same bits
    assert "expected: the same bits" in done(copy, "replicate", folder.name, "--device", "cpu")
    torch.set_num_threads(1)
    here = training.open_device("cpu", "auto")  # a device by another name, as another machine's is
    monkeypatch.setattr(training, "open_device", lambda *asked: replace(here, name="another CPU"))
    elsewhere = done(copy, "replicate", folder.name, "--device", "cpu")
    assert "expected: the same statistics" in elsewhere and f"{here.name} → another CPU" in elsewhere
    assert len(copy.events("run_started")) == 1
    now = {path: path.read_bytes() for path in copy.root.rglob("verdicts/tiny/**/*") if path.is_file()}
    assert now == before | {path: b"" for path in now if path.name == ".lock"}


@pytest.mark.parametrize("more", [(), ("--fresh", "0123456789abcdef")])
def test_what_another_device_began_to_train_again_is_none_of_this_ones(
    copy: Project, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    (run,) = copy.runs()
    kind = f"{'repeating' if more else 'replicating'}-{run.name}"
    left = run.with_name(kind) / "work/cohort.json"  # as earlier versions did
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    session = Session.open(copy.root / "hypotheses", Settings(device="cpu"), Reporter(stop=lambda: True))
    here = training.open_device("cpu", "auto")
    with monkeypatch.context() as patched:
        patched.setattr(training, "open_device", lambda *asked: replace(here, name="another CPU"))
        with pytest.raises(Interrupted):
            repeat_run("tiny", more[1], session) if more else replicate_run("tiny", session)
    (theirs,) = run.parent.glob(f"{kind}-*")
    done(copy, "replicate", "tiny", "--device", "cpu", *more)
    assert list(run.parent.glob(f"{kind}*")) == [theirs], "what is done is removed, and what goes on elsewhere is kept"


def test_results_that_were_made_up_do_not_replicate(copy: Project) -> None:
    """Somebody improves the results and rebuilds every digest: only training again shows it."""
    (folder,) = copy.runs()
    results = json.loads((folder / "results.json").read_text())
    for replica in results["replicas"]:
        if replica["arm"] == "bp":
            values = replica["metrics"]["train_loss"]["values"]["value"]
            values[-1][0] = 0.01
    (folder / "results.json").write_text(json.dumps(results, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    forged_digest = hashlib.sha256((folder / "results.json").read_bytes()).hexdigest()
    events = copy.root / "verdicts/ledger/events"
    (path,) = [path for path in events.glob("*.json") if json.loads(path.read_text())["type"] == "verdict"]
    event = json.loads(path.read_text())
    event["body"]["files"]["results.json"] = forged_digest
    path.unlink()
    forged = rfc8785.dumps(event)
    (events / f"{hashlib.sha256(forged).hexdigest()}.json").write_bytes(forged)
    said = done(copy, "replicate", "tiny", "--device", "cpu", code=4)
    assert "it does not agree" in said and "margin: the mean moved" in said
    (replicated,) = copy.events("replicated")
    assert replicated["body"]["agreement"] == "none"
    assert (copy.root / "verdicts/objects/sha256" / replicated["body"]["results"]).is_file()


def test_a_walk_back_is_seen_before_and_marked_after(copy: Project) -> None:
    claims = copy.root / "hypotheses/claims.yaml"
    claims.write_text(claims.read_text() + "  deeper: {statement: More blocks help more., stands_on: [depth-helps]}\n")
    add_turned(copy)
    (folder,) = copy.runs()
    page = (folder / "verdict.md").read_text()
    supposed = done(copy, "claims", "--if", "turned=worse")
    assert "depth-helps: supported → walked back, if turned=worse" in supposed
    assert "deeper: untested → in question" in supposed
    assert f"would get a banner: run {folder.name} (tiny: better) supports depth-helps" in supposed
    assert "no claim would change its standing" in done(copy, "claims", "--if", "turned=inconclusive")
    assert "did you mean 'turned'" in done(copy, "claims", "--if", "truned=worse", code=2)
    assert "it has worse, better" in done(copy, "claims", "--if", "turned=beter", code=2)
    assert "not HYPOTHESIS=OUTCOME" in done(copy, "claims", "--if", "turned", code=2)
    assert done(copy, "show", "tiny", "--raw").startswith(page)
    assert "WALKED BACK" not in done(copy, "show", "tiny")

    done(copy, "run", "hypotheses/turned.yaml", "--device", "cpu")
    (notice,) = copy.events("walk_back")
    (verdict,) = [path.stem for path in (copy.root / "verdicts/ledger/events").glob("*.json")
                  if json.loads(path.read_text())["body"].get("outcome") == "better"]  # fmt: skip
    assert notice["body"]["claims"] == ["depth-helps"] and notice["body"]["in_question"] == {"deeper": ["depth-helps"]}
    assert notice["body"]["concerns"] == [verdict]
    standing = json.loads(given(copy, "claims", "--format", "json")[0])
    assert {name: claim["status"] for name, claim in standing["claims"].items()} == {
        "depth-helps": "walked back",
        "deeper": "in question",
    }
    assert all(change["verdict"] in standing["verdicts"] for change in standing["changes"])
    assert "walked back because of turned: worse" in done(copy, "claims")
    assert "-->|stands on|" in done(copy, "claims", "--format", "mermaid")
    shown = given(copy, "show", "tiny")[0]
    assert shown.startswith("> **WALKED BACK**: this verdict supports the claim `depth-helps`") and shown.endswith(page)
    assert given(copy, "show", "tiny", "--raw")[0] == page == (folder / "verdict.md").read_text()
    assert "walks back what a verdict here supported: depth-helps" in done(copy, "show", "tiny", "--history")

    # A process killed between verdict and notice: the standing follows from the verdict, and the notice is still owed.
    trail = Ledger(copy.root / "verdicts")
    (head,) = trail.heads()
    (trail.folder / f"{head}.json").unlink()
    assert json.loads(given(copy, "claims", "--format", "json")[0])["claims"] == standing["claims"]
    (again,) = append_walk_backs(trail)
    assert again.body == notice["body"] and append_walk_backs(trail) == ()


def test_a_run_is_exported_with_its_failed_attempts(copy: Project, tmp_path: Path) -> None:
    pytest.importorskip("rocrate", reason="needs the extra crate")
    (folder,) = copy.runs()
    trail = Ledger(copy.root / "verdicts")
    (started,) = [event for event in trail.events() if event.type == "run_started"]
    failed = trail.append("run_started", started.body)
    trail.append("run_failed", {"run": failed.digest, "reason": "out of memory"})
    done(copy, "export", "tiny", "--as", "in-toto", "--out", "statement.json")
    statement = json.loads((copy.root / "statement.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["outcome"] == "better"
    for subject in statement["subject"]:
        data = (copy.root / "verdicts" / subject["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == subject["digest"]["sha256"]
    assert "something already" in done(copy, "export", "tiny", "--as", "in-toto", "--out", "statement.json", code=2)
    assert "ro-crate, tensorboard or wandb" in done(copy, "export", "tiny", "--as", "zip", "--out", "x", code=2)

    done(copy, "export", "tiny", "--as", "ro-crate", "--out", str(tmp_path / "crate"))
    graph = json.loads((tmp_path / "crate/ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert entities[f"#run-{failed.digest[:12]}"]["error"] == "out of memory"
    assert entities[f"#run-{failed.digest[:12]}"]["actionStatus"] == "http://schema.org/FailedActionStatus"
    results = entities[f"#run-{folder.name}"]["result"]
    assert {"@id": f"verdicts/tiny/{folder.name}/results.json"} in results
    assert all((tmp_path / "crate" / part["@id"]).is_file() for part in entities["./"]["hasPart"])
    again = done(copy, "reverdict", folder.name, "--verdicts", str(tmp_path / "crate/verdicts"))
    assert "the same to the byte" in again


@needs_ssh_keygen
def test_a_head_is_signed_on_the_command_line(copy: Project, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    assert "either --tsa or --sign" in done(copy, "anchor", code=2)
    trail = Ledger(copy.root / "verdicts")
    (head,) = trail.heads()
    said = done(copy, "anchor", "--sign", str(key))
    assert f"{head}: signed with SHA256:" in said and "; a signature tells no time\n" in said
    assert "    it covers 4 events: tiny (registered, 1 attempt, 1 verdict)\n" in said
    (check,) = verify_anchors(trail)
    assert (check.head, check.status) == (head, "unchecked")
    assert f"everything up to {head[:32]} was signed with" in done(copy, "show", "tiny", "--history")


def test_an_amendment_in_another_branch_is_not_before_a_run(moment: Project, tmp_path: Path) -> None:
    """Real clones: one amends, the other runs. After the merge no clock can make the amendment earlier."""
    done(moment, "register", "hypotheses/tiny.yaml")
    moment.edit("epochs: 2", "epochs: 1")
    done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "shorter")

    git(moment.root, "init", "-q", "-b", "main")
    git(moment.root, "add", ".")
    git(moment.root, "commit", "-q", "-m", "registered")
    git(tmp_path, "clone", "-q", str(moment.root), "other")
    other = Project(tmp_path / "other")
    done(other, *RUN)
    git(other.root, "add", ".")
    git(other.root, "commit", "-q", "-m", "ran")
    moment.edit("lr: 3.0e-3", "lr: 4.0e-3")
    done(moment, "amend", "hypotheses/tiny.yaml", "--reason", "faster")
    git(moment.root, "add", ".")
    git(moment.root, "commit", "-q", "-m", "amended")
    git(moment.root, "pull", "-q", "--no-rebase", "--no-edit", str(other.root), "main")
    (run,) = moment.runs()
    assert f"amended, not provably before run {run.name}: faster" in done(moment, "show", "tiny", "--history")
    done(moment, *RUN)
    (late,) = set(moment.runs()) - {run}
    page = (late / "verdict.md").read_text()
    assert "deviated" in page and f"amended not provably before run {run.name}: faster" in page
    assert "epochs: 2 → 1, amended before any run: shorter" in page


def test_a_run_that_nobody_knows_is_not_audited_for(finished: Project) -> None:
    ran = finished.harness("audit", "--rerun", "tinny")
    assert ran.returncode == 2 and "no verdict on 'tinny'" in ran.stderr and "tiny" in ran.stderr, ran.stderr
    assert "PASS" not in ran.stdout


def test_a_data_folder_that_a_rerun_would_not_read_is_refused(finished: Project) -> None:
    ran = finished.harness("audit", "--rerun", "tiny", "--data", "data")
    assert ran.returncode == 2 and ran.stdout == ""
    assert "--data: has no effect: no folder is read for digits" in ran.stderr
