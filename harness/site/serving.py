"""The site on loopback, with the page of attempts under way: what ``harness view`` answers.

It answers GET and HEAD only, to whoever names this computer as the host: a page elsewhere may make a browser ask, under
a name of its own, but not for the pages. Only files that the site's own list names are read, so that no path leads
elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.errors import HarnessError, UsageError
from harness.pipeline.following import Follower
from harness.site.build import STAMP
from harness.site.live import PAGE, write_live
from harness.site.rendering import find_folder
from harness.system.reading import LARGEST_FILE, read_regular

HOST = "127.0.0.1"
SCRIPT = "view.js"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Policy for pages: as in the pages themselves, and they may ask this server whether something has changed."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
TYPES |= {".svg": "image/svg+xml"}
META = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="[^"]*">\n')
END_OF_LIST = b"</ul>\n</nav>\n</header>"
FRESH = 0.5
"""Seconds for which what is known of attempts under way is taken to hold."""
LINGER = 2.0
"""Seconds that a connection's end waits for bytes that nobody wants."""
PIECE, UNREAD_PIECES = 2**16, 64
"""Bytes of such a read, and number of reads."""
PATIENCE = 30.0
"""Seconds for which a connection may say nothing."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Pages:
    """The pages that are served."""

    def __init__(self, out: Path, follower: Follower, common: Mapping[str, Any], problem: Callable[[], str | None]):
        """Serve the site in the folder ``out``; ``problem``: tells why it is older than its trail, if it is."""
        self.out, self.common = out, common
        self._follower, self._problem = follower, problem
        self._lock = threading.Lock()
        self._live = (0.0, b"")

    def answer(self, target: str) -> Answer:
        """Answer the request for a target, the second word of a request's first line."""
        if not target.startswith("/"):
            return Answer(HTTPStatus.BAD_REQUEST)
        name = unquote(urlsplit(f"//{HOST}{target}").path).removeprefix("/") or "index.html"
        try:
            data = self._read(name)
        except HarnessError as error:
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n".encode())
        if data is None:
            return Answer(HTTPStatus.NOT_FOUND)
        version = hashlib.sha256(data).hexdigest()[:32]
        if name.endswith(".html"):
            data = _dress(data, version, live=name == PAGE)
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        return Answer(HTTPStatus.OK, data, {"Content-Type": kind, "ETag": f'"{version}"'})

    def _read(self, name: str) -> bytes | None:
        """Return a file of the site, or what is made for it here; None if there is none of this name."""
        if name == PAGE:
            return self._write_live()
        if name == SCRIPT:
            return (find_folder() / SCRIPT).read_bytes()
        try:
            stamp = json.loads(read_regular(self.out / STAMP, LARGEST_FILE))
            if name not in stamp["files"] or ".." in Path(name).parts or Path(name).is_absolute():
                return None
            return read_regular(self.out / name, LARGEST_FILE)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_live(self) -> bytes:
        with self._lock:
            made, page = self._live
            if time.monotonic() - made > FRESH or not page:
                page = write_live(self._follower.follow(), self._follower.peek, self._problem(), self.common).encode()
                self._live = (time.monotonic(), page)
            return page


def _dress(page: bytes, version: str, *, live: bool) -> bytes:
    """Return a page with a link to that of attempts under way, and with the script that follows its changes."""
    kind = " data-part" if live else ""
    script = f'<script src="/{SCRIPT}" data-version="{version}"{kind} defer></script>\n</head>'
    here = ' aria-current="page"' if live else ""
    link = f'<li><a href="/{PAGE}"{here}>Live</a></li>\n'.encode()
    page = META.sub(b"", page, count=1)
    page = page.replace(b"</head>", script.encode(), 1)
    return page.replace(END_OF_LIST, link + END_OF_LIST, 1)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "harness"
    sys_version = ""
    timeout = PATIENCE

    def __init__(self, pages: Pages, *arguments: Any) -> None:
        self._pages = pages
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer, if it is this server that was asked."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self._list_names():
            self._send(Answer(HTTPStatus.MISDIRECTED_REQUEST, headers={"Connection": "close"}))
            return
        answer = self._pages.answer(self.path)
        if answer.status == HTTPStatus.OK and self.headers.get("If-None-Match") == answer.headers["ETag"]:
            answer = Answer(HTTPStatus.NOT_MODIFIED, headers=answer.headers)
        self._send(answer)

    def do_HEAD(self) -> None:
        """Answer as GET, without the page itself."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send an error; for a method that is not supported here, tell which methods are."""
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            self._send(Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD", "Connection": "close"}))
        else:
            self._send(Answer(status, headers={"Connection": "close"}))

    def log_message(self, form: str, *arguments: Any) -> None:
        """Say nothing: the terminal is for what goes wrong with the site."""

    def _list_names(self) -> set[str]:
        _, port = self.connection.getsockname()
        return {f"{name}:{port}" for name in (HOST, "localhost")} | ({HOST, "localhost"} if port == 80 else set())

    def _send(self, answer: Answer) -> None:
        body = answer.body
        if answer.status >= HTTPStatus.BAD_REQUEST and not body:
            body = f"{answer.status.value} {answer.status.phrase}\n".encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", **HEADERS, **answer.headers}
        if "Content-Length" in getattr(self, "headers", {}) or "Transfer-Encoding" in getattr(self, "headers", {}):
            headers["Connection"] = "close"  # what was sent along is read by nobody, nor taken for a request
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a connection that was broken off end without a word."""

    def shutdown_request(self, request: Any) -> None:
        """End a connection so that its answer arrives: closed with bytes unread, the system would take it back."""
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(LINGER)
            for _ in range(UNREAD_PIECES):
                if not request.recv(PIECE):
                    break
        self.close_request(request)


def open_server(pages: Pages, port: int) -> ThreadingHTTPServer:
    """Listen on loopback; port 0 takes a free one.

    Raises:
        UsageError: the port is taken, or not for everybody.
    """
    try:
        return _Server((HOST, port), partial(_Handler, pages))
    except OSError as error:
        told = f"port {port} can't be used: {(error.strerror or str(error)).lower()}"
        remedy = "name another one, or 0 for any that is free: harness view --port 0"
        raise UsageError(told, where="--port", remedy=remedy) from error
