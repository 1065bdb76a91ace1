"""What takes long to make and is only read, made once for all processes of pytest-xdist."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that ``make`` has filled, whichever process came first. Copy it before changing it."""
    shared = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent  # one for all workers
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not folder.exists():
            half = shared / f"{name}-in-the-making"
            make(half)
            half.rename(folder)
    return folder
