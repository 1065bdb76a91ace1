"""Trails that somebody wrote to do harm: everything is refused or shown as text, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.pipeline.audit import AuditRequest, audit_trail
from tests.attacks.corpus import CORPUS, only, rename_digests
from tests.attacks.generate import main as generate
from tests.attacks.trails import Trail, audited, sha, sorts, write_words
from tests.e2e import commands

ESCAPES = "\x1b[2J\x1b]0;owned\x07"
HOSTILE = (
    "<script>alert(1)</script> {{ 97 * 787 }} {% include '/etc/passwd' %} " + ESCAPES + "\n::error::forged [red]x[/red]"
)


def audit(verdicts: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "GIT_CEILING_DIRECTORIES": str(verdicts.parent)}
    return commands.run(("audit", "--verdicts", str(verdicts), *options), verdicts.parent, environment, timeout=120)


def listed(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*")) if not p.is_fifo()}


def spoilt_page(trail: Trail) -> None:
    """Hostile words wherever a trail has words: reasons, titles, device names, what differs."""
    write_words(trail, HOSTILE)
    trail.append(ESCAPES, {"anything": HOSTILE})


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_words_are_shown_as_text(good_trail: Trail, tmp_path: Path, form: str) -> None:
    trail = good_trail.copy()
    spoilt_page(trail)
    trail.write(tmp_path / "verdicts")
    before = listed(tmp_path)
    ran = audit(tmp_path / "verdicts", "--format", form)
    assert ran.returncode in (3, 5), ran.stderr
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr and "\x07" not in ran.stdout + ran.stderr
    assert not [line for line in ran.stdout.splitlines() if line.startswith("::error::forged")]
    shown = ran.stdout + ran.stderr
    assert "{{ 97 * 787 }}" in shown and str(7919 * 7907) not in shown
    if form == "json":
        assert any(HOSTILE in finding["what"] for finding in json.loads(ran.stdout)["findings"])
    assert listed(tmp_path) == before


def test_links_pipes_and_folders_in_the_way_are_named_and_not_followed(good_trail: Trail, tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts"
    good_trail.write(verdicts)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (digest, _) = good_trail.find("verdict", "first")
    event = verdicts / good_trail.path(digest)
    event.unlink()
    event.symlink_to(secret)
    (verdicts / "loop").symlink_to(verdicts)
    os.mkfifo(verdicts / "objects" / "sha256" / ("0" * 64))
    (verdicts / "ledger" / "events" / f"{'1' * 64}.json").mkdir()
    (verdicts / "ledger" / "anchors").symlink_to("/etc")
    ran = audit(verdicts, "--recompute")
    assert ran.returncode == 3, ran.stderr
    assert "Traceback" not in ran.stderr and "secret" not in secret.read_text().replace("secret", "", 1)
    for name in (event.name, "loop", "0" * 64, "anchors"):
        assert name in ran.stderr
    assert ran.stderr.count("tampered, step 1") >= 4


def test_broken_and_strange_names_are_shown(good_trail: Trail, tmp_path: Path) -> None:
    good_trail.write(tmp_path / "verdicts")
    folder = os.fsencode(tmp_path / "verdicts" / "first")
    for name in (b"\xff\xfe", b"new\nline", b"\x1b[2J", "ü" * 60):
        with open(folder + b"/" + (name if isinstance(name, bytes) else name.encode()), "wb"):  # noqa: PTH123
            pass
    for form in ("text", "json", "github"):
        ran = audit(tmp_path / "verdicts", "--format", form)
        assert ran.returncode == 5, ran.stderr
        assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="bounded on Linux only")
@pytest.mark.parametrize(
    ("template", "said"),
    [
        (b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "stopped after 1 s"),
        (b"{{ 9 ** (9 ** (9 ** 9)) }}", "stopped after 1 s"),
        (b"{% set n = namespace(x='x') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "MemoryError"),
    ],
    ids=["loops", "number", "text"],
)
def test_a_template_that_never_ends_ends_no_audit(
    good_trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: bytes, said: str
) -> None:
    monkeypatch.setattr("harness.pipeline.bounded.SECONDS", 60.0 if said == "MemoryError" else 1.0)
    monkeypatch.setattr("harness.pipeline.bounded.MEMORY", 2**28)
    trail = good_trail.copy()
    pinned = trail.find("run_started", "second")[1]["body"]["pins"]["templates"]["verdict.md.j2"]
    rename_digests(trail, {pinned: trail.keep(template)})
    trail.write(tmp_path / "verdicts")
    report = audit_trail(tmp_path / "verdicts", Path("none"), AuditRequest(recompute=True))
    told = [finding.what for finding in report.findings if finding.code == "not-recomputed"]
    assert told and all(said in what for what in told)
    assert report.exit_code


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 500_000,
        b'{"a":' * 50_000,
        b'{"v":1' + b"0" * 100_000 + b"}",
        b'{"actor":"A","body":{"x":1' + b"0" * 400 +
        b'},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"x","v":1}',
        b"\x00" * 1000,
        b'"' + b"\\ud800" * 1000 + b'"',
        b'{"actor":"\\ud800","body":{},"claimed_time":"2026-01-02T03:04:05Z","parents":[],"type":"x","v":1}',
        json.dumps({"actor": "A", "body": {"x": [[]] * 1000}, "claimed_time": "2026-01-02T03:04:05Z", "parents": [],
                    "type": "x" * 100_000, "v": 1}, separators=(",", ":")).encode(),
    ],
)  # fmt: skip
def test_json_of_any_shape_is_named(good_trail: Trail, tmp_path: Path, data: bytes) -> None:
    """As an event under its own digest, and as a file that a verdict names by its digest."""
    trail = good_trail.copy()
    digest, verdict = trail.find("verdict", "second")
    env = f"{trail.folder(verdict['body']['run'])}/env.json"
    trail.files[env] = data
    trail.rebuild(only(digest, lambda body: body["files"].update({"env.json": sha(data)})))
    trail.files[trail.path(sha(data))] = data
    report = audited(trail)
    assert not [sort for sort in sorts(report) if sort.startswith("stopped")]
    assert {"event-form", "event-type"} & sorts(report)


def test_the_corpus_can_be_written_out_and_audited(good_project: Path, tmp_path: Path) -> None:
    generate(tmp_path, good_project)
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert len(folders) == len(CORPUS) >= 60
    for folder in (folders[0], folders[len(folders) // 2], folders[-1]):
        expected = json.loads((folder / "expected.json").read_text())
        ran = audit(folder / "verdicts", *expected["audit"], "--format", "json")
        assert expected["finds"] in {finding["sort"] for finding in json.loads(ran.stdout)["findings"]}


def test_the_command_says_what_it_wants(tmp_path: Path) -> None:
    (tmp_path / "verdicts").mkdir()
    for options, said in (
        (("--format", "xml"), "unknown format"),
        (("--known-head", "abc"), "not the head of a ledger"),
        (("--known-head", "0123456789ab"), "give at least 32 of its 64 digits"),  # 48 bits can be searched for
        (("--known-head", "../../../etc/passwd"), "not the head of a ledger"),
    ):
        ran = audit(tmp_path / "verdicts", *options)
        assert ran.returncode == 2 and said in ran.stderr
    assert audit(tmp_path / "nowhere").returncode == 2
    empty = audit(tmp_path / "verdicts")
    assert empty.returncode == 5 and "0 events" in empty.stdout
