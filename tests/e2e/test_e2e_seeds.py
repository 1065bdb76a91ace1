"""Seeds from a beacon by the command line: a witness's, a recorded round of drand, and a chain that is signed here."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
import yaml

from harness.ledger.seeding import derive_from_round
from tests.attacks.draws import RECORDED, REGISTERED_TIME, make_key
from tests.e2e.projects import Project, make_project
from tests.ssh import needs_ssh_keygen
from tests.unit.beacons.test_beacons_drand import own_chain, record, signed

CHOOSABLE = "seeds its author could have chosen"
SCHEME = "bls-unchained-g1-rfc9380"
NOWHERE = "http://127.0.0.1:9"


def drawing(root: Path, beacon: str) -> Project:
    project = make_project(root)
    project.edit("seeds: {count: 6}", f"seeds: {{count: 6, beacon: {{{beacon}}}}}")
    project.edit("epochs: 8", "epochs: 2")
    return project


def harness(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.harness(*arguments, no_proxy="127.0.0.1", NO_PROXY="127.0.0.1")


@pytest.mark.parametrize("beacon", ["drand", "nist", "bitcoin", "witness"])
def test_a_new_file_names_its_beacon(tmp_path: Path, beacon: str) -> None:
    project = Project(tmp_path)
    made = harness(project, "new", "one", "--title", "T", "--question", "Q?", "--beacon", beacon)
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "hypotheses" / "one.yaml").read_text()
    seeds = yaml.safe_load(text)["seeds"]
    assert seeds["count"] == 10 and seeds["beacon"]["name"] == beacon
    assert ("signer" in seeds["beacon"]) == ("# an example: write your own" in text) == (beacon == "witness")
    found = json.loads(harness(project, "check", "--format", "json").stdout)
    assert {finding["rule"] for finding in found} == {"placeholder"}
    refused = harness(project, "new", "two", "--title", "T", "--question", "Q?", "--beacon", "drond")
    assert refused.returncode == 2 and "did you mean 'drand'" in refused.stderr


def seeds_of(project: Project) -> list[int]:
    """The seeds of the one run, which follow from the one draw."""
    (seeded,), (started,) = project.events("seeded"), project.events("run_started")
    body = seeded["body"]
    assert tuple(started["body"]["seeds"]) == derive_from_round(body["form"], body["value"], 6)
    return list(started["body"]["seeds"])


@needs_ssh_keygen
def test_a_run_says_what_it_waits_for_and_takes_a_witness_s_answer(tmp_path: Path) -> None:
    key, beacon = make_key(tmp_path)
    project = drawing(tmp_path / "project", beacon)
    planned = harness(project, "plan", "hypotheses/tiny.yaml").stdout
    assert "first round of witness later than its registration" in planned
    refused = harness(project, "run", "hypotheses/tiny.yaml")
    assert refused.returncode == 1 and refused.stderr.count("error: ") == 1
    assert "no address has the statement of ada@example.org" in refused.stderr and "--round" in refused.stderr
    assert [event["type"] for event in project.events()] == ["registered"]
    time.sleep(2)  # the beacon's delay, by the witness's own clock
    commands = refused.stderr.partition("runs, and sends the file answer:\n")[2]
    script = commands.replace("~/.ssh/id_ed25519", str(key))
    subprocess.run(["sh", "-e", "-c", script], cwd=project.root, check=True, capture_output=True)
    wrong = harness(project, "run", "hypotheses/tiny.yaml", "--round", "statement")
    assert wrong.returncode == 2 and "this is not the round that is due" in wrong.stderr
    drawn = harness(project, "seed", "hypotheses/tiny.yaml", "--round", "answer")
    assert drawn.returncode == 0 and "seeds drawn from witness's round" in drawn.stdout
    assert "already" in harness(project, "seed", "hypotheses/tiny.yaml").stdout
    ran = harness(project, "run", "hypotheses/tiny.yaml", "--round", "answer")  # the same record: nothing to draw
    assert ran.returncode == 0, ran.stderr
    seeds_of(project)
    (page,) = project.root.glob("verdicts/tiny/*/verdict.md")
    assert "a round of the beacon `witness`" in page.read_text() and CHOOSABLE not in page.read_text()
    audit = harness(project, "audit", "--recompute", "--format", "json")
    (subject,) = json.loads(audit.stdout)["hypotheses"]
    assert "docs/threat-model.md" in json.loads(audit.stdout)["undetectable"]
    assert {line["status"] for line in subject["lines"]} == {"PASS", "NOT CHECKED"}
    assert {line["step"]: line["reason"] for line in subject["lines"]}[5].startswith("drawn by a key")
    same = harness(project, "replicate", "tiny")
    assert same.returncode == 0 and "the same results to the bit" in same.stdout
    assert harness(project, "replicate", "tiny", "--fresh", "short").returncode == 2
    again = harness(project, "replicate", "tiny", "--fresh", "0123456789abcdef")
    assert again.returncode in (0, 4), again.stderr  # one repetition in twenty does not agree
    assert "by the verdict, which stays: it " in again.stdout
    assert "over the seeds of both: " in again.stdout and " pp, 95% interval " in again.stdout
    history = harness(project, "show", "tiny", "--history").stdout
    assert "repeated with seeds from the nonce 0123456789abcdef" in history
    assert "to be drawn from the first round of witness" in history and "seeds were drawn from the round" in history


class Relay(ThreadingHTTPServer):
    """A relay that has what it was given: path → answer."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        super().__exit__(*_)

    def find(self, path: str) -> bytes | None:
        return self.answers.get(path)


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Relay)
        answer = self.server.find(self.path)
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(answer or b"")))
        self.end_headers()
        self.wfile.write(answer or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as server:
        yield server


def date_back(project: Project) -> str:
    """Let the one registration claim the time after which the recorded round was due; return its digest."""
    (path,) = (project.root / "verdicts/ledger/events").glob("*.json")
    data = re.sub(rb'"claimed_time":"[^"]*"', f'"claimed_time":"{REGISTERED_TIME:%Y-%m-%dT%H:%M:%SZ}"'.encode(),
                  path.read_bytes())  # fmt: skip
    path.unlink()
    digest = hashlib.sha256(data).hexdigest()
    path.with_name(f"{digest}.json").write_bytes(data)
    return digest


def test_a_run_fetches_the_recorded_round_of_drand(tmp_path: Path, relay: Relay) -> None:
    project = drawing(tmp_path / "project", f'name: drand, relay: "{relay.url}"')
    registered = harness(project, "register", "hypotheses/tiny.yaml")
    assert registered.returncode == 0 and "of quicknet" in registered.stdout
    date_back(project)
    assert "round 657413 of quicknet" in harness(project, "plan", "hypotheses/tiny.yaml").stdout
    ran = harness(project, "run", "hypotheses/tiny.yaml")
    assert ran.returncode == 1 and "404" in ran.stderr and "curl" in ran.stderr
    assert not project.events("seeded") and not project.events("run_started")
    (path,) = re.findall(rf"{re.escape(relay.url)}(/\S+/public/657413)", ran.stderr)[:1]
    relay.answers[path] = json.dumps(RECORDED).encode()
    ran = harness(project, "run", "hypotheses/tiny.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "seeds drawn: round 657413 of quicknet" in ran.stderr
    seeds_of(project)
    (seeded,) = project.events("seeded")
    assert seeded["body"]["value"] == hashlib.sha256(bytes.fromhex(RECORDED["signature"])).hexdigest()
    audit = json.loads(harness(project, "audit", "--format", "json").stdout)
    told = {finding["sort"]: finding["what"] for finding in audit["findings"]}
    assert "League of Entropy" in told["trusts"] and "the author's word" in told["authors-word"]


def test_a_machine_without_network_takes_the_round_from_a_file(tmp_path: Path) -> None:
    project = drawing(tmp_path / "project", f'name: drand, relay: "{NOWHERE}"')
    assert harness(project, "seed", "hypotheses/tiny.yaml").returncode == 2  # it is not registered
    assert harness(project, "register", "hypotheses/tiny.yaml").returncode == 0
    date_back(project)
    (project.root / "answer").write_text(json.dumps(RECORDED))
    (project.root / "other").write_text(json.dumps(RECORDED | {"round": 1}))
    for file, message in (("other", "not the round that is due"), ("nowhere", "can't be read")):
        refused = harness(project, "run", "hypotheses/tiny.yaml", "--round", file)
        assert refused.returncode == 2 and message in refused.stderr and file in refused.stderr
    assert not project.events("seeded")
    ran = harness(project, "run", "hypotheses/tiny.yaml", "--round", "answer")
    assert ran.returncode == 0, ran.stderr
    seeds_of(project)


class Chain(Relay):
    """A drand chain of our own that begins when it is made: a round every second, to be had once it is due."""

    def __init__(self) -> None:
        self.chain = own_chain(SCHEME, period=1, genesis_time=int(time.time()))
        super().__init__()

    def find(self, path: str) -> bytes | None:
        number = int(path.rsplit("/", 1)[1])
        due = self.chain.time(number).timestamp() <= time.time()
        return record(number, signed(SCHEME, number)) if due else None

    @property
    def beacon(self) -> str:
        told = ", ".join(f"{key}: {json.dumps(value)}" for key, value in self.chain.model_dump().items())
        return f'name: drand, chain: {{{told}}}, relay: "{self.url}"'


@pytest.fixture
def chain() -> Iterator[Chain]:
    with Chain() as server:
        yield server


def test_a_run_waits_for_a_round_that_is_due_soon(tmp_path: Path, chain: Chain) -> None:
    project = drawing(tmp_path / "project", f"{chain.beacon}, delay: 3")
    ran = harness(project, "run", "hypotheses/tiny.yaml")
    assert ran.returncode == 0, ran.stderr
    seeds_of(project)
    (page,) = project.root.glob("verdicts/tiny/*/verdict.md")
    assert "none of the League of Entropy's" in page.read_text()


def test_whoever_interrupts_the_waiting_loses_nothing(tmp_path: Path, chain: Chain) -> None:
    project = drawing(tmp_path / "project", f"{chain.beacon}, delay: 300")
    waiting = project.start_until("waiting until", "run", "hypotheses/tiny.yaml")
    waiting.send_signal(signal.SIGINT)
    waiting.communicate()
    assert waiting.returncode == 130
    assert [event["type"] for event in project.events()] == ["registered"]
    again = project.start_until("waiting until", "run", "hypotheses/tiny.yaml")
    again.send_signal(signal.SIGTERM)
    again.communicate()
    assert again.returncode == 143 and len(project.events()) == 1


def test_a_run_does_not_wait_for_long(tmp_path: Path, chain: Chain) -> None:
    project = drawing(tmp_path / "project", f"{chain.beacon}, delay: 86400")
    ran = harness(project, "run", "hypotheses/tiny.yaml")
    assert ran.returncode == 1 and "waits 10 min at most" in ran.stderr and "curl" in ran.stderr


def test_a_round_has_no_effect_without_a_beacon(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project.root / "answer").write_text("{}")
    planned = harness(project, "plan", "hypotheses/tiny.yaml").stdout
    assert CHOOSABLE in planned
    refused = harness(project, "run", "hypotheses/tiny.yaml", "--round", "answer")
    assert refused.returncode == 2 and "--round: it has no effect" in refused.stderr
    project.edit("seeds: {count: 6}", "seeds: {count: 6, beacon: {name: drand}}")
    refused = harness(project, "run", "hypotheses/tiny.yaml", "--round", "answer")
    assert refused.returncode == 2 and "is not registered" in refused.stderr  # so that no round can be its own
    assert not project.events()


def test_every_page_and_audit_says_of_other_seeds_that_their_author_could_have_chosen_them(finished: Project) -> None:
    (page,) = finished.root.glob("verdicts/tiny/*/verdict.md")
    assert CHOOSABLE in page.read_text()
    assert CHOOSABLE in harness(finished, "plan", "hypotheses/tiny.yaml").stdout
    assert CHOOSABLE in harness(finished, "show", "tiny").stdout
    assert CHOOSABLE in harness(finished, "show", "tiny", "--history").stdout
    (line,) = [line for line in harness(finished, "audit").stdout.splitlines() if line.lstrip().startswith("PASS")
               and " 5 " in line]  # fmt: skip
    assert CHOOSABLE in line
