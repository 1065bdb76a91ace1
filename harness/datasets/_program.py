"""Stand-in for the data of an arm that a program trains; see ``harness.records.program``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from harness.datasets import Dataset, Images


class ProgramDataset(Dataset):
    """Data that a program reads by itself: its files are pinned as ``inputs`` of the program."""

    channels = 1
    size = 1
    classes = 2
    train_count = 1
    test_count = 2**20
    mean = (0.0,)
    std = (1.0,)
    bundled = True
    name: Literal["program"]

    def load(self, root: Path, notify: Callable[[str], None]) -> Images:
        """Refuse: the program loads them.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a program reads its own data")

    def locate(self, root: Path) -> str:
        """Say that the program knows."""
        return "read by the program"


plugin = ProgramDataset
