"""``harness view``: whom it answers, when it builds again, and what it shows of attempts that have not ended."""

from __future__ import annotations

import html
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pipeline.audit import audit_trail
from harness.pipeline.session import Reporter
from tests.e2e.projects import Project, make_project, run_file
from tests.e2e.test_e2e_looks import LOOKS, looking
from tests.site.viewing import View, make_stopped, open_view, running, stop_first, wait_for

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with an attempt that was stopped. What is served of it may change; nobody runs it."""
    return make_stopped(tmp_path_factory.mktemp("stopped") / "project")


@pytest.fixture(scope="module")
def view(stopped: Project) -> Iterator[View]:
    with open_view(stopped) as opened:
        yield opened


def test_pages_are_served_with_a_strict_policy(view: View) -> None:
    for path in ("/", "/index.html", "/h/tiny.html", "/claims.html", "/audit.html", "/check.html", "/live.html"):
        status, headers, text = view.get(path)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8"), path
        assert headers["content-security-policy"].startswith(POLICY)
        assert headers["x-content-type-options"] == "nosniff"
        assert "http-equiv" not in text, "what two policies forbid would be forbidden"
        assert text.count('<a href="/live.html"') == 1
        assert "Nothing on this page is evidence" in text
        assert view.get(path, "HEAD")[2] == ""
        assert view.get(path, **{"If-None-Match": headers["etag"]})[0] in (200 if path == "/live.html" else 304, 304)
    for path in ("/site.css", "/site.js", "/view.js"):
        assert view.get(path)[0] == 200


@pytest.mark.parametrize(
    "target",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/h/../../hypotheses/tiny.yaml", "/h/%00.html",
     "/h/..%2f..%2f..%2fhypotheses%2ftiny.yaml", "/..%5c..%5cetc%5cpasswd", "/.harness-site.json", "/h", "/h/", "/%ff",
     "/verdicts/ledger", "/live.html/../../x", "/./index.html"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_not_found(view: View, target: str) -> None:
    answer = view.say(f"GET {target} HTTP/1.1\r\nHost: localhost:{view.port}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == b"404", answer
    assert b"root:" not in answer
    assert b"schema_version" not in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", "", "[::1]:{port}",
             "localhost:{port}\r\nHost: evil.example", "127.0.0.1:{port}@evil.example"]
)  # fmt: skip
def test_who_asks_for_another_host_is_refused(view: View, host: str) -> None:
    named = host.format(port=view.port)
    answer = view.say(f"GET / HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == b"421", answer
    assert b"Hypotheses" not in answer


def test_only_what_reads_is_answered_and_nothing_is_taken_for_a_request_that_is_none(view: View) -> None:
    host = f"Host: 127.0.0.1:{view.port}\r\n"
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "NONSENSE"):
        answer = view.say(f"{method} /index.html HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n".encode())
        assert answer.split(b" ", 2)[1] == b"405", answer
        assert b"Allow: GET, HEAD" in answer
    assert view.say(b"GET / HTTP/1.1\r\n\r\n").split(b" ", 2)[1] == b"421", "no host at all"
    for target in (f"http://127.0.0.1:{view.port}/", "index.html", "*"):
        assert view.say(f"GET {target} HTTP/1.1\r\n{host}\r\n".encode()).split(b" ", 2)[1] == b"400", target
    hidden = f"GET /claims.html HTTP/1.1\r\n{host}\r\n"
    answer = view.say(f"GET /site.css HTTP/1.1\r\n{host}Content-Length: {len(hidden)}\r\n\r\n{hidden}".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"400" in view.say(b"\x16\x03\x01\x02nonsense\r\n\r\n").split(b"\r\n")[0]
    long = view.say(f"GET /{'a' * 100_000} HTTP/1.1\r\n{host}\r\n".encode())
    assert long.split(b" ", 2)[1] == b"414"
    assert view.get("/")[0] == 200


def test_values_of_a_stopped_attempt_are_not_shown_and_nothing_is_entered(view: View) -> None:
    page = html.unescape(view.page("/live.html"))
    assert "stopped: the same command goes on with it" in page
    assert "Its values are not shown before its end." in page
    assert "<svg" not in page
    assert re.search(r"\d+% of [\d,]+ replica steps", page)
    assert view.project.events("peeked") == []


def test_an_attempt_that_is_open_is_no_failure_in_the_audits_table(view: View) -> None:
    page = view.page("/audit.html")
    assert '<td class="open"><span aria-hidden="true">…</span><span class="hidden">OPEN</span></td>' in page
    assert '<td class="fail">' not in page
    assert "3, open: 1 finding (tiny)" in html.unescape(page)


def test_it_is_built_again_when_files_change_and_says_when_that_fails(view: View) -> None:
    claims, file = (view.project.root / "hypotheses" / name for name in ("claims.yaml", "tiny.yaml"))
    before = {path: path.read_text() for path in (claims, file)}
    file.write_text(before[file].replace("Does it?", "Does it really?"))
    assert "Does it really?" in view.wait_for("/h/tiny.html", lambda text: "really" in text)
    claims.write_text("claims: nonsense\n")
    told = view.wait_for("/live.html", lambda text: "older than the trail" in text)
    assert "claims.yaml" in told
    assert "Does it really?" in view.page("/h/tiny.html")
    file.write_text(before[file])
    claims.write_text(before[claims].replace("Training the blocks helps.", "It helps a lot."))
    view.wait_for("/claims.html", lambda text: "It helps a lot." in text)
    view.wait_for("/h/tiny.html", lambda text: "really" not in text)
    view.wait_for("/live.html", lambda text: "older than the trail" not in text)


def test_a_port_in_use_gets_one_message(view: View) -> None:
    done = view.project.harness("view", "--port", str(view.port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"--port: port {view.port} can't be used: address already in use" in done.stderr
    assert "harness view --port 0" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_cleanly(stopped: Project, tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = stopped.start("view", "--port", "0")
    url = process.stdout.readline()
    assert url.startswith("http://127.0.0.1:")
    process.send_signal(number)
    _, err = process.communicate()
    assert process.wait() == code
    assert "Traceback" not in err
    assert err.endswith("interrupted\n")


def test_a_folder_that_is_given_stays_and_is_the_site_itself(stopped: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.html").write_text("mine")
    done = stopped.harness("view", "--port", "0", str(tmp_path / "mine"))
    assert done.returncode == 2
    assert "other files here than a site's" in done.stderr
    with open_view(stopped, str(tmp_path / "site")):
        pass
    page = (tmp_path / "site/index.html").read_text()
    assert "http-equiv" in page
    assert "view.js" not in page
    assert not (tmp_path / "site/live.html").exists()


def test_a_run_in_training_is_followed_and_peeking_is_entered(tmp_path: Path) -> None:
    with running(tmp_path / "project") as project, open_view(project) as plain:
        page = plain.wait_for("/live.html", lambda text: ">training<" in text and "replica steps/s" in text)
        assert "bp, dfa" in page
        assert re.search(r"<dd [^>]*Time left\">[^<]+( s| min| h)<", page), page
        epochs = r"<td>(\d+) of 100000</td>"
        first = sum(map(int, re.findall(epochs, page)))
        plain.wait_for("/live.html", lambda text: sum(map(int, re.findall(epochs, text))) > first)
        wait_for(lambda: list(project.root.glob("verdicts/tiny/*/work/*.values")))
        assert "<svg" not in plain.page("/live.html")
        assert project.events("peeked") == []
        with open_view(project, "--peek") as peeking:
            shown = peeking.wait_for("/live.html", lambda text: "<svg" in text)
            assert "You are peeking." in shown
            assert 'class="mean' in shown
            peeking.wait_for(
                "/live.html",
                lambda text: re.findall(r"<path d=[^>]*seed", text) != re.findall(r"<path d=[^>]*seed", shown),
            )
        (event,) = project.events("peeked")
        assert event["body"]["progress"]["readable"]
        assert "<svg" not in plain.page("/live.html")
        told = project.harness("show", "tiny", "--history").stdout
        assert "were looked at before its end, from here on: prior data" in told


def test_a_verdict_tells_that_somebody_peeked(tmp_path: Path) -> None:
    project = make_stopped(tmp_path / "project")
    with open_view(project, "--peek") as peeking:
        peeking.wait_for("/live.html", lambda text: "<svg" in text)
        assert len(project.events("peeked")) == 1
        run_file(project.root / "hypotheses/tiny.yaml")
        peeking.wait_for("/live.html", lambda text: "whatever was started has ended" in text)
        page = peeking.wait_for("/h/tiny.html", lambda text: "verdict on run" in text)
        assert "were looked at before its end" in page
    (run,) = project.runs()
    assert "Measured values were looked at before the end of an attempt (1 time" in (run / "verdict.md").read_text()
    assert json.loads((run / "env.json").read_text())["peeks"] == 1
    report = audit_trail(project.root / "verdicts", project.root / "hypotheses")
    assert "peeked" in {finding.code for finding in report.findings}
    assert not {"tampered", "differs"} & {finding.severity for finding in report.findings}, report.findings
    assert project.harness("reverdict", "tiny").returncode == 0


def test_a_look_that_was_registered_is_shown_to_everybody(tmp_path: Path) -> None:
    project = looking(tmp_path / "project", LOOKS)
    said: list[str] = []
    stop_first(project, Reporter(say=said.append, stop=lambda: any(text.startswith("look 1") for text in said)))
    with open_view(project) as opened:
        page = html.unescape(opened.page("/live.html"))
        assert "What the looks showed that the file asks for" in page
        assert "nothing is decided, it goes on" in page
        assert "Its values are not shown between its registered looks." in page
        assert "<svg" not in page
    assert project.events("peeked") == []


def test_a_trail_that_is_empty_is_served(tmp_path: Path) -> None:
    with open_view(make_project(tmp_path / "project")) as opened:
        assert "0 registered hypotheses" in opened.page("/")
        assert "None: whatever was started has ended." in opened.page("/live.html")
