"""Pages that say what their author likes, with all digests to fit: each was audited clean once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import inference, verdict
from harness.ledger import Ledger
from harness.ledger.audit import AuditReport
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.claims import read_claims
from harness.pipeline.judge import render_verdict
from harness.pipeline.reverdict import judge_again
from harness.pipeline.run_files import read_registered
from harness.pipeline.show import read_verdict
from harness.records import Measurements, Provenance
from tests.attacks.corpus import judged, only, rename_digests
from tests.attacks.trails import Trail, sha, sorts

BOAST = b"# The outcome is better, as predicted\n\nNobody doubts it: {{ hypothesis.title }}.\n"


def rewritten(
    trail: Trail, root: Path, template: bytes | None = None, version: int = verdict.VERSION, **env: Any
) -> None:
    """Write the page of the second run as harness itself does, from another template, in another form or with another
    env.json, and rebuild the ledger: everything follows from everything."""
    if template is not None:
        digest, words = trail.keep(template), "the template verdict.md.j2"
        run, _ = judged(trail, "second")

        def other(body: dict[str, Any]) -> None:
            body["pins"]["templates"]["verdict.md.j2"] = digest
            body["words"] = words

        trail.rebuild(only(run, other))
        env |= {"words": words}
    run, event = judged(trail, "second")
    folder, files = trail.folder(run), event["body"]["files"]
    if env:
        value = json.loads(trail.files[f"{folder}/env.json"]) | env
        trail.files[f"{folder}/env.json"] = (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()
        rename_digests(trail, {files["env.json"]: sha(trail.files[f"{folder}/env.json"])})
    trail.write(root)
    ledger = Ledger(root)
    started = ledger.index().start(run)
    assert started is not None
    registered = read_registered(ledger, started)
    measurements = Measurements.model_validate_json(trail.files[f"{folder}/results.json"])
    provenance = Provenance.model_validate_json(trail.files[f"{folder}/env.json"])
    hypothesis = registered.hypothesis
    decision = verdict.word_decision(hypothesis, inference.decide(hypothesis, measurements), version)
    templates = {"verdict.md.j2": template} if template is not None else None
    pages = render_verdict(registered, measurements, decision, provenance, templates, version=version, figures=False)
    trail.files |= {f"{folder}/{name}": data for name, data in pages.items()}
    rename_digests(trail, {files[name]: sha(data) for name, data in pages.items()})


def audited_on_disk(trail: Trail, root: Path) -> AuditReport:
    trail.write(root)
    return audit_trail(root, Path("no hypotheses"), AuditRequest(recompute=True))


def step(report: AuditReport, number: int) -> str:
    (second,) = [subject for subject in report.hypotheses if subject.hypothesis == "second"]
    (line,) = [line for line in second.lines if line.step == number]
    return line.status


def test_a_page_of_an_authors_own_template_is_not_checked_and_shown_below_the_ledgers_outcome(
    good_trail: Trail, tmp_path: Path
) -> None:
    """The template is pinned by the run, kept as an object, and the page follows from it to the byte."""
    trail = good_trail.copy()
    rewritten(trail, tmp_path / "one", BOAST)
    root = tmp_path / "two"
    report = audited_on_disk(trail, root)
    assert judge_again("second", Ledger(root)).differing == ()
    assert "template-unknown" in sorts(report)
    assert step(report, 6) == "NOT CHECKED"
    page = read_verdict("second", Ledger(root))
    assert page.text.startswith("# The outcome is better") and page.outcome == "worse"
    assert page.banners[0].startswith("> **THE LEDGER'S OUTCOME IS `worse`**")


def test_the_good_pages_are_checked_and_shown_as_they_are(good_trail: Trail, tmp_path: Path) -> None:
    trail = good_trail.copy()
    rewritten(trail, tmp_path / "one")
    report = audited_on_disk(trail, tmp_path / "two")
    assert step(report, 6) == "PASS"
    assert not any("OUTCOME" in banner for banner in read_verdict("second", Ledger(tmp_path / "two")).banners)


@pytest.mark.parametrize("form", range(1, verdict.VERSION))
def test_a_page_in_an_earlier_form_than_its_templates_is_not_checked(
    form: int, good_trail: Trail, tmp_path: Path
) -> None:
    """The first forms of verdict.json leave out amendments and what differs in words."""
    trail = good_trail.copy()
    rewritten(trail, tmp_path / "one", version=form)
    report = audited_on_disk(trail, tmp_path / "two")
    assert judge_again("second", Ledger(tmp_path / "two")).differing == ()
    assert step(report, 6) == "NOT CHECKED"
    assert "LEDGER'S OUTCOME" in read_verdict("second", Ledger(tmp_path / "two")).banners[0]


def test_a_file_beside_the_page_that_harness_never_writes_does_not_come_out_again(
    good_trail: Trail, tmp_path: Path
) -> None:
    trail = good_trail.copy()
    run, _ = judged(trail, "second")
    digest, _ = trail.find("verdict", "second")
    summary = b"# The outcome is better\n"

    def named(wanted: str, event: dict[str, Any]) -> dict[str, Any]:
        if wanted == digest:
            event["body"]["files"]["summary.md"] = sha(summary)
        return event

    trail.files[f"{trail.folder(run)}/summary.md"] = summary
    trail.rebuild(named)
    report = audited_on_disk(trail, tmp_path / "verdicts")
    assert [f.where.rsplit("/", 1)[1] for f in report.findings if f.code == "page-differs"] == ["summary.md"]
    assert step(report, 6) == "FAIL"


def test_a_page_lists_what_else_was_registered_on_its_claims(good_project: Path) -> None:
    """The first hypothesis was run twice, and one attempt aborted; the second one's page says what became of it."""
    (page,) = (good_project / "verdicts" / "second").glob("*/verdict.md")
    (told,) = json.loads(page.with_name("env.json").read_text())["siblings"]
    assert told["hypothesis"] == "first" and told["claims"] == ["it-helps"]
    assert (told["attempts"], told["became"], told["outcome"], told["asks"]) == (2, "judged", "better", None)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| first | it-helps | another |")]
    assert len(rows) == 1 and rows[0].endswith("| 2 | better |")
    (first,) = (good_project / "verdicts" / "first").glob("[0-9a-f]*/verdict.md")
    assert "held no other hypothesis that could move one of the same claims" in first.read_text()


def test_the_claims_count_who_asked_and_never_ran(good_trail: Trail, good_project: Path, tmp_path: Path) -> None:
    """The same claim under another name, by a hypothesis that was registered and not run."""
    trail = good_trail.copy()
    body = trail.find("registered", "second")[1]["body"]
    text = trail.kept(body["canonical"]).replace(b'"it-helps"', b'"it-surely-helps"')
    claims = trail.kept(body["claims"]).replace(b"it-helps:", b"it-surely-helps:")
    other = {"hypothesis": "third", "canonical": trail.keep(text), "claims": trail.keep(claims)}
    trail.append("registered", body | other)
    trail.write(tmp_path / "verdicts")
    table = read_claims(good_project / "hypotheses" / "claims.yaml", Ledger(tmp_path / "verdicts"))
    told = [str(one) for one in table.asked["it-helps"]]
    assert told == ["first (better, 2 attempts)", "second (worse, 1 attempt)", "third (never run)"]


def test_a_figure_that_somebody_painted_is_no_part_of_what_passes(good_trail: Trail, tmp_path: Path) -> None:
    """Its digest fits, and no audit draws figures again: the promise says so."""
    trail = good_trail.copy()
    run, event = judged(trail, "second")
    path = f"{trail.folder(run)}/figures/margin.svg"
    trail.files[path] = trail.files[path].replace(b"</svg>", b"<text>better</text></svg>")
    rename_digests(trail, {event["body"]["files"]["figures/margin.svg"]: sha(trail.files[path])})
    trail.write(tmp_path / "verdicts")
    report = audit_trail(tmp_path / "verdicts", Path("none"), AuditRequest(recompute=True))
    lines = [line for subject in report.hypotheses for line in subject.lines if line.step == 6]
    assert {line.status for line in lines} == {"PASS"} and "figures-not-drawn" in sorts(report)
    assert {line.reason for line in lines} == {"but for its figures, which were not drawn again"}
