"""Decoding of bytes to lines: UTF-8, no control characters, Unicode's composed form (NFC), bounded sizes."""

from __future__ import annotations

import re
import unicodedata

from harness.errors import Finding
from harness.spec.tree import MAX_FINDINGS, Source

MAX_BYTES = 1 << 20
MAX_LINE = 10_000
"""Maximum number of characters per line; composing combining marks takes quadratic time."""
CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters, unusual line breaks, and marks that make a text read differently from how it is stored."""
LINE_BREAK = re.compile(r"\r\n|\r|\n")


def decode(data: bytes, file: str) -> tuple[str | None, Source, list[Finding]]:
    """Return the text, its lines, and findings about its characters; no text if it must not be parsed at all."""
    source = Source(file, ())
    if len(data) > MAX_BYTES:
        return None, source, [source.finding((1, 1), "the file is over 1 MiB", "a pre-registration takes kilobytes")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = LINE_BREAK.split(data[: error.start].decode("utf-8"))
        at = (len(before), len(before[-1]) + 1)
        return None, source, [source.finding(at, f"not UTF-8: byte 0x{data[error.start]:02X}", "save it as UTF-8")]
    lines = tuple(LINE_BREAK.split(text))
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE:
            message = f"a line of more than {MAX_LINE:,} characters"
            return None, source, [source.finding((number, MAX_LINE + 1), message, "break it into shorter lines")]
    source = Source(file, lines)
    findings: list[Finding] = []
    if CONTROL.search(text) is None and unicodedata.is_normalized("NFC", text):
        return text, source, findings
    for number, line in enumerate(lines, start=1):
        if match := CONTROL.search(line):
            message = f"control character U+{ord(match.group()):04X}"
            remedy = "remove it (a byte-order mark: save without one)"
            quoted = Source(file, tuple(CONTROL.sub("\ufffd", line) for line in lines))  # terminals obey some of them
            return None, source, [quoted.finding((number, match.start() + 1), message, remedy)]
        composed = unicodedata.normalize("NFC", line)
        if composed != line:
            same = next((i for i, (a, b) in enumerate(zip(line, composed, strict=False)) if a != b), len(composed))
            message = "not in Unicode's composed form (NFC)"
            findings.append(
                source.finding((number, same + 1), message, "retype the character, or save the file in NFC")
            )
            if len(findings) >= MAX_FINDINGS:
                break
    return text, source, findings
