"""Streams and what they can take: letters that an encoding lacks, streams that end or are full."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from harness.system.without import do_without

ESCAPES = "harness-escapes"
SPELT = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "…": "...", "→": "->", "·": "-", "×": "x", "±": "+-", "≥": ">=", "≤": "<=",
        "≠": "!=", "“": '"', "”": '"', "‘": "'", "’": "'", "α": "alpha", "β": "beta", "│": "|", "━": "-", "╸": "-",
        "╺": "-", "─": "-",
    }
)  # fmt: skip
"""Sign of our own texts → its spelling where an encoding lacks it."""


def prepare() -> None:
    """Let no character that can't be encoded stop the program, and drop variables that stop a library's import."""
    codecs.register_error(ESCAPES, _escape_unencodable)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or another stands in its place
            stream.reconfigure(errors=ESCAPES)  # type: ignore[union-attr]
    if not os.environ.get("TERMINAL_WIDTH", "1").isdecimal():
        del os.environ["TERMINAL_WIDTH"]  # typer takes it for a number
    try:
        Path.cwd()
    except OSError:  # libraries below PyTorch end the process there
        os.chdir(Path(sys.executable).anchor)
        do_without("the folder that this was started in is gone: relative paths lead nowhere")


def spell(text: str, encoding: str | None) -> str:
    """Return ``text``, with our own signs spelt in ASCII if the encoding lacks one of its characters."""
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(SPELT)
    except LookupError:
        return text
    return text


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Escape what cannot be encoded as JSON does, so that JSON stays JSON, even unpaired surrogates in file names."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


class Outlet:
    """The file that rich writes to: the stream as it is at the moment, with letters that it can take.

    ``lossy``: nobody can be told that nothing can be written, and nothing depends on it: it is passed over.
    """

    def __init__(self, *, stderr: bool) -> None:
        self._stderr = stderr
        self.lossy = stderr

    @property
    def file(self) -> TextIO | None:
        """The stream: tests and shells put others in its place, or none. Not rich's, which would write here."""
        stream = sys.stderr if self._stderr else sys.stdout
        return getattr(stream, "rich_proxied_file", stream)

    @property
    def encoding(self) -> str:
        """Return the stream's encoding."""
        return getattr(self.file, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write all of the text.

        Raises:
            OSError: it could not be written, and that matters.
        """
        if (file := self.file) is not None:
            try:
                file.write(spell(text, getattr(file, "encoding", None) or "utf-8"))
            except (OSError, ValueError):  # ValueError: the stream was closed
                if not self.lossy:
                    raise
        return len(text)

    def flush(self) -> None:
        """Let whoever reads have all of it now.

        Raises:
            OSError: it could not be written, and that matters.
        """
        if (file := self.file) is not None:
            try:
                file.flush()
            except (OSError, ValueError):
                if not self.lossy:
                    raise

    def isatty(self) -> bool:
        """Tell whether a person reads it as it comes."""
        return self.file is not None and self.file.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor.

        Raises:
            OSError: it has none.
        """
        if self.file is None:
            raise OSError("there is no stream")
        return self.file.fileno()
