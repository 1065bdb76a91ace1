"""torchvision's data sets: importable where its compiled part can't load, downloaded without partial files."""

from __future__ import annotations

import contextlib
import errno
import io
import queue
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from harness.errors import DataMissing, UsageError
from harness.system.storage import build_storage_error

PATIENCE = 10.0
"""Seconds to wait for a server's first answer."""
STALL = 60.0
"""Seconds without a byte after which a download is abandoned."""

T = TypeVar("T")

OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""Operators that torchvision's Python part describes at import (_meta_registrations.py) and its compiled part defines.
"""


def import_torchvision() -> Any:
    """Import the module torchvision, with its data sets working, whatever the build.

    The wheel on PyPI is built for CUDA. Beside a CPU build of torch, its compiled operators don't load, and the import
    fails when it describes two of them. The data sets need none, so these two are declared without an implementation
    and the import is repeated. If the operators load, nothing is declared.

    Raises:
        UsageError: torchvision can't be imported for another reason.
    """
    import torch

    try:
        try:
            import torchvision
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            for name, schema in OPERATORS.items():
                if not hasattr(torch.ops.torchvision, name):
                    torch.library.define(f"torchvision::{name}", schema)
            import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        raise UsageError(
            f"torchvision cannot be imported: {error}",
            remedy=f"install the torchvision that belongs to torch {torch.__version__}",
        ) from error
    return torchvision


def find_unreachable_reason(url: str) -> str | None:
    """Return the reason why nothing can be fetched from ``url``'s server, in words; None if it answers.

    A thread bounds the whole wait by ``PATIENCE``, because resolving the name has no timeout and a name may have many
    addresses.
    """
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    Thread(target=lambda: answer.put(_ask(url)), daemon=True).start()
    try:
        return answer.get(timeout=PATIENCE)
    except queue.Empty:
        return f"no answer from {urlsplit(url).hostname} within {PATIENCE:.0f} s"


def _ask(url: str) -> str | None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, headers={"User-Agent": "pytorch/vision"}), timeout=PATIENCE):
            return None
    except HTTPError:
        return None  # a server answers; whether it has the file is up to torchvision, which may know a mirror
    except (OSError, HTTPException) as error:
        return f"{urlsplit(url).hostname}: {getattr(error, 'reason', None) or error}"


def download(root: Path, files: Sequence[str], read: Callable[[Path, bool], T]) -> T:
    """Let ``read`` download into an empty folder and read from there, then move ``files`` into ``root``.

    ``read`` receives a folder, and whether to fetch missing files. If another process finished the same download
    meanwhile, its files stay and are read and verified.

    Raises:
        DataMissing: The download failed, and ``root`` holds what it held before; or the other process's files are bad.
        StorageFailed: ``root`` can't be written.
    """
    from http.client import HTTPException

    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root, ignore_cleanup_errors=True) as folder:
            with _silence():
                result = read(Path(folder), True)
            moved = [_move(Path(folder) / name, root / name) for name in files]
            return result if all(moved) else read(root, False)
    except (OSError, HTTPException, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise build_storage_error(root, error) from error
        raise DataMissing(" ".join(str(error).split()) or type(error).__name__, where=str(root)) from error


def _move(source: Path, target: Path) -> bool:
    """Move a file or a folder to a path where nothing exists; tell whether it was moved."""
    if target.exists():
        return False
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
            raise
        return False
    return True


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress progress bars, because the terminal belongs to the command line, and bound waits for silent servers."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)


def read_idx(kind: str, root: Path, train: bool, fetch: bool) -> tuple[Any, Any]:
    """Return images [N, 1, 28, 28] and labels [N] through torchvision's class ``kind``: "MNIST" or "FashionMNIST".

    torchvision verifies the checksums of the packed files only when it unpacks them, and would read unpacked ones
    unchecked. Without ``fetch``, verified packed files are therefore unpacked again into a temporary folder.

    Raises:
        RuntimeError: A packed file is missing or its checksum differs.
    """
    torchvision = import_torchvision()
    dataset = getattr(torchvision.datasets, kind)
    if fetch:
        loaded = dataset(root, train=train, download=True)
    else:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / kind / "raw"
            raw.mkdir(parents=True)
            for name, md5 in dataset.resources:
                packed = root / kind / "raw" / name
                if not torchvision.datasets.utils.check_integrity(packed, md5):
                    raise RuntimeError(f"{name} is missing or its checksum differs")
                (raw / name).write_bytes(packed.read_bytes())
            loaded = dataset(folder, train=train, download=True)
    return loaded.data.numpy()[:, None], loaded.targets.numpy()
