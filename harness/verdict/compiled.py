"""Keeps the packaged template compiled, where Python keeps what it compiled of this package: compiling takes .1 s.

Whoever may write there may write over the program itself, so that this code is worth as much trust as the rest of it.
What is kept depends on no setting and on nothing in a project or a trail: their own templates are never kept.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from harness.errors import StorageFailed
from harness.system.storage import write_atomic

DIGEST = 32  # bytes


class TemplateBytecodeCache(BytecodeCache):
    """One file for each template: a digest, and the code. A file with another digest is as good as none."""

    def __init__(self, sources: Iterable[str]) -> None:
        """Take ``sources``: files of modules that the compiled code follows from, besides the template itself."""
        self.sources = tuple(Path(file) for file in sources)

    def get_source_checksum(self, source: str) -> str:
        """Return the digest of all that the code follows from: the template, ``sources``, jinja2 and Python."""
        modules = [path.read_bytes() for path in self.sources]
        parts = [source.encode(), *modules, version("jinja2").encode(), MAGIC_NUMBER]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take the code, if a file holds it whole."""
        with suppress(OSError):
            kept = _path(bucket).read_bytes()
            if kept[:DIGEST] == _digest(bucket, kept[DIGEST:]):
                bucket.code = marshal.loads(kept[DIGEST:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code, if Python may keep its own."""
        if not sys.dont_write_bytecode:
            code = marshal.dumps(bucket.code)
            with suppress(StorageFailed):  # it will be compiled again
                write_atomic(_path(bucket), _digest(bucket, code), code)


def _path(bucket: Bucket) -> Path:
    own = Path(cache_from_source(__file__))
    return own.with_name(f"template-{bucket.key[:16]}.{sys.implementation.cache_tag}.code")


def _digest(bucket: Bucket, code: bytes) -> bytes:
    return hashlib.sha256(bucket.checksum.encode() + code).digest()
