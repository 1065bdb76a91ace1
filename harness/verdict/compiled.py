"""Cache of the compiled packaged templates beside this package's own bytecode; compiling takes 0.1 s, or 0.3 s.

Whoever can write there can also overwrite the program itself, so the cached code deserves the same trust. It depends
on no setting and on nothing in a project or a trail, whose own templates are never cached.
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
    """A cache of one file per template, a digest followed by the code; a file with another digest is ignored."""

    def __init__(self, sources: Iterable[str]) -> None:
        """Take ``sources``: files of the modules, besides the template itself, that the compiled code depends on."""
        self.sources = tuple(Path(file) for file in sources)

    def get_source_checksum(self, source: str) -> str:
        """Return the digest of everything that the code depends on: the template, ``sources``, jinja2 and Python."""
        modules = [path.read_bytes() for path in self.sources]
        parts = [source.encode(), *modules, version("jinja2").encode(), MAGIC_NUMBER]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load the code if its file is intact."""
        with suppress(OSError):
            kept = _path(bucket).read_bytes()
            if kept[:DIGEST] == _digest(bucket, kept[DIGEST:]):
                bucket.code = marshal.loads(kept[DIGEST:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store the code if Python may store its own."""
        if not sys.dont_write_bytecode:
            code = marshal.dumps(bucket.code)
            with suppress(StorageFailed):  # it is then compiled again
                write_atomic(_path(bucket), _digest(bucket, code), code)


def _path(bucket: Bucket) -> Path:
    own = Path(cache_from_source(__file__))
    return own.with_name(f"template-{bucket.key[:16]}.{sys.implementation.cache_tag}.code")


def _digest(bucket: Bucket, code: bytes) -> bytes:
    return hashlib.sha256(bucket.checksum.encode() + code).digest()
