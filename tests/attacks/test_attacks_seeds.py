"""Seeds from a beacon: whoever re-rolls them, knows them before or takes others is found, or has the same ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from harness import ledger
from harness.errors import DeviationRefused
from harness.exporters import find_exporter
from harness.ledger import Ledger
from harness.ledger.audit import AuditReport, TrustedInputs
from harness.ledger.bodies import SeededBody
from harness.ledger.seeding import derive_from_round
from harness.pipeline.audit import AuditRequest, audit_trail
from harness.pipeline.register import amend_registration
from harness.pipeline.run import run_hypothesis
from tests.attacks.draws import (
    DRAND,
    RECORDED,
    RECORDED_TIME,
    REGISTERED_TIME,
    draw,
    make_key,
    open_session,
    register_at,
    registration_of,
    witness,
    write_file,
)
from tests.attacks.trails import Trail, audited, sha, sorts
from tests.authorities import make_authority, serve_stamps
from tests.ssh import needs_ssh_keygen

pytestmark = needs_ssh_keygen
HARMLESS = {"nothing-kept", "trusts", "key-unknown", "shown-before", "not-asked", "not-rerun", "no-repository", "stray"}
HARMLESS |= {"code-not-compared"}
ANSWER = json.dumps(RECORDED).encode()
EDITS: dict[str, Callable[[str], str]] = {
    "a comment": lambda text: text + "# again\n",
    "a title": lambda text: text.replace("title: Drawn", "title: Drawn again"),
    "prose": lambda text: text.replace("question: Does it?", "question: Does it really?"),
    "names": lambda text: text.replace("margin", "gap").replace("frozen", "still").replace("bp:", "full:")
    .replace("bp - still", "full - still"),
    "the direction": lambda text: text.replace("bp - frozen", "frozen - bp")
    .replace('worse: "(-inf, 90]", better: "(90, inf)"', 'better: "(-inf, -90)", worse: "[-90, inf)"'),
    "an exploratory part": lambda text: text + "exploratory:\n  loss: {metric: train_loss, arm: bp}\n",
}  # fmt: skip


def report(root: Path, **kept: Any) -> AuditReport:
    return audit_trail(root / "verdicts", Path("none"), AuditRequest(TrustedInputs(**kept)))


def seeds_line(found: AuditReport) -> tuple[str, str]:
    (subject,) = found.hypotheses
    (line,) = [line for line in subject.lines if line.step == 5]
    return line.status, line.reason


def roll(root: Path, beacon: str | None, time: datetime, edit: Callable[[str], str], parent: bool) -> tuple[int, ...]:
    """Register a variant, with another parent if asked, and return the seeds that it would be run with."""
    write_file(root, beacon, edit)
    if parent:
        Ledger(root / "verdicts").append("pilot", {"hypothesis": "another", "settings": {}})
    register_at(root, time)
    if beacon is not None:
        draw(root, ANSWER)
    found = ledger.find_in_force(Ledger(root / "verdicts"), "drawn")
    assert found is not None and len(found.seeds) == 3
    return found.seeds


def test_no_wording_time_or_parent_gives_other_seeds(tmp_path: Path) -> None:
    """Without a beacon each of them rolls again, in private; with one, none does."""
    for beacon, different in ((None, True), (DRAND, False)):
        first = roll(tmp_path / f"first-{beacon}", beacon, REGISTERED_TIME, lambda text: text, parent=False)
        variants = [(edit, REGISTERED_TIME, False) for edit in EDITS.values()]
        variants += [(lambda text: text, REGISTERED_TIME - timedelta(seconds=1), False)]
        variants += [(lambda text: text, REGISTERED_TIME, True)]
        for number, (edit, time, parent) in enumerate(variants):
            other = roll(tmp_path / f"{number}-{beacon}", beacon, time, edit, parent)
            assert (other != first) == different, (number, beacon)
    line = seeds_line(report(tmp_path / "first-None"))
    assert line == ("NOT CHECKED", "it was not run yet")
    assert "choosable" in sorts(report(tmp_path / "first-None"))
    assert "choosable" not in sorts(report(tmp_path / f"first-{DRAND}"))


IDLE: dict[str, Callable[[str], str]] = {
    "a batch larger than the data": lambda text: text.replace("batch_size: 2000", "batch_size: 3000"),
    "a precision that a processor does not have": lambda text: text.replace(
        "epochs: 2", "precision: tf32\n  epochs: 2"
    ),
    "epochs after the last that is measured": lambda text: text.replace("epochs: 2", "epochs: 3"),
    "a guard that always holds": lambda text: text.replace(
        "decisions:\n", "guards: {more: {estimand: loss, above: -1, otherwise: It can't.}}\ndecisions:\n"
    ),
    "a table of one decision": lambda text: text.replace(
        "implications:\n",
        "combine: {rule: table, table: [{when: {margin: better}, outcome: better}, {when: {}, outcome: worse}]}\n"
        "implications:\n",
    ),
}


def unroll(text: str) -> str:
    """The file of which the variants above change nothing: full batches, a constant rate, measured at the second epoch
    and not the last."""
    text = text.replace("lr: 1.0e-2", "lr: 1.0e-2, schedule: constant").replace("batch_size: 256", "batch_size: 2000")
    text = text.replace("epochs: 1\n  batch", "epochs: 2\n  batch")
    text = text.replace("contrast: bp - frozen}", "contrast: bp - frozen, epoch: 2}")
    return text.replace("estimands:\n", "estimands:\n  loss: {metric: train_loss, arm: bp, epoch: 2}\n")


def test_no_variant_that_trains_and_decides_the_same_gives_other_seeds(tmp_path: Path) -> None:
    """They are other parameters, and come to the same bits wherever these decide: each was a draw for nothing."""

    def measured(root: Path, edit: Callable[[str], str]) -> object:
        text = write_file(root, None, edit).read_text().replace("{count: 3}", "{list: [1, 2, 3]}")
        (root / "hypotheses" / "drawn.yaml").write_text(text)
        folder = run_hypothesis(root / "hypotheses" / "drawn.yaml", open_session(root)).folder
        verdict = json.loads((folder / "verdict.json").read_text())["decision"]
        return verdict["decisions"][0]["estimand"]["values"], verdict["outcome"]

    first = roll(tmp_path / "first", DRAND, REGISTERED_TIME, unroll, parent=False)
    trained = measured(tmp_path / "trained", unroll)
    for name, edit in IDLE.items():
        changed = edit(unroll(write_file(tmp_path / "text", DRAND).read_text()))
        assert changed != unroll(write_file(tmp_path / "text", DRAND).read_text()), name
        other = roll(tmp_path / name, DRAND, REGISTERED_TIME, lambda text, edit=edit: edit(unroll(text)), parent=False)
        assert other == first, name
        assert measured(tmp_path / f"{name}, trained", lambda text, edit=edit: edit(unroll(text))) == trained, name


def test_a_real_variant_gives_other_seeds_from_the_same_round(tmp_path: Path) -> None:
    first = roll(tmp_path / "first", DRAND, REGISTERED_TIME, lambda text: text, parent=False)
    other = roll(tmp_path / "other", DRAND, REGISTERED_TIME, lambda t: t.replace("width: 4", "width: 5"), parent=False)
    assert not set(first) & set(other)


def test_an_honest_draw_passes_and_says_what_it_rests_on(drawn: Trail, drawn_project: Path, tmp_path: Path) -> None:
    """A witness's key may be the author's own, who then signs until it pleases: a reader says whom they trust."""
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {(drawn_project / 'witness.pub').read_text()}")
    trusted = report(drawn_project, allowed_signers=signers)
    assert seeds_line(trusted) == ("PASS", "") and not {"key-unknown", "trust-unused"} & sorts(trusted)
    found = audited(drawn)
    assert sorts(found) <= HARMLESS and seeds_line(found) == ("PASS", "drawn by a key that nobody vouches for here")
    assert any("names its registration" in finding.what for finding in found.findings)
    roll(tmp_path, DRAND, REGISTERED_TIME, lambda text: text, parent=False)
    found = report(tmp_path)
    assert "authors-word" in sorts(found) and "shown-before" not in sorts(found)
    run_hypothesis(tmp_path / "hypotheses" / "drawn.yaml", open_session(tmp_path))
    assert seeds_line(report(tmp_path)) == (
        "PASS",
        "that it was registered before its round rests on the author's word",
    )
    page = next((tmp_path / "verdicts" / "drawn").glob("*/verdict.md")).read_text()
    assert "the same seeds come out otherwise" in page
    assert any("League of Entropy" in finding.what for finding in found.findings if finding.code == "trusts")


def test_an_export_carries_the_draw_and_its_record(drawn_project: Path, tmp_path: Path) -> None:
    """Whoever has nothing but a crate verifies the round offline; a statement names what it was drawn from."""
    trail = Ledger(drawn_project / "verdicts")
    (seeded,) = trail.index().entries(SeededBody)
    find_exporter("in-toto").write("drawn", trail, tmp_path / "statement.json")
    draw = json.loads((tmp_path / "statement.json").read_text())["predicate"]["draw"]
    assert draw["event"] == seeded.digest and draw["record"] == {"sha256": seeded.body.record}
    assert draw["beacon"]["name"] == "witness" and draw["value"] == seeded.body.value
    pytest.importorskip("rocrate", reason="needs the extra crate")
    find_exporter("ro-crate").write("drawn", trail, tmp_path / "crate")
    found = report(tmp_path / "crate")
    assert seeds_line(found)[0] == "PASS" and "object-missing" not in sorts(found)


def spoil(trail: Trail, kind: str, edit: Callable[[dict[str, Any]], None]) -> AuditReport:
    """Change the bodies of a type of event, and all that follows from their digests; audit."""

    def change(_: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] == kind:
            edit(event["body"])
        return event

    spoiled = trail.copy()
    spoiled.rebuild(change)
    return audited(spoiled)


@pytest.fixture(scope="module")
def key(drawn_project: Path) -> Path:
    return drawn_project / "witness"


def test_other_rounds_keys_and_bytes_are_refused(drawn: Trail, key: Path, tmp_path: Path) -> None:
    registration, event = registration_of(drawn)
    made = datetime.fromisoformat(event["claimed_time"])
    rogue, _ = make_key(tmp_path)
    genuine = drawn.kept(drawn.find("seeded")[1]["body"]["record"])
    records = {
        "of another registration": witness(key, "5f" * 32, made + timedelta(minutes=1)),
        "before the registration": witness(key, registration, made - timedelta(minutes=1)),
        "within the delay": witness(key, registration, made + timedelta(seconds=1)),
        "by another key": witness(rogue, registration, made + timedelta(minutes=1)),
        "altered": genuine.replace(b"nonce 7a", b"nonce 7b"),
        "of another beacon": ANSWER,
        "nothing": b"",
    }
    for name, record in records.items():
        digest = drawn.copy().keep(record)
        trail = drawn.copy()
        trail.keep(record)
        found = spoil(trail, "seeded", lambda body, digest=digest: body.update(record=digest))
        assert "round-refused" in sorts(found) and found.exit_code == 3, name


def test_rounds_of_another_chain_and_another_time_are_refused(tmp_path: Path) -> None:
    for name, beacon, time in (
        ("earlier", DRAND, REGISTERED_TIME - timedelta(seconds=3)),
        ("later", DRAND, REGISTERED_TIME + timedelta(seconds=3)),
        ("after its round", DRAND, RECORDED_TIME + timedelta(seconds=1)),
        ("another chain", "name: drand, chain: default", REGISTERED_TIME),
    ):
        root = tmp_path / name
        write_file(root, beacon)
        registration = register_at(root, time)
        trail = Trail.read(root / "verdicts")
        form = trail.keep(b"{}")
        body = {"hypothesis": "drawn", "registration": registration, "amendment": None, "form": form}
        body |= {"record": trail.keep(ANSWER), "value": "ab" * 32, "derivation": "harness/seed/v2"}
        trail.append("seeded", body | {"time": f"{RECORDED_TIME:%Y-%m-%dT%H:%M:%SZ}"})
        found = audited(trail)
        assert "round-refused" in sorts(found) and found.exit_code == 3, name


@pytest.mark.parametrize(
    ("change", "finds"),
    [
        ({"value": "ab" * 32}, "round-otherwise"),
        ({"time": "2026-01-01T00:00:00Z"}, "round-otherwise"),
        ({"time": "2026-13-01T00:00:00Z"}, "round-otherwise"),
        ({"form": sha(b"{}")}, "draw-of-another"),
        ({"derivation": "harness/seed/v3"}, "derivation-unknown"),
        ({"hypothesis": "another"}, "draw-of-another"),
    ],
)
def test_a_draw_that_tells_otherwise_is_found(drawn: Trail, change: dict[str, str], finds: str) -> None:
    drawn.keep(b"{}")
    found = spoil(drawn, "seeded", lambda body: body.update(change))
    assert finds in sorts(found) and not {sort for sort in sorts(found) if sort.startswith("stopped")}
    assert found.exit_code in (3, 5)


def test_a_lost_record_is_no_pass(drawn: Trail) -> None:
    del drawn.files[f"objects/sha256/{drawn.find('seeded')[1]['body']['record']}"]
    found = audited(drawn)
    assert {"object-missing", "round-unverified"} <= sorts(found) and seeds_line(found)[0] == "NOT CHECKED"


def test_a_run_has_the_seeds_of_its_draw(drawn: Trail) -> None:
    other = derive_from_round("0" * 64, "ab" * 32, 3)
    assert "run-seeds" in sorts(spoil(drawn, "run_started", lambda body: body.update(seeds=list(other))))
    assert "run-undrawn" in sorts(spoil(drawn, "run_started", lambda body: body.pop("seeded")))
    registration, _ = registration_of(drawn)
    elsewhere = spoil(drawn, "run_started", lambda body: body.update(seeded=registration))
    assert {"run-undrawn", "run-seeds"} <= sorts(elsewhere)


def test_a_page_tells_the_draw_as_the_events_do(drawn: Trail) -> None:
    run, _ = drawn.find("run_started")
    path = f"{drawn.folder(run)}/env.json"
    page = json.loads(drawn.files[path])
    old = sha(drawn.files[path])
    page["drawn"]["time"] = "2026-01-01T00:00:00Z"
    drawn.files[path] = json.dumps(page).encode()
    new = sha(drawn.files[path])
    found = spoil(drawn, "verdict", lambda body: body["files"].update({"env.json": new}))
    assert old != new and "page-otherwise" in sorts(found)


def test_a_second_draw_is_found(drawn: Trail, key: Path) -> None:
    """A witness who signs twice gives a choice of two; two branches with the same statement give none."""
    _, seeded = drawn.find("seeded")
    registration, event = registration_of(drawn)
    same = drawn.copy()
    same.append("seeded", seeded["body"], parents=[registration])
    assert "drawn-twice" in sorts(audited(same)) and audited(same).exit_code == 0
    later = datetime.fromisoformat(event["claimed_time"]) + timedelta(minutes=2)
    record = witness(key, registration, later, "7b" * 32)
    value = sha(record.partition(b"-----BEGIN")[0])
    other = seeded["body"] | {"record": drawn.keep(record), "value": value, "time": f"{later:%Y-%m-%dT%H:%M:%SZ}"}
    drawn.append("seeded", other, parents=[drawn.find("seeded")[0]])
    assert "drawn-otherwise" in sorts(audited(drawn)) and audited(drawn).exit_code == 3


def test_the_beacon_of_the_event_is_that_of_the_file(drawn: Trail) -> None:
    assert "beacon-otherwise" in sorts(spoil(drawn, "registered", lambda body: body["beacon"].update(delay=2)))
    assert "beacon-otherwise" in sorts(spoil(drawn, "registered", lambda body: body.pop("beacon")))


def test_a_form_that_this_version_refuses_is_no_pass(drawn: Trail) -> None:
    """Nor does one that no check would pass stop the step, which other hypotheses need as well."""
    form = json.loads(drawn.kept(registration_of(drawn)[1]["body"]["canonical"]))
    frozen = form["arms"]["frozen"]
    for change in (
        {"later": 1},
        {"arms": form["arms"] | {"frozen": frozen | {"freeze": ["roof"]}}},
        {"arms": {"bp": frozen}},
    ):
        digest = drawn.keep(rfc8785.dumps(form | change))
        found = spoil(drawn, "registered", lambda body, digest=digest: body.update(canonical=digest))
        assert "form-unmade" in sorts(found) and "stopped-5" not in sorts(found), change


def test_one_question_has_one_draw(tmp_path: Path) -> None:
    """A second registration of it has the same seeds from the same round; from another round it is a second chance."""
    roll(tmp_path, DRAND, REGISTERED_TIME, lambda text: text, parent=False)
    trail = Trail.read(tmp_path / "verdicts")
    _, seeded = trail.find("seeded")
    _, event = registration_of(trail)
    form = json.loads(trail.kept(event["body"]["canonical"])) | {"id": "twin"}
    event["body"] |= {"hypothesis": "twin", "canonical": trail.keep(rfc8785.dumps(form))}
    twin = trail.put(event | {"parents": sorted(trail.heads())})
    for change, finds in (({}, "same-draw"), ({"value": "ab" * 32}, "drawn-again")):
        again = trail.copy()
        again.append("seeded", seeded["body"] | {"hypothesis": "twin", "registration": twin} | change)
        assert finds in sorts(audited(again)), finds


def test_a_registration_later_than_its_round_is_found_out_by_what_is_before_it(tmp_path: Path) -> None:
    """It is dated back; but an event before it holds a round that is as late as its own."""
    roll(tmp_path, DRAND, REGISTERED_TIME, lambda text: text, parent=False)
    trail = Trail.read(tmp_path / "verdicts")
    _, seeded = trail.find("seeded")
    _, event = registration_of(trail)
    twin = trail.put(event | {"parents": sorted(trail.heads()), "body": event["body"] | {"hypothesis": "twin"}})
    trail.append("seeded", seeded["body"] | {"hypothesis": "twin", "registration": twin})
    found = audited(trail)
    assert "round-known" in sorts(found) and found.exit_code == 3


def test_a_signature_covers_a_registration_if_it_is_before_the_draw(tmp_path: Path) -> None:
    """And if the reader trusts its key: whoever makes a key of their own is the author under another name."""
    key, _ = make_key(tmp_path)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    for name, signed_first in (("before", True), ("forged", False), ("after", False)):
        root = tmp_path / name
        write_file(root, DRAND)
        register_at(root, REGISTERED_TIME)
        if signed_first:
            ledger.sign(Ledger(root / "verdicts"), key)
        if name == "forged":
            (entry,) = ledger.sign(Ledger(root / "verdicts"), key)
            anchor = root / "verdicts" / "ledger" / "anchors" / f"{entry.body.head}.sig"
            anchor.chmod(0o644)
            anchor.write_bytes(b"forged")
        draw(root, ANSWER)
        if name == "after":
            ledger.sign(Ledger(root / "verdicts"), key)
        found = sorts(report(root, allowed_signers=signers))
        assert ("shown-before" in found, "authors-word" in found) == (signed_first, not signed_first)
        (told,) = [finding.what for finding in report(root).findings if finding.code == "authors-word"]
        assert ("a key that nobody vouches for here" in told) == signed_first


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_stamp_covers_a_registration_if_it_is_before_the_round_and_its_authority_is_trusted(tmp_path: Path) -> None:
    """An author's own authority stamps as well, with whatever time it likes."""
    pytest.importorskip("rfc3161_client")
    authority, other = make_authority(tmp_path / "authority"), make_authority(tmp_path / "other")
    for name, hours, stamped in (("before", 2, "registration"), ("late", -2, "registration"), ("after", 2, "draw")):
        root = tmp_path / name
        root.mkdir()
        key, told = make_key(root)
        write_file(root, told)
        registration = register_at(root, datetime.now(UTC) - timedelta(hours=3))
        amend_bands(root)  # the witness has seen the registration, and not what became of it
        trail = Ledger(root / "verdicts")
        with serve_stamps(authority) as url:
            if stamped == "registration":
                ledger.stamp(trail, url)
            draw(root, witness(key, registration, datetime.now(UTC) + timedelta(hours=hours)))
            if stamped == "draw":
                ledger.stamp(trail, url)
        covered = name != "late"  # a stamp of a later head from before the round covers what is before that head
        assert ("shown-before" in sorts(report(root, roots=authority / "root.pem"))) == covered, name
        assert "authors-word" in sorts(report(root, roots=other / "root.pem")), name
        (said,) = [finding.what for finding in report(root).findings if finding.code == "authors-word"]
        assert ("an authority that nobody vouches for here" in said) == covered, name


def test_a_signature_that_cannot_be_checked_is_said_to_be_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not "nobody vouches for its key", as where it was checked and the reader named no keys."""
    key, _ = make_key(tmp_path)
    write_file(tmp_path, DRAND)
    register_at(tmp_path, REGISTERED_TIME)
    ledger.sign(Ledger(tmp_path / "verdicts"), key)
    draw(tmp_path, ANSWER)
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    told = {finding.code: finding for finding in report(tmp_path).findings}
    for code in ("cover-unchecked", "anchor-not-verified"):
        assert "there is no ssh-keygen here" in told[code].what and told[code].remedy == "install OpenSSH"
    assert not {"shown-before", "authors-word"} & told.keys()


# Amending after a dry run -------------------------------------------------------------------------------------------


def amend_bands(root: Path) -> None:
    file = root / "hypotheses" / "drawn.yaml"
    text = file.read_text()
    assert text.count(" 90]") == text.count("(90,") == 1  # a key may hold these digits, too
    file.write_text(text.replace(" 90]", " 80]").replace("(90,", "(80,"))
    amend_registration(file, open_session(root), "It looks better.")


def test_bands_amended_after_a_dry_run_deviate(tmp_path: Path) -> None:
    """The seeds are public: whoever trains in a copy and then moves the bands is late, although nothing ran here."""
    key, beacon = make_key(tmp_path)
    file = write_file(tmp_path, beacon)
    now = datetime.now(UTC)
    registration = register_at(tmp_path, now - timedelta(minutes=5))
    draw(tmp_path, witness(key, registration, now - timedelta(minutes=4)))
    shutil.copytree(tmp_path / "verdicts", tmp_path / "copy" / "verdicts")
    shutil.copytree(tmp_path / "hypotheses", tmp_path / "copy" / "hypotheses")
    dry = run_hypothesis(tmp_path / "copy" / "hypotheses" / "drawn.yaml", open_session(tmp_path / "copy"))
    amend_bands(tmp_path)
    report_of_run = run_hypothesis(file, open_session(tmp_path))
    assert dry.decision.outcome == report_of_run.decision.outcome
    page = (report_of_run.folder / "verdict.md").read_text()
    assert "This run deviated from its registration" in page and "amended after its seeds were drawn" in page
    assert "deviated" in sorts(report(tmp_path)) and "deviation-unnamed" not in sorts(report(tmp_path))


def test_bands_amended_after_the_round_and_before_the_draw_are_late_too(tmp_path: Path) -> None:
    """The round is public before somebody enters it, and the seeds can be calculated from it."""
    write_file(tmp_path, DRAND)
    register_at(tmp_path, REGISTERED_TIME)
    amend_bands(tmp_path)
    draw(tmp_path, ANSWER)
    (amendment,) = ledger.list_amendments(Ledger(tmp_path / "verdicts").index(), "drawn")
    assert amendment.deviates and amendment.when.startswith("after its round was known")


def test_a_late_amendment_that_a_run_does_not_tell_is_found(drawn: Trail) -> None:
    registration, event = registration_of(drawn)
    body = {key: event["body"][key] for key in ("hypothesis", "raw", "claims", "seeds", "pins", "data", "beacon")}
    form = json.loads(drawn.kept(event["body"]["canonical"])) | {"title": "Otherwise"}
    body |= {"registration": registration, "amends": registration, "canonical": drawn.keep(rfc8785.dumps(form))}
    body |= {"kind": "meaning", "differences": ['title: "Drawn" → "Otherwise"'], "reason": "Because.", "attempts": {}}
    amended = drawn.append("amended", body, parents=[drawn.find("seeded")[0]])
    drawn.append("run_started", drawn.find("run_started")[1]["body"] | {"amendment": amended}, parents=[amended])
    assert "deviation-unnamed" in sorts(audited(drawn))
    stranger = drawn.copy()
    other = stranger.append("amended", body | {"registration": amended}, parents=[amended])
    stranger.append("seeded", drawn.find("seeded")[1]["body"] | {"amendment": other}, parents=[other])
    assert any("an amendment of another registration" in finding.what for finding in audited(stranger).findings)
    early = drawn.copy()
    early.append("seeded", drawn.find("seeded")[1]["body"], parents=[amended])
    assert "draw-of-another" in sorts(audited(early))  # past an amendment


def test_no_amendment_changes_the_beacon_or_the_number_of_known_seeds(tmp_path: Path) -> None:
    write_file(tmp_path, DRAND)
    register_at(tmp_path, REGISTERED_TIME)
    for old, new, match in (
        ("name: drand", "name: drand, delay: 90", "nor the beacon"),
        (", beacon: {name: drand}", "", "nor the beacon"),
        ("count: 3", "count: 4", "after its round could be known"),
    ):
        file = tmp_path / "hypotheses" / "drawn.yaml"
        before = file.read_text()
        assert old in before
        file.write_text(before.replace(old, new))
        with pytest.raises(DeviationRefused, match=match):
            amend_registration(file, open_session(tmp_path), "Because.")
        file.write_text(before)


def test_an_amended_beacon_or_number_is_found(drawn: Trail) -> None:
    registration, event = registration_of(drawn)
    body = {key: event["body"][key] for key in ("hypothesis", "raw", "canonical", "claims", "seeds", "pins", "data")}
    body |= {"registration": registration, "amends": registration, "beacon": event["body"]["beacon"]}
    body |= {"kind": "meaning", "differences": [], "reason": "Because.", "attempts": {}}
    for change in ({"beacon": None}, {"beacon": event["body"]["beacon"] | {"delay": 2}}, {"seeds": 4}):
        trail = drawn.copy()
        trail.append("amended", body | change, parents=[drawn.find("seeded")[0]])
        assert "amendment-seeds" in sorts(audited(trail)), change


def test_an_amendment_before_any_run_says_that_seeds_without_a_beacon_were_known(tmp_path: Path) -> None:
    write_file(tmp_path, None)
    register_at(tmp_path, REGISTERED_TIME)
    amend_bands(tmp_path)
    (amendment,) = ledger.list_amendments(Ledger(tmp_path / "verdicts").index(), "drawn")
    assert not amendment.deviates and amendment.remark is not None
    told = [finding.what for finding in report(tmp_path).findings if finding.code == "amended"]
    assert len(told) == 1 and amendment.remark in told[0]
