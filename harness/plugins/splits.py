"""Names of the splits of a data set, which data sets, metrics and records share."""

from __future__ import annotations

from typing import Literal

SplitName = Literal["train", "validation", "test"]
"""Split of a data set. The validation split is part of the training images, set apart where a file asks for it."""
