"""Time-stamp authorities (RFC 3161) that tests make themselves: OpenSSL's, behind HTTP."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

# No ``certs =`` here: it would add the root to every reply, and the client refuses replies with two certificates.
CONFIGURATION = """\
[tsa]
default_tsa = authority
[authority]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
"""
EXTENSIONS = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n"


def command(*arguments: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run([str(a) for a in arguments], input=data, capture_output=True, check=True).stdout


def make_authority(folder: Path) -> Path:
    """A root and a time-stamping certificate that it signed."""
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    root, tsa = folder / "root", folder / "tsa"
    command("openssl", "req", "-x509", *key, "-keyout", f"{root}.key", "-out", f"{root}.pem", "-days", "30",
            "-subj", "/CN=Test root")  # fmt: skip
    command("openssl", "req", *key, "-keyout", f"{tsa}.key", "-out", f"{tsa}.csr", "-subj", "/CN=Test authority")
    (folder / "extensions").write_text(EXTENSIONS)
    command("openssl", "x509", "-req", "-in", f"{tsa}.csr", "-CA", f"{root}.pem", "-CAkey", f"{root}.key",
            "-out", f"{tsa}.pem", "-days", "30", "-extfile", folder / "extensions", "-set_serial", "7")  # fmt: skip
    (folder / "serial").write_text("01\n")
    (folder / "openssl.cnf").write_text(CONFIGURATION.format(folder=folder))
    return folder


@contextmanager
def serve_stamps(authority: Path, reply: bytes | None = None) -> Iterator[str]:
    """Serve an authority's stamps, or always the same ``reply``; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with tempfile.NamedTemporaryFile(suffix=".tsq") as query:
                query.write(self.rfile.read(int(self.headers["Content-Length"])))
                query.flush()
                answer = reply if reply is not None else command(
                    "openssl", "ts", "-reply", "-config", authority / "openssl.cnf", "-queryfile", query.name
                )  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
