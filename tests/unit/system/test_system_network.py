"""Getting files over the network: a real server on this machine, that answers as servers should not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.system.network import fetch


class Handler(BaseHTTPRequestHandler):
    secret = Path()
    stop = threading.Event()

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name in ("file", "ftp", "data", "round"):
            self.send_response(302)
            target = {"file": self.secret.as_uri(), "ftp": "ftp://127.0.0.1/x", "data": "data:,x", "round": "/good"}
            self.send_header("Location", target[name])
            self.end_headers()
        elif name == "missing":
            self.send_error(404)
        elif name == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)
        elif name == "drips":
            self.send_response(200)
            self.end_headers()
            while not self.stop.wait(0.05):
                self.wfile.write(b"x")
        elif name.isdigit():
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * int(name))
        elif name == "good":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"good")
        else:
            self.wfile.write(b"\0\1nonsense\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    Handler.secret = tmp_path_factory.mktemp("private") / "secret"
    Handler.secret.write_text("secret", encoding="utf-8")
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    Handler.stop.set()
    made.shutdown()
    thread.join()
    made.server_close()


def test_an_answer_is_returned(server: str) -> None:
    assert fetch(f"{server}/good") == b"good" == fetch(f"{server}/round")
    assert fetch(f"{server}/5000", largest=5000) == b"x" * 5000


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("5001", "more than 5000 bytes"),
        ("500000", "more than 5000 bytes"),
        ("missing", "404"),
        ("file", "did not answer as it should"),
        ("ftp", "did not answer as it should"),
        ("data", "did not answer as it should"),
        ("cut", "ended 990 bytes early"),
        ("nonsense", "did not answer as it should"),
        ("drips", "not complete"),
    ],
)
def test_what_is_no_answer_says_why(server: str, path: str, match: str) -> None:
    seconds = 0.5 if path == "drips" else 60  # more than a busy machine takes to answer the others
    with pytest.raises(HarnessError, match=match) as caught:
        fetch(f"{server}/{path}", largest=5000, seconds=seconds)
    assert caught.value.where == f"{server}/{path}" and caught.value.remedy


def test_nobody_there() -> None:
    with pytest.raises(HarnessError, match="did not answer as it should"):
        fetch("http://127.0.0.1:9/x", seconds=60)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "", "/etc/hostname", "HTTPX://x"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"not an http\(s\) address"):
        fetch(url)
