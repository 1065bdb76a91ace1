"""A witness: somebody who publishes a number of their own for this registration, signed with their SSH key.

The witness's statement names the registration by its digest, so it cannot have been made before, and holds a nonce
that only the witness chose. What remains is trust in the witness: that they are not the author, and that they sign one
statement for a registration and not several to choose from.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, field_validator

from harness.beacons import Beacon, Drawn, Registered, format_time
from harness.errors import HarnessError, UsageError
from harness.system.ssh import BEGIN, END, keygen, read_signer, split_strings

NAMESPACE = "harness-witness"
"""Purpose that ssh-keygen signs along with the statement: a signature made for something else does not pass."""
TIME = "%Y-%m-%dT%H:%M:%SZ"
STATEMENT = re.compile(
    rb"harness witness 1\n"
    rb"registration ([0-9a-f]{64})\n"
    rb"time ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\n"
    rb"nonce ([0-9a-f]{64})\n"
)
WIDTH = 70  # of a line of base64, as ssh-keygen breaks them
SIGNER = r"^[A-Za-z0-9][A-Za-z0-9@._+-]* (ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$"


class Witness(Beacon):
    """A number that a witness signed for this registration, after it and the delay.

    Source:
        SSH signatures (``ssh-keygen -Y``), OpenSSH.

    Use:
        Without a network or a public beacon: a colleague signs a number of their own.

    Traps:
        All trust is in the witness: that they aren't the author, and sign one statement only.
    """

    names_registration: ClassVar[bool] = True

    name: Literal["witness"]
    signer: Annotated[str, StringConstraints(pattern=SIGNER, max_length=2000)] = Field(
        examples=["ada@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsE6YYmdDCCHzf3vTJGvGT4YPpvzlkYUgTkaUUXBsrw"]
    )
    """The witness and their public key, in three words, as a line of ssh-keygen's allowed signers."""

    @field_validator("signer")
    @classmethod
    def _holds_a_key(cls, text: str) -> str:
        _, kind, key = text.split(" ")
        if next(split_strings(base64.b64decode(key, validate=True)), None) != kind.encode():
            raise ValueError(f"this is not a key of the kind {kind}")
        return text

    def due(self, registered: Registered) -> str:
        """Return the rule; there is one statement for a registration."""
        return (
            f"the statement of {self._who} for {registered.digest[:12]}, later than "
            f"{format_time(self.after(registered))}"
        )

    def trusts(self) -> str:
        """Return who holds the key."""
        return f"{self._who}: that they are not the author, and signed one statement for this registration"

    def instructions(self, registered: Registered) -> str:
        """Return what the witness does."""
        return (
            f"After {format_time(self.after(registered))}, {self._who} runs, and sends the file answer:\n"
            f"printf 'harness witness 1\\nregistration {registered.digest}\\ntime %s\\nnonce %s\\n' "
            f'"$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(openssl rand -hex 32)" > statement\n'
            f"ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519 statement\n"
            "cat statement statement.sig > answer"
        )

    def rewritten(self, answer: bytes) -> bytes:
        """Return the statement and the signature, with the line ends and line lengths that ssh-keygen writes."""
        statement, found, rest = answer.replace(b"\r\n", b"\n").partition(BEGIN)
        body, ended, beyond = rest.partition(END.rstrip())
        try:
            blob = base64.b64decode(body.replace(b"\n", b""), validate=True)
        except ValueError:
            blob = b""
        if not (STATEMENT.fullmatch(statement) and found and ended and blob) or beyond.strip():
            raise self.refused("this is not a witness's statement with an SSH signature below it")
        text = base64.b64encode(blob)
        lines = b"".join(text[start : start + WIDTH] + b"\n" for start in range(0, len(text), WIDTH))
        return statement + BEGIN + lines + END

    def drawn(self, record: bytes, registered: Registered) -> Drawn:
        """Return SHA-256 of the statement: of some keys, others can write the signature in another way."""
        statement, _, signature = record.partition(BEGIN)
        match = STATEMENT.fullmatch(statement)
        assert match is not None, "a kept record has a statement"
        digest, told = match[1].decode(), match[2].decode()
        if digest != registered.digest:
            problem = f"it is a statement for the registration {digest[:12]}, not for {registered.digest[:12]}"
            raise self.refused(problem, f"ask {self._who} for a statement for this one")
        try:
            time = datetime.strptime(told, TIME).replace(tzinfo=UTC)
        except ValueError:
            raise self.refused(f"{told} is not a time") from None
        if time <= (after := self.after(registered)):
            raise self.refused(
                f"it is of {format_time(time)}, which is not after {format_time(after)}", "ask the witness again"
            )
        self._check_signature(statement, BEGIN + signature)
        return Drawn(hashlib.sha256(statement).digest(), f"statement of {self._who}, of {format_time(time)}", time)

    @property
    def foreign_key(self) -> str:
        """Return the witness's public key."""
        return self.signer.split(" ")[2]

    @property
    def _who(self) -> str:
        return self.signer.split(" ")[0]

    def _check_signature(self, statement: bytes, armoured: bytes) -> None:
        who, _, key = self.signer.split(" ")
        if read_signer(armoured, NAMESPACE) != base64.b64decode(key):
            raise self.refused(f"its signature is not by the key of {who}, or not made for {NAMESPACE}")
        with TemporaryDirectory(prefix="harness-witness-") as folder:
            file, signers = Path(folder, "signature"), Path(folder, "signers")
            file.write_bytes(armoured)
            signers.write_text(self.signer + "\n", encoding="utf-8")
            told = ("-f", str(signers), "-I", who, "-n", NAMESPACE, "-s", str(file))
            try:
                keygen("-Y", "verify", *told, data=statement, where="beacon witness")
            except UsageError:
                raise
            except HarnessError as error:
                raise self.refused(f"its signature does not verify: {error.message}") from error


plugin = Witness
